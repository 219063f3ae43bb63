"""Runs that delete: what goes, what stays, and what every bad day leaves in its place."""

from dataclasses import replace
from datetime import timedelta

import anyio
import pytest

from regsync.content.throw_away import CONFIG, CONFIG_DESCRIPTOR, ThrowAway
from regsync.errors import TemporaryError
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.absence import Absence
from regsync.plan.model import Action, Outcome, Plan, Report, Verb, exit_code
from regsync.plan.pruning import Fate
from regsync.reconcile.lease import LeaseLostError
from regsync.reconcile.ledger import Deletion, Spot
from regsync.reconcile.ledger_memory import MemoryLedger
from regsync.reconcile.run import Explain, sync
from regsync.reconcile.undo import undo
from regsync.spec.history import History
from regsync.spec.model import Binding, Location, SemverMatch, TagRule
from regsync.spec.pruning import DeletionLimits, Owns, PrunePolicy
from tests.reconcile.world import World, once
from tests.support.images import image, index

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
OURS = Spot("https://ours.test", "app")
AT_ONCE = PrunePolicy(DeletionLimits(100, 100), grace=timedelta())
NEWEST = TagRule(semver=SemverMatch("*"), newest=2)


class DownError(TemporaryError):
    """503."""


@pytest.fixture
def world() -> World:
    return World()


async def fill(world: World, path: str, *tags: str) -> None:
    for tag in tags:
        await world.put(path, image(f"{path}:{tag}"), tag)


async def push(world: World, path: str, tag: str, content: str) -> str:
    return (await world.put(path, image(content), tag)).digest


def lose(world: World, path: str, *tags: str) -> None:
    """Somebody deletes tags."""
    for tag in tags:
        del world.repository(path)._tags[Tag(tag)]


def tags(world: World, path: str) -> list[str]:
    return sorted(map(str, world.repository(path)._tags))


def deleted(report: Report | Plan) -> list[tuple[str, str]]:
    actions = (
        report.pending
        if isinstance(report, Plan)
        else [one.action for one in report.results if one.outcome is Outcome.DONE and not one.was_there]
    )
    return [(str(one.target), str(one.tag)) for one in actions if one.verb is Verb.DELETE]


def code(report: Report) -> int:
    return exit_code(report.problems)


# --- what goes


async def test_a_tag_that_left_the_source_goes_and_a_second_run_deletes_nothing(world: World) -> None:
    await fill(world, "hub/app", "v1", "v2")
    world.mirror("app", "hub/app", ["ours/app"], prune=AT_ONCE)
    await world.sync()
    lose(world, "hub/app", "v1")

    report = await world.sync()

    assert tags(world, "ours/app") == ["v2"]
    assert deleted(report) == [("ours/app", "v1")]
    assert report.summary.delete == 1
    assert code(report) == 0
    assert report.results[0].action.reason == "hub/app: it is not there any more"
    again = await world.sync()
    assert (again.results, again.summary.delete, again.summary.unchanged) == ((), 0, 1)


async def test_a_tag_that_a_rule_no_longer_chooses_goes_with_the_rules_reason(world: World) -> None:
    await fill(world, "hub/app", "1.0", "1.1")
    world.mirror("app", "hub/app", ["ours/app"], rules=[NEWEST], prune=AT_ONCE)
    await world.sync()
    await fill(world, "hub/app", "1.2")

    report = await world.sync()

    assert tags(world, "ours/app") == ["1.1", "1.2"]
    (result,) = [one for one in report.results if one.action.verb is Verb.DELETE]
    assert "rule 1 (semver '*')" in result.action.reason
    assert report.summary.create == 1


async def test_without_prune_nothing_goes(world: World) -> None:
    await fill(world, "hub/app", "v1", "v2")
    world.mirror("app", "hub/app", ["ours/app"])
    await world.sync()
    lose(world, "hub/app", "v1")

    assert (await world.sync()).summary.delete == 0
    assert tags(world, "ours/app") == ["v1", "v2"]


async def test_tags_that_regsync_did_not_write_stay(world: World) -> None:
    await fill(world, "hub/app", "v1")
    await fill(world, "ours/app", "theirs")
    world.mirror("app", "hub/app", ["ours/app"], prune=AT_ONCE)
    await world.sync()

    assert tags(world, "ours/app") == ["theirs", "v1"]


async def test_where_the_spec_says_that_regsync_alone_writes_there_they_go(world: World) -> None:
    await fill(world, "hub/app", "v1")
    evidence = "sha256-" + "a" * 64 + ".sig"
    await fill(world, "ours/app", "theirs", evidence)
    world.mirror("app", "hub/app", ["ours/app"], prune=replace(AT_ONCE, owns=Owns.REPOSITORY))

    report = await world.sync()

    assert tags(world, "ours/app") == [evidence, "v1"]
    assert report.summary.delete == 1


async def test_every_target_is_pruned_for_itself(world: World) -> None:
    await fill(world, "hub/app", "v1", "v2")
    world.mirror("app", "hub/app", ["eu/app", "us/app"], prune=AT_ONCE)
    await world.sync()
    lose(world, "hub/app", "v1")
    world.repository("eu/app").fail("tags", DownError("503"))

    report = await world.sync()

    assert deleted(report) == [("us/app", "v1")]
    world.repository("eu/app").failing.clear()
    assert deleted(await world.sync()) == [("eu/app", "v1")]


async def test_sibling_tags_of_the_same_image_stay(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1", "stable", "latest")
    world.mirror("app", "hub/app", ["ours/app"], prune=AT_ONCE)
    await world.sync()
    lose(world, "hub/app", "stable")

    await world.sync()

    assert tags(world, "ours/app") == ["latest", "v1"]
    assert await world.tag("ours/app", "v1") == app.digest


async def test_where_an_image_goes_with_its_last_tag_that_of_an_index_stays(
    world: World,
) -> None:
    amd, arm = image("amd"), image("arm", arch="arm64")
    await world.put("hub/app", index(amd, arm), "v1")
    await world.put("hub/app", amd, "v1-amd64")
    await world.put("hub/app", image("other"), "v0")
    world.mirror("app", "hub/app", ["ours/app"], prune=AT_ONCE)
    await world.sync()
    lose(world, "hub/app", "v1-amd64", "v0")
    world.repository("ours/app").drops_untagged = True  # type: ignore[attr-defined]

    assert deleted(await world.sync()) == [("ours/app", "v0")]
    world.repository("ours/app").drops_untagged = False  # type: ignore[attr-defined]
    assert deleted(await world.sync()) == [("ours/app", "v1-amd64")]


async def test_renamed_tags_are_compared_by_their_names_on_the_target(world: World) -> None:
    await fill(world, "hub/app", "v1", "v2")
    world.mirror("app", "hub/app", ["ours/app"], prune=AT_ONCE, rename="hub-{tag}")
    await world.sync()
    lose(world, "hub/app", "v1")

    await world.sync()

    assert tags(world, "ours/app") == ["hub-v2"]


async def test_an_image_that_a_list_no_longer_names_goes(world: World) -> None:
    from regsync.spec.model import Pin

    await fill(world, "hub/app", "v1", "v2")
    app = Location("hub", RepositoryName("app"))
    pins = tuple((app, Pin(Tag(tag), None)) for tag in ("v1", "v2"))
    world.places.setdefault("ours", type(world.places["hub"])("ours"))
    mirror = world.mirror("app", [], ["ours/app"], images=pins, prune=AT_ONCE)
    await world.sync()
    world.mirrors = [replace(mirror, images=pins[1:])]

    report = await world.sync()

    assert deleted(report) == [("ours/app", "v1")]


# --- grace and clocks


async def test_a_tag_goes_when_it_was_unwanted_for_the_grace_in_runs_on_end(world: World) -> None:
    await fill(world, "hub/app", "v1", "v2")
    world.mirror("app", "hub/app", ["ours/app"], prune=replace(AT_ONCE, grace=7 * DAY))
    await world.sync()
    lose(world, "hub/app", "v1")
    assert deleted(await world.sync()) == []
    world.clock.advance(6 * DAY)
    assert deleted(await world.sync()) == []
    world.clock.advance(DAY)

    assert deleted(await world.sync()) == [("ours/app", "v1")]


async def test_a_tag_that_came_back_waits_for_the_whole_grace_again(world: World) -> None:
    await fill(world, "hub/app", "v1", "v2")
    world.mirror("app", "hub/app", ["ours/app"], prune=replace(AT_ONCE, grace=7 * DAY))
    await world.sync()
    lose(world, "hub/app", "v1")
    await world.sync()
    world.clock.advance(6 * DAY)
    await fill(world, "hub/app", "v1")
    await world.sync()
    lose(world, "hub/app", "v1")
    await world.sync()
    world.clock.advance(6 * DAY)

    assert deleted(await world.sync()) == []


async def test_runs_in_which_the_source_fails_neither_begin_nor_end_a_grace(world: World) -> None:
    await fill(world, "hub/app", "v1", "v2")
    world.mirror("app", "hub/app", ["ours/app"], prune=replace(AT_ONCE, grace=7 * DAY))
    await world.sync()
    lose(world, "hub/app", "v1")
    world.repository("hub/app").fail("tags", DownError("503"))
    await world.sync()
    world.clock.advance(30 * DAY)
    assert deleted(await world.sync()) == []
    world.repository("hub/app").failing.clear()

    assert deleted(await world.sync()) == []


async def test_a_clock_that_jumps_ahead_and_back_deletes_nothing_early(world: World) -> None:
    await fill(world, "hub/app", "v1", "v2")
    world.mirror("app", "hub/app", ["ours/app"], prune=replace(AT_ONCE, grace=7 * DAY))
    await world.sync()
    lose(world, "hub/app", "v1")
    start = world.clock.now()
    world.clock.set(start + 1000 * DAY)
    assert deleted(await world.sync()) == []
    world.clock.set(start)

    assert deleted(await world.sync()) == []


# --- limits


@pytest.mark.parametrize("lost", [3, 4])
async def test_more_than_the_limit_refuses_the_whole_deletion_while_copies_happen(
    world: World, lost: int
) -> None:
    names = [f"v{number:02}" for number in range(30)]
    await fill(world, "hub/app", *names)
    limits = replace(AT_ONCE, limits=DeletionLimits(100, 10))  # 3 of 30
    world.mirror("app", "hub/app", ["ours/app"], prune=limits)
    await world.sync()
    lose(world, "hub/app", *names[:lost])
    await fill(world, "hub/app", "new")

    report = await world.sync()

    assert "new" in tags(world, "ours/app")
    if lost == 3:
        assert (len(deleted(report)), code(report)) == (3, 0)
    else:
        assert (deleted(report), code(report)) == ([], 3)
        assert (report.summary.blocked, report.summary.create) == (4, 1)
        assert len(tags(world, "ours/app")) == 31


async def test_a_limit_refuses_one_target_and_not_the_other(world: World) -> None:
    await fill(world, "hub/app", "v1", "v2", "v3")
    await fill(world, "hub/lib", "v1", "v2", "v3")
    limits = replace(AT_ONCE, limits=DeletionLimits(1, 100))
    world.mirror("all", "hub/{repository}", ["ours/{repository}"], repositories=["app", "lib"], prune=limits)
    await world.sync()
    lose(world, "hub/app", "v1", "v2")
    lose(world, "hub/lib", "v1")

    report = await world.sync()

    assert deleted(report) == [("ours/lib", "v1")]
    assert code(report) == 3


# --- sources that cannot be trusted


async def test_a_source_that_lists_nothing_deletes_nothing(world: World) -> None:
    await fill(world, "hub/app", "v1", "v2")
    world.mirror("app", "hub/app", ["ours/app"], prune=AT_ONCE, at_least=0)
    await world.sync()
    lose(world, "hub/app", "v1", "v2")

    report = await world.sync()

    assert deleted(report) == []
    assert report.warnings == ("mirror app: nothing is deleted at ours/app, since hub/app lists no tag",)


async def test_a_source_that_comes_short_of_at_least_deletes_nothing(world: World) -> None:
    await fill(world, "hub/app", "v1", "v2", "v3")
    world.mirror("app", "hub/app", ["ours/app"], prune=AT_ONCE, at_least=3)
    await world.sync()
    lose(world, "hub/app", "v1")

    report = await world.sync()

    assert deleted(report) == []
    assert code(report) == 1


async def test_a_listing_that_breaks_off_deletes_nothing(world: World) -> None:
    await fill(world, "hub/app", "v1", "v2")
    world.mirror("app", "hub/app", ["ours/app"], prune=AT_ONCE)
    await world.sync()
    lose(world, "hub/app", "v1")
    world.repository("hub/app").fail("tags", DownError("cut off after the first page"))

    report = await world.sync()

    assert deleted(report) == []
    assert code(report) == 75


async def test_a_second_source_that_fails_deletes_nothing(world: World) -> None:
    await fill(world, "hub/app", "v1")
    await fill(world, "spare/app", "v2")
    world.mirror("app", ["hub/app", "spare/app"], ["ours/app"], prune=AT_ONCE)
    await world.sync()
    world.repository("spare/app").fail("tags", DownError("503"))

    assert deleted(await world.sync()) == []
    assert tags(world, "ours/app") == ["v1", "v2"]


async def test_a_named_tag_that_the_source_lacks_stops_all_deletions_of_the_mirror(world: World) -> None:
    await fill(world, "hub/app", "v1", "named")
    await fill(world, "hub/lib", "v1", "v2", "named")
    rules = [TagRule(glob="v*"), TagRule(names=(Tag("named"),))]
    names = ["app", "lib"]
    world.mirror(
        "all",
        "hub/{repository}",
        ["ours/{repository}"],
        repositories=names,
        rules=rules,
        prune=AT_ONCE,
    )
    await world.sync()
    lose(world, "hub/app", "named")
    lose(world, "hub/lib", "v1")

    report = await world.sync()

    assert deleted(report) == []
    assert code(report) == 1
    await fill(world, "hub/app", "named")
    assert deleted(await world.sync()) == [("ours/lib", "v1")]


async def test_what_is_only_too_old_stays_and_what_is_also_gone_goes(world: World) -> None:
    world.mirror(
        "app",
        "hub/app",
        ["ours/app"],
        rules=[TagRule(glob="v*", max_age=30 * DAY), TagRule(glob="x*")],
        prune=AT_ONCE,
    )
    await fill(world, "hub/app", "x1")
    for tag in ("v1", "v2"):
        await world.put("hub/app", image(tag, created="2025-12-31T00:00:00Z"), tag)
    await world.sync()
    world.clock.advance(31 * DAY)
    lose(world, "hub/app", "v2")

    report = await world.sync()

    assert tags(world, "ours/app") == ["v1", "x1"]
    assert deleted(report) == [("ours/app", "v2")]


# --- the ledger


async def test_a_lost_ledger_deletes_nothing_and_says_that_deletions_are_unknown(world: World) -> None:
    await fill(world, "hub/app", "v1", "v2")
    world.mirror("app", "hub/app", ["ours/app"], prune=AT_ONCE)
    await world.sync()
    world.ledger = MemoryLedger()
    lose(world, "hub/app", "v1")

    assert (await world.plan()).summary.delete is None
    assert (await world.sync()).summary.delete is None
    assert tags(world, "ours/app") == ["v1", "v2"]
    assert (await world.plan()).summary.delete == 0


async def test_what_an_earlier_run_was_deleting_when_it_was_killed_is_found_out(world: World) -> None:
    await fill(world, "hub/app", "v1", "v2", "v3")
    world.mirror("app", "hub/app", ["ours/app"], prune=AT_ONCE)
    await world.sync()
    spot = Spot("https://ours.test", "app")
    lose(world, "hub/app", "v1", "v2")
    lose(world, "ours/app", "v1")  # sent, and the process died before it wrote that down
    for tag in (Tag("v1"), Tag("v2")):
        digest = world.ledger.ours(spot)[tag]
        await world.ledger.begin_deletions([Deletion("killed", spot, tag, digest, world.clock.now())])

    report = await world.sync()

    assert deleted(report) == [("ours/app", "v2")]
    assert [(one.tag, one.done is not None) for one in world.ledger.deletions("killed")] == [("v1", True)]
    assert list(world.ledger.ours(spot)) == ["v3"]


async def half_deleted(world: World, **more: object) -> str:
    """v1 left its source, and a run was killed when the tag was on its throw-away manifest."""
    await fill(world, "hub/app", "v1", "v2")
    world.mirror("app", "hub/app", ["ours/app"], prune=replace(AT_ONCE, **more))  # type: ignore[arg-type]
    await world.sync()
    lose(world, "hub/app", "v1")
    tag, digest = Tag("v1"), world.ledger.ours(OURS)[Tag("v1")]
    await world.ledger.begin_deletions([Deletion("killed", OURS, tag, digest, world.clock.now())])
    stand_in = ThrowAway.for_tag(tag, digest)
    target = world.repository("ours/app")
    await target.push(CONFIG_DESCRIPTOR, once(CONFIG))
    await target.push_manifest(stand_in.desc, stand_in.raw, tag=tag)
    return str(digest)


@pytest.mark.parametrize("owns", Owns)
async def test_a_tag_that_a_kill_left_on_a_throw_away_manifest_goes_and_can_be_undone(
    world: World, owns: Owns
) -> None:
    digest = await half_deleted(world, owns=owns)

    report = await world.sync()

    assert tags(world, "ours/app") == ["v2"]
    await undo(world.spec(), world.engine(), report.run.id)
    assert await world.tag("ours/app", "v1") == digest


async def test_a_tag_that_a_kill_left_so_and_that_stays_is_put_back(
    world: World,
) -> None:
    digest = await half_deleted(world)
    world.repository("hub/app").fail("tags", DownError("503"))

    await world.sync()

    assert await world.tag("ours/app", "v1") == digest
    assert list(world.ledger.open_deletions(OURS)) == []


async def test_a_ledger_that_cannot_be_written_deletes_nothing(world: World) -> None:
    from regsync.reconcile.ledger import LedgerError

    class FullLedger(MemoryLedger):
        async def begin_deletions(self, deletions: object) -> None:
            raise LedgerError("ledger.db", "disk is full")

    world.ledger = FullLedger()
    await fill(world, "hub/app", "v1", "v2")
    world.mirror("app", "hub/app", ["ours/app"], prune=AT_ONCE)
    await world.sync()
    lose(world, "hub/app", "v1")

    report = await world.sync()

    assert tags(world, "ours/app") == ["v1", "v2"]
    assert code(report) == 1


# --- others who write there


async def test_a_tag_that_somebody_else_moved_is_no_longer_ours(world: World) -> None:
    await fill(world, "hub/app", "v1", "v2")
    world.mirror("app", "hub/app", ["ours/app"], prune=AT_ONCE)
    await world.sync()
    lose(world, "hub/app", "v1")
    await push(world, "ours/app", "v1", "theirs")

    report = await world.sync()

    assert deleted(report) == []
    assert tags(world, "ours/app") == ["v1", "v2"]
    assert code(report) == 0


async def test_a_tag_that_moves_while_it_is_about_to_go_is_refused(world: World) -> None:
    await fill(world, "hub/app", "v1", "v2")
    world.mirror("app", "hub/app", ["ours/app"], prune=AT_ONCE)
    await world.sync()
    lose(world, "hub/app", "v1")
    target = world.repository("ours/app")
    resolve, looks = target.resolve, [0]

    async def resolve_and_move(name: Tag | Digest) -> object:
        looks[0] += name == "v1"
        if looks[0] == 2:  # the first look decided, the second comes before the deletion
            await push(world, "ours/app", "v1", "theirs")
        return await resolve(name)

    target.resolve = resolve_and_move  # type: ignore[method-assign,assignment]

    report = await world.sync()

    assert [one.outcome for one in report.results] == [Outcome.REFUSED]
    assert code(report) == 3
    assert "v1" in tags(world, "ours/app")
    assert list(world.ledger.open_deletions(Spot("https://ours.test", "app"))) == []


async def test_two_mirrors_of_one_target_leave_each_other_alone(world: World) -> None:
    await fill(world, "hub/one", "a1", "a2")
    await fill(world, "hub/two", "b1", "b2")
    world.mirror("one", "hub/one", ["ours/app"], tags=["a*"], prune=AT_ONCE)
    world.mirror("two", "hub/two", ["ours/app"], tags=["b*"])
    await world.sync()
    lose(world, "hub/one", "a1")
    lose(world, "hub/two", "b1")

    assert deleted(await world.sync()) == [("ours/app", "a1")]
    assert tags(world, "ours/app") == ["a2", "b1", "b2"]


async def test_a_mirror_that_left_the_spec_deletes_nothing_nor_does_its_neighbour(world: World) -> None:
    await fill(world, "hub/one", "a1")
    await fill(world, "hub/two", "b1")
    world.mirror("one", "hub/one", ["ours/app"], tags=["a*"], prune=AT_ONCE)
    world.mirror("two", "hub/two", ["ours/app"], tags=["b*"], prune=AT_ONCE)
    await world.sync()
    del world.mirrors[1]

    assert deleted(await world.sync()) == []
    world.mirrors.clear()
    assert deleted(await world.sync()) == []
    assert tags(world, "ours/app") == ["a1", "b1"]


async def test_a_tag_that_moved_from_one_mirror_to_another_stays_when_that_one_fails_or_is_left_out(
    world: World,
) -> None:
    await fill(world, "hub/one", "x1", "a1")
    await fill(world, "hub/two", "x1", "b1")
    owner = replace(AT_ONCE, owns=Owns.REPOSITORY)
    one = world.mirror("one", "hub/one", ["ours/app"], tags=["x*", "a*"], prune=owner)
    two = world.mirror("two", "hub/two", ["ours/app"], tags=["b*"])
    await world.sync()
    world.mirrors = [
        replace(one, rules=(TagRule(glob="a*"),)),
        replace(two, rules=(TagRule(glob="b*"), TagRule(glob="x*"))),
    ]
    world.repository("hub/two").fail("tags", DownError("503"))
    assert deleted(await world.sync()) == []
    world.repository("hub/two").failing.clear()
    spec = world.spec()
    narrowed = replace(spec, mirrors=spec.mirrors[:1], declared=spec.mirrors)

    report = await sync(narrowed, world.engine())

    assert deleted(report) == []
    assert tags(world, "ours/app") == ["a1", "b1", "x1"]


async def test_renaming_a_mirror_changes_nothing(world: World) -> None:
    await fill(world, "hub/app", "v1", "v2")
    mirror = world.mirror("app", "hub/app", ["ours/app"], prune=AT_ONCE)
    await world.sync()
    world.mirrors = [replace(mirror, name="application")]
    lose(world, "hub/app", "v1")

    assert deleted(await world.sync()) == [("ours/app", "v1")]


async def test_former_images_are_left_to_history(world: World) -> None:
    await fill(world, "hub/app", "v1")
    former = "v1-20260101-" + "a" * 12
    history = History("{tag}-{date}-{digest:12}")
    world.mirror(
        "app", "hub/app", ["ours/app"], prune=replace(AT_ONCE, owns=Owns.REPOSITORY), history=history
    )
    await fill(world, "ours/app", former, "v1-20260101-x")

    await world.sync()

    assert tags(world, "ours/app") == ["v1", former]


async def test_a_run_that_is_bound_to_its_lock_file_deletes_nothing(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1", "v2")
    world.mirror("app", "hub/app", ["ours/app"], prune=AT_ONCE)
    await world.sync()
    lose(world, "hub/app", "v2")
    world.locked("app", "hub/app:v1", app.digest)
    world.binding = Binding.ALL

    assert deleted(await world.sync()) == []


# --- chains


async def chain(world: World) -> None:
    await fill(world, "hub/app", "v1", "v2")
    world.mirror("a-dev", "hub/app", ["dev/app"], prune=AT_ONCE)
    world.mirror("b-staging", "dev/app", ["staging/app"], prune=AT_ONCE)
    await world.sync()
    lose(world, "hub/app", "v1")


async def test_a_chain_is_pruned_to_its_end_in_one_run_as_it_was_planned(world: World) -> None:
    await chain(world)

    planned = await world.plan()
    report = await world.sync()

    assert deleted(planned) == deleted(report) == [("dev/app", "v1"), ("staging/app", "v1")]
    assert (await world.sync()).results == ()


async def test_the_end_of_a_chain_keeps_what_its_beginning_could_not_delete(world: World) -> None:
    await chain(world)
    dev = world.repository("dev/app")
    untag = dev.untag

    async def down(tag: Tag) -> None:
        raise DownError("503")

    dev.untag = down  # type: ignore[method-assign]

    report = await world.sync()

    assert deleted(report) == []
    assert code(report) == 75
    dev.untag = untag  # type: ignore[method-assign]
    assert deleted(await world.sync()) == [("dev/app", "v1"), ("staging/app", "v1")]


async def test_a_repository_of_a_chain_that_nothing_reads_is_pruned_like_the_others(world: World) -> None:
    for name in ("app", "lib"):
        await fill(world, f"hub/{name}", "v1", "v2", "v3")
    repositories = ["app", "lib"]
    world.mirror("a-dev", "hub/{repository}", ["dev/{repository}"], repositories=repositories, prune=AT_ONCE)
    world.mirror("b-staging", "dev/app", ["staging/app"], prune=AT_ONCE)
    await world.sync()
    for name in repositories:
        lose(world, f"hub/{name}", "v1")
    expected = [("dev/app", "v1"), ("dev/lib", "v1"), ("staging/app", "v1")]

    assert deleted(await world.plan()) == expected
    assert deleted(await world.sync()) == expected
    assert (await world.sync()).results == ()


async def test_a_source_that_fails_for_one_repository_stops_the_mirror_along_the_chain(world: World) -> None:
    for name in ("app", "lib"):
        await fill(world, f"hub/{name}", "v1", "v2")
    repositories = ["app", "lib"]
    world.mirror("a-dev", "hub/{repository}", ["dev/{repository}"], repositories=repositories, prune=AT_ONCE)
    world.mirror("b-staging", "dev/app", ["staging/app"], prune=AT_ONCE)
    await world.sync()
    lose(world, "hub/app", "v1")
    world.repository("hub/lib").fail("tags", DownError("503"))

    assert deleted(await world.sync()) == []
    assert tags(world, "staging/app") == ["v1", "v2"]


async def test_a_chain_is_applied_as_it_was_planned(world: World) -> None:
    await chain(world)
    await fill(world, "hub/app", "v3")

    report = await world.apply(await world.plan())

    assert deleted(report) == [("dev/app", "v1"), ("staging/app", "v1")]
    assert tags(world, "dev/app") == tags(world, "staging/app") == ["v2", "v3"]


# --- plans


async def planned(world: World) -> Plan:
    await fill(world, "hub/app", "v1", "v2", "v3")
    world.mirror("app", "hub/app", ["ours/app"], prune=replace(AT_ONCE, protect=("v3",)))
    await world.sync()
    lose(world, "hub/app", "v1")
    return await world.plan()


async def test_a_plan_shows_what_would_go_and_writes_nothing(world: World) -> None:
    made = await planned(world)

    (action,) = made.actions
    assert (action.verb, action.tag, action.digest) == (Verb.DELETE, "v1", action.replaces)
    assert made.summary.delete == 1
    assert tags(world, "ours/app") == ["v1", "v2", "v3"]


async def test_a_plan_is_applied_and_a_second_time_finds_it_done(world: World) -> None:
    made = await planned(world)

    assert deleted(await world.apply(made)) == [("ours/app", "v1")]
    again = await world.apply(made)
    assert [(one.outcome, one.was_there) for one in again.results] == [(Outcome.DONE, True)]
    assert tags(world, "ours/app") == ["v2", "v3"]


async def test_a_plan_whose_tag_moved_since_is_refused(world: World) -> None:
    made = await planned(world)
    await push(world, "ours/app", "v1", "theirs")

    report = await world.apply(made)

    assert [one.outcome for one in report.results] == [Outcome.REFUSED]
    assert tags(world, "ours/app") == ["v1", "v2", "v3"]


async def test_a_plan_whose_tag_came_back_since_is_refused(world: World) -> None:
    made = await planned(world)
    await fill(world, "hub/app", "v1")

    report = await world.apply(made)

    assert [one.outcome for one in report.results] == [Outcome.REFUSED]
    assert "now it stays: wanted" in str(report.results[0].problem)
    assert tags(world, "ours/app") == ["v1", "v2", "v3"]


@pytest.mark.parametrize("tag", ["v2", "v3", "theirs"])
async def test_an_edited_plan_deletes_nothing_that_is_not_due(world: World, tag: str) -> None:
    made = await planned(world)
    await fill(world, "ours/app", "theirs")
    digest = await world.tag("ours/app", tag)
    assert digest is not None
    action = made.actions[0]
    edited: Action = replace(
        action, tag=Tag(tag), digest=Digest.parse(digest), replaces=Digest.parse(digest), source_tag=Tag(tag)
    )

    report = await world.apply(replace(made, actions=(edited,)))

    assert [one.outcome for one in report.results] == [Outcome.REFUSED]
    assert tags(world, "ours/app") == ["theirs", "v1", "v2", "v3"]


async def test_every_tag_of_a_target_is_explained(world: World) -> None:
    await planned(world)
    lose(world, "hub/app", "v3")

    made = await world.plan(Explain.YES)

    here = {one.tag: one for one in made.explanations if one.target is not None}
    assert {tag: one.kept for tag, one in here.items()} == {"v1": False, "v2": True, "v3": True}
    assert here[Tag("v3")].why == "protected by prune.protect 'v3'"
    assert str(here[Tag("v1")].target) == "ours/app"


async def test_what_a_plan_sees_of_a_grace_is_not_remembered(world: World) -> None:
    await fill(world, "hub/app", "v1", "v2")
    world.mirror("app", "hub/app", ["ours/app"], prune=replace(AT_ONCE, grace=DAY))
    await world.sync()
    lose(world, "hub/app", "v1")
    await world.sync()
    known = world.ledger.absences(Spot("https://ours.test", "app"))

    assert known == {Tag("v1"): Absence(world.clock.now(), world.clock.now(), 1)}
    assert Fate.WAITING.value == "waiting"


# --- the end of a run comes early


async def test_a_run_that_is_stopped_between_two_deletions_reports_the_first(world: World) -> None:
    await fill(world, "hub/app", "v1", "v2", "v3")
    world.mirror("app", "hub/app", ["ours/app"], prune=AT_ONCE)
    await world.sync()
    lose(world, "hub/app", "v1", "v2")
    target, stop = world.repository("ours/app"), anyio.Event()
    untag = target.untag

    async def untag_once(tag: Tag) -> None:
        if tag == "v2":
            stop.set()
            await anyio.sleep_forever()
        await untag(tag)

    target.untag = untag_once  # type: ignore[method-assign]

    report = await sync(world.spec(), world.engine(), stop=stop)

    assert report.run.interrupted
    assert deleted(report) == [("ours/app", "v1")]
    assert [one.tag for one in world.ledger.open_deletions(Spot("https://ours.test", "app"))] == ["v2"]
    target.untag = untag  # type: ignore[method-assign]
    assert deleted(await world.sync()) == [("ours/app", "v2")]


async def test_a_run_that_lost_its_lease_deletes_nothing_more(world: World) -> None:
    await fill(world, "hub/app", "v1", "v2", "v3")
    world.mirror("app", "hub/app", ["ours/app"], prune=AT_ONCE)
    await world.sync()
    lose(world, "hub/app", "v1", "v2")

    def lost() -> None:
        raise LeaseLostError("another took it", where="ledger.db")

    world.check_lease = lost
    report = await world.sync()

    assert tags(world, "ours/app") == ["v1", "v2", "v3"]
    assert (deleted(report), code(report)) == ([], 75)


NEWEST_ONE = TagRule(semver=SemverMatch("*"), newest=1)


async def test_the_last_good_tag_stays_while_the_one_that_follows_it_cannot_be_copied(world: World) -> None:
    await fill(world, "hub/app", "1.0.0")
    world.mirror("app", "hub/app", ["ours/app"], rules=(NEWEST_ONE,), prune=AT_ONCE)
    await world.sync()
    new = await push(world, "hub/app", "1.1.0", "new")
    world.repository("ours/app").fail("push_manifest", DownError("503"), when=Tag("1.1.0"))

    report = await world.sync()

    assert {(one.action.verb, one.outcome) for one in report.results} == {
        (Verb.CREATE, Outcome.FAILED),
        (Verb.DELETE, Outcome.DEFERRED),
    }
    assert "1.1.0, which it wants there, did not arrive" in str([one.problem for one in report.results])
    assert tags(world, "ours/app") == ["1.0.0"]

    world.repository("ours/app").failing.clear()
    await world.sync()
    assert tags(world, "ours/app") == ["1.1.0"]
    assert await world.tag("ours/app", "1.1.0") == new


async def test_a_plan_says_that_a_deletion_waits_for_what_is_blocked(world: World) -> None:
    await fill(world, "hub/app", "1.0.0")
    world.mirror("app", "hub/app", ["ours/app"], rules=(NEWEST_ONE,), prune=AT_ONCE)
    await world.sync()
    await fill(world, "hub/app", "1.1.0")
    world.unwritable["ours/app"] = DownError("503")
    planned = await world.plan()
    assert [one.verb for one in planned.pending] == []
    assert planned.summary.deferred == 1
