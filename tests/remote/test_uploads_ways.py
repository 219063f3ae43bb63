"""Blobs into a registry: each way of sending them, and what registries answer in between."""

from collections.abc import AsyncIterator, Callable

import anyio
import pytest

from regsync.content.errors import DigestMismatchError, InterruptedStreamError, SizeMismatchError
from regsync.errors import RegsyncError, TemporaryError
from regsync.oci.reference import RepositoryName
from regsync.remote.endpoint import Endpoint
from regsync.remote.errors import (
    RegistryError,
    RegistryUnreachableError,
    RejectedError,
    UnexpectedAnswerError,
    UnsafeRedirectError,
)
from regsync.remote.locations import location_of
from regsync.remote.providers.detection import load
from regsync.remote.providers.provider import Known, Provider, UploadWay
from regsync.remote.refusals import RepositoryMissingError
from regsync.remote.request import Headers, Response
from regsync.remote.session import Session
from regsync.remote.upload import UploadLostError
from regsync.remote.uploads import BodyTooLongError, ChunksNeededError
from tests.remote.repositories import at, blob, methods, opened, session_of, stream
from tests.support import fake_registry as fake
from tests.support.fake_registry import FakeRegistry, Repository
from tests.support.images import noise

pytestmark = pytest.mark.anyio

SMALL = noise("small", 10_000)
LARGE = noise("large", 3_000_000)
UPLOADS = r"/v2/team/app/blobs/uploads/.*"
PLAIN = Provider("plain", single_post=Known.NO)
PATCHING = Provider("patching", single_post=Known.NO, upload=UploadWay.PATCH, chunked=False)


def held(registry: FakeRegistry, data: bytes) -> bool:
    """Whether the registry holds exactly these bytes."""
    return registry.repositories["team/app"].blobs.get(str(blob(data).digest)) == data


def left_open(registry: FakeRegistry) -> int:
    """Upload sessions that nobody finished or dropped."""
    return len(registry.repositories["team/app"].uploads)


@pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        pytest.param(PLAIN, ["POST", "PUT"], id="PUT"),
        pytest.param(PATCHING, ["POST", "PATCH", "PUT"], id="PATCH"),
        pytest.param(load("ghcr"), ["POST", "PATCH", "PUT"], id="GHCR"),
        pytest.param(load("artifactory"), ["POST", "PATCH", "PUT"], id="Artifactory"),
        pytest.param(load("gar"), ["POST", "PUT"], id="GAR"),
        pytest.param(load("ecr"), ["POST", "PUT"], id="ECR"),
        pytest.param(load("acr"), ["POST", "PUT"], id="ACR"),
        pytest.param(load("dockerhub"), ["POST", "PUT"], id="Docker Hub"),
    ],
)
async def test_every_provider_gets_a_blob_in_its_own_way(
    fake_registry: FakeRegistry, provider: Provider, expected: list[str], data: bytes
) -> None:
    async with opened(fake_registry, provider=provider) as repository:
        await repository.push(blob(data), stream(data))
    assert held(fake_registry, data)
    assert methods(fake_registry.requests) == (expected if data else ["POST", "PUT"])
    assert not any("content-range" in one.headers for one in fake_registry.requests)
    assert [one.headers["content-length"] for one in fake_registry.requests].count(str(len(data))) >= 1


async def test_a_registry_known_to_take_a_single_post_gets_one(fake_registry: FakeRegistry) -> None:
    async with opened(fake_registry, provider=load("zot")) as repository:
        await repository.push(blob(SMALL), stream(SMALL))
    assert held(fake_registry, SMALL)
    assert methods(fake_registry.requests) == ["POST"]


async def test_an_unknown_registry_is_asked_for_a_single_post_once(fake_registry: FakeRegistry) -> None:
    async with opened(fake_registry) as repository:
        for data in (b"one", b"two"):
            await repository.push(blob(data), stream(data))
            assert held(fake_registry, data)
    assert methods(fake_registry.requests) == ["POST", "HEAD", "POST"]


async def test_a_202_to_a_single_post_is_an_ordinary_session_and_remembered(
    fake_registry: FakeRegistry,
) -> None:
    fake_registry.single_post = False
    async with opened(fake_registry) as repository:
        for data in (b"one", b"two"):
            await repository.push(blob(data), stream(data))
            assert held(fake_registry, data)
    assert methods(fake_registry.requests) == ["POST", "PUT", "POST", "PUT"]
    assert ["digest" in one.query for one in fake_registry.requests] == [True, True, False, True]
    assert left_open(fake_registry) == 0


@pytest.mark.parametrize("status", [400, 404, 405, 411, 415])
async def test_a_registry_that_refuses_a_single_post_gets_a_session(
    fake_registry: FakeRegistry, status: int
) -> None:
    fake_registry.on("POST", UPLOADS, fake.respond(status), times=1)
    async with opened(fake_registry) as repository:
        await repository.push(blob(SMALL), stream(SMALL))
    assert held(fake_registry, SMALL)


async def test_a_201_to_a_single_post_that_stored_nothing_is_found_out(fake_registry: FakeRegistry) -> None:
    fake_registry.on("POST", UPLOADS, fake.respond(201), times=1)
    async with opened(fake_registry) as repository:
        await repository.push(blob(SMALL), stream(SMALL))
    assert held(fake_registry, SMALL)
    assert methods(fake_registry.requests) == ["POST", "HEAD", "POST", "PUT"]


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("provider", [PLAIN, PATCHING, load("zot")], ids=lambda one: one.name)
async def test_a_wrong_blob_is_never_complete(
    fake_registry: FakeRegistry, provider: Provider, data: bytes
) -> None:
    wrong = data[:-1] + bytes([data[-1] ^ 1])
    async with opened(fake_registry, provider=provider) as repository:
        with pytest.raises(DigestMismatchError):
            await repository.push(blob(data), stream(wrong))
        with pytest.raises(SizeMismatchError):
            await repository.push(blob(data), stream(data + b"x"))
        with pytest.raises(InterruptedStreamError):
            await repository.push(blob(data), stream(data[:-1]))
    there = fake_registry.repositories.get("team/app")
    assert there is None or (not there.blobs and not there.uploads)


async def test_a_cancelled_push_leaves_nothing(fake_registry: FakeRegistry) -> None:
    stalled = anyio.Event()

    async def stalls() -> AsyncIterator[bytes]:
        yield LARGE[:2_000_000]
        stalled.set()
        await anyio.sleep_forever()

    async with opened(fake_registry, provider=PLAIN) as repository:
        async with anyio.create_task_group() as group:
            group.start_soon(repository.push, blob(LARGE), stalls())
            await stalled.wait()
            group.cancel_scope.cancel()
        assert not await repository.exists(blob(LARGE))
    assert fake_registry.count("DELETE", UPLOADS) == 1


async def test_an_error_of_the_source_is_raised_as_itself(fake_registry: FakeRegistry) -> None:
    class SourceError(RegsyncError):
        """What the reading side raises."""

    async def fails() -> AsyncIterator[bytes]:
        yield LARGE[:2_000_000]
        raise SourceError("the source broke")

    async with opened(fake_registry, provider=PLAIN) as repository:
        with pytest.raises(SourceError, match="the source broke"):
            await repository.push(blob(LARGE), fails())
    assert left_open(fake_registry) == 0


@pytest.mark.parametrize("status", [403, 404, 405, 500])
async def test_a_refused_cancellation_is_no_trouble(fake_registry: FakeRegistry, status: int) -> None:
    fake_registry.on("DELETE", UPLOADS, fake.respond(status))
    async with opened(fake_registry, provider=PLAIN) as repository:
        with pytest.raises(DigestMismatchError):
            await repository.push(blob(LARGE), stream(bytes(len(LARGE))))


@pytest.mark.parametrize("status", [201, 204])
async def test_201_and_204_finish_a_blob(fake_registry: FakeRegistry, status: int) -> None:
    fake_registry.on(
        "PUT", UPLOADS, lambda request, proceed: (proceed(), fake.respond(status)(request, proceed))[1]
    )
    async with opened(fake_registry, provider=PLAIN) as repository:
        await repository.push(blob(LARGE), stream(LARGE))
    assert held(fake_registry, LARGE)


async def test_another_digest_in_the_answer_is_an_error(fake_registry: FakeRegistry) -> None:
    fake_registry.on("PUT", UPLOADS, fake.headers(docker_content_digest="sha256:" + "0" * 64))
    async with opened(fake_registry, provider=PLAIN) as repository:
        with pytest.raises(UnexpectedAnswerError, match="says that it stored"):
            await repository.push(blob(LARGE), stream(LARGE))


@pytest.mark.parametrize(
    "shape", ["/v2/team/app/blobs/uploads/{id}", "{url}/v2/team/app/blobs/uploads/{id}?_state=a%2Bb&x=1"]
)
async def test_a_location_is_followed_as_it_is(fake_registry: FakeRegistry, shape: str) -> None:
    def elsewhere(request: fake.Request, proceed: fake.Proceed) -> fake.Answer:
        answer = proceed()
        upload = answer.header("docker-upload-uuid")
        return answer.with_headers(location=shape.format(id=upload, url=fake_registry.url))

    fake_registry.on("POST", UPLOADS, elsewhere)
    async with opened(fake_registry, provider=PLAIN) as repository:
        await repository.push(blob(SMALL), stream(SMALL))
    assert held(fake_registry, SMALL)
    put = fake_registry.requests[-1]
    assert put.query["digest"] == str(blob(SMALL).digest)
    if "?" in shape:
        assert "?_state=a%2Bb&x=1&digest=" in put.target


@pytest.mark.parametrize("location", [None, "", "http://[", "//user@127.0.0.1/x"])
async def test_a_session_without_a_usable_location_is_an_error(
    fake_registry: FakeRegistry, location: str | None
) -> None:
    fake_registry.on("POST", UPLOADS, fake.headers(location=location))
    async with opened(fake_registry, provider=PLAIN) as repository:
        with pytest.raises(UnexpectedAnswerError if not location else UnsafeRedirectError, match="Location"):
            await repository.push(blob(SMALL), stream(SMALL))


async def test_a_location_on_another_host_gets_the_bytes_and_not_the_credentials(
    fake_registry: FakeRegistry, fake_registry_factory: Callable[[], FakeRegistry]
) -> None:
    """As where a registry hands uploads to a machine of its own."""
    uploader = fake_registry_factory()
    uploader.repositories["team/app"] = Repository(uploads={"theirs": bytearray()})
    elsewhere = f"{uploader.url}/v2/team/app/blobs/uploads/theirs?signature=1"
    fake_registry.on("POST", UPLOADS, fake.headers(location=elsewhere))
    async with opened(fake_registry, provider=PLAIN) as repository:
        await repository.push(blob(LARGE), stream(LARGE))
    assert held(uploader, LARGE)
    assert uploader.requests[0].query["signature"] == "1"
    assert "authorization" not in uploader.requests[0].headers


@pytest.mark.parametrize(
    "location",
    [
        pytest.param("http://10.0.0.1/v2/x", id="private"),
        pytest.param("http://169.254.169.254/latest", id="cloud metadata"),
        pytest.param("http://localhost:9/x", id="this machine"),
        pytest.param("http://registry.example.com/x", id="from HTTPS to HTTP"),
    ],
)
def test_a_public_registry_may_not_send_uploads_anywhere(location: str) -> None:
    session = Session("registry.example.com", "https://registry.example.com")
    endpoint = Endpoint.of(session, RepositoryName("app"), PLAIN)
    answer = Response(202, Headers([("location", location)]), b"", "https://registry.example.com/v2/app/")
    with pytest.raises(UnsafeRedirectError, match="an upload's Location"):
        location_of(endpoint, answer)


async def test_a_small_blob_whose_session_was_lost_is_sent_again(fake_registry: FakeRegistry) -> None:
    fake_registry.on("PUT", UPLOADS, fake.error(404, "BLOB_UPLOAD_UNKNOWN"), times=1)
    async with opened(fake_registry, provider=PLAIN) as repository:
        await repository.push(blob(SMALL), stream(SMALL))
    assert held(fake_registry, SMALL)
    assert methods(fake_registry.requests) == ["POST", "PUT", "POST", "PUT"]


def late(request: fake.Request, proceed: fake.Proceed) -> fake.Answer:
    """A proxy that gives up waiting while the registry stores."""
    proceed()
    return fake.respond(504, "gateway timeout", "text/html")(request, proceed)


@pytest.mark.parametrize("lost", [late, fake.drop_after_done()], ids=["504", "cut"])
async def test_a_lost_answer_to_a_streamed_put_is_looked_into(
    fake_registry: FakeRegistry, lost: fake.Behaviour
) -> None:
    fake_registry.on("PUT", UPLOADS, lost, times=1)
    async with opened(fake_registry, provider=PLAIN) as repository:
        await repository.push(blob(LARGE), stream(LARGE))
    assert methods(fake_registry.requests) == ["POST", "PUT", "HEAD"]


async def test_a_session_gone_after_its_put_may_have_stored_the_blob(fake_registry: FakeRegistry) -> None:
    """As when the PUT is repeated after its answer was lost."""

    def stored(request: fake.Request, proceed: fake.Proceed) -> fake.Answer:
        proceed()
        return fake.error(404, "BLOB_UPLOAD_UNKNOWN")(request, proceed)

    fake_registry.on("PUT", UPLOADS, stored)
    async with opened(fake_registry, provider=PATCHING) as repository:
        await repository.push(blob(LARGE), stream(LARGE))
    fake_registry.behave()
    fake_registry.on("PUT", UPLOADS, fake.error(404, "BLOB_UPLOAD_UNKNOWN"))
    other = LARGE[::-1]
    async with opened(fake_registry, provider=PATCHING) as repository:
        with pytest.raises(UploadLostError):
            await repository.push(blob(other), stream(other))


async def test_ecrs_early_201_to_a_patch_is_looked_into(fake_registry: FakeRegistry) -> None:
    """The blob is there, and a PUT that follows would be refused."""
    digest = str(blob(LARGE).digest)

    def early(request: fake.Request, proceed: fake.Proceed) -> fake.Answer:
        proceed()
        there = fake_registry.repositories["team/app"]
        there.blobs[digest] = bytes(there.uploads.popitem()[1])
        return fake.respond(201)(request, proceed)

    fake_registry.on("PATCH", UPLOADS, early)
    async with opened(fake_registry, provider=PATCHING) as repository:
        await repository.push(blob(LARGE), stream(LARGE))
    assert held(fake_registry, LARGE)
    assert methods(fake_registry.requests) == ["POST", "PATCH", "HEAD"]


async def test_an_early_201_without_the_blob_is_followed_by_the_put(fake_registry: FakeRegistry) -> None:
    fake_registry.on(
        "PATCH", UPLOADS, lambda request, proceed: (proceed(), fake.respond(201)(request, proceed))[1]
    )
    async with opened(fake_registry, provider=PATCHING) as repository:
        await repository.push(blob(LARGE), stream(LARGE))
    assert held(fake_registry, LARGE)


async def test_after_a_413_the_next_try_sends_chunks(fake_registry: FakeRegistry) -> None:
    def limited(request: fake.Request, proceed: fake.Proceed) -> fake.Answer:
        too_long = int(request.headers.get("content-length", "0")) > 9_000_000
        return fake.respond(413, "too large", "text/html")(request, proceed) if too_long else proceed()

    fake_registry.on(".*", UPLOADS, limited)
    long = noise("long", 10_000_000)
    async with opened(fake_registry, provider=PLAIN) as repository:
        with pytest.raises(ChunksNeededError) as caught:
            await repository.push(blob(long), stream(long))
        assert isinstance(caught.value, TemporaryError)
        await repository.push(blob(long), stream(long))
    assert held(fake_registry, long)
    assert left_open(fake_registry) == 0


async def test_a_413_without_chunks_names_the_way_out(fake_registry: FakeRegistry) -> None:
    fake_registry.on("P(UT|ATCH)", UPLOADS, fake.respond(413))
    async with opened(fake_registry, provider=PATCHING) as repository:
        with pytest.raises(BodyTooLongError) as caught:
            await repository.push(blob(LARGE), stream(LARGE))
    assert "client_max_body_size" in (caught.value.hint or "")


async def test_a_refusal_keeps_the_registrys_words(fake_registry: FakeRegistry) -> None:
    fake_registry.on("PUT", UPLOADS, fake.error(400, "DIGEST_INVALID", "no space left"))
    async with opened(fake_registry, provider=PLAIN) as repository:
        with pytest.raises(RejectedError, match="no space left"):
            await repository.push(blob(LARGE), stream(LARGE))
        with pytest.raises(RejectedError, match="no space left"):
            await repository.push(blob(SMALL), stream(SMALL))
    assert left_open(fake_registry) == 0


async def test_a_broken_connection_is_temporary(fake_registry: FakeRegistry) -> None:
    fake_registry.on("PUT", UPLOADS, fake.cut_upload_after(500_000))
    async with opened(fake_registry, provider=PLAIN) as repository:
        with pytest.raises(RegistryError) as caught:
            await repository.push(blob(LARGE), stream(LARGE))
    assert isinstance(caught.value, TemporaryError)


async def test_ecrs_silence_about_a_missing_repository_is_understood(fake_registry: FakeRegistry) -> None:
    fake_registry.on("POST", UPLOADS, fake.drop(reset=False))
    async with opened(fake_registry, provider=load("ecr")) as repository:
        with pytest.raises(RepositoryMissingError):
            await repository.push(blob(LARGE), stream(LARGE))
        fake_registry.repositories["team/app"] = Repository()
        with pytest.raises(RegistryUnreachableError):
            await repository.push(blob(LARGE), stream(LARGE))


async def test_pushing_what_exists_is_no_error(fake_registry: FakeRegistry) -> None:
    async with opened(fake_registry) as repository:
        for _ in range(2):
            await repository.push(blob(SMALL), stream(SMALL))
            await repository.push(blob(LARGE), stream(LARGE))
    assert held(fake_registry, LARGE)


async def test_what_is_learnt_is_shared_by_the_repositories_of_a_session(fake_registry: FakeRegistry) -> None:
    fake_registry.single_post = False
    async with session_of(fake_registry) as session:
        for name in ("one", "two"):
            await at(session, name).push(blob(SMALL), stream(SMALL))
    asked = [one for one in fake_registry.matching("POST") if "digest" in one.query]
    assert len(asked) == 1
