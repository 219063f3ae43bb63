"""Blobs from one repository of a registry to another, and deletions."""

import pytest

from regsync.content.errors import ContentNotFoundError
from regsync.content.protocol import (
    Deletes,
    KnowsItself,
    ListsReferrers,
    ListsTags,
    Mounts,
    ResumesFetch,
    ResumesPush,
)
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.remote.deletion import DeletionUnsupportedError
from regsync.remote.errors import ForbiddenError, RateLimitedError, UnexpectedAnswerError
from regsync.remote.providers.detection import load
from tests.remote.repositories import at, blob, described, methods, opened, session_of, stream
from tests.support import fake_registry as fake
from tests.support.fake_registry import FakeRegistry, Repository
from tests.support.images import OCI_INDEX, image

pytestmark = pytest.mark.anyio

DATA = b"a layer"
UPLOADS = r"/v2/team/copy/blobs/uploads/"


@pytest.fixture
def registry(fake_registry: FakeRegistry) -> FakeRegistry:
    """A registry with DATA in team/app."""
    fake_registry.repositories["team/app"] = Repository(blobs={str(blob(DATA).digest): DATA})
    return fake_registry


async def test_it_has_every_optional_power(registry: FakeRegistry) -> None:
    async with opened(registry) as repository:
        for power in (Mounts, ListsTags, ListsReferrers, ResumesFetch, ResumesPush, Deletes, KnowsItself):
            assert isinstance(repository, power)


async def test_a_mount_is_one_request(registry: FakeRegistry) -> None:
    async with session_of(registry) as session:
        origin, target = at(session), at(session, "team/copy")
        assert target.can_mount_from(origin)
        assert await target.mount(blob(DATA), origin)
    assert methods(registry.requests) == ["POST"]
    assert registry.requests[0].query == {"mount": str(blob(DATA).digest), "from": "team/app"}
    assert registry.requests[0].headers["content-length"] == "0"
    assert str(blob(DATA).digest) in registry.repositories["team/copy"].blobs


async def test_a_202_is_the_session_of_the_upload_that_follows(registry: FakeRegistry) -> None:
    registry.mounts = False
    async with session_of(registry) as session:
        origin, target = at(session), at(session, "team/copy")
        assert not await target.mount(blob(DATA), origin)
        await target.push(blob(DATA), stream(DATA))
    assert methods(registry.requests) == ["POST", "PUT"]
    assert not registry.repositories["team/copy"].uploads


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(fake.error(400, "NAME_INVALID", "invalid repository name"), id="Docker Hub"),
        pytest.param(fake.error(401, "UNAUTHORIZED", "project not found"), id="Harbor"),
        pytest.param(fake.error(403, "DENIED"), id="403"),
        pytest.param(fake.error(404, "NAME_UNKNOWN"), id="404"),
        pytest.param(fake.error(405, "UNSUPPORTED"), id="405"),
    ],
)
async def test_a_refused_mount_means_bytes_and_is_not_tried_again(
    registry: FakeRegistry, behaviour: fake.Behaviour
) -> None:
    registry.on("POST", UPLOADS, behaviour, times=1)
    async with session_of(registry) as session:
        origin, target = at(session), at(session, "team/copy")
        assert not await target.mount(blob(DATA), origin)
        assert not target.can_mount_from(origin)
        assert not await target.mount(blob(b"another"), origin)
        assert at(session, "team/third").can_mount_from(origin)
        await target.push(blob(DATA), stream(DATA))
    assert str(blob(DATA).digest) in registry.repositories["team/copy"].blobs
    assert sum("mount" in one.query for one in registry.requests) == 1


async def test_a_rate_limit_is_no_refusal(registry: FakeRegistry) -> None:
    registry.on("POST", UPLOADS, fake.respond(429))
    async with session_of(registry) as session:
        origin, target = at(session), at(session, "team/copy")
        with pytest.raises(RateLimitedError):
            await target.mount(blob(DATA), origin)
        assert target.can_mount_from(origin)


async def test_another_digest_in_the_answer_is_an_error(registry: FakeRegistry) -> None:
    registry.on("POST", UPLOADS, fake.headers(docker_content_digest="sha256:" + "0" * 64))
    async with session_of(registry) as session:
        with pytest.raises(UnexpectedAnswerError, match="says that it stored"):
            await at(session, "team/copy").mount(blob(DATA), at(session))


async def test_only_other_repositories_of_the_same_registry_are_mounted_from(
    registry: FakeRegistry, fake_registry_factory: "type[FakeRegistry]"
) -> None:
    async with opened(registry) as here, opened(registry) as again, opened(fake_registry_factory()) as there:
        assert not here.can_mount_from(again)  # the same repository
        assert not here.can_mount_from(there)
        assert not await here.mount(blob(DATA), there)
    async with opened(registry) as here, opened(registry, "team/copy") as other_session:
        assert other_session.can_mount_from(here)


async def test_a_manifest_is_deleted_by_digest_and_once_more_is_no_error(registry: FakeRegistry) -> None:
    app = registry.add("team/app", image("app"), "v1", "v2")
    async with opened(registry) as repository:
        await repository.delete(described(app))
        await repository.delete(described(app))
        with pytest.raises(ContentNotFoundError):
            await repository.resolve(Tag("v1"))
    assert registry.tags("team/app") == {}


async def test_deletion_that_is_off_says_how_to_turn_it_on(registry: FakeRegistry) -> None:
    registry.manifest_delete = False
    app = registry.add("team/app", image("app"), "v1")
    async with opened(registry) as repository:
        with pytest.raises(DeletionUnsupportedError) as caught:
            await repository.delete(described(app))
    assert "storage.delete.enabled" in (caught.value.hint or "")


async def test_deletion_that_is_forbidden_is_forbidden(registry: FakeRegistry) -> None:
    registry.on("DELETE", ".*", fake.error(403, "DENIED"))
    app = registry.add("team/app", image("app"), "v1")
    async with opened(registry) as repository:
        with pytest.raises(ForbiddenError):
            await repository.delete(described(app))
        with pytest.raises(ForbiddenError):
            await repository.untag(Tag("v1"))


async def test_google_wants_the_tags_gone_before_the_manifest(registry: FakeRegistry) -> None:
    app = registry.add("team/app", image("app"), "v1", "v2")
    other = registry.add("team/app", image("other"), "v3")

    def inventory(request: fake.Request, proceed: fake.Proceed) -> fake.Answer:
        tags = registry.tags("team/app")
        shown = {
            digest: {"mediaType": OCI_INDEX, "tag": [tag for tag, at in tags.items() if at == digest]}
            for digest in set(tags.values())
        }
        return fake.respond(200, {"tags": sorted(tags), "manifest": shown})(request, proceed)

    def tags_first(request: fake.Request, proceed: fake.Proceed) -> fake.Answer:
        digest = request.path.rpartition("/")[2]
        if digest in registry.tags("team/app").values():
            return fake.error(400, "GOOGLE_MANIFEST_DANGLING_TAG")(request, proceed)
        return proceed()

    registry.on("GET", ".*/tags/list", inventory)
    registry.on("DELETE", ".*", tags_first)
    async with opened(registry, provider=load("gar")) as repository:
        await repository.delete(described(app))
    assert registry.tags("team/app") == {"v3": other.digest}
    assert app.digest not in registry.repositories["team/app"].manifests


async def test_a_digest_names_no_tag_in_a_deletion(registry: FakeRegistry) -> None:
    app = registry.add("team/app", image("app"), "v1")
    async with opened(registry) as repository:
        await repository.delete(described(app))
        assert not await repository.exists(described(app))
        with pytest.raises(ContentNotFoundError):
            await repository.manifest(Digest.parse(app.digest))
