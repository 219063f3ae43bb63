"""Retention over whole places: what goes, what stays for whatever reason, and what a bad day leaves alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from regsync.content.memory import MemoryRepository
from regsync.content.tag_times import TagTimes
from regsync.errors import RegsyncError, TemporaryError
from regsync.oci.digest import Digest
from regsync.oci.platform import Platform
from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.model import Outcome, Result, exit_code, problems_of
from regsync.reconcile.daemon_run import work_for
from regsync.reconcile.ledger import LedgerError, Spot
from regsync.reconcile.ledger_memory import MemoryLedger
from regsync.reconcile.retention import RetentionPlan, plan_retention, retain
from regsync.spec.in_use import RunningImage
from regsync.spec.lock import Lock, LockEntry, LockFile
from regsync.spec.model import Location, Spec, TagRule
from regsync.spec.pruning import DeletionLimits
from regsync.spec.retention import InUseCluster, InUseFile, KeepRule, RepositoryGlob, RetentionPolicy
from tests.reconcile.world import CountingRepository, World
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

pytestmark = pytest.mark.anyio
NO_LIMITS = DeletionLimits(1_000_000, 100)
WEEK = timedelta(days=7)


class DownError(TemporaryError):
    """Nobody answers."""


def newest(count: int, glob: str = "v*") -> KeepRule:
    return KeepRule(TagRule(glob=glob, newest=count))


def policy(*keep: KeepRule, at: str = "local/**", **more: Any) -> RetentionPolicy:
    registry, _, path = at.partition("/")
    return RetentionPolicy("p", (RepositoryGlob(registry, path),), keep, **{"limits": NO_LIMITS, **more})


@dataclass(frozen=True)
class Retained:
    """What a run did."""

    results: tuple[Result, ...]
    warnings: tuple[str, ...]


class Kept(World):
    """A world with policies, a lock file, and clusters."""

    def __init__(self) -> None:
        super().__init__()
        self.retention: Sequence[RetentionPolicy] = ()
        self.lock = Lock()
        self.clusters: dict[str, Sequence[RunningImage] | RegsyncError] = {}
        self.runs = 0

    def spec(self) -> Spec:
        return replace(super().spec(), lock=self.lock, retention=tuple(self.retention))

    async def running(self, context: str) -> Sequence[RunningImage]:
        found = self.clusters[context]
        if isinstance(found, RegsyncError):
            raise found
        return found

    async def plan_it(self) -> RetentionPlan:
        return await plan_retention(self.spec(), self.engine(), policies=self.retention, now=self.clock.now())

    async def carry_it_out(self) -> "Retained":
        self.runs += 1
        spec, results = self.spec(), list[Result]()
        warnings = await retain(
            spec,
            self.engine(),
            policies=self.retention,
            now=self.clock.now(),
            run_id=f"run-{self.runs}",
            results=results,
        )
        return Retained(tuple(results), warnings)

    def tags(self, path: str) -> set[str]:
        return {str(tag) for tag in self.repository(path)._tags}

    def has(self, path: str, content: Content) -> bool:
        return Digest.parse(content.digest) in self.repository(path)._manifests


@pytest.fixture
def world() -> Kept:
    """Two repositories under `local/team`, each with v1 to v4 of its own images, and `latest` at v4."""
    return Kept()


async def filled(world: Kept, *paths: str) -> dict[str, Content]:
    found: dict[str, Content] = {}
    for path in paths or ("local/team/app",):
        for number in range(1, 5):
            tags = [f"v{number}"] + ["latest"] * (number == 4)
            found[f"v{number}"] = await world.put(path, image(f"{path} {number}"), *tags)
    return found


def done(retained: Retained) -> set[str]:
    assert not problems_of(retained.results), problems_of(retained.results)
    return {_name(result) for result in retained.results}


def _name(result: Result) -> str:
    action = result.action
    return f"{action.target}:{action.tag}" if action.tag else f"{action.target}@{str(action.digest)[7:19]}"


async def test_what_no_rule_keeps_goes_and_a_plan_says_so_before(world: Kept) -> None:
    await filled(world, "local/team/app", "local/team/web", "local/other/app")
    world.retention = [policy(newest(2), at="local/team/*")]
    planned = await world.plan_it()
    assert [f"{one.target}:{one.tag}" for one in planned.actions] == [
        "local/team/app:v1",
        "local/team/app:v2",
        "local/team/web:v1",
        "local/team/web:v2",
    ]
    assert planned.actions[0].reason == "rule 1 (glob 'v*'): dropped: not among the newest 2"
    assert "untag" not in {call for path in ("local/team/app",) for call, _ in world.repository(path).calls}
    assert {one.tag: one.kept for one in planned.explanations if "web" in str(one.source)} == {
        "v1": False, "v2": False, "v3": True, "v4": True, "latest": True
    }  # fmt: skip
    retained = await world.carry_it_out()
    assert done(retained) == {f"{one.target}:{one.tag}" for one in planned.actions}
    assert world.tags("local/team/app") == {"v3", "v4", "latest"}
    assert world.tags("local/other/app") == {"v1", "v2", "v3", "v4", "latest"}
    assert (await world.carry_it_out()).results == ()


async def test_sibling_tags_of_one_image_stay(world: Kept) -> None:
    await world.put("local/app", image("shared"), "v1", "v2", "stable")
    world.retention = [policy(newest(1))]
    await world.carry_it_out()
    assert world.tags("local/app") == {"v2", "stable"}
    assert world.has("local/app", image("shared"))


async def test_the_ledger_knows_what_was_deleted_for_an_undo(world: Kept) -> None:
    content = await filled(world)
    world.retention = [policy(newest(3))]
    await world.carry_it_out()
    (deletion,) = world.ledger.deletions("run-1")
    assert (deletion.tag, str(deletion.digest)) == (Tag("v1"), content["v1"].digest)
    assert deletion.done == world.clock.now()


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        pytest.param(DeletionLimits(2, 100), 3, id="exactly the limit"),
        pytest.param(DeletionLimits(1, 100), 5, id="one more than the limit"),
        pytest.param(DeletionLimits(100, 40), 3, id="exactly the percentage"),
        pytest.param(DeletionLimits(100, 39), 3, id="a percentage is rounded up"),
        pytest.param(DeletionLimits(100, 20), 5, id="one more than the percentage"),
    ],
)
async def test_past_the_limits_nothing_goes_there_and_elsewhere_it_does(
    world: Kept, limits: DeletionLimits, left: int
) -> None:
    await filled(world, "local/team/app")
    await world.put("local/team/small", image("s1"), "v1")
    for tag in ("v2", "v3"):
        await world.put("local/team/small", image(tag), tag)
    world.retention = [policy(newest(2), limits=limits)]
    retained = await world.carry_it_out()
    assert len(world.tags("local/team/app")) == left
    assert world.tags("local/team/small") == {"v2", "v3"}
    refused = [one for one in retained.results if one.outcome is Outcome.BLOCKED]
    assert len(refused) == (0 if left == 3 else 2)
    assert exit_code(problems_of(retained.results)) == (0 if left == 3 else 3)
    assert all("nothing is deleted there" in one.problem.message for one in refused if one.problem)


# What keeps a tag besides the rules


async def test_what_a_mirror_declares_is_never_deleted(world: Kept) -> None:
    await world.put("hub/app", image("one"), "v1", "v2", "v3", "v4")
    world.mirror("m", "hub/app", ["local/team/app"], rules=[TagRule(glob="v*", newest=3)])
    await world.sync()
    await world.put("local/team/app", image("old"), "v1", "v0")
    world.retention = [policy(newest(1))]
    planned = await world.plan_it()
    assert {one.tag for one in planned.actions} == {"v0", "v1"}
    reasons = {one.tag: one.why for one in planned.explanations}
    assert reasons[Tag("v2")] == "declared by mirror m"
    await world.carry_it_out()
    assert world.tags("local/team/app") == {"v2", "v3", "v4"}


async def test_a_mirror_whose_source_cannot_be_read_keeps_whatever_it_could_write(world: Kept) -> None:
    await world.put("hub/app", image("one"), "v1")
    world.mirror("m", "hub/app", ["local/team/app"], tags=["v*"])
    await filled(world)
    await world.put("local/team/app", image("pr"), "pr-1", "pr-2")
    world.repository("hub/app").fail("tags", DownError("hub is down"))
    world.retention = [policy(newest(1), newest(1, "pr-*"))]
    retained = await world.carry_it_out()
    assert done(retained) == {"local/team/app:pr-1"}
    reasons = {one.tag: one.why for one in (await world.plan_it()).explanations}
    assert "mirror m may want it" in reasons[Tag("v1")]


async def test_a_mirror_that_the_run_was_not_asked_for_keeps_its_tags_too(world: Kept) -> None:
    await world.put("hub/app", image("one"), "v1", "v2")
    mirror = world.mirror("m", "hub/app", ["local/team/app"], tags=["v*"])
    await world.sync()
    spec = replace(world.spec(), mirrors=(), declared=(mirror,))
    results: list[Result] = []
    policies = [policy(newest(1))]
    await retain(spec, world.engine(), policies=policies, now=world.clock.now(), run_id="r", results=results)
    assert results == []


async def test_a_locked_digest_keeps_its_tags_and_the_index_above_it(world: Kept) -> None:
    amd = image("amd")
    await world.put("local/team/app", index(amd, image("arm")), "v1")
    await world.put("local/team/app", image("locked"), "v2")
    for number in (3, 4):
        await world.put("local/team/app", image(f"{number}"), f"v{number}")
    entries = tuple(
        LockEntry("docker.io/library/app", Tag("x"), Digest.parse(one.digest))
        for one in (amd, image("locked"))
    )
    world.lock = Lock({Path("regsync.lock"): LockFile(Path("regsync.lock"), entries)})
    world.retention = [policy(newest(1))]
    assert done(await world.carry_it_out()) == {"local/team/app:v3"}


async def test_what_runs_by_a_list_stays_by_tag_and_by_digest(world: Kept, tmp_path: Path) -> None:
    content = await filled(world)
    deployed = tmp_path / "deployed.txt"
    deployed.write_text(f"local/team/app:v1\nsomewhere.example.com/else@{content['v2'].digest}\n")
    world.retention = [policy(newest(1), in_use=(InUseFile(deployed),))]
    planned = await world.plan_it()
    assert {one.tag for one in planned.actions} == {"v3"}
    reasons = {one.tag: one.why for one in planned.explanations}
    assert reasons[Tag("v1")] == "in use: file:deployed.txt:1"
    assert reasons[Tag("v2")] == "in use: file:deployed.txt:2"


@pytest.mark.parametrize("name", ["also/team/app", "local.test:443/team/app", "local.test/team/app"])
async def test_what_runs_stays_by_whatever_name_its_place_has(world: Kept, tmp_path: Path, name: str) -> None:
    await filled(world)
    world.hosts["also"] = "local"
    world.places["also"] = world.places["local"]
    deployed = tmp_path / "deployed.txt"
    deployed.write_text(f"{name}:v1\n")
    world.retention = [policy(newest(1), in_use=(InUseFile(deployed),))]
    assert {one.tag for one in (await world.plan_it()).actions} == {"v2", "v3"}


async def test_what_runs_from_the_source_of_a_mirror_stays_at_its_targets(
    world: Kept, tmp_path: Path
) -> None:
    await world.put("hub/app", image("other"), "x1")
    world.mirror("m", "hub/app", ["local/team/app"], tags=["x*"])
    await filled(world)
    deployed = tmp_path / "deployed.txt"
    deployed.write_text("hub.test/app:v1\n")
    world.retention = [policy(newest(1), in_use=(InUseFile(deployed),))]
    assert {one.tag for one in (await world.plan_it()).actions} == {"v2", "v3"}


async def test_pods_of_a_cluster_keep_what_they_run(world: Kept) -> None:
    child = image("child")
    await world.put("local/team/app", index(child, image("arm")), "v1")
    await world.put("local/team/app", image("v2"), "v2")
    await world.put("local/team/app", image("v3"), "v3")
    world.clusters["prod"] = [
        RunningImage(frozenset(), None, Digest.parse(child.digest), "kubernetes:prod, pod web/a")
    ]
    world.retention = [policy(newest(1), in_use=(InUseCluster("prod"),))]
    assert done(await world.carry_it_out()) == {"local/team/app:v2"}


@pytest.mark.parametrize("source", ["file", "cluster"])
async def test_where_it_is_not_known_what_runs_nothing_goes(world: Kept, source: str, tmp_path: Path) -> None:
    await filled(world)
    world.clusters["prod"] = DownError("kubernetes:prod: no answer")
    in_use = InUseCluster("prod") if source == "cluster" else InUseFile(tmp_path / "gone.txt")
    world.retention = [policy(newest(1), in_use=(in_use,))]
    retained = await world.carry_it_out()
    assert world.tags("local/team/app") == {"v1", "v2", "v3", "v4", "latest"}
    assert exit_code(problems_of(retained.results)) == (75 if source == "cluster" else 1)


# Times


async def with_times(world: Kept, path: str, **pulled: float | None) -> CountingRepository:
    """Pushed 100 days ago, pulled so many days ago."""
    repository = world.repository(path)
    now = world.clock.now()
    repository.tag_times = {
        Tag(tag): TagTimes(now - timedelta(days=100), None if age is None else now - timedelta(days=age))
        for tag, age in pulled.items()
    }
    return repository


async def test_pulls_at_any_place_of_a_mirror_count_and_unknown_ones_keep(world: Kept) -> None:
    await world.put("hub/app", image("x"), "x")
    world.mirror("m", "hub/app", ["local/team/app", "eu/app"], tags=["x"])
    for path in ("local/team/app", "eu/app"):
        await filled(world, path)
    await world.put("local/team/app", image("only here"), "v0")
    await with_times(world, "local/team/app", v0=90, v1=90, v2=90, v3=None, v4=1)
    await with_times(world, "eu/app", v1=90, v2=10, v3=90, v4=90)
    world.retention = [policy(newest(1), KeepRule(pulled_within=timedelta(days=30)))]
    planned = await world.plan_it()
    assert {one.tag for one in planned.actions} == {"v0", "v1"}
    world.repository("eu/app").tag_times = None
    planned = await world.plan_it()
    assert {one.tag for one in planned.actions} == {"v0"}
    assert any("eu/app does not tell when tags were pulled" in one for one in planned.warnings)


async def test_a_place_that_tells_no_times_keeps_what_rules_ask_them_for(world: Kept) -> None:
    await filled(world)
    world.retention = [policy(KeepRule(TagRule(glob="v*"), pushed_within=timedelta(days=1)))]
    planned = await world.plan_it()
    assert planned.actions == ()
    assert planned.warnings == (
        "local/team/app does not tell when tags were pushed: rules by that keep them all",
    )
    await with_times(world, "local/team/app", v1=1, v2=1, v3=1, v4=1)
    assert len((await world.plan_it()).actions) == 4


async def test_times_that_cannot_be_read_keep_as_well(world: Kept) -> None:
    await filled(world)
    (await with_times(world, "local/team/app", v1=1)).fail("times", DownError("down"))
    world.retention = [policy(KeepRule(TagRule(glob="v*"), pushed_within=timedelta(days=1)))]
    assert (await world.plan_it()).actions == ()


# What goes with tags


async def signed(world: Kept, path: str, content: Content, *tags: str) -> None:
    await world.put(path, content, *tags)
    await world.put(path, cosign_signature(content), cosign_tag(content))


async def test_signatures_go_with_the_last_tag_of_their_image(world: Kept) -> None:
    app, other, shared = image("app"), image("other"), image("shared")
    await signed(world, "local/app", app, "v1")
    await signed(world, "local/app", shared, "v2", "stable")
    await signed(world, "local/app", other, "v3")
    world.retention = [policy(newest(1))]
    retained = await world.carry_it_out()
    assert done(retained) == {"local/app:v1", "local/app:v2", f"local/app:{cosign_tag(app)}"}
    assert world.tags("local/app") == {"stable", "v3", cosign_tag(other), cosign_tag(shared)}
    assert len(world.ledger.deletions("run-1")) == 3


async def test_children_of_an_index_that_stays_keep_their_signatures(world: Kept) -> None:
    amd, arm = image("amd"), image("arm")
    await signed(world, "local/app", amd, "v1")
    await signed(world, "local/app", index(index(amd), arm), "v2")
    world.retention = [policy(newest(1), untagged_keep_for=timedelta())]
    assert done(await world.carry_it_out()) == {"local/app:v1"}
    assert world.has("local/app", amd)
    assert cosign_tag(amd) in world.tags("local/app")


async def test_evidence_stays_when_a_tag_of_its_image_could_not_be_deleted(world: Kept) -> None:
    app = image("app")
    await signed(world, "local/app", app, "v1")
    await world.put("local/app", image("new"), "v2")
    world.repository("local/app").fail("untag", DownError("down"), when=Tag("v1"))
    world.retention = [policy(newest(1))]
    retained = await world.carry_it_out()
    assert exit_code(problems_of(retained.results)) == 75
    assert cosign_tag(app) in world.tags("local/app")
    world.repository("local/app").failing.clear()
    assert done(await world.carry_it_out()) == {"local/app:v1", f"local/app:{cosign_tag(app)}"}


async def test_a_run_that_dies_between_an_image_and_its_signature_is_finished_by_the_next(
    world: Kept,
) -> None:
    app = image("app")
    await signed(world, "local/app", app, "v1")
    await world.put("local/app", image("new"), "v2")
    world.repository("local/app").fail("untag", DownError("killed"), when=Tag(cosign_tag(app)), times=1)
    world.retention = [policy(newest(1))]
    await world.carry_it_out()
    assert world.tags("local/app") == {"v2", cosign_tag(app)}
    assert done(await world.carry_it_out()) == {f"local/app:{cosign_tag(app)}"}


async def test_manifests_that_nothing_leads_to_go_after_their_time_with_all_below_and_beside(
    world: Kept,
) -> None:
    amd, arm, kept = image("amd"), image("arm"), image("kept")
    old = index(amd, arm, kept)
    await world.put("local/app", old, "v1")
    await world.put("local/app", index(kept, image("other")), "v2")
    sbom = await world.put("local/app", referrer(amd))
    signature = await world.put("local/app", referrer(sbom))
    world.retention = [policy(newest(1), untagged_keep_for=WEEK)]
    assert done(await world.carry_it_out()) == {"local/app:v1"}
    world.clock.advance(WEEK - timedelta(seconds=1))
    assert (await world.carry_it_out()).results == ()
    world.clock.advance(timedelta(seconds=1))
    retained = await world.carry_it_out()
    assert len(done(retained)) == 5
    left = {
        name for name, one in locals().items() if isinstance(one, Content) and world.has("local/app", one)
    }
    assert left == {"kept"}
    assert (await world.carry_it_out()).results == ()
    assert world.ledger.absences(spot_of("local", "app")) == {}
    assert not world.has("local/app", signature)


def spot_of(registry: str, repository: str) -> Spot:
    return Spot(f"https://{registry}.test", repository)


async def test_a_list_of_referrers_under_a_fallback_tag_goes_before_them(world: Kept) -> None:
    app = await world.put("local/app", image("app"), "v1")
    sbom = await world.put("local/app", referrer(app))
    listing = await world.put("local/app", fallback_index(sbom), fallback_tag(app))
    await world.put("local/app", image("new"), "v2")
    world.retention = [policy(newest(1), untagged_keep_for=timedelta())]
    deleted = [one.action.digest for one in (await world.carry_it_out()).results if one.action.tag is None]
    assert deleted == [Digest.parse(one.digest) for one in (listing, sbom, app)]


async def test_what_a_mirror_moved_its_tag_from_goes_in_its_time_too(world: Kept) -> None:
    world.retention = [policy(untagged_keep_for=WEEK)]
    world.mirror("m", "hub/app", ["local/app"], tags=["latest"])
    old = await world.put("hub/app", image("old"), "latest")
    await world.sync()
    await world.put("hub/app", image("new"), "latest")
    await world.sync()
    assert (await world.carry_it_out()).results == ()
    world.clock.advance(WEEK)
    assert len(done(await world.carry_it_out())) == 1
    assert not world.has("local/app", old)
    assert world.tags("local/app") == {"latest"}


async def test_a_daemon_notes_for_all_policies_what_its_mirrors_move_tags_from(world: Kept) -> None:
    world.mirror("m", "hub/app", ["local/app"], tags=["latest"])
    world.retention = [policy(untagged_keep_for=WEEK), replace(policy(at="eu/**"), name="other")]
    spec = world.spec()
    assert work_for(spec, ["mirror:m"]).spec.retention == spec.retention
    only = work_for(spec, ["retention:other"]).spec
    assert [one.name for one in only.retention] == ["other"]
    assert only.mirrors == ()


async def test_what_is_tagged_again_in_its_time_stays(world: Kept) -> None:
    app = await world.put("local/app", image("app"), "v1")
    await world.put("local/app", image("new"), "v2")
    world.retention = [policy(newest(1), untagged_keep_for=WEEK)]
    await world.carry_it_out()
    await world.put("local/app", app, "again")
    world.clock.advance(WEEK)
    assert (await world.carry_it_out()).results == ()
    assert world.has("local/app", app)


async def test_what_is_tagged_between_the_decision_and_its_deletion_stays(world: Kept) -> None:
    app = await world.put("local/app", image("app"), "v1")
    await world.put("local/app", image("new"), "v2")
    world.retention = [policy(newest(1), untagged_keep_for=WEEK)]
    await world.carry_it_out()
    world.clock.advance(WEEK)
    listings = 0

    def tag_it(_: object) -> RegsyncError | None:
        nonlocal listings
        listings += 1
        if listings == 2:  # the one before manifests go
            world.repository("local/app")._tags[Tag("again")] = Digest.parse(app.digest)
        return None

    world.repository("local/app").failing["tags"] = tag_it
    assert (await world.carry_it_out()).results == ()
    assert listings == 2
    assert world.has("local/app", app)


async def test_a_referrer_that_is_also_tagged_keeps_its_subject(world: Kept) -> None:
    app = await world.put("local/app", image("app"), "v1")
    await world.put("local/app", referrer(app), "report")
    await world.put("local/app", image("new"), "v2")
    world.retention = [policy(newest(1), untagged_keep_for=timedelta())]
    assert done(await world.carry_it_out()) == {"local/app:v1"}
    assert (await world.carry_it_out()).results == ()
    assert world.has("local/app", app)


async def test_a_tagged_referrer_that_loses_its_tag_stays_with_its_subject(world: Kept) -> None:
    app = await world.put("local/app", image("app"), "stable")
    report = await world.put("local/app", referrer(app), "v1")
    await world.put("local/app", image("new"), "v2")
    world.retention = [policy(newest(1), untagged_keep_for=timedelta())]
    assert done(await world.carry_it_out()) == {"local/app:v1"}
    assert (await world.carry_it_out()).results == ()
    assert world.has("local/app", report)


async def test_pinned_content_of_a_mirror_is_no_waste(world: Kept) -> None:
    pinned = await world.put("hub/app", image("pinned"), "x")
    world.mirror("m", "hub/app", ["local/app"], digests=(Digest.parse(pinned.digest),))
    await world.put("local/app", pinned, "v1")
    await world.put("local/app", image("new"), "v2")
    world.retention = [policy(newest(1), untagged_keep_for=timedelta())]
    assert (await world.carry_it_out()).results == ()  # its tag leads to what is kept


async def test_where_pinned_content_is_trimmed_no_untagged_manifest_goes(world: Kept) -> None:
    pinned = await world.put("hub/app", image("pinned"), "x")
    world.mirror(
        "m",
        "hub/app",
        ["local/app"],
        digests=(Digest.parse(pinned.digest),),
        platforms=(Platform.of("linux", "amd64"),),
    )
    await world.put("local/app", image("old"), "v1")
    await world.put("local/app", image("new"), "v2")
    world.retention = [policy(newest(1), untagged_keep_for=timedelta())]
    assert done(await world.carry_it_out()) == {"local/app:v1"}
    planned = await world.plan_it()
    assert planned.actions == ()


async def test_what_lost_its_tags_within_the_limits_is_not_counted_again(world: Kept) -> None:
    limits = DeletionLimits(2, 100)
    world.retention = [policy(newest(1), untagged_keep_for=WEEK, limits=limits)]
    for number in range(1, 4):
        app = image(f"{number}")
        await signed(world, "local/app", app, f"v{number}")
    assert len(done(await world.carry_it_out())) == 4
    world.clock.advance(WEEK)
    assert len(done(await world.carry_it_out())) == 4


# Bad days


async def test_a_listing_that_fails_deletes_nothing_there_and_says_so(world: Kept) -> None:
    await filled(world, "local/a", "local/b")
    world.repository("local/a").fail("tags", DownError("local is down"))
    world.retention = [policy(newest(1))]
    retained = await world.carry_it_out()
    assert world.tags("local/a") == {"v1", "v2", "v3", "v4", "latest"}
    assert world.tags("local/b") == {"v4", "latest"}
    assert exit_code(problems_of(retained.results)) == 75


async def test_a_listing_that_leaves_out_a_tag_of_ours_deletes_nothing(world: Kept) -> None:
    await world.put("hub/app", image("one"), "x1")
    world.mirror("m", "hub/app", ["local/app"], tags=["x1"])
    await world.sync()
    await filled(world, "local/app")
    world.retention = [policy(newest(1))]
    tag, digest = Tag("x1"), world.repository("local/app")._tags[Tag("x1")]
    desc = world.repository("local/app")._manifests[digest][0]

    async def still_there(name: object) -> object:
        return desc

    del world.repository("local/app")._tags[tag]
    world.repository("local/app").resolve = still_there  # type: ignore[method-assign,assignment]
    retained = await world.carry_it_out()
    assert exit_code(problems_of(retained.results)) == 1
    assert world.tags("local/app") == {"v1", "v2", "v3", "v4", "latest"}


async def test_a_tag_that_moves_before_it_is_deleted_stays(world: Kept) -> None:
    await filled(world)
    repository = world.repository("local/team/app")
    resolved = 0

    def move(name: object) -> RegsyncError | None:
        nonlocal resolved
        if name == Tag("v1"):
            resolved += 1
            if resolved == 2:
                repository._tags[Tag("v1")] = repository._tags[Tag("v4")]
        return None

    repository.failing["resolve"] = move
    world.retention = [policy(newest(3))]
    (result,) = (await world.carry_it_out()).results
    assert result.outcome is Outcome.REFUSED
    assert "v1" in world.tags("local/team/app")
    assert world.ledger.deletions("run-1") == []


async def test_a_tag_that_is_gone_already_is_no_failure(world: Kept) -> None:
    await filled(world)
    repository = world.repository("local/team/app")

    def somebody_was_first(tag: object) -> None:
        repository._tags.pop(Tag(str(tag)), None)

    repository.failing["untag"] = somebody_was_first
    world.retention = [policy(newest(3))]
    (result,) = (await world.carry_it_out()).results
    assert result.outcome is Outcome.DONE
    assert result.was_there


class BrokenLedger(MemoryLedger):
    """It cannot be written."""

    async def begin_deletions(self, deletions: object) -> None:
        raise LedgerError("ledger.db", "disk full")


async def test_what_cannot_be_written_down_is_not_deleted(world: Kept) -> None:
    await filled(world)
    world.ledger = BrokenLedger()
    world.retention = [policy(newest(1))]
    retained = await world.carry_it_out()
    assert {one.outcome for one in retained.results} == {Outcome.FAILED}
    assert world.repository("local/team/app").count("untag") == 0


async def test_images_that_cannot_be_read_keep_their_evidence(world: Kept) -> None:
    app = image("app")
    await signed(world, "local/app", app, "v1")
    await world.put("local/app", index(image("x"), image("y")), "v2")
    broken = Digest.parse(index(image("x"), image("y")).digest)
    world.repository("local/app").fail("manifest", DownError("bit rot"), when=broken)
    world.retention = [policy(newest(1))]
    retained = await world.carry_it_out()
    assert done(retained) == {"local/app:v1"}
    assert any("no evidence goes" in one for one in retained.warnings)


class EagerRepository(CountingRepository):
    """As ECR: an image goes with its last tag."""

    drops_untagged = True

    async def untag(self, tag: Tag) -> None:
        digest = self._tags[tag]
        await super().untag(tag)
        if digest not in self._tags.values():
            await MemoryRepository.delete(self, self._manifests[digest][0])


async def test_where_an_image_goes_with_its_last_tag_children_of_a_kept_index_keep_theirs(
    world: Kept,
) -> None:
    child = image("child")
    place = world.repository("ecr/x")._place
    assert place is not None
    place._repositories["app"] = EagerRepository("ecr:app", place)
    await world.put("ecr/app", child, "v1")
    await world.put("ecr/app", image("old"), "v2")
    await world.put("ecr/app", index(child), "v3")
    world.retention = [policy(newest(1), at="ecr/**")]
    planned = await world.plan_it()
    reasons = {one.tag: one.why for one in planned.explanations}
    assert "deletes an image with its last tag" in reasons[Tag("v1")]
    assert done(await world.carry_it_out()) == {"ecr/app:v2"}
    assert world.has("ecr/app", child)


async def test_an_artifact_is_kept_and_goes_like_an_image(world: Kept) -> None:
    for number in (1, 2, 3):
        await world.put("local/charts", artifact(f"chart {number}"), f"v{number}")
    world.retention = [policy(newest(1), untagged_keep_for=timedelta())]
    assert len(done(await world.carry_it_out())) == 4
    assert world.tags("local/charts") == {"v3"}


async def test_two_names_of_one_place_are_one_repository(world: Kept) -> None:
    await filled(world)
    world.hosts["also"] = "local"
    world.places["also"] = world.places["local"]
    rules = RetentionPolicy(
        "p",
        (RepositoryGlob("local", "**"), RepositoryGlob("also", "team/app")),
        (newest(1),),
        limits=NO_LIMITS,
    )
    world.retention = [rules]
    assert {one.target for one in (await world.plan_it()).actions} == {
        Location("local", RepositoryName("team/app"))
    }
