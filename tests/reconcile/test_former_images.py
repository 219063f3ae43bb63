"""`Mirror.history`: what a moved tag pointed to stays under a tag of its own, the newest of each tag."""

from datetime import timedelta
from typing import Any

import pytest

from regsync.errors import TemporaryError
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.plan.model import Cause, Outcome, exit_code
from regsync.reconcile.ledger import Spot
from regsync.spec.history import History
from regsync.spec.pruning import DeletionLimits, PrunePolicy
from tests.reconcile.world import World
from tests.support.images import Content, cosign_signature, cosign_tag, image

pytestmark = pytest.mark.anyio
SPOT = Spot("https://ours.test", "app")


class DownError(TemporaryError):
    """A registry that is down."""


@pytest.fixture
def world() -> World:
    return World()


def mirrored(world: World, **more: Any) -> None:
    world.mirror("app", "hub/app", ["ours/app"], tags=["v1"], **{"history": History(keep=2), **more})


async def moved(world: World, *names: str) -> list[Content]:
    """Images to which `v1` moves, one a day, each of them brought."""
    made = []
    for name in names:
        made.append(await world.put("hub/app", image(name), "v1"))
        await world.sync()
        world.clock.advance(timedelta(days=1))
    return made


def former(world: World, content: Content, days_ago: int) -> str:
    """The tag of a former image that moved away so many days before now."""
    return f"v1-{world.clock.now() - timedelta(days=days_ago):%Y%m%d}-{content.digest[7:19]}"


def tags(world: World) -> set[str]:
    return set(world.repository("ours/app")._tags)


async def test_what_a_moved_tag_pointed_to_keeps_a_tag_and_its_evidence(world: World) -> None:
    mirrored(world)
    (old,) = await moved(world, "old")
    signature = await world.put("ours/app", cosign_signature(old), cosign_tag(old))
    (new,) = await moved(world, "new")

    name = former(world, old, 1)

    assert tags(world) == {"v1", name, cosign_tag(old)}
    assert (await world.tag("ours/app", name), await world.tag("ours/app", "v1")) == (old.digest, new.digest)
    assert await world.tag("ours/app", cosign_tag(old)) == signature.digest
    assert str(world.ledger.ours(SPOT)[Tag(name)]) == old.digest
    assert (await world.sync()).results == ()


async def test_without_history_nothing_is_kept(world: World) -> None:
    mirrored(world, history=None)
    await moved(world, "old", "new")
    assert tags(world) == {"v1"}


async def test_a_plan_that_is_applied_keeps_the_former_image_too(world: World) -> None:
    mirrored(world)
    (old,) = await moved(world, "old")
    await world.put("hub/app", image("new"), "v1")
    await world.apply(await world.plan())
    assert former(world, old, 0) in tags(world)


async def test_the_tag_does_not_move_when_its_former_image_cannot_be_kept(world: World) -> None:
    mirrored(world)
    (old,) = await moved(world, "old")
    await world.put("hub/app", image("new"), "v1")
    world.repository("ours/app").fail("tag", DownError("503"))

    (result,) = (await world.sync()).results

    assert result.outcome is Outcome.FAILED
    assert await world.tag("ours/app", "v1") == old.digest
    world.repository("ours/app").failing.clear()
    await world.sync()
    assert former(world, old, 0) in tags(world)


async def test_a_foreign_tag_of_that_name_is_not_overwritten_and_the_tag_stays(world: World) -> None:
    mirrored(world)
    (old,) = await moved(world, "old")
    stranger = await world.put("ours/app", image("stranger"), former(world, old, 0))
    await world.put("hub/app", image("new"), "v1")

    report = await world.sync()

    assert exit_code(report.problems) == Cause.POLICY
    assert await world.tag("ours/app", former(world, old, 0)) == stranger.digest
    assert await world.tag("ours/app", "v1") == old.digest


async def test_a_former_image_that_somebody_else_tagged_so_is_not_taken_for_ours(world: World) -> None:
    mirrored(world)
    (old,) = await moved(world, "old")
    await world.put("ours/app", old, former(world, old, 0))
    await world.put("hub/app", image("new"), "v1")
    await world.sync()
    assert Tag(former(world, old, 0)) not in world.ledger.ours(SPOT)


async def test_prune_deletes_the_oldest_beyond_keep_and_nobody_elses(world: World) -> None:
    limits = DeletionLimits(10, 100)
    mirrored(world, prune=PrunePolicy(limits, grace=timedelta()))
    made = await moved(world, "one", "two", "three")
    foreign = "v1-20200101-" + image("foreign").digest[7:19]
    await world.put("ours/app", image("foreign"), foreign)
    made += await moved(world, "four", "five")

    report = await world.sync()

    assert tags(world) == {"v1", foreign, former(world, made[3], 1), former(world, made[2], 2)}
    assert (await world.sync()).results == ()
    assert report.problems == ()


async def test_former_images_wait_for_grace_and_stay_within_the_limits(world: World) -> None:
    mirrored(
        world, history=History(keep=1), prune=PrunePolicy(DeletionLimits(1, 100), grace=timedelta(days=3))
    )
    made = await moved(world, "one", "two", "three", "four")
    await world.sync()
    assert len(tags(world)) == 4
    world.clock.advance(timedelta(days=3))

    report = await world.sync()

    assert exit_code(report.problems) == Cause.POLICY  # two would go, one may
    assert former(world, made[0], 6) in tags(world)


async def test_without_prune_former_images_stay(world: World) -> None:
    mirrored(world, history=History(keep=1))
    await moved(world, "one", "two", "three", "four")
    await world.sync()
    assert len(tags(world)) == 4


async def test_moves_of_one_day_are_sorted_by_when_their_images_came_and_in_doubt_all_stay(
    world: World,
) -> None:
    mirrored(world, history=History(keep=1), prune=PrunePolicy(DeletionLimits(10, 100), grace=timedelta()))
    made = []
    for name in ("one", "two", "three", "four"):
        made.append(await world.put("hub/app", image(name), "v1"))
        await world.sync()
        world.clock.advance(timedelta(minutes=1))

    await world.sync()

    assert tags(world) == {"v1", former(world, made[2], 0)}


async def test_a_former_image_that_the_lock_file_names_stays(world: World) -> None:
    mirrored(world, history=History(keep=0), prune=PrunePolicy(DeletionLimits(10, 100), grace=timedelta()))
    (old,) = await moved(world, "one")
    world.locked("other", "hub/app:v9", old.digest)
    other, _ = await moved(world, "two", "three")

    await world.sync()

    kept = {tag: str(digest) for tag, digest in world.repository("ours/app")._tags.items()}
    assert old.digest in kept.values()
    assert other.digest not in kept.values()


def test_a_name_is_a_former_image_only_with_the_digest_that_it_says() -> None:
    digest = Digest.of(b"x")
    history = History()
    name = Tag(f"1.2-20261125-{digest.short(12)}")
    found = history.former(name, digest)
    assert found is not None
    assert (found.tag, found.date) == ("1.2", "20261125")
    assert history.former(name, Digest.of(b"y")) is None
    assert history.former(name, None) == found
    assert history.former(Tag("1.2-20261125"), digest) is None
