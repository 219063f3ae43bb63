"""As many questions at once as the distance of a place makes sense."""

import pytest
from anyio.lowlevel import checkpoint

from regsync.reconcile.by_latency import LEAST, for_each_by_latency
from tests.support.clock import FrozenClock

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("latency", "most", "expected"),
    [
        pytest.param(0.001, 128, LEAST, id="next door a handful keeps it busy"),
        pytest.param(0.03, 128, 60, id="the farther the more"),
        pytest.param(5.0, 128, 128, id="never more than allowed"),
        pytest.param(5.0, 4, 4, id="even where that is little"),
    ],
)
async def test_how_many_are_under_way(latency: float, most: int, expected: int) -> None:
    clock, under_way, highest, done = FrozenClock(), 0, 0, []

    async def ask(number: int) -> None:
        nonlocal under_way, highest
        under_way += 1
        highest = max(highest, under_way)
        if number == 0:
            assert under_way == 1
            clock.advance(latency)
        for _ in range(3):
            await checkpoint()
        done.append(number)
        under_way -= 1

    await for_each_by_latency(ask, range(500), clock=clock, most=most)
    assert sorted(done) == list(range(500))
    assert highest == expected


async def test_nothing_is_asked_of_nobody() -> None:
    async def ask(number: int) -> None:
        raise AssertionError

    await for_each_by_latency(ask, (), clock=FrozenClock(), most=8)
