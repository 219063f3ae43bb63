"""Manifests over HTTP: what is believed, what is asked again, and what is refused."""

import hashlib

import anyio
import pytest

from regsync.content.errors import ContentNotFoundError, ContentTooLargeError, DigestMismatchError
from regsync.content.references import MissingReferencesError
from regsync.errors import RefusedError
from regsync.oci.digest import Digest
from regsync.oci.manifest import MAX_MANIFEST_SIZE, InvalidManifestError, UnsupportedManifestError
from regsync.oci.reference import Tag
from regsync.remote.errors import ForbiddenError, RegistryFailedError, RejectedError, UnexpectedAnswerError
from regsync.remote.limits import Limiter, LimitSettings
from regsync.remote.refusals import ManifestTypeMissingError, RepositoryMissingError, TagImmutableError
from regsync.remote.session import Session
from tests.remote.repositories import at, described, opened, session_of, stream
from tests.remote.repositories import blob as blob_of
from tests.support import fake_registry as fake
from tests.support.clock import FrozenClock
from tests.support.fake_registry import FakeRegistry
from tests.support.images import DOCKER_SCHEMA1, OCI_MANIFEST, Content, as_json, image, index

pytestmark = pytest.mark.anyio

V1 = Tag("v1")
MANIFESTS = r"/v2/team/app/manifests/.*"


async def test_a_tag_is_resolved_by_head_alone_and_every_type_is_accepted(
    fake_registry: FakeRegistry,
) -> None:
    app = fake_registry.add("team/app", index(image("app")), "v1")
    async with opened(fake_registry) as repository:
        assert await repository.resolve(V1) == described(app)
        assert await repository.resolve(Digest.parse(app.digest)) == described(app)
    assert [one.method for one in fake_registry.requests] == ["HEAD", "HEAD"]
    accept = fake_registry.requests[0].headers["accept"]
    assert "image.index.v1" in accept
    assert "manifest.list.v2" in accept
    assert "prettyjws" in accept


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(fake.headers(docker_content_digest=None), id="without a digest"),
        pytest.param(fake.headers(content_length="0"), id="with a length of 0"),
        pytest.param(fake.headers(docker_content_digest="sha256:nonsense"), id="with a broken digest"),
        pytest.param(fake.respond(405), id="405"),
        pytest.param(fake.respond(404), id="404 although GET answers"),
    ],
)
async def test_a_head_that_says_too_little_is_replaced_by_get_for_the_session(
    fake_registry: FakeRegistry, behaviour: fake.Behaviour
) -> None:
    app = fake_registry.add("team/app", image("app"), "v1", "v2")
    fake_registry.on("HEAD", MANIFESTS, behaviour)
    async with opened(fake_registry) as repository:
        assert await repository.resolve(V1) == described(app)
        assert await repository.resolve(Tag("v2")) == described(app)
    assert [one.method for one in fake_registry.requests] == ["HEAD", "GET", "GET"]


async def test_a_missing_tag_costs_one_get_a_session_to_trust_the_heads(fake_registry: FakeRegistry) -> None:
    fake_registry.add("team/app", image("app"), "v1")
    async with opened(fake_registry) as repository:
        for name in ("a", "b", "c"):
            with pytest.raises(
                ContentNotFoundError, match=rf"127\.0\.0\.1:\d+/team/app: tag {name} not found"
            ):
                await repository.resolve(Tag(name))
    assert [one.method for one in fake_registry.requests] == ["HEAD", "GET", "HEAD", "HEAD"]


async def test_a_digest_header_on_get_proves_nothing(fake_registry: FakeRegistry) -> None:
    app = fake_registry.add("team/app", image("app"), "v1")
    lie = "sha256:" + "0" * 64
    fake_registry.on("GET", MANIFESTS, fake.headers(docker_content_digest=lie))
    async with opened(fake_registry) as repository:
        desc, raw = await repository.manifest(V1)
    assert (str(desc.digest), raw) == (app.digest, app.data)


async def test_other_bytes_than_the_digest_names_are_refused(fake_registry: FakeRegistry) -> None:
    app = fake_registry.add("team/app", image("app"), "v1")
    fake_registry.on("GET", MANIFESTS, fake.body(image("other").data))
    async with opened(fake_registry) as repository:
        with pytest.raises(DigestMismatchError):
            await repository.manifest(Digest.parse(app.digest))


async def test_a_manifest_is_fetched_by_sha512(fake_registry: FakeRegistry) -> None:
    app = image("app")
    digest = "sha512:" + hashlib.sha512(app.data).hexdigest()
    fake_registry.on("GET", MANIFESTS, fake.respond(200, app.data, app.media_type))
    async with opened(fake_registry) as repository:
        desc, raw = await repository.manifest(Digest.parse(digest))
    assert (str(desc.digest), raw) == (digest, app.data)


@pytest.mark.parametrize(
    "served_as", ["application/json", "text/plain; charset=utf-8", "application/octet-stream"]
)
async def test_a_wrong_content_type_is_seen_through(fake_registry: FakeRegistry, served_as: str) -> None:
    app = fake_registry.add("team/app", image("app"), "v1")
    fake_registry.on(".*", MANIFESTS, fake.headers(content_type=served_as))
    async with opened(fake_registry) as repository:
        assert await repository.resolve(V1) == described(app)
        assert (await repository.manifest(V1))[0] == described(app)


async def test_parameters_of_a_content_type_are_no_other_type(fake_registry: FakeRegistry) -> None:
    app = fake_registry.add("team/app", image("app"), "v1")
    fake_registry.on(".*", MANIFESTS, fake.headers(content_type=f"{OCI_MANIFEST}; charset=utf-8"))
    async with opened(fake_registry) as repository:
        assert await repository.resolve(V1) == described(app)
    assert fake_registry.count("GET") == 0


async def test_an_ambiguous_document_is_refused(fake_registry: FakeRegistry) -> None:
    document = image("app").document | {"manifests": []}
    del document["mediaType"]
    fake_registry.on("GET", MANIFESTS, fake.respond(200, as_json(document), "application/json"))
    async with opened(fake_registry) as repository:
        with pytest.raises(InvalidManifestError, match="ambiguous"):
            await repository.manifest(V1)


async def test_a_web_page_with_200_is_called_what_it_is(fake_registry: FakeRegistry) -> None:
    fake_registry.on(".*", ".*", fake.html())
    async with opened(fake_registry) as repository:
        with pytest.raises(UnexpectedAnswerError, match=r"team/app: v1 is answered with a web page"):
            await repository.resolve(V1)


async def test_a_manifest_beyond_the_limit_is_not_read(fake_registry: FakeRegistry) -> None:
    huge = b"{" + b" " * MAX_MANIFEST_SIZE + b"}"
    fake_registry.on("GET", MANIFESTS, fake.respond(200, huge, OCI_MANIFEST))
    async with opened(fake_registry) as repository:
        with pytest.raises(ContentTooLargeError, match="manifest v1 is longer than 4194304 bytes"):
            await repository.manifest(V1)
    fake_registry.on(
        "HEAD",
        MANIFESTS,
        fake.respond(
            200,
            b"x" * (MAX_MANIFEST_SIZE + 1),
            OCI_MANIFEST,
            docker_content_digest="sha256:" + "0" * 64,
        ),
    )
    async with opened(fake_registry) as repository:
        with pytest.raises(ContentTooLargeError):
            await repository.resolve(V1)


async def test_schema_1_is_reported_as_such(fake_registry: FakeRegistry) -> None:
    signed = Content(DOCKER_SCHEMA1, as_json({"schemaVersion": 1, "name": "app", "signatures": []}))
    fake_registry.add("team/app", signed, "v1")
    async with opened(fake_registry) as repository:
        desc = await repository.resolve(V1)  # so that a target's old one can be replaced
        for name in (V1, desc.digest):
            with pytest.raises(UnsupportedManifestError, match="schema 1"):
                await repository.manifest(name)


async def test_403_for_what_may_be_missing_stays_403(fake_registry: FakeRegistry) -> None:
    fake_registry.on(".*", ".*", fake.error(403, "DENIED"))
    async with opened(fake_registry) as repository:
        with pytest.raises(ForbiddenError):
            await repository.resolve(V1)
        with pytest.raises(ForbiddenError):
            await repository.exists(blob_of(b"x"))


async def test_a_manifest_is_put_once_at_its_tag(fake_registry: FakeRegistry) -> None:
    app = image("app")
    async with opened(fake_registry) as repository:
        for data in app.blobs:
            await repository.push(blob_of(data), stream(data))
        fake_registry.forget()
        await repository.push_manifest(described(app), app.data, tag=V1)
    assert [one.method for one in fake_registry.requests] == ["PUT"]
    assert fake_registry.tags("team/app") == {"v1": app.digest}


async def test_who_may_not_write_any_more_after_a_pause_sends_nothing_more(
    fake_registry: FakeRegistry,
) -> None:
    app = fake_registry.add("team/app", image("app"))
    fake_registry.on("PUT", MANIFESTS, fake.respond(429, retry_after="25"), times=1)
    async with session_of(fake_registry) as session:
        until = session._clock.monotonic() + 20

        def guard() -> None:
            if session._clock.monotonic() >= until:
                raise RefusedError("the lease is over")

        repository = at(session, guard=guard)
        with pytest.raises(RefusedError, match="the lease is over"):
            await repository.push_manifest(described(app), app.data, tag=V1)
    assert fake_registry.count("PUT", MANIFESTS) == 1
    assert fake_registry.tags("team/app") == {}


async def test_who_may_not_write_any_more_once_it_is_its_turn_sends_nothing(
    fake_registry: FakeRegistry,
) -> None:
    app = fake_registry.add("team/app", image("app"), "v1")
    written: list[str] = []

    def guard() -> None:
        if written:
            raise RefusedError("the lease is over")

    fake_registry.on("PUT", MANIFESTS, fake.call(lambda request: written.append(request.path)))
    clock = FrozenClock()
    limiter = Limiter(fake_registry.host, clock, LimitSettings(concurrency=1))
    async with Session(fake_registry.host, fake_registry.url, limiter=limiter, clock=clock) as session:
        repository = at(session, guard=guard)
        failures: list[RefusedError] = []

        async def put(tag: Tag) -> None:
            try:
                await repository.push_manifest(described(app), app.data, tag=tag)
            except RefusedError as error:
                failures.append(error)

        async with anyio.create_task_group() as group:
            for number in range(4):
                group.start_soon(put, Tag(f"new{number}"))
        with pytest.raises(RefusedError):
            await repository.untag(V1)
    assert len(written) == 1
    assert len(failures) == 3
    assert fake_registry.count("DELETE") == 0


async def test_a_server_that_says_200_to_everything_is_found_out(fake_registry: FakeRegistry) -> None:
    app = image("app")
    fake_registry.on(".*", ".*", fake.html())
    async with opened(fake_registry) as repository:
        with pytest.raises(UnexpectedAnswerError):
            await repository.push_manifest(described(app), app.data, tag=V1)
        with pytest.raises(UnexpectedAnswerError):
            await repository.push(blob_of(b"data"), stream(b"data"))


async def test_a_put_without_a_digest_is_checked_once_a_session(fake_registry: FakeRegistry) -> None:
    first = fake_registry.add("team/app", image("first"))
    second = fake_registry.add("team/app", image("second"))
    fake_registry.on("PUT", MANIFESTS, fake.headers(docker_content_digest=None))
    async with opened(fake_registry) as repository:
        await repository.push_manifest(described(first), first.data, tag=V1)
        await repository.push_manifest(described(second), second.data, tag=V1)
    assert [one.method for one in fake_registry.requests] == ["PUT", "GET", "PUT"]


async def test_another_digest_in_the_answer_to_a_put_is_an_error(fake_registry: FakeRegistry) -> None:
    app = fake_registry.add("team/app", image("app"))
    lie = "sha256:" + "0" * 64
    fake_registry.on("PUT", MANIFESTS, fake.headers(docker_content_digest=lie))
    async with opened(fake_registry) as repository:
        with pytest.raises(DigestMismatchError):
            await repository.push_manifest(described(app), app.data, tag=V1)


async def test_quays_202_to_a_put_is_success(fake_registry: FakeRegistry) -> None:
    app = fake_registry.add("team/app", image("app"))
    fake_registry.on(
        "PUT", MANIFESTS, lambda request, proceed: (proceed(), fake.respond(202)(request, proceed))[1]
    )
    async with opened(fake_registry) as repository:
        await repository.push_manifest(described(app), app.data, tag=V1)
    assert fake_registry.tags("team/app") == {"v1": app.digest}


async def test_missing_blobs_are_named(fake_registry: FakeRegistry) -> None:
    app = image("app")
    async with opened(fake_registry) as repository:
        assert not repository.checks_references
        with pytest.raises(MissingReferencesError) as caught:
            await repository.push_manifest(described(app), app.data, tag=V1)
        assert repository.checks_references
    assert [str(digest) for digest in caught.value.missing] == [app.document["config"]["digest"]]


@pytest.mark.parametrize("code", ["MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"])
async def test_unnamed_missing_blobs_may_be_any(fake_registry: FakeRegistry, code: str) -> None:
    app = index(image("a"), image("a", arch="arm64"))
    fake_registry.on("PUT", MANIFESTS, fake.error(400, code))
    async with opened(fake_registry) as repository:
        with pytest.raises(MissingReferencesError) as caught:
            await repository.push_manifest(described(app), app.data)
    assert {str(digest) for digest in caught.value.missing} == {child.digest for child in app.children}


ECR_IMMUTABLE = {
    "errors": [
        {
            "code": "TAG_INVALID",
            "message": "The image tag 'v1' already exists in the 'app' repository and cannot be overwritten "
            "because the repository is immutable.",
        }
    ]
}


async def test_an_immutable_tag_that_is_right_already_is_done(fake_registry: FakeRegistry) -> None:
    app = fake_registry.add("team/app", image("app"), "v1")
    fake_registry.on("PUT", MANIFESTS, fake.respond(400, ECR_IMMUTABLE))
    async with opened(fake_registry) as repository:
        await repository.push_manifest(described(app), app.data, tag=V1)


async def test_an_immutable_tag_that_would_move_is_a_policys_no(fake_registry: FakeRegistry) -> None:
    fake_registry.add("team/app", image("app"), "v1")
    other = image("other")
    fake_registry.on("PUT", MANIFESTS, fake.respond(400, ECR_IMMUTABLE))
    async with opened(fake_registry) as repository:
        with pytest.raises(TagImmutableError, match="tag v1 is immutable") as caught:
            await repository.push_manifest(described(other), other.data, tag=V1)
    assert isinstance(caught.value, RefusedError)


async def test_ecrs_refusal_of_a_manifest_without_its_type_is_explained(fake_registry: FakeRegistry) -> None:
    document = image("app").document
    del document["mediaType"]
    app = Content(OCI_MANIFEST, as_json(document))
    fake_registry.on("PUT", MANIFESTS, fake.error(405, "UNSUPPORTED", "Invalid JSON syntax"), times=1)
    fake_registry.on("PUT", MANIFESTS, fake.error(400, "UNSUPPORTED", "Invalid JSON syntax"), times=1)
    async with opened(fake_registry) as repository:
        for _ in range(2):
            with pytest.raises(ManifestTypeMissingError, match="no top-level `mediaType`"):
                await repository.push_manifest(described(app), app.data, tag=V1)


async def test_another_refusal_keeps_the_registrys_words(fake_registry: FakeRegistry) -> None:
    app = image("app")
    fake_registry.on("PUT", MANIFESTS, fake.error(405, "UNSUPPORTED", "artifact type not taken"))
    async with opened(fake_registry) as repository:
        with pytest.raises(RejectedError, match="artifact type not taken") as caught:
            await repository.push_manifest(described(app), app.data, tag=V1)
    assert (caught.value.status, caught.value.codes) == (405, ("UNSUPPORTED",))


async def test_a_repository_that_is_not_made_by_a_push_is_named(fake_registry: FakeRegistry) -> None:
    fake_registry.creates_repositories = False
    app = image("app")
    async with opened(fake_registry) as repository:
        with pytest.raises(RepositoryMissingError, match="the repository does not exist"):
            await repository.push(blob_of(b"data"), stream(b"data"))
        with pytest.raises(RepositoryMissingError):
            await repository.push_manifest(described(app), app.data, tag=V1)


async def test_a_failing_registry_is_no_missing_manifest(fake_registry: FakeRegistry) -> None:
    fake_registry.on(".*", ".*", fake.respond(503))
    async with opened(fake_registry) as repository:
        with pytest.raises(RegistryFailedError):
            await repository.resolve(V1)


async def test_a_tag_is_set_to_what_is_there_byte_for_byte(fake_registry: FakeRegistry) -> None:
    app = fake_registry.add("team/app", image("app"), "v1")
    async with opened(fake_registry) as repository:
        await repository.tag(described(app), Tag("stable"))
        with pytest.raises(ContentNotFoundError):
            await repository.tag(described(image("absent")), Tag("stable"))
    assert fake_registry.tags("team/app") == {"v1": app.digest, "stable": app.digest}
