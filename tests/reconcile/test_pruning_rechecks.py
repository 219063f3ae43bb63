"""What is asked once more before tags go, and what other mirrors of a target keep."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from regsync.errors import TemporaryError
from regsync.oci.descriptor import Descriptor
from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.model import exit_code
from regsync.reconcile.prune_run import Extent, prune
from regsync.spec.history import History
from regsync.spec.model import Location, Pin
from tests.reconcile.test_pruning_runs import AT_ONCE, deleted, fill, lose, push, tags
from tests.reconcile.world import World

pytestmark = pytest.mark.anyio


class DownError(TemporaryError):
    """503."""


@pytest.fixture
def world() -> World:
    return World()


def cut_listing(world: World, path: str, *shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of tags that ends early and looks whole."""
    repository = world.repository(path)
    whole = repository.tags

    async def some(
        found: AsyncIterator[tuple[Tag, Descriptor | None]],
    ) -> AsyncIterator[tuple[Tag, Descriptor | None]]:
        async for tag, desc in found:
            if tag in shown:
                yield tag, desc

    @asynccontextmanager
    async def cut() -> AsyncIterator[AsyncIterator[tuple[Tag, Descriptor | None]]]:
        async with whole() as found:
            yield some(found)

    monkeypatch.setattr(repository, "tags", cut)


async def test_a_source_whose_list_leaves_out_what_it_has_deletes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(world, "hub/app", "v1", "v2", "v3")
    world.mirror("app", "hub/app", ["ours/app"], prune=AT_ONCE)
    await world.sync()
    lose(world, "hub/app", "v3")
    cut_listing(world, "hub/app", "v1", monkeypatch=monkeypatch)

    report = await world.sync()

    assert deleted(report) == []
    assert tags(world, "ours/app") == ["v1", "v2", "v3"]
    assert any("hub/app leaves v2 out of its list of tags, and has it" in one for one in report.warnings)


async def test_a_source_that_does_not_say_whether_it_has_a_tag_deletes_nothing(world: World) -> None:
    await fill(world, "hub/app", "v1", "v2")
    world.mirror("app", "hub/app", ["ours/app"], prune=AT_ONCE)
    await world.sync()
    lose(world, "hub/app", "v2")
    world.repository("hub/app").fail("resolve", DownError("503"), when=Tag("v2"))

    assert deleted(await world.sync()) == []
    assert tags(world, "ours/app") == ["v1", "v2"]


@pytest.mark.parametrize("only_prune", [False, True])
async def test_a_mirror_of_names_alone_deletes_nothing_while_the_source_lacks_one(
    world: World,
    only_prune: bool,
) -> None:
    await fill(world, "hub/app", "v1", "v2", "v3")
    world.mirror("app", "hub/app", ["ours/app"], tags=["v1", "v2", "v3"], prune=AT_ONCE)
    await world.sync()
    world.mirrors.clear()
    world.mirror("app", "hub/app", ["ours/app"], tags=["v1", "v2"], prune=AT_ONCE)
    lose(world, "hub/app", "v2")

    report = await prune(world.spec(), world.engine()) if only_prune else await world.sync()

    assert deleted(report) == []
    assert exit_code(report.problems) == 1
    assert tags(world, "ours/app") == ["v1", "v2", "v3"]
    await fill(world, "hub/app", "v2")
    assert deleted(await prune(world.spec(), world.engine())) == [("ours/app", "v3")]


@pytest.mark.parametrize("count", [1, 40])
async def test_images_of_a_list_stay_while_the_source_lacks_one_of_them(world: World, count: int) -> None:
    names = [f"v{number}" for number in range(count + 2)]
    await fill(world, "hub/app", *names)
    place = Location("hub", RepositoryName("app"))
    pins = tuple((place, Pin(Tag(name), None)) for name in names)
    mirror = world.mirror("app", [], ["ours/app"], images=pins, prune=AT_ONCE)
    await world.sync()
    world.mirrors = [replace(mirror, images=pins[1:])]
    lose(world, "hub/app", "v1")

    report = await world.sync()

    assert deleted(report) == []
    assert exit_code(report.problems) == 1
    await fill(world, "hub/app", "v1")
    assert deleted(await world.sync()) == [("ours/app", "v0")]


async def test_names_are_asked_for_once_for_all_targets(world: World) -> None:
    await fill(world, "hub/app", "v1", "v2", "v3")
    targets = ["ours/app", "theirs/app"]
    world.mirror("app", "hub/app", targets, tags=["v1", "v2", "v3"], prune=AT_ONCE)
    await world.sync()
    world.mirrors.clear()
    world.mirror("app", "hub/app", targets, tags=["v1", "v2"], prune=AT_ONCE)
    lose(world, "hub/app", "v2")
    world.forget_calls()

    report = await prune(world.spec(), world.engine())

    assert [(str(one.action.target), str(one.action.tag)) for one in report.results] == [
        ("ours/app", "v2"),
        ("theirs/app", "v2"),
    ]
    assert world.repository("hub/app").count("resolve") == 2


@pytest.mark.parametrize("asked", [False, True])
async def test_what_another_mirror_of_the_same_source_has_as_immutable_stays(
    world: World,
    asked: bool,
) -> None:
    await fill(world, "hub/app", "a1", "a2", "b1")
    world.mirror("one", "hub/app", ["ours/app"], tags=["a*"], immutable=("a*",))
    world.mirror("two", "hub/app", ["ours/app"], tags=["b*"], prune=AT_ONCE)
    await world.sync()
    lose(world, "hub/app", "a1")

    report = await world.sync() if asked else await prune(world.spec(), world.engine())

    assert deleted(report) == []
    assert tags(world, "ours/app") == ["a1", "a2", "b1"]


async def test_former_images_outlive_the_source_that_they_came_from(world: World) -> None:
    history = History("{tag}-{digest:12}", 5)
    await fill(world, "hub/app", "latest")
    world.mirror("app", "hub/app", ["ours/app"], tags=["latest"], history=history, prune=AT_ONCE)
    await world.sync()
    await push(world, "hub/app", "latest", "new")
    await world.sync()
    kept = tags(world, "ours/app")
    world.mirrors.clear()
    await push(world, "elsewhere/app", "latest", "new")
    world.mirror("app", "elsewhere/app", ["ours/app"], tags=["latest"], history=history, prune=AT_ONCE)

    report = await prune(world.spec(), world.engine(), Extent.abandoned(100))

    assert deleted(report) == []
    assert len(kept) == 2
    assert tags(world, "ours/app") == kept
