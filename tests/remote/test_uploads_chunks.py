"""Blobs in chunks: what is lost is sent again from where the registry says it is."""

from collections.abc import AsyncIterator

import pytest

from regsync.content.errors import DigestMismatchError
from regsync.errors import TemporaryError
from regsync.remote.chunks import CHUNK, MAX_GATHERED, Slices
from regsync.remote.errors import RejectedError
from regsync.remote.providers.detection import load
from regsync.remote.request import Headers
from regsync.remote.upload import UploadLostError, committed_offset
from tests.remote.repositories import blob, methods, opened, stream
from tests.support import fake_registry as fake
from tests.support.fake_registry import FakeRegistry
from tests.support.images import noise

pytestmark = pytest.mark.anyio

ACR = load("acr")
DATA = noise("chunked", 20_000_000)
UPLOADS = r"/v2/team/app/blobs/uploads/.*"


def held(registry: FakeRegistry) -> bool:
    return registry.repositories["team/app"].blobs.get(str(blob(DATA).digest)) == DATA


def ranges(registry: FakeRegistry) -> list[str]:
    return [one.headers["content-range"] for one in registry.matching("PATCH")]


async def test_a_blob_beyond_acrs_body_limit_goes_in_chunks(fake_registry: FakeRegistry) -> None:
    async with opened(fake_registry, provider=ACR) as repository:
        await repository.push(blob(DATA), stream(DATA))
    assert held(fake_registry)
    assert methods(fake_registry.requests) == ["POST", "PATCH", "PATCH", "PATCH", "PUT"]
    assert ranges(fake_registry) == [
        f"0-{CHUNK - 1}",
        f"{CHUNK}-{2 * CHUNK - 1}",
        f"{2 * CHUNK}-19999999",
    ]
    assert all(one.body_size <= 16 * 1024 * 1024 for one in fake_registry.requests)


@pytest.mark.parametrize("status", [201, 202, 204])
async def test_a_patch_may_be_answered_in_three_ways(fake_registry: FakeRegistry, status: int) -> None:
    def answered(request: fake.Request, proceed: fake.Proceed) -> fake.Answer:
        return fake.Answer(status, proceed().headers)

    fake_registry.on("PATCH", UPLOADS, answered)
    async with opened(fake_registry, provider=ACR) as repository:
        await repository.push(blob(DATA), stream(DATA))
    assert held(fake_registry)


async def test_a_registry_that_reports_no_range_is_believed(fake_registry: FakeRegistry) -> None:
    fake_registry.on("PATCH", UPLOADS, fake.headers(range=None))
    async with opened(fake_registry, provider=ACR) as repository:
        await repository.push(blob(DATA), stream(DATA))
    assert held(fake_registry)


async def test_a_chunk_that_was_cut_goes_on_at_the_registrys_offset(fake_registry: FakeRegistry) -> None:
    fake_registry.on("PATCH", UPLOADS, fake.cut_upload_after(3_000_000), times=2)
    async with opened(fake_registry, provider=ACR) as repository:
        await repository.push(blob(DATA), stream(DATA))
    assert held(fake_registry)
    assert ranges(fake_registry)[:3] == [f"0-{CHUNK - 1}", f"3000000-{CHUNK - 1}", f"6000000-{CHUNK - 1}"]
    assert fake_registry.count("GET", UPLOADS) == 2


async def test_a_chunk_whose_answer_was_lost_is_not_sent_twice(fake_registry: FakeRegistry) -> None:
    fake_registry.on("PATCH", UPLOADS, fake.drop_after_done(), times=1)
    async with opened(fake_registry, provider=ACR) as repository:
        await repository.push(blob(DATA), stream(DATA))
    assert held(fake_registry)
    assert ranges(fake_registry)[:2] == [f"0-{CHUNK - 1}", f"{CHUNK}-{2 * CHUNK - 1}"]


async def test_a_short_commit_is_completed(fake_registry: FakeRegistry) -> None:
    def takes_half(request: fake.Request, proceed: fake.Proceed) -> fake.Answer:
        request.truncate(4_000_000)
        answer = proceed()
        return fake.Answer(answer.status, answer.headers, close=True)

    fake_registry.on("PATCH", UPLOADS, takes_half, times=1)
    async with opened(fake_registry, provider=ACR) as repository:
        await repository.push(blob(DATA), stream(DATA))
    assert held(fake_registry)


@pytest.mark.parametrize("status", [400, 416])
async def test_a_chunk_at_the_wrong_offset_asks_where_the_registry_is(
    fake_registry: FakeRegistry, status: int
) -> None:
    fake_registry.on("PATCH", UPLOADS, fake.error(status, "BLOB_UPLOAD_INVALID"), times=1)
    async with opened(fake_registry, provider=ACR) as repository:
        await repository.push(blob(DATA), stream(DATA))
    assert held(fake_registry)
    assert fake_registry.count("GET", UPLOADS) == 1


async def test_a_registry_that_lost_confirmed_bytes_makes_it_begin_anew(fake_registry: FakeRegistry) -> None:
    def forgets(request: fake.Request, proceed: fake.Proceed) -> fake.Answer:
        session = next(iter(fake_registry.repositories["team/app"].uploads.values()))
        if len(session) >= CHUNK:
            session.clear()
        return proceed()

    fake_registry.on("PATCH", UPLOADS, forgets)
    async with opened(fake_registry, provider=ACR) as repository:
        with pytest.raises(UploadLostError, match="the registry is at byte 0") as caught:
            await repository.push(blob(DATA), stream(DATA))
    assert isinstance(caught.value, TemporaryError)


async def test_a_session_that_is_gone_makes_it_begin_anew(fake_registry: FakeRegistry) -> None:
    def gone(request: fake.Request, proceed: fake.Proceed) -> fake.Answer:
        fake_registry.repositories["team/app"].uploads.clear()
        return fake.Answer(0, cut=0, reset=True)

    fake_registry.on("PATCH", UPLOADS, gone, times=1)
    async with opened(fake_registry, provider=ACR) as repository:
        with pytest.raises(UploadLostError, match="its session is gone"):
            await repository.push(blob(DATA), stream(DATA))


async def test_a_chunk_that_never_gets_through_ends_after_some_tries(fake_registry: FakeRegistry) -> None:
    fake_registry.on("PATCH", UPLOADS, fake.error(416, "RANGE_INVALID"))
    async with opened(fake_registry, provider=ACR) as repository:
        with pytest.raises(RejectedError):
            await repository.push(blob(DATA), stream(DATA))
    assert fake_registry.count("PATCH") == 5
    assert not fake_registry.repositories["team/app"].uploads


async def test_a_refusal_is_not_tried_again(fake_registry: FakeRegistry) -> None:
    fake_registry.on("PATCH", UPLOADS, fake.error(405, "UNSUPPORTED"))
    async with opened(fake_registry, provider=ACR) as repository:
        with pytest.raises(RejectedError):
            await repository.push(blob(DATA), stream(DATA))
    assert fake_registry.count("PATCH") == 1


async def test_a_wrong_blob_in_chunks_is_never_complete(fake_registry: FakeRegistry) -> None:
    async with opened(fake_registry, provider=ACR) as repository:
        with pytest.raises(DigestMismatchError):
            await repository.push(blob(DATA), stream(DATA[:-1] + b"!"))
    assert fake_registry.count("PUT") == 0
    assert not fake_registry.repositories["team/app"].uploads


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(str(12_000_000), 12_000_000, id="longer than ours"),
        pytest.param(str(MAX_GATHERED + 1), MAX_GATHERED + 1, id="too long to hold, streamed"),
        pytest.param(str(10**15), 20_000_000, id="absurd: all in one, bounded"),
        pytest.param("100", CHUNK, id="shorter than ours"),
        pytest.param("many", CHUNK, id="nonsense"),
    ],
)
async def test_the_least_chunk_of_the_registry_is_honoured(
    fake_registry: FakeRegistry, asked: str, expected: int
) -> None:
    fake_registry.on("POST", UPLOADS, fake.headers(oci_chunk_min_length=asked))
    async with opened(fake_registry, provider=ACR) as repository:
        await repository.push(blob(DATA), stream(DATA))
    assert held(fake_registry)
    assert ranges(fake_registry)[0] == f"0-{expected - 1}"


async def test_a_streamed_chunk_that_fails_is_temporary(fake_registry: FakeRegistry) -> None:
    fake_registry.on("POST", UPLOADS, fake.headers(oci_chunk_min_length=str(MAX_GATHERED + 1)))
    fake_registry.on("PATCH", UPLOADS, fake.cut_upload_after(3_000_000), times=1)
    async with opened(fake_registry, provider=ACR) as repository:
        with pytest.raises(TemporaryError):
            await repository.push(blob(DATA), stream(DATA))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0-99", 100),
        ("bytes=0-99", 100),
        ("0-0", 0),
        ("", None),
        ("5-9", None),
        ("0-", None),
        ("0-x", None),
        ("0--1", None),
        ("0-" + "9" * 30, None),
    ],
)
def test_the_committed_offset_is_read_or_not_guessed(text: str, expected: int | None) -> None:
    assert committed_offset(Headers([("range", text)] if text else [])) == expected


async def test_a_stream_is_cut_at_any_place() -> None:
    slices = Slices(stream(b"abcdefghij", 3))
    assert await slices.gather(4) == b"abcd"
    assert [piece async for piece in slices.stream(4)] == [b"ef", b"gh"]
    assert await slices.gather(10) == b"ij"
    assert await slices.gather(1) == b""


async def test_an_empty_chunk_is_no_end() -> None:
    async def gaps() -> AsyncIterator[bytes]:
        for piece in (b"", b"ab", b"", b"c"):
            yield piece

    assert await Slices(gaps()).gather(3) == b"abc"
