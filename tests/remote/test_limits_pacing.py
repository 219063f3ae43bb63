"""Requests and bytes per second, as told."""

import pytest

from regsync.remote.limits import LimitSettings
from regsync.remote.pacing import Bandwidth, RequestPace
from regsync.remote.request import Kind, Request
from tests.remote.sessions import NAME, PUSH, Naps, begin_upload, get_blob, in_pieces, ping, session_at
from tests.support.clock import FrozenClock
from tests.support.fake_registry import FakeRegistry
from tests.support.images import image, noise, sha256

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("rate", [0.5, 2, 50, 1000])
def test_requests_keep_to_their_rate_with_a_small_burst(clock: FrozenClock, rate: float) -> None:
    pace = RequestPace(rate, clock)
    count = int(10 * rate) + 1
    for _ in range(count):
        clock.advance(pace.take())
    burst = max(1, int(rate * 0.25))
    assert (count - burst - 1) / rate <= clock.monotonic() <= count / rate


def test_a_pause_does_not_save_up_more_than_a_small_burst(clock: FrozenClock) -> None:
    pace = RequestPace(40, clock)
    pace.take()
    clock.advance(3600)
    waits = [pace.take() for _ in range(20)]
    assert waits[:10] == pytest.approx([0] * 10, abs=1e-6)
    assert all(wait > 0.01 for wait in waits[11:])


def test_bytes_keep_to_their_rate(clock: FrozenClock) -> None:
    bandwidth = Bandwidth(1000, clock)
    clock.advance(60)
    for _ in range(100):
        clock.advance(bandwidth.spend(100))
    assert clock.monotonic() - 60 == pytest.approx(10 - 0.25, abs=0.01)


async def test_a_session_sends_as_many_requests_a_second_as_told(
    fake_registry: FakeRegistry, clock: FrozenClock
) -> None:
    naps = Naps(clock)
    async with session_at(
        fake_registry, clock, naps=naps, limits=LimitSettings(requests_per_second=2)
    ) as session:
        for _ in range(5):
            await session.send(ping())
    assert naps.taken == [0.5] * 4


async def test_a_sessions_streams_keep_to_the_bandwidth_in_both_directions(
    fake_registry: FakeRegistry, clock: FrozenClock
) -> None:
    data = noise("bandwidth", 1_000_000)
    naps = Naps(clock)
    fake_registry.add(NAME, image("app"), "v1")
    fake_registry.repositories[NAME].blobs[sha256(data)] = data
    limits = LimitSettings(bytes_per_second=100_000)
    async with session_at(fake_registry, clock, naps=naps, limits=limits) as session:
        async with session.stream(get_blob(sha256(data))) as answer:
            assert sum([len(chunk) async for chunk in answer.chunks]) == len(data)
        assert sum(naps.taken) == pytest.approx(10, abs=0.3)
        location = (await session.send(begin_upload(), expect={202})).headers["location"]
        put = Request(Kind.UPLOAD, "PATCH", location, PUSH, content=in_pieces(data), length=len(data))
        await session.send(put, expect={202})
        assert sum(naps.taken) == pytest.approx(20, abs=0.6)
