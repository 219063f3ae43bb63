"""`check --repair`: a plan of exactly what heals the differences, which `apply` carries out."""

from dataclasses import replace
from pathlib import Path

import pytest

from regsync.oci.digest import Digest
from regsync.oci.platform import Platform
from regsync.oci.reference import Tag
from regsync.plan.check import State
from regsync.plan.model import Action, Outcome, Plan, Verb
from regsync.reconcile.check import Checked, Repair, check
from regsync.reconcile.check_deep import Deep, Throttle
from regsync.reconcile.check_progress import Progress
from tests.reconcile.test_check import told
from tests.reconcile.test_verification import policy, sign_by_tag
from tests.reconcile.world import World
from tests.support.images import cosign_signature, cosign_tag, image, index

pytestmark = pytest.mark.anyio

AMD, ARM = image("app", arch="amd64"), image("app", arch="arm64")
MULTI, OLD, NEW, OTHER = index(AMD, ARM), image("old"), image("new"), image("other")


@pytest.fixture
async def world() -> World:
    """Two targets that follow one source."""
    world = World()
    await world.put("hub/app", MULTI, "v1")
    await world.put("hub/app", OLD, "v2", "v3")
    world.mirror("app", "hub/app", ["eu/app", "us/app"])
    await world.sync()
    return world


async def repair(world: World, deep: Deep | None = None) -> tuple[Checked, Plan]:
    checked = await check(world.spec(), world.engine(), deep=deep, repair=Repair.PLANNED)
    return checked, Plan(world.spec().digest, world.clock.now(), checked.actions, 0)


def named(actions: tuple[Action, ...]) -> dict[str, Verb]:
    return {f"{action.target}:{action.tag}": action.verb for action in actions}


async def test_what_is_equal_needs_no_repair(world: World) -> None:
    checked, _ = await repair(world)
    assert checked.actions == ()


async def test_what_differs_is_healed_by_its_plan_and_nothing_else_is_in_it(world: World) -> None:
    await world.put("hub/app", cosign_signature(OLD), cosign_tag(OLD))
    del world.repository("eu/app")._tags[Tag("v1")]
    await world.put("us/app", OTHER, "v2", "evil")
    checked, plan = await repair(world)
    assert named(checked.actions) == {
        "eu/app:v1": Verb.CREATE,
        "eu/app:v2": Verb.UPDATE,
        "eu/app:v3": Verb.UPDATE,
        "us/app:v2": Verb.UPDATE,
        "us/app:v3": Verb.UPDATE,
    }
    moved = next(one for one in checked.actions if str(one.target) == "us/app" and one.tag == "v2")
    assert (str(moved.replaces), str(moved.digest)) == (OTHER.digest, OLD.digest)
    assert moved.reason.startswith("check: moved there")
    report = await world.apply(plan)
    assert {result.outcome for result in report.results} == {Outcome.DONE}
    checked, _ = await repair(world)
    assert told(checked.report) == {"us/app:evil": "extra"}
    assert checked.actions == ()


async def test_a_trimmed_index_is_brought_back() -> None:
    world = World()
    await world.put("hub/app", MULTI, "v1")
    world.mirror("app", "hub/app", ["eu/app"], platforms=(Platform.parse("linux/amd64"),))
    await world.sync()
    trimmed = await world.tag("eu/app", "v1")
    await world.put("eu/app", MULTI, "v1")
    _, plan = await repair(world)
    await world.apply(plan)
    assert await world.tag("eu/app", "v1") == trimmed


async def test_an_immutable_tag_that_moved_stays_and_says_so(world: World) -> None:
    world.mirrors[:] = [replace(world.mirrors[0], immutable=("v*",))]
    await world.put("eu/app", OTHER, "v2")
    del world.repository("eu/app")._tags[Tag("v3")]
    checked, plan = await repair(world)
    assert {action.tag: action.problem is None for action in checked.actions} == {"v2": False, "v3": True}
    await world.apply(plan)
    assert await world.tag("eu/app", "v2") == OTHER.digest
    assert await world.tag("eu/app", "v3") == OLD.digest


async def test_what_a_policy_refuses_is_not_brought(world: World) -> None:
    world.policies.append(policy())
    world.mirrors[:] = [replace(world.mirrors[0], verify=("prod",))]
    await sign_by_tag(world, "hub/app", OLD)
    for path in ("eu/app", "us/app"):
        del world.repository(path)._tags[Tag("v1")]
    checked, _ = await repair(world)
    problems = {(action.tag, action.problem is None) for action in checked.actions}
    assert problems == {("v1", False), ("v2", True), ("v3", True)}


async def test_damage_beneath_a_tag_is_told_and_not_promised_to_be_healed(
    world: World, tmp_path: Path
) -> None:
    layer = OLD.blobs[-1]
    world.repository("eu/app")._blobs[Digest.of(layer)] = b"\0" * len(layer)
    with Progress.open(tmp_path / "deep.jsonl", world.clock) as progress:
        checked, _ = await repair(world, Deep(progress, Throttle(None, world.clock)))
    assert {row.state for row in checked.report.rows} == {State.DRIFTED}
    assert all(action.problem is not None for action in checked.actions)
    assert named(checked.actions).keys() == {"eu/app:v2", "eu/app:v3"}
