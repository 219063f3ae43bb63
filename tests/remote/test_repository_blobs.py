"""Blobs over HTTP: read to the end whatever cuts them, and never more or other than the descriptor names."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from regsync.content.errors import (
    ContentNotFoundError,
    DigestMismatchError,
    InterruptedStreamError,
    SizeMismatchError,
)
from regsync.content.verified import verified
from regsync.errors import TemporaryError
from regsync.oci.reference import RepositoryName
from regsync.remote.repository import RemoteRepository
from tests.remote.repositories import blob, described, opened, read, session_of
from tests.support import fake_registry as fake
from tests.support.fake_registry import FakeRegistry, Repository
from tests.support.images import image, noise

pytestmark = pytest.mark.anyio

DATA = noise("blob", 6_000_000)
CUT = 1_500_000  # bytes; more than PROGRESS
BLOBS = r"/v2/team/app/blobs/.*"


@pytest.fixture
def registry(fake_registry: FakeRegistry) -> FakeRegistry:
    """A registry that holds DATA."""
    fake_registry.repositories["team/app"] = Repository(blobs={str(blob(DATA).digest): DATA})
    return fake_registry


async def test_a_blob_is_there_or_not_by_one_head(registry: FakeRegistry) -> None:
    async with opened(registry) as repository:
        assert await repository.exists(blob(DATA))
        assert not await repository.exists(blob(b"absent"))
    assert [one.method for one in registry.requests] == ["HEAD", "HEAD"]


async def test_a_descriptor_that_lies_about_a_blob_that_is_there_is_found_out(registry: FakeRegistry) -> None:
    lie = replace(blob(DATA), size=5)
    async with opened(registry) as repository:
        with pytest.raises(SizeMismatchError):
            await repository.exists(lie)
        with pytest.raises(SizeMismatchError):
            async with repository.fetch(lie):
                pass


async def test_a_length_of_0_or_none_says_nothing(registry: FakeRegistry) -> None:
    registry.on("HEAD", BLOBS, fake.respond(200))
    registry.on("GET", BLOBS, fake.chunked())
    async with opened(registry) as repository:
        assert await repository.exists(blob(DATA))
        async with repository.fetch(blob(DATA)) as chunks:
            assert await read(chunks) == DATA


async def test_where_head_is_not_allowed_reading_begins(registry: FakeRegistry) -> None:
    registry.on("HEAD", BLOBS, fake.respond(405))
    async with opened(registry) as repository:
        assert await repository.exists(blob(DATA))
        assert not await repository.exists(blob(b"absent"))


async def test_a_blob_is_asked_for_as_it_is(registry: FakeRegistry) -> None:
    async with opened(registry) as repository, repository.fetch(blob(DATA)) as chunks:
        assert await read(chunks) == DATA
    assert registry.requests[0].headers["accept-encoding"] == "identity"


async def test_a_missing_blob_raises_on_entering(registry: FakeRegistry) -> None:
    async with opened(registry) as repository:
        with pytest.raises(ContentNotFoundError, match=r"team/app: blob sha256:\w+ not found"):
            async with repository.fetch(blob(b"absent")):
                pass


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_a_cut_blob_goes_on_where_it_ended(registry: FakeRegistry, reset: bool) -> None:
    registry.on("GET", BLOBS, fake.cut_after(CUT, reset=reset), times=2)
    async with opened(registry) as repository, repository.fetch(blob(DATA)) as chunks:
        assert await read(chunks) == DATA
    ranges = [one.headers.get("range") for one in registry.requests]
    assert ranges[0] is None
    assert len(ranges) == 3
    assert all(one is not None and one.startswith("bytes=") for one in ranges[1:])


async def test_a_blob_on_another_host_is_read_over_cuts_too(
    registry: FakeRegistry, fake_registry_factory: Callable[[], FakeRegistry]
) -> None:
    """The link to it is asked for again each time: it may have expired."""
    elsewhere = fake_registry_factory()
    elsewhere.repositories["team/app"] = Repository(blobs={str(blob(DATA).digest): DATA})
    elsewhere.on("GET", BLOBS, fake.cut_after(CUT), times=2)
    registry.on(".*", BLOBS, fake.redirect(elsewhere.url))
    async with opened(registry) as repository:
        assert await repository.exists(blob(DATA))
        async with repository.fetch(blob(DATA)) as chunks:
            assert await read(chunks) == DATA
    assert registry.count("GET", BLOBS) == elsewhere.count("GET", BLOBS) == 3


async def test_a_range_answered_with_everything_is_not_appended(registry: FakeRegistry) -> None:
    registry.on("GET", BLOBS, lambda request, proceed: (request.headers.pop("range", None), proceed())[1])
    registry.on("GET", BLOBS, fake.cut_after(CUT), times=1)
    async with opened(registry) as repository:
        async with repository.fetch(blob(DATA)) as chunks:
            assert await read(chunks) == DATA
        async with repository.fetch_from(blob(DATA), 5_500_000) as chunks:
            assert await read(chunks) == DATA[5_500_000:]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(None, id="none"),
        pytest.param("bytes 7-5999999/6000000", id="of another beginning"),
        pytest.param("nonsense", id="unreadable"),
    ],
)
async def test_a_part_with_a_wrong_content_range_is_not_believed(
    registry: FakeRegistry, changed: str | None
) -> None:
    def mislabelled(request: fake.Request, proceed: fake.Proceed) -> fake.Answer:
        return proceed().with_headers(content_range=changed) if "range" in request.headers else proceed()

    registry.on("GET", BLOBS, mislabelled)
    registry.on("GET", BLOBS, fake.cut_after(CUT), times=1)
    async with opened(registry) as repository, repository.fetch(blob(DATA)) as chunks:
        assert await read(chunks) == DATA
    assert "range" not in registry.requests[-1].headers


async def test_a_part_of_something_of_another_length_is_an_error(registry: FakeRegistry) -> None:
    registry.on("GET", BLOBS, fake.headers(content_range="bytes 10-99/100"))
    async with opened(registry) as repository:
        with pytest.raises(SizeMismatchError):
            async with repository.fetch_from(blob(DATA), 10):
                pass


async def test_bytes_beyond_the_descriptor_end_the_stream(registry: FakeRegistry) -> None:
    registry.on("GET", BLOBS, fake.body(DATA + b"more"))
    registry.on("GET", BLOBS, fake.chunked())
    async with opened(registry) as repository:
        with pytest.raises(SizeMismatchError):
            async with repository.fetch(blob(DATA)) as chunks:
                await read(chunks)


async def test_other_bytes_of_the_same_length_are_found_by_who_verifies(registry: FakeRegistry) -> None:
    registry.on("GET", BLOBS, fake.body(bytes(len(DATA))))
    async with opened(registry) as repository:
        with pytest.raises(DigestMismatchError):
            async with repository.fetch(blob(DATA)) as chunks:
                await read(aiter(verified(chunks, blob(DATA), where=repository.name)))


async def test_a_blob_that_never_gets_on_ends_after_some_tries(registry: FakeRegistry) -> None:
    registry.on("GET", BLOBS, fake.cut_after(10))
    registry.on("GET", BLOBS, fake.cut_after(CUT), times=1)
    async with opened(registry) as repository:
        with pytest.raises(TemporaryError):
            async with repository.fetch(blob(DATA)) as chunks:
                await read(chunks)
    assert registry.count("GET", BLOBS) == 6


async def test_tries_are_spaced_further_and_further(registry: FakeRegistry) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    registry.on("GET", BLOBS, fake.cut_after(10))
    registry.on("GET", BLOBS, fake.cut_after(CUT), times=1)
    async with session_of(registry) as session:
        repository = RemoteRepository(session, RepositoryName("team/app"), pause=pause)
        with pytest.raises(TemporaryError):
            async with repository.fetch(blob(DATA)) as chunks:
                await read(chunks)
    assert pauses == sorted(pauses)
    assert len(pauses) == 4
    assert 0.2 <= pauses[0] <= 0.3


async def test_a_slow_link_that_cuts_again_and_again_still_gets_there(registry: FakeRegistry) -> None:
    large = noise("large", 20_000_000)
    registry.repositories["team/app"].blobs[str(blob(large).digest)] = large
    registry.on("GET", BLOBS, fake.cut_after(CUT))
    async with opened(registry) as repository, repository.fetch(blob(large)) as chunks:
        assert await read(chunks) == large
    assert registry.count("GET", BLOBS) > 6


async def test_a_body_that_ends_early_without_a_cut_is_no_success(registry: FakeRegistry) -> None:
    registry.on("GET", BLOBS, fake.body(DATA[:100]))
    registry.on("GET", BLOBS, fake.chunked())
    async with opened(registry) as repository:
        with pytest.raises(InterruptedStreamError):
            async with repository.fetch(blob(DATA)) as chunks:
                await read(chunks)


@pytest.mark.parametrize("offset", [0, 1, 5_999_999, 6_000_000])
async def test_a_blob_is_read_from_any_offset(registry: FakeRegistry, offset: int) -> None:
    async with opened(registry) as repository, repository.fetch_from(blob(DATA), offset) as chunks:
        assert await read(chunks) == DATA[offset:]


async def test_an_empty_blob_is_read(registry: FakeRegistry) -> None:
    registry.repositories["team/app"].blobs[str(blob(b"").digest)] = b""
    async with opened(registry) as repository, repository.fetch(blob(b"")) as chunks:
        assert await read(chunks) == b""


async def test_a_manifests_existence_is_asked_where_manifests_are(registry: FakeRegistry) -> None:
    app = registry.add("team/app", image("app"), "v1")
    async with opened(registry) as repository:
        assert await repository.exists(described(app))
        assert not await repository.exists(described(image("absent")))
    assert registry.count(".*", BLOBS) == 0


Failing = Callable[[], fake.Behaviour]


@pytest.mark.parametrize("make", [pytest.param(lambda: fake.respond(503), id="503"), fake.drop])
async def test_a_failure_on_entering_is_raised_there(registry: FakeRegistry, make: Failing) -> None:
    registry.on("GET", BLOBS, make())
    async with opened(registry) as repository:
        with pytest.raises(TemporaryError):
            async with repository.fetch(blob(DATA)):
                pass
