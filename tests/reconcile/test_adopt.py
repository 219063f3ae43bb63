"""Taking tags that equal their source as ours."""

import pytest

from regsync.oci.platform import Platform
from regsync.oci.reference import Tag
from regsync.plan.model import exit_code
from regsync.reconcile.adopt import adopt
from regsync.reconcile.ledger import Spot
from regsync.reconcile.ledger_memory import MemoryLedger
from tests.reconcile.test_pruning_runs import AT_ONCE, DownError, deleted, fill, lose, push, tags
from tests.reconcile.world import World
from tests.support.images import image, index

pytestmark = pytest.mark.anyio

OURS = Spot("https://ours.test", "app")


@pytest.fixture
async def world() -> World:
    """A target that another program filled."""
    world = World()
    await fill(world, "hub/app", "v1", "v2", "v3")
    for tag in ("v1", "v2"):
        await push(world, "ours/app", tag, f"hub/app:{tag}")
    await push(world, "ours/app", "v3", "another build")
    await push(world, "ours/app", "theirs", "theirs")
    world.mirror("app", "hub/app", ["ours/app"], prune=AT_ONCE, immutable=("v2",))
    return world


async def test_what_equals_its_source_is_ours_and_what_differs_is_told_and_left(world: World) -> None:
    before = tags(world, "ours/app")

    report = await adopt(world.spec(), world.engine())

    assert list(world.ledger.ours(OURS)) == ["v1", "v2"]
    assert [(one.action.tag, one.was_there) for one in report.results] == [("v1", True), ("v2", True)]
    assert any("ours/app: v3 differ from hub/app" in one for one in report.warnings)
    assert tags(world, "ours/app") == before
    assert exit_code(report.problems) == 0
    again = await adopt(world.spec(), world.engine())
    assert (again.results, again.unchanged) == ((), 2)


async def test_a_lost_ledger_prunes_again_once_tags_were_adopted(world: World) -> None:
    await world.sync()
    world.ledger = MemoryLedger()
    await adopt(world.spec(), world.engine())
    lose(world, "hub/app", "v1")

    assert deleted(await world.sync()) == [("ours/app", "v1")]
    assert tags(world, "ours/app") == ["theirs", "v2", "v3"]


async def test_a_trimmed_index_is_compared_as_it_is_on_the_target(world: World) -> None:
    await world.put("hub/multi", index(image("a"), image("a", arch="arm64")), "v1")
    world.mirrors.clear()
    world.mirror("multi", "hub/multi", ["ours/multi"], platforms=(Platform.parse("linux/amd64"),))
    await world.sync()
    world.ledger = MemoryLedger()

    report = await adopt(world.spec(), world.engine())

    assert [one.action.tag for one in report.results] == ["v1"]


async def test_what_could_not_be_compared_is_not_taken(world: World) -> None:
    world.repository("ours/app").fail("resolve", DownError("503"), when=Tag("v1"))

    report = await adopt(world.spec(), world.engine())

    assert list(world.ledger.ours(OURS)) == ["v2"]
    assert exit_code(report.problems) == 75
