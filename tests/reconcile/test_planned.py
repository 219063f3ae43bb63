"""Chained dry runs: evidence shows at a planned repository as it would be there."""

from datetime import timedelta

import pytest

from regsync.content.evidence import Shelf, Shelves, Takes
from regsync.content.gather import gather
from regsync.content.graph import read_graph
from regsync.content.manifests import Manifests
from regsync.content.memory import MemoryRepository
from regsync.content.pieces import Piece
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.reconcile.planned import PlannedRepository, PlannedStore
from tests.content.places import Repository
from tests.reconcile.world import World
from tests.support.images import (
    Content,
    artifact,
    cosign_signature,
    cosign_tag,
    fallback_index,
    fallback_tag,
    image,
    index,
    referrer,
)
from tests.support.taken_pieces import Taken

pytestmark = pytest.mark.anyio

ARM = image("app", arch="arm64")
APP = index(image("app"), ARM)
V1 = Tag("v1")


def everything(artifact_type: str | None) -> bool:
    return True


@pytest.fixture
async def source() -> Repository:
    source = Repository("source")
    await source.add_image(APP, "v1")
    return source


async def planned(
    source: Repository, target: MemoryRepository, *others: Repository, takes: Takes = everything
) -> PlannedStore:
    """`target` as it would be after the image was copied from `source`, with evidence of `others` too."""
    shelf = await Shelf.listing(source)
    evidence = Shelves([shelf, *[await Shelf.listing(one) for one in others]]) if others else shelf
    graph = await read_graph(Manifests(), (source,), await source.resolve(V1))
    repository = PlannedRepository()
    repository.add(V1, graph, [source], evidence, takes)
    return PlannedStore(target, repository)


async def gathered(store: PlannedStore, subject: Content = APP) -> list[Piece]:
    pieces = Taken()
    shelf = await Shelf.listing(store)
    looked = await gather(shelf, Digest.parse(subject.digest), wants=lambda _: True, take=pieces.take)
    assert all(one.problem is None for one in looked)
    assert all(piece.failed is None for piece in pieces)
    return pieces


async def test_everything_beside_the_planned_image_is_found(source: Repository) -> None:
    old = artifact("application/vnd.old", {"text/plain": b"old"}, subject=APP)
    await source.add_image(cosign_signature(APP), cosign_tag(APP))
    await source.add_image(referrer(APP))
    await source.add_image(fallback_index(old), fallback_tag(APP))
    source._referrers[Digest.parse(APP.digest)].pop(Digest.parse(old.digest))  # the API came later
    await source.add_image(cosign_signature(ARM), cosign_tag(ARM, "att"))
    store = await planned(source, MemoryRepository("target"))

    of_index, of_platform = await gathered(store), await gathered(store, ARM)

    assert sorted(piece.location for piece in of_index) == ["referrers", "referrers", "tag:.sig"]
    assert [piece.location for piece in of_platform] == ["tag:.att"]
    assert all(isinstance(one, bytes) for piece in of_index for one in piece.layers.values())


async def test_a_digest_tag_is_shown_as_it_would_be_merged(source: Repository) -> None:
    target = Repository("target")
    await source.add_image(cosign_signature(APP, "alice"), cosign_tag(APP))
    await target.add_image(cosign_signature(APP, "bob"), cosign_tag(APP))
    store = await planned(source, target)

    (piece,) = await gathered(store)

    desc, raw = await store.manifest(Tag(cosign_tag(APP)))
    assert b"alice" in raw
    assert b"bob" in raw
    assert piece.digest == desc.digest == (await store.resolve(Tag(cosign_tag(APP)))).digest
    assert (await store.manifest(desc.digest))[1] == raw


async def test_what_does_not_travel_is_not_shown(source: Repository) -> None:
    await source.add_image(cosign_signature(APP), cosign_tag(APP))
    await source.add_image(referrer(APP))

    assert await gathered(await planned(source, MemoryRepository("target"), takes=lambda _: False)) == []


async def test_the_tags_of_other_images_at_the_origin_are_not_shown(source: Repository) -> None:
    other = image("other")
    await source.add_image(cosign_signature(other), cosign_tag(other))
    store = await planned(source, MemoryRepository("target"))

    async with store.tags() as tags:
        assert [tag async for tag, _ in tags] == [V1]


async def test_evidence_of_a_policys_other_repository_is_shown_and_readable(source: Repository) -> None:
    elsewhere = Repository("signatures")
    await elsewhere.add_image(cosign_signature(APP), cosign_tag(APP))
    await elsewhere.add_image(referrer(APP))

    pieces = await gathered(await planned(source, MemoryRepository("target"), elsewhere))

    assert [piece.location for piece in pieces] == ["tag:.sig", "referrers"]
    assert all(isinstance(one, bytes) for piece in pieces for one in piece.layers.values())


async def test_a_chain_plans_evidence_that_came_later_to_its_end() -> None:
    world = World()
    world.mirror("dev", "hub/app", ["dev/app"])
    world.mirror("prod", "dev/app", ["prod/app"])
    app = await world.put("hub/app", image("app"), "v1")
    await world.sync()
    world.clock.advance(timedelta(hours=1))
    await world.put("hub/app", cosign_signature(app), cosign_tag(app))

    planned = await world.plan()
    await world.apply(planned)

    assert [str(one.target) for one in planned.actions] == ["dev/app", "prod/app"]
    assert await world.tag("prod/app", cosign_tag(app)) == cosign_signature(app).digest
