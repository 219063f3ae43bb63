"""Back to an earlier digest: which one, found where, and the entry that every run then keeps to."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from regsync.oci.digest import Digest
from regsync.oci.platform import Platform
from regsync.oci.reference import Tag
from regsync.reconcile.rollback import (
    AmbiguousTagError,
    DigestNowhereError,
    ImmutableRollbackError,
    Moved,
    NoSuchTagError,
    NothingEarlierError,
    Rollback,
    find_rollback,
)
from regsync.spec.history import History
from tests.reconcile.world import World
from tests.support.images import Content, image, index

pytestmark = pytest.mark.anyio


@pytest.fixture
def world() -> World:
    return World()


async def moves(world: World, *contents: Content) -> None:
    """`v1` moves from one to the next at its source, an hour apart, each brought to the targets."""
    for content in contents:
        await world.put("hub/app", content, "v1")
        await world.sync()
        world.clock.advance(timedelta(hours=1))


async def rollback(
    world: World, tag: str = "v1", to: str | None = None, moved: Sequence[Moved] = ()
) -> Rollback:
    digest = Digest.parse(to) if to is not None else None
    spec = world.spec()
    return await find_rollback(spec, world.engine(), spec.mirrors[0], tag, digest, moved)


def move(world: World, former: Content, content: Content, run: str = "r1") -> Moved:
    """That a run moved `v1` from one to the other."""
    digests = Digest.parse(former.digest), Digest.parse(content.digest)
    return Moved("ours/app", Tag("v1"), *digests, world.clock.now(), run)


async def test_a_former_image_that_history_keeps_is_gone_back_to_and_every_run_stays_there(
    world: World,
) -> None:
    world.mirror("app", "hub/app", ["ours/app"], history=History())
    one, two, three = (image(name) for name in ("one", "two", "three"))
    await moves(world, one, two, three)

    found = await rollback(world)

    assert (found.entry.image, found.entry.hold) == (f"hub.test/app:v1@{two.digest}", True)
    assert found.why.startswith("ours/app:v1-")
    assert await world.tag("ours/app", "v1") == three.digest  # nothing was copied
    world.locks.append(found.entry)
    await world.sync()
    assert await world.tag("ours/app", "v1") == two.digest
    assert (await world.sync()).results == ()


async def test_going_back_twice_goes_further_back_and_not_forth_again(world: World) -> None:
    world.mirror("app", "hub/app", ["ours/app"], history=History())
    one, two, three = (image(name) for name in ("one", "two", "three"))
    await moves(world, one, two, three)
    first = await rollback(world)
    world.locks.append(first.entry)
    await world.sync()

    second = await rollback(world, moved=[move(world, two, three)])

    assert (str(first.entry.digest), str(second.entry.digest)) == (two.digest, one.digest)
    assert second.before == first.entry


async def test_without_history_it_is_what_a_run_moved_away_from_while_that_is_still_somewhere(
    world: World,
) -> None:
    world.mirror("app", "hub/app", ["ours/app"])
    one, two = image("one"), image("two")
    await moves(world, one, two)

    found = await rollback(world, moved=[move(world, image("gone"), two, "r2"), move(world, one, two)])

    assert str(found.entry.digest) == one.digest
    assert found.why.startswith("run r1 moved ours/app away from it at 20")


async def test_nothing_known_is_said_and_a_digest_may_be_named(world: World) -> None:
    world.mirror("app", "hub/app", ["ours/app"])
    await moves(world, image("one"), image("two"))
    with pytest.raises(NothingEarlierError):
        await rollback(world)
    other = await world.put("hub/app", image("other"))
    assert str((await rollback(world, to=other.digest)).entry.digest) == other.digest
    with pytest.raises(DigestNowhereError, match="is at none of hub/app, ours/app"):
        await rollback(world, to=image("nowhere").digest)


async def test_a_trimmed_image_is_gone_back_to_by_what_targets_have(world: World) -> None:
    world.mirror(
        "app",
        "hub/app",
        ["ours/app", "us/app"],
        history=History(),
        platforms=(Platform.of("linux", "arm64"),),
    )
    old, new = (index(image(name), image(name, arch="arm64")) for name in ("old", "new"))
    await moves(world, old)
    trimmed = await world.tag("ours/app", "v1")
    await moves(world, new)

    found = await rollback(world)
    world.locks.append(found.entry)
    report = await world.sync()

    assert report.problems == ()
    assert str(found.entry.digest) == trimmed == await world.tag("us/app", "v1")
    assert (await world.sync()).results == ()


async def test_an_immutable_tag_is_not_gone_back_with(world: World) -> None:
    world.mirror("app", "hub/app", ["ours/app"], immutable=("v*",))
    await moves(world, image("one"))
    with pytest.raises(ImmutableRollbackError):
        await rollback(world, to=image("one").digest)


async def test_a_tag_has_to_be_the_mirrors_and_only_one_of_its_repositories(world: World) -> None:
    app = image("app")
    for repository in ("hub/a", "hub/b"):
        await world.put(repository, app, "v1")
    world.mirror("all", "hub/{repository}", ["ours/{repository}"], repositories=["a", "b"], tags=["v*"])
    with pytest.raises(NoSuchTagError):
        await rollback(world, "w1", app.digest)
    with pytest.raises(AmbiguousTagError, match="a:v1, b:v1"):
        await rollback(world, "v1", app.digest)
    assert (await rollback(world, "b:v1", app.digest)).entry.repository == "hub.test/b"
    world.locked("all", "hub/a:v1", app.digest)
    assert (await rollback(world, "v1", app.digest)).entry.repository == "hub.test/a"


async def test_a_renamed_tag_is_known_by_either_name_from_the_lock_file(world: World) -> None:
    world.mirror("app", "hub/app", ["ours/app"], rename="stable-{tag}")
    old = await world.put("hub/app", image("old"))
    await moves(world, image("new"))
    more: dict[str, Any] = {"comments": ("# ours",), "rule": "glob '*'"}
    world.locked("app", "hub/app:v1", image("new").digest, **more)
    for name in ("v1", "stable-v1"):
        entry = (await rollback(world, name, old.digest)).entry
        assert (entry.tag, entry.comments, entry.rule) == ("v1", ("# ours",), "glob '*'")
