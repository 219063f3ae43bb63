"""One tag goes and no other, whatever a registry makes of DELETE."""

import pytest

from regsync.content.throw_away import ThrowAway, is_throw_away
from regsync.errors import RefusedError, UnsupportedError
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.remote.deletion import DeletionUnsupportedError
from regsync.remote.errors import ForbiddenError, RegistryFailedError
from regsync.remote.providers.detection import load
from regsync.remote.tag_deletion import TRIED, TagDeletionUnsupportedError, TagMovedError, TagProtectedError
from tests.remote.repositories import at, described, opened, session_of
from tests.support import fake_registry as fake
from tests.support.fake_http import Answer, Request
from tests.support.fake_registry import FakeRegistry
from tests.support.images import Content, image

pytestmark = pytest.mark.anyio

V1 = Tag("v1")
BY_TAG = r".*/manifests/[^:]*"


@pytest.fixture
def app(fake_registry: FakeRegistry) -> Content:
    """An image with two tags."""
    return fake_registry.add("team/app", image("app"), "v1", "v2")


def only_v2_is_left(registry: FakeRegistry, app: Content) -> bool:
    """Whether v1 is gone, v2 where it was, and nothing of ours left behind."""
    there = registry.repositories["team/app"]
    left = [digest for digest, (_, raw) in there.manifests.items() if is_throw_away(raw)]
    return registry.tags("team/app") == {"v2": app.digest} and not left


async def test_where_deletion_of_tags_is_known_to_work_it_is_one_request(
    fake_registry: FakeRegistry, app: Content
) -> None:
    for name in ("regsync", "zot", "acr", "quay", "gar", "ecr"):
        fake_registry.repositories["team/app"].tags["v1"] = app.digest
        fake_registry.forget()
        async with opened(fake_registry, provider=load(name)) as repository:
            await repository.untag(V1)
        assert [one.method for one in fake_registry.requests] == ["DELETE"]
        assert only_v2_is_left(fake_registry, app)


async def test_an_unknown_registry_is_tried_out_once_on_what_nobody_needs(
    fake_registry: FakeRegistry, app: Content
) -> None:
    fake_registry.add("team/other", image("other"), "a", "b", "c")
    async with session_of(fake_registry) as session:
        await at(session).untag(V1)
        assert only_v2_is_left(fake_registry, app)
        fake_registry.forget()
        for tag in ("a", "b"):
            await at(session, "team/other").untag(Tag(tag))
    assert fake_registry.count("PUT") == 0
    assert fake_registry.tags("team/other").keys() == {"c"}


async def test_a_tag_that_is_gone_is_no_error_and_nothing_is_put(
    fake_registry: FakeRegistry, app: Content
) -> None:
    async with opened(fake_registry) as repository:
        await repository.untag(Tag("gone"))
    assert fake_registry.count("PUT|POST|DELETE") == 0
    assert fake_registry.tags("team/app").keys() == {"v1", "v2"}


async def test_a_registry_that_takes_the_manifest_with_the_tag_is_found_out_before_it_takes_siblings(
    fake_registry: FakeRegistry, app: Content
) -> None:
    def takes_all(request: Request, proceed: fake.Proceed) -> Answer:
        there = fake_registry.repositories["team/app"]
        digest = there.tags[request.path.rpartition("/")[2]]
        there.tags = {tag: at for tag, at in there.tags.items() if at != digest}
        del there.manifests[digest]
        return fake.respond(202)(request, proceed)

    fake_registry.on("DELETE", BY_TAG, takes_all)
    async with opened(fake_registry) as repository:
        await repository.untag(V1)
    assert only_v2_is_left(fake_registry, app)


@pytest.mark.parametrize("status", [400, 404, 405])
async def test_without_deletion_of_tags_a_throw_away_manifest_takes_the_tag_along(
    fake_registry: FakeRegistry, app: Content, status: int
) -> None:
    fake_registry.on("DELETE", BY_TAG, fake.error(status, "UNSUPPORTED"))
    async with opened(fake_registry) as repository:
        await repository.untag(V1)
    assert only_v2_is_left(fake_registry, app)
    assert app.digest in fake_registry.repositories["team/app"].manifests


async def test_harbor_is_not_asked_to_delete_tags(fake_registry: FakeRegistry, app: Content) -> None:
    async with opened(fake_registry, provider=load("harbor")) as repository:
        await repository.untag(V1)
    assert fake_registry.count("DELETE", BY_TAG) == 0
    assert only_v2_is_left(fake_registry, app)


@pytest.mark.parametrize("status", [400, 404, 405])
async def test_where_nothing_can_be_deleted_no_tag_is_moved_and_the_trial_is_not_repeated(
    fake_registry: FakeRegistry, app: Content, status: int
) -> None:
    fake_registry.on("DELETE", ".*", fake.error(status, "UNSUPPORTED"))
    async with opened(fake_registry) as repository:
        for tag in ("v1", "v2"):
            with pytest.raises(TagDeletionUnsupportedError, match=f"tag {tag}") as caught:
                await repository.untag(Tag(tag))
        assert isinstance(caught.value, UnsupportedError)
    assert fake_registry.tags("team/app") == {"v1": app.digest, "v2": app.digest}
    assert fake_registry.count("PUT", ".*/manifests/.*") == 1


async def test_a_server_that_says_202_and_deletes_nothing_is_found_out(
    fake_registry: FakeRegistry, app: Content
) -> None:
    fake_registry.on("DELETE", ".*", fake.respond(202))
    async with opened(fake_registry) as repository:
        with pytest.raises(TagDeletionUnsupportedError, match="could not be deleted"):
            await repository.untag(V1)
    assert fake_registry.tags("team/app") == {"v1": app.digest, "v2": app.digest}


@pytest.mark.parametrize("tag_delete", [True, False])
@pytest.mark.parametrize("name", ["harbor", "generic"])
async def test_a_tag_that_moves_while_its_deletion_is_tried_out_stays(
    fake_registry: FakeRegistry,
    app: Content,
    name: str,
    tag_delete: bool,
) -> None:
    fake_registry.tag_delete = tag_delete
    newer = fake_registry.add("team/app", image("newer"), "v3")

    def somebody_pushes(request: Request, proceed: fake.Proceed) -> Answer:
        fake_registry.repositories["team/app"].tags["v1"] = newer.digest
        return proceed()

    fake_registry.on("PUT", ".*/manifests/sha256.*", somebody_pushes, times=1)
    async with opened(fake_registry, provider=load(name)) as repository:
        with pytest.raises(TagMovedError, match="tag v1 moved from"):
            await repository.untag(V1)
    assert fake_registry.tags("team/app") == {"v1": newer.digest, "v2": app.digest, "v3": newer.digest}


async def test_a_swap_that_fails_is_undone(fake_registry: FakeRegistry, app: Content) -> None:
    fake_registry.tag_delete = False
    stand_in = ThrowAway.for_tag(V1, Digest.parse(app.digest))
    fake_registry.on("DELETE", f".*{stand_in.desc.digest}", fake.error(500, "UNKNOWN"))
    async with opened(fake_registry) as repository:
        with pytest.raises(RegistryFailedError):
            await repository.untag(V1)
    assert fake_registry.tags("team/app") == {"v1": app.digest, "v2": app.digest}


async def test_a_swap_whose_last_answer_was_lost_is_done(fake_registry: FakeRegistry, app: Content) -> None:
    fake_registry.tag_delete = False
    stand_in = ThrowAway.for_tag(V1, Digest.parse(app.digest))
    fake_registry.on("DELETE", f".*{stand_in.desc.digest}", fake.drop_after_done(), times=1)
    async with opened(fake_registry) as repository:
        await repository.untag(V1)
    assert only_v2_is_left(fake_registry, app)


async def test_what_a_killed_run_left_at_a_tag_is_deleted_by_the_next(
    fake_registry: FakeRegistry, app: Content
) -> None:
    fake_registry.tag_delete = False
    stand_in = ThrowAway.for_tag(V1, Digest.parse(app.digest))
    there = fake_registry.repositories["team/app"]
    there.manifests[str(stand_in.desc.digest)] = (stand_in.desc.media_type, stand_in.raw)
    there.tags["v1"] = str(stand_in.desc.digest)
    async with opened(fake_registry) as repository:
        await repository.untag(V1)
    assert only_v2_is_left(fake_registry, app)


async def test_what_a_killed_trial_left_is_taken_by_the_next(
    fake_registry: FakeRegistry, app: Content
) -> None:
    fake_registry.add("team/app", image("leftover"), *TRIED)
    async with opened(fake_registry) as repository:
        await repository.untag(V1)
    assert only_v2_is_left(fake_registry, app)


@pytest.mark.parametrize("name", ["dockerhub", "ghcr"])
async def test_who_deletes_nothing_is_not_asked(fake_registry: FakeRegistry, app: Content, name: str) -> None:
    async with opened(fake_registry, provider=load(name)) as repository:
        with pytest.raises(TagDeletionUnsupportedError, match=load(name).name):
            await repository.untag(V1)
        with pytest.raises(DeletionUnsupportedError, match=load(name).name):
            await repository.delete(described(app))
    assert fake_registry.requests == []


async def test_a_rule_of_the_registry_is_a_refusal_and_no_lack(
    fake_registry: FakeRegistry, app: Content
) -> None:
    message = "tag v1 is immutable"
    fake_registry.on("DELETE", ".*/v1", fake.error(405, "DENIED", message))
    fake_registry.on("DELETE", f".*{app.digest}", fake.error(412, "PRECONDITION", message))
    async with opened(fake_registry) as repository:
        with pytest.raises(TagProtectedError) as caught:
            await repository.untag(V1)
        assert isinstance(caught.value, RefusedError)
        with pytest.raises(TagProtectedError):
            await repository.delete(described(app))
    assert fake_registry.tags("team/app") == {"v1": app.digest, "v2": app.digest}


async def test_who_may_not_delete_is_told_so(fake_registry: FakeRegistry, app: Content) -> None:
    fake_registry.on("DELETE", ".*", fake.error(403, "DENIED"))
    async with opened(fake_registry) as repository:
        with pytest.raises(ForbiddenError):
            await repository.untag(V1)
    assert fake_registry.tags("team/app") == {"v1": app.digest, "v2": app.digest}


async def test_only_amazons_registries_drop_an_image_with_its_last_tag(fake_registry: FakeRegistry) -> None:
    async with session_of(fake_registry) as session:
        dropping = {
            name
            for name in ("generic", "ecr", "ecr-public", "gar", "acr", "zot", "regsync")
            if at(session, provider=load(name)).drops_untagged
        }
    assert dropping == {"ecr", "ecr-public"}
