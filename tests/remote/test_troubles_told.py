"""What people are told while a registry keeps a run waiting."""

from dataclasses import replace

import pytest

from regsync.remote.errors import RegistryFailedError, RegistryUnreachableError, WaitTooLongError
from regsync.remote.limits import LimitSettings
from regsync.remote.request import Kind
from regsync.remote.troubles import AGAIN_AFTER
from tests.remote.sessions import Naps, begin_upload, get_blob, get_manifest, in_pieces, ping, session_at
from tests.support.clock import FrozenClock
from tests.support.fake_registry import FakeRegistry, drop, respond

pytestmark = pytest.mark.anyio

BLOB = get_blob("sha256:" + "0" * 64)


class Told:
    """What was told, with how long had been waited by then."""

    def __init__(self, naps: Naps) -> None:
        self._naps = naps
        self.lines: list[tuple[str, str, float]] = []
        self.waited: list[float] = []

    def __call__(self, host: str, message: str, seconds: float) -> None:
        self.lines.append((host, message, seconds))
        self.waited.append(sum(self._naps.taken))


@pytest.fixture
def naps(clock: FrozenClock) -> Naps:
    return Naps(clock)


@pytest.fixture
def told(naps: Naps) -> Told:
    return Told(naps)


async def test_one_short_failure_is_worth_no_word(
    fake_registry: FakeRegistry, clock: FrozenClock, naps: Naps, told: Told
) -> None:
    fake_registry.on("GET", "/v2/", respond(503), times=1)
    fake_registry.on("GET", ".*/blobs/.*", respond(429, retry_after="2"), times=1)
    async with session_at(fake_registry, clock, naps=naps, tell=told) as session:
        await session.send(ping())
        await session.send(BLOB, expect={404})
    assert told.lines == []


async def test_a_failing_registry_is_told_of_after_the_first_retry_and_once(
    fake_registry: FakeRegistry, clock: FrozenClock, naps: Naps, told: Told
) -> None:
    fake_registry.on("GET", ".*", respond(503, b"overloaded"))
    async with session_at(fake_registry, clock, naps=naps, tell=told) as session:
        for request in (ping(), get_manifest()):
            with pytest.raises(RegistryFailedError):
                await session.send(request)
    ((host, message, seconds),) = told.lines
    assert (host, seconds) == (fake_registry.host, 30.0)
    assert message == (f"{host}: GET {fake_registry.url}/v2/: 503: overloaded; trying again for up to 30 s")
    assert told.waited == naps.taken[:1]


async def test_silence_is_another_trouble_than_failures(
    fake_registry: FakeRegistry, clock: FrozenClock, naps: Naps, told: Told
) -> None:
    fake_registry.on("GET", "/v2/", respond(502), times=2)
    fake_registry.on("GET", ".*/blobs/.*", drop())
    async with session_at(fake_registry, clock, naps=naps, tell=told) as session:
        await session.send(ping())
        with pytest.raises(RegistryUnreachableError):
            await session.send(BLOB)
    assert ["502" in message for _, message, _ in told.lines] == [True, False]
    assert all(message.startswith(f"{fake_registry.host}: GET ") for _, message, _ in told.lines)


async def test_a_long_wait_that_is_asked_for_is_told_of_before_it_begins(
    fake_registry: FakeRegistry, clock: FrozenClock, naps: Naps, told: Told
) -> None:
    fake_registry.on("GET", "/v2/", respond(429, retry_after="120"), times=1)
    async with session_at(fake_registry, clock, naps=naps, tell=told) as session:
        await session.send(ping())
    ((_, message, seconds),) = told.lines
    assert "429" in message
    assert message.endswith("; waiting 120 s, as it asks")
    assert (seconds, told.waited) == (120.0, [0])


async def test_many_short_waits_are_told_of_and_again_when_they_go_on_for_minutes(
    fake_registry: FakeRegistry, clock: FrozenClock, naps: Naps, told: Told
) -> None:
    fake_registry.on("GET", "/v2/", respond(429, retry_after="3"))
    limits = LimitSettings(max_wait=AGAIN_AFTER + 30)
    async with session_at(fake_registry, clock, naps=naps, limits=limits, tell=told) as session:
        with pytest.raises(WaitTooLongError):
            await session.send(ping())
    first, second = told.waited
    assert first < 10
    assert AGAIN_AFTER <= second - first < AGAIN_AFTER + 10


async def test_requests_that_are_held_back_by_what_another_was_told(
    fake_registry: FakeRegistry, clock: FrozenClock, naps: Naps, told: Told
) -> None:
    fake_registry.on("POST", ".*", respond(503, retry_after="60"), times=1)
    streamed = replace(begin_upload(), content=in_pieces(b"data"), length=4)
    async with session_at(fake_registry, clock, naps=naps, tell=told) as session:
        with pytest.raises(RegistryFailedError):
            await session.send(streamed)
        assert told.lines == []  # it cannot be sent twice, so that nothing is waited for yet
        await session.send(begin_upload(), expect={202})
    ((host, message, _),) = told.lines
    assert message == f"{host}: asked for a pause of {Kind.UPLOAD.value} requests; waiting 60 s"


async def test_a_quota_of_which_the_rest_is_left_to_people(
    fake_registry: FakeRegistry, clock: FrozenClock, naps: Naps, told: Told
) -> None:
    quota = {"ratelimit_limit": "100;w=200", "ratelimit_remaining": "10;w=200"}
    fake_registry.on("GET", ".*/manifests/.*", respond(404, **quota), times=1)
    async with session_at(
        fake_registry, clock, naps=naps, limits=LimitSettings(reserve=20), tell=told
    ) as session:
        await session.send(get_manifest(), expect={404})
        await session.send(get_manifest(), expect={404})
    ((host, message, _),) = told.lines
    assert message == f"{host}: its quota, less the reserve, is used up; waiting 200 s"
