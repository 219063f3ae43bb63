"""What is tried again, how often, and what is put off."""

from datetime import timedelta
from email.utils import format_datetime

import pytest

from regsync.errors import TemporaryError
from regsync.remote.errors import (
    CutShortError,
    RateLimitedError,
    RegistryFailedError,
    RegistryUnreachableError,
    UnknownHostError,
    WaitTooLongError,
)
from regsync.remote.limits import LimitSettings
from regsync.remote.request import Kind, Request
from regsync.remote.retry import read_retry_after
from tests.remote.sessions import (
    PUSH,
    Naps,
    begin_upload,
    get_blob,
    get_manifest,
    in_pieces,
    ping,
    session_at,
)
from tests.support.clock import START, FrozenClock
from tests.support.fake_registry import FakeRegistry, cut_after, drop, respond
from tests.support.images import image, sha256

pytestmark = pytest.mark.anyio


@pytest.fixture
def naps(clock: FrozenClock) -> Naps:
    return Naps(clock)


@pytest.mark.parametrize("status", [408, 429, 499, 500, 502, 503, 504, 522])
async def test_a_failure_that_may_pass_is_tried_again(
    fake_registry: FakeRegistry, clock: FrozenClock, naps: Naps, status: int
) -> None:
    fake_registry.on("GET", "/v2/", respond(status), times=2)
    async with session_at(fake_registry, clock, naps=naps) as session:
        assert (await session.send(ping())).status == 200
    assert fake_registry.count("GET", "/v2/") == 3
    assert naps.taken == [0.5, 1.0]


@pytest.mark.parametrize("status", [400, 403, 404, 405, 416])
async def test_a_refusal_is_not_tried_again(fake_registry: FakeRegistry, status: int) -> None:
    fake_registry.on("GET", "/v2/", respond(status))
    async with session_at(fake_registry) as session:
        await session.send(ping(), expect={status})
    assert fake_registry.count() == 1


async def test_a_dropped_connection_is_tried_again(fake_registry: FakeRegistry, naps: Naps) -> None:
    fake_registry.on("GET", "/v2/", drop(), times=1)
    async with session_at(fake_registry, naps=naps) as session:
        await session.send(ping())
    assert fake_registry.count("GET", "/v2/") == 2


async def test_an_answer_that_was_cut_is_asked_for_again(fake_registry: FakeRegistry) -> None:
    content = fake_registry.add("team/app", image("app"), "v1")
    fake_registry.on("GET", ".*/manifests/.*", cut_after(20), times=1)
    async with session_at(fake_registry) as session:
        assert sha256((await session.send(get_manifest())).body) == content.digest


async def test_trying_ends_after_half_a_minute(
    fake_registry: FakeRegistry, clock: FrozenClock, naps: Naps
) -> None:
    fake_registry.on("GET", "/v2/", respond(500))
    async with session_at(fake_registry, clock, naps=naps) as session:
        with pytest.raises(RegistryFailedError):
            await session.send(ping())
    assert naps.taken == [0.5, 1, 2, 4, 8, 8]
    assert sum(naps.taken) <= 30


async def test_a_registry_that_is_down_costs_half_a_minute_once(
    fake_registry: FakeRegistry, clock: FrozenClock, naps: Naps
) -> None:
    fake_registry.on("GET", ".*", drop())
    async with session_at(fake_registry, clock, naps=naps) as session:
        with pytest.raises(RegistryUnreachableError):
            await session.send(ping())
        waited = len(naps.taken)
        with pytest.raises(RegistryUnreachableError):
            await session.send(get_manifest())
        assert len(naps.taken) == waited
        fake_registry.behave()
        await session.send(ping())
        fake_registry.on("GET", "/v2/", drop(), times=1)
        await session.send(ping())  # it was back: patience is too


async def test_an_unknown_host_is_not_tried_again(clock: FrozenClock, naps: Naps) -> None:
    class Nowhere:
        host, url = "registry.invalid", "http://registry.invalid"

    async with session_at(Nowhere(), clock, naps=naps) as session:
        with pytest.raises(UnknownHostError, match=r"registry\.invalid") as raised:
            await session.send(ping())
    assert not isinstance(raised.value, TemporaryError)
    assert naps.taken == []


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_is_waited_for(
    fake_registry: FakeRegistry, clock: FrozenClock, naps: Naps, form: str
) -> None:
    value = "40" if form == "seconds" else format_datetime(START + timedelta(seconds=40), usegmt=True)
    fake_registry.on("GET", "/v2/", respond(429, retry_after=value), times=1)
    async with session_at(fake_registry, clock, naps=naps) as session:
        await session.send(ping())
    assert sum(naps.taken) == pytest.approx(41, abs=0.2)
    assert fake_registry.count() == 2


async def test_a_longer_wait_than_allowed_defers_at_once(
    fake_registry: FakeRegistry, clock: FrozenClock, naps: Naps
) -> None:
    fake_registry.on("GET", "/v2/", respond(429, retry_after="301"))
    async with session_at(fake_registry, clock, naps=naps) as session:
        with pytest.raises(WaitTooLongError, match="301 s") as raised:
            await session.send(ping())
        with pytest.raises(WaitTooLongError):
            await session.send(ping())
    assert raised.value.seconds == 301
    assert naps.taken == []
    assert fake_registry.count() == 1


async def test_waits_that_add_up_to_more_than_allowed_defer(
    fake_registry: FakeRegistry, clock: FrozenClock, naps: Naps
) -> None:
    fake_registry.on("GET", "/v2/", respond(503, retry_after="20"))
    limits = LimitSettings(max_wait=50)
    async with session_at(fake_registry, clock, naps=naps, limits=limits) as session:
        with pytest.raises(WaitTooLongError):
            await session.send(ping())
    assert fake_registry.count() == 3


async def test_a_used_up_quota_defers_instead_of_half_a_minutes_attempts(
    fake_registry: FakeRegistry, clock: FrozenClock, naps: Naps
) -> None:
    quota = respond(429, ratelimit_limit="100;w=21600", ratelimit_remaining="0;w=21600")
    fake_registry.on("GET", ".*/manifests/.*", quota)
    async with session_at(fake_registry, clock, naps=naps) as session:
        with pytest.raises(WaitTooLongError, match="21600 s"):
            await session.send(get_manifest())
    assert fake_registry.count() == 1


async def test_all_requests_of_a_kind_wait_when_one_is_told_to(
    fake_registry: FakeRegistry, clock: FrozenClock, naps: Naps
) -> None:
    fake_registry.add("team/app", image("app"), "v1")
    fake_registry.on("GET", ".*/blobs/.*", respond(429, retry_after="7"), times=1)
    async with session_at(fake_registry, clock, naps=naps) as session:
        with pytest.raises(RateLimitedError) as raised:
            await session.send(
                Request(Kind.BLOB_GET, "GET", "/v2/team/app/blobs/x", PUSH, content=in_pieces(b"x"))
            )
        assert raised.value.retry_after == 7
        await session.send(get_manifest())
        assert naps.taken == []  # another kind
        await session.send(get_blob("sha256:" + "0" * 64), expect={404})
    assert naps.taken == [7]


async def test_a_streamed_body_is_sent_once(fake_registry: FakeRegistry, naps: Naps) -> None:
    fake_registry.on("PUT", ".*", respond(503))
    async with session_at(fake_registry, naps=naps) as session:
        location = (await session.send(begin_upload(), expect={202})).headers["location"]
        put = Request(Kind.UPLOAD, "PUT", location, PUSH, content=in_pieces(b"data"), length=4)
        with pytest.raises(RegistryFailedError):
            await session.send(put)
    assert fake_registry.count("PUT", ".*") == 1


@pytest.mark.parametrize(("status", "count"), [(502, 1), (429, 7)])
async def test_a_chunk_is_sent_again_only_where_it_was_not_taken(
    fake_registry: FakeRegistry, clock: FrozenClock, naps: Naps, status: int, count: int
) -> None:
    fake_registry.on("PATCH", ".*", respond(status))
    async with session_at(fake_registry, clock, naps=naps) as session:
        location = (await session.send(begin_upload(), expect={202})).headers["location"]
        with pytest.raises((RegistryFailedError, RateLimitedError)):
            await session.send(Request(Kind.UPLOAD, "PATCH", location, PUSH, content=b"data"))
    assert fake_registry.count("PATCH", ".*") == count


async def test_a_stream_is_not_begun_anew_once_its_head_came(fake_registry: FakeRegistry) -> None:
    data = b"x" * 1000
    fake_registry.add("team/app", image("app"), "v1")
    fake_registry.repositories["team/app"].blobs[sha256(data)] = data
    fake_registry.on("GET", ".*/blobs/.*", cut_after(10))
    async with session_at(fake_registry) as session, session.stream(get_blob(sha256(data))) as answer:
        with pytest.raises(CutShortError):
            [chunk async for chunk in answer.chunks]
    assert fake_registry.count("GET", ".*/blobs/.*") == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        (" 1.5 ", 1.5),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        ("9" * 400, None),
        ("Thu, 01 Jan 2026 12:00:30", None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_both_forms(value: str | None, seconds: float | None) -> None:
    assert read_retry_after(value, FrozenClock()) == seconds
