"""One image with all that belongs to it, without a spec."""

import pytest

from regsync.content.errors import ContentNotFoundError, DigestMismatchError, NoPlatformError
from regsync.content.graph import Trimmed
from regsync.content.memory import MemoryRepository
from regsync.errors import RegsyncError, TemporaryError
from regsync.oci.digest import Digest
from regsync.oci.platform import Platform
from regsync.oci.reference import Tag
from regsync.reconcile.copy_image import copy_image
from regsync.reconcile.events import Event, Reused, Transferred
from tests.reconcile.world import CountingRepository, World
from tests.support.images import cosign_signature, cosign_tag, image, index, referrer

pytestmark = pytest.mark.anyio

V1 = Tag("v1")


class DownError(TemporaryError):
    """503."""


class RefusesError(RegsyncError):
    """405."""


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def source(world: World) -> CountingRepository:
    return world.repository("hub/app")


@pytest.fixture
def target(world: World) -> CountingRepository:
    return world.repository("ours/app")


async def test_an_image_is_copied_with_its_evidence_before_its_tag(
    world: World, source: MemoryRepository, target: CountingRepository
) -> None:
    child = image("app")
    app = await world.put("hub/app", index(child, image("app", arch="arm64")), "v1")
    await world.put("hub/app", referrer(child))
    await world.put("hub/app", cosign_signature(app), cosign_tag(app))

    report = await copy_image(source, V1, target, Tag("new"))

    assert (str(report.digest), report.evidence, report.refused) == (app.digest, 2, ())
    assert await world.tag("ours/app", "new") == app.digest
    assert len(await target.referrers(Digest.parse(child.digest))) == 1
    assert [name for call, name in target.calls if call == "push_manifest"][-1] == "new"


@pytest.mark.parametrize("tag", [None, Tag("kept")])
async def test_a_digest_is_copied_with_its_evidence_with_or_without_a_tag(
    world: World, source: MemoryRepository, target: MemoryRepository, tag: Tag | None
) -> None:
    app = await world.put("hub/app", image("app"))
    await world.put("hub/app", image("other"), "v1")
    await world.put("hub/app", referrer(app))

    report = await copy_image(source, Digest.parse(app.digest), target, tag)

    assert report.evidence == 1
    assert Digest.parse(app.digest) in target._manifests
    assert set(target._tags) == ({tag} if tag else set())


async def test_copying_again_sends_nothing_of_the_image(
    world: World, source: MemoryRepository, target: MemoryRepository
) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    events: list[Event] = []
    first = await copy_image(source, V1, target, V1, emit=events.append)

    again = await copy_image(source, V1, target, V1)

    assert (first.copied, first.reused) == (app.total_size(), 0)
    assert (again.copied, again.reused) == (0, app.total_size())
    sent = sum(one.count for one in events if isinstance(one, Transferred))
    assert sent == sum(map(len, app.all_blobs().values()))
    assert not [one for one in events if isinstance(one, Reused)]


async def test_a_lie_moves_no_tag_and_leaves_no_task(
    world: World, source: MemoryRepository, target: MemoryRepository
) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    digest = Digest.of(app.blobs[1])
    source._blobs[digest] = b"x" * len(source._blobs[digest])

    with pytest.raises(DigestMismatchError, match=str(digest)):
        await copy_image(source, V1, target, V1)

    assert not target._tags


async def test_a_tag_that_is_not_there_is_an_error(
    source: MemoryRepository, target: MemoryRepository
) -> None:
    with pytest.raises(ContentNotFoundError, match="v1"):
        await copy_image(source, V1, target, V1)


async def test_platforms_are_trimmed_or_said_to_be_missing(
    world: World, source: MemoryRepository, target: MemoryRepository
) -> None:
    await world.put("hub/app", index(image("a"), image("a", arch="arm64")), "v1")

    await copy_image(source, V1, target, V1, shape=Trimmed((Platform.parse("linux/amd64"),)))
    with pytest.raises(NoPlatformError):
        await copy_image(source, V1, target, V1, shape=Trimmed((Platform.parse("linux/s390x"),)))

    assert len(target._manifests) == 2


async def test_evidence_that_is_refused_is_told_and_holds_nothing(
    world: World, source: MemoryRepository, target: CountingRepository
) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    sbom = await world.put("hub/app", referrer(app))
    target.fail("push_manifest", RefusesError("405"), when=Digest.parse(sbom.digest))

    report = await copy_image(source, V1, target, V1)

    assert [str(one) for one in report.refused] == ["405"]
    assert V1 in target._tags


async def test_evidence_that_fails_for_a_while_holds_the_tag(
    world: World, source: MemoryRepository, target: CountingRepository
) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    sbom = await world.put("hub/app", referrer(app))
    target.fail("push_manifest", DownError("503"), when=Digest.parse(sbom.digest))

    with pytest.raises(DownError):
        await copy_image(source, V1, target, V1)

    assert V1 not in target._tags


async def test_a_source_that_cannot_be_listed_still_gives_its_signatures(
    world: World, source: CountingRepository, target: MemoryRepository
) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    await world.put("hub/app", cosign_signature(app), cosign_tag(app))
    source.fail("tags", RefusesError("403"))

    report = await copy_image(source, V1, target, V1)

    assert report.evidence == 1
