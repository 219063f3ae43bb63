"""How many requests go at once, and how that adapts."""

import threading
from collections.abc import Sequence

import anyio
import anyio.lowlevel
import pytest

from regsync.remote.errors import WaitTooLongError
from regsync.remote.limits import FIRST_WINDOW, LAST_WINDOW, Limiter, Limiters, LimitSettings, Permit, Verdict
from regsync.remote.request import Headers, Kind
from regsync.remote.session import Session
from tests.remote.sessions import Naps, get_manifest, session_at
from tests.support.clock import FrozenClock
from tests.support.fake_registry import FakeRegistry, respond, slow
from tests.support.images import image

pytestmark = pytest.mark.anyio

GET = Kind.MANIFEST_GET


@pytest.fixture
def limiter(clock: FrozenClock) -> Limiter:
    return Limiter("ghcr.io", clock, sleep=Naps(clock))


async def enter(limiter: Limiter, count: int, kind: Kind = GET) -> list[Permit]:
    return [await limiter.enter(kind) for _ in range(count)]


def leave(permits: Sequence[Permit], verdict: Verdict = Verdict.GOOD) -> None:
    for permit in permits:
        permit.verdict = verdict
        permit.close()


async def blocks(limiter: Limiter, kind: Kind = GET) -> bool:
    """Whether one more request of this kind would have to wait."""
    with anyio.move_on_after(0.01) as scope:
        (await limiter.enter(kind)).close()
    return scope.cancelled_caught


async def test_many_may_go_from_the_start(limiter: Limiter) -> None:
    permits = await enter(limiter, FIRST_WINDOW)
    assert FIRST_WINDOW >= 32  # fewer cannot hide 20 ms of latency
    assert await blocks(limiter)
    leave(permits)


async def test_good_answers_double_the_window_each_round_up_to_the_last(limiter: Limiter) -> None:
    sizes = []
    under_way = await enter(limiter, FIRST_WINDOW)
    while len(sizes) < 4:
        for permit in [*under_way]:  # one round: each answer lets in as many as there is room for
            leave([permit])
            under_way.remove(permit)
            under_way += await enter(limiter, limiter.window(GET) - len(under_way))
        sizes.append(limiter.window(GET))
    assert sizes == [2 * FIRST_WINDOW, LAST_WINDOW, LAST_WINDOW, LAST_WINDOW]


async def test_a_window_that_is_not_used_does_not_grow(limiter: Limiter) -> None:
    for _ in range(200):
        leave(await enter(limiter, 3))
    assert limiter.window(GET) == FIRST_WINDOW


async def test_a_burst_of_complaints_halves_the_window_once(limiter: Limiter) -> None:
    permits = await enter(limiter, FIRST_WINDOW)
    leave(permits, Verdict.OVERLOADED)
    assert limiter.window(GET) == FIRST_WINDOW // 2
    leave(await enter(limiter, 4), Verdict.OVERLOADED)
    assert limiter.window(GET) == FIRST_WINDOW // 4


async def test_the_window_never_falls_below_one_and_recovers_slowly(limiter: Limiter) -> None:
    for _ in range(20):
        leave(await enter(limiter, 1), Verdict.OVERLOADED)
    assert limiter.window(GET) == 1
    leave(await enter(limiter, 1))
    assert limiter.window(GET) == 2
    leave(await enter(limiter, 2))
    assert limiter.window(GET) == 2


async def test_what_says_nothing_about_load_changes_nothing(limiter: Limiter) -> None:
    leave(await enter(limiter, FIRST_WINDOW), Verdict.NEUTRAL)
    assert limiter.window(GET) == FIRST_WINDOW


async def test_kinds_are_paced_each_on_its_own(limiter: Limiter) -> None:
    permits = await enter(limiter, FIRST_WINDOW)
    assert not await blocks(limiter, Kind.BLOB_HEAD)
    leave(permits, Verdict.OVERLOADED)
    assert limiter.window(Kind.BLOB_HEAD) == FIRST_WINDOW


async def test_the_set_concurrency_caps_all_kinds_together_but_tokens(clock: FrozenClock) -> None:
    limiter = Limiter("ghcr.io", clock, LimitSettings(concurrency=3))
    permits = [*await enter(limiter, 2), *await enter(limiter, 1, Kind.BLOB_GET)]
    assert await blocks(limiter, Kind.BLOB_HEAD)
    assert not await blocks(limiter, Kind.TOKEN)  # else a request could wait for its own token for ever
    leave(permits)
    assert not await blocks(limiter, Kind.BLOB_HEAD)


async def test_those_who_wait_go_in_the_order_they_came(clock: FrozenClock) -> None:
    limiter = Limiter("ghcr.io", clock, LimitSettings(concurrency=1))
    order: list[int] = []

    async def one(number: int, kind: Kind) -> None:
        permit = await limiter.enter(kind)
        order.append(number)
        permit.close()

    first = await limiter.enter(GET)
    async with anyio.create_task_group() as group:
        for number in range(6):
            group.start_soon(one, number, (GET, Kind.BLOB_GET)[number % 2])
            await anyio.wait_all_tasks_blocked()
        first.close()
    assert order == list(range(6))


async def test_who_is_cancelled_while_waiting_leaves_nothing_behind(clock: FrozenClock) -> None:
    limiter = Limiter("ghcr.io", clock, LimitSettings(concurrency=1))

    async def one() -> None:
        permit = await limiter.enter(GET)
        try:
            await anyio.sleep_forever()
        finally:
            permit.close()

    first = await limiter.enter(GET)
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(one)
        await anyio.wait_all_tasks_blocked()
        first.close()  # the next is let in, and cancelled before it knows
        group.cancel_scope.cancel()
    assert not await blocks(limiter)


async def test_a_permit_is_given_back_once(limiter: Limiter) -> None:
    permits = await enter(limiter, FIRST_WINDOW)
    for _ in range(5):
        permits[0].close()
    assert not await blocks(limiter)
    await limiter.enter(GET)
    assert await blocks(limiter)


async def test_a_kind_that_is_held_waits_also_when_it_was_already_queued(clock: FrozenClock) -> None:
    naps = Naps(clock)
    limiter = Limiter("ghcr.io", clock, LimitSettings(concurrency=1), sleep=naps)
    first = await limiter.enter(GET)
    async with anyio.create_task_group() as group:
        group.start_soon(limiter.enter, GET)
        await anyio.wait_all_tasks_blocked()
        limiter.hold(GET, 9)
        first.close()
    assert naps.taken == [9]


async def test_a_hold_longer_than_allowed_defers_and_a_shorter_one_does_not_shorten_it(
    clock: FrozenClock,
) -> None:
    limiter = Limiter("ghcr.io", clock, LimitSettings(max_wait=60), sleep=Naps(clock))
    limiter.hold(GET, 61)
    limiter.hold(GET, 5)
    with pytest.raises(WaitTooLongError, match=r"ghcr\.io \(manifest-get requests\) asks to wait 61 s"):
        await limiter.enter(GET)
    assert not await blocks(limiter, Kind.BLOB_GET)


async def test_registries_of_one_host_share_a_limiter_with_the_tighter_limits(clock: FrozenClock) -> None:
    limiters = Limiters(clock)
    one = limiters.for_host("ghcr.io", LimitSettings(concurrency=10, reserve=10, max_wait=60))
    two = limiters.for_host("ghcr.io", LimitSettings(concurrency=20, requests_per_second=5, reserve=30))
    assert one is two
    assert one.settings == LimitSettings(10, 5, None, 30, 60)
    assert limiters.for_host("quay.io", LimitSettings()) is not one


async def test_a_session_halves_once_for_a_burst_of_429(
    fake_registry: FakeRegistry, clock: FrozenClock
) -> None:
    async def no_nap(seconds: float) -> None:
        await anyio.lowlevel.checkpoint()

    fake_registry.add("team/app", image("app"), "v1")
    limiter = Limiter(fake_registry.host, clock, sleep=no_nap)
    async with Session(
        fake_registry.host, fake_registry.url, limiter=limiter, clock=clock, sleep=no_nap
    ) as session:
        await session.send(get_manifest())
        # Held back until all have come, so that they are one burst.
        come = threading.Barrier(8, timeout=10)
        complain = respond(429)
        fake_registry.on(
            "GET", ".*", lambda request, proceed: (come.wait(), complain(request, proceed))[1], times=8
        )
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(session.send, get_manifest())
    assert limiter.window(GET) == FIRST_WINDOW // 2


async def test_a_stream_holds_its_place_until_it_is_left(
    fake_registry: FakeRegistry, clock: FrozenClock
) -> None:
    fake_registry.add("team/app", image("app"), "v1")
    fake_registry.on("GET", ".*", slow())
    async with session_at(fake_registry, clock, limits=LimitSettings(concurrency=1)) as session:
        async with session.stream(get_manifest()):
            assert await blocks(session._limiter)
        assert not await blocks(session._limiter)


async def test_headers_without_a_quota_cost_nothing(limiter: Limiter) -> None:
    limiter.announced(GET, Headers([("Content-Type", "text/plain")]))
    assert limiter.quota_wait(GET) is None
