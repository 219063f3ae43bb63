"""`prune` by itself: what mirrors delete, what nobody declares any more, and putting tags back."""

from dataclasses import replace
from datetime import timedelta

import pytest

from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.plan.model import Outcome, Plan, Report, Verb, exit_code, problems_of
from regsync.reconcile.ledger import Deletion, Spot
from regsync.reconcile.prune_run import Extent, plan_pruning, prune
from regsync.reconcile.run import Explain
from regsync.reconcile.undo import NothingToUndoError, undo
from regsync.spec.model import TagRule
from regsync.spec.pruning import DeletionLimits, PrunePolicy
from regsync.spec.retention import KeepRule, RepositoryGlob, RetentionPolicy
from tests.reconcile.test_pruning_runs import AT_ONCE, DownError, code, deleted, fill, lose, push, tags
from tests.reconcile.world import World

pytestmark = pytest.mark.anyio

OURS = Spot("https://ours.test", "app")


@pytest.fixture
async def world() -> World:
    """A mirror whose source lost v1."""
    world = World()
    await fill(world, "hub/app", "v1", "v2")
    world.mirror("app", "hub/app", ["ours/app"], prune=AT_ONCE)
    await world.sync()
    lose(world, "hub/app", "v1")
    await fill(world, "hub/app", "new")
    return world


async def run(world: World, abandoned: int | None = None) -> Report:
    extent = Extent.ALL if abandoned is None else Extent.abandoned(abandoned)
    return await prune(world.spec(), world.engine(), extent)


async def dry(world: World, abandoned: int | None = None, explain: Explain = Explain.NO) -> Plan:
    extent = Extent.ALL if abandoned is None else Extent.abandoned(abandoned)
    return await plan_pruning(world.spec(), world.engine(), extent, explain=explain)


async def test_prune_deletes_and_copies_nothing(world: World) -> None:
    report = await run(world)

    assert deleted(report) == [("ours/app", "v1")]
    assert tags(world, "ours/app") == ["v2"]
    assert (await run(world)).results == ()


async def test_a_dry_run_lists_what_would_go_and_why_the_rest_stays(world: World) -> None:
    made = await dry(world, explain=Explain.YES)

    assert deleted(made) == [("ours/app", "v1")]
    assert exit_code(problems_of(made.actions), pending=len(made.pending)) == 2
    assert [(one.tag, one.kept) for one in made.explanations] == [("v1", False), ("v2", True)]
    assert tags(world, "ours/app") == ["v1", "v2"]


async def test_prune_says_what_it_could_not_look_at(world: World) -> None:
    world.repository("hub/app").fail("tags", DownError("503"))
    report = await run(world)
    assert (deleted(report), code(report)) == ([], 75)

    world.repository("hub/app").failing.clear()
    world.repository("ours/app").fail("tags", DownError("503"))
    report = await run(world)
    assert (deleted(report), code(report)) == ([], 75)


async def test_prune_fails_where_a_named_tag_is_lost(world: World) -> None:
    rules = (TagRule(glob="v*"), TagRule(names=(Tag("named"),)))
    world.mirrors = [replace(world.mirrors[0], rules=rules)]

    report = await run(world)

    assert (deleted(report), code(report)) == ([], 1)


async def test_prune_refuses_what_exceeds_the_limit(world: World) -> None:
    world.mirrors = [replace(world.mirrors[0], rules=(TagRule(glob="n*"),))]
    world.mirrors = [replace(world.mirrors[0], prune=PrunePolicy(DeletionLimits(1, 100), grace=timedelta()))]

    report = await run(world)

    assert (deleted(report), code(report), report.summary.blocked) == ([], 3, 2)


# --- what nobody declares any more


async def test_a_removed_mirror_is_cleared_away_by_the_explicit_act_alone(world: World) -> None:
    await fill(world, "hub/lib", "x1", "x2")
    world.mirror("lib", "hub/lib", ["ours/lib"])
    await world.sync()
    await fill(world, "ours/lib", "theirs")
    del world.mirrors[1]
    assert deleted(await world.sync()) == []
    assert deleted(await run(world)) == []

    assert deleted(await dry(world, abandoned=10)) == [("ours/lib", "x1"), ("ours/lib", "x2")]
    report = await run(world, abandoned=10)

    assert deleted(report) == [("ours/lib", "x1"), ("ours/lib", "x2")]
    assert tags(world, "ours/lib") == ["theirs"]
    assert tags(world, "ours/app") == ["new", "v2"]
    assert (await run(world, abandoned=10)).results == ()


async def test_a_removed_target_is_cleared_away_likewise(world: World) -> None:
    mirror = world.mirrors[0]
    world.mirrors = [
        replace(mirror, targets=(*mirror.targets, *world.mirror("x", "hub/app", ["us/app"]).targets))
    ]
    await world.sync()
    world.mirrors = [mirror]

    assert deleted(await run(world, abandoned=10)) == [("us/app", "new"), ("us/app", "v2")]


async def test_the_tags_of_a_removed_mirror_go_and_those_of_its_neighbour_stay(world: World) -> None:
    await fill(world, "hub/lib", "x1", "x2")
    world.mirror("lib", "hub/lib", ["ours/app"], tags=["x*"])
    await world.sync()
    world.mirrors = [replace(world.mirrors[0], rules=(TagRule(glob="[vn]*"), TagRule(names=(Tag("x2"),))))]
    await fill(world, "hub/app", "x2")

    assert deleted(await run(world, abandoned=10)) == [("ours/app", "x1")]


async def test_more_abandoned_tags_than_allowed_are_refused_whole(world: World) -> None:
    world.mirrors.clear()

    report = await run(world, abandoned=1)

    assert (deleted(report), code(report)) == ([], 3)
    assert deleted(await run(world, abandoned=2)) == [("ours/app", "v1"), ("ours/app", "v2")]


async def test_abandoned_tags_at_a_place_without_a_registry_are_told(world: World) -> None:
    world.mirrors.clear()
    del world.places["ours"]

    report = await run(world, abandoned=10)

    assert deleted(report) == []
    assert "no Registry of the spec is there" in report.warnings[0]


# --- putting tags back


async def test_what_a_run_deleted_is_put_back_and_is_ours_again(world: World) -> None:
    before = await world.tag("ours/app", "v1")
    report = await run(world)

    undone = await undo(world.spec(), world.engine(), report.run.id)

    assert [(one.action.verb, one.action.tag, one.outcome) for one in undone.results] == [
        (Verb.CREATE, "v1", Outcome.DONE)
    ]
    assert await world.tag("ours/app", "v1") == before
    assert Tag("v1") in world.ledger.ours(OURS)
    assert deleted(await run(world)) == [("ours/app", "v1")]
    with pytest.raises(NothingToUndoError):
        await undo(world.spec(), world.engine(), report.run.id)


async def test_what_somebody_else_made_is_theirs_when_it_is_put_back(world: World) -> None:
    theirs = await push(world, "ours/app", "pr-1", "theirs")
    await push(world, "ours/app", "pr-2", "newer")
    keep = KeepRule(TagRule(glob="pr-*", newest=1))
    policy = RetentionPolicy("old", (RepositoryGlob("ours", "app"),), (keep,))
    report = await prune(replace(world.spec(), retention=(policy,)), world.engine())
    assert ("ours/app", "pr-1") in deleted(report)

    await undo(world.spec(), world.engine(), report.run.id)

    assert await world.tag("ours/app", "pr-1") == theirs
    assert Tag("pr-1") not in world.ledger.ours(OURS)
    world.mirrors.clear()
    assert ("ours/app", "pr-1") not in deleted(await run(world, abandoned=100))


async def test_what_is_gone_for_good_is_said(world: World) -> None:
    report = await run(world)
    ours = world.repository("ours/app")
    ours._manifests.pop(Digest.parse(str(report.results[0].action.digest)))

    undone = await undo(world.spec(), world.engine(), report.run.id)

    assert [one.outcome for one in undone.results] == [Outcome.FAILED]
    assert "is not there any more" in str(undone.results[0].problem)
    assert code(undone) == 1


async def test_a_tag_that_somebody_took_meanwhile_is_left_to_them(world: World) -> None:
    report = await run(world)
    theirs = await push(world, "ours/app", "v1", "theirs")

    undone = await undo(world.spec(), world.engine(), report.run.id)

    assert [one.outcome for one in undone.results] == [Outcome.REFUSED]
    assert code(undone) == 3
    assert await world.tag("ours/app", "v1") == theirs


async def test_a_deletion_that_a_kill_left_open_can_be_undone(world: World) -> None:
    digest = world.ledger.ours(OURS)[Tag("v1")]
    await world.ledger.begin_deletions([Deletion("killed", OURS, Tag("v1"), digest, world.clock.now())])
    lose(world, "ours/app", "v1")

    await undo(world.spec(), world.engine(), "killed")

    assert await world.tag("ours/app", "v1") == str(digest)


async def test_a_place_without_a_registry_cannot_be_put_back_to(world: World) -> None:
    report = await run(world)
    world.mirrors.clear()
    del world.places["ours"]

    undone = await undo(world.spec(), world.engine(), report.run.id)

    assert code(undone) == 1
    assert "no Registry of the spec is at https://ours.test" in str(undone.results[0].problem)


async def test_a_run_that_is_not_known_cannot_be_undone(world: World) -> None:
    with pytest.raises(NothingToUndoError, match="no tag that run 'nonsense' deleted"):
        await undo(world.spec(), world.engine(), "nonsense")


async def test_prune_empties_no_target_of_what_its_mirror_has_not_brought_yet(world: World) -> None:
    lose(world, "hub/app", "v2")
    report = await run(world)
    assert {one.outcome for one in report.results} == {Outcome.DEFERRED}
    assert tags(world, "ours/app") == ["v1", "v2"]
