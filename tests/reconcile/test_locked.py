"""Runs that keep to a lock file, and tags that every run keeps where the lock file holds them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from regsync.errors import TemporaryError
from regsync.oci.digest import Digest
from regsync.oci.platform import Platform
from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.model import Cause, Outcome, exit_code
from regsync.reconcile.ledger import Spot
from regsync.spec.lock import Lock, LockFile
from regsync.spec.locked import locked_spec
from regsync.spec.model import Binding, Location, Pin, RepositoryGlobs, TagRule
from regsync.spec.problems import InvalidSpecError
from regsync.spec.pruning import DeletionLimits, PrunePolicy
from tests.reconcile.test_verification import policy, signature
from tests.reconcile.world import LOCK, World
from tests.support.images import cosign_signature, cosign_tag, image, index, referrer

pytestmark = pytest.mark.anyio
NOWHERE = "sha256:" + "0" * 64


class DownError(TemporaryError):
    """A registry that is down."""


@pytest.fixture
def world() -> World:
    return World(binding=Binding.ALL)


async def test_a_locked_run_brings_what_the_lock_says_and_leaves_all_other_tags_alone(world: World) -> None:
    old = await world.put("hub/app", image("old"), "v1")
    await world.put("hub/app", image("new"), "v1", "v2")
    await world.put("ours/app", image("other"), "v2")
    world.mirror("app", "hub/app", ["ours/app"])
    world.locked("app", "hub/app:v1", old.digest)

    report = await world.sync()

    assert [(one.action.tag, one.outcome) for one in report.results] == [("v1", Outcome.DONE)]
    assert await world.tag("ours/app", "v1") == old.digest
    assert await world.tag("ours/app", "v2") == image("other").digest
    assert (await world.sync()).results == ()


async def test_a_locked_run_moves_a_tag_back_and_says_why(world: World) -> None:
    old = await world.put("hub/app", image("old"), "v1")
    new = await world.put("hub/app", image("new"), "v1")
    await world.put("ours/app", new, "v1")
    world.mirror("app", "hub/app", ["ours/app"])
    world.locked("app", "hub/app:v1", old.digest)

    (action,) = (await world.plan()).actions

    assert (str(action.digest), action.reason) == (old.digest, "not what the lock file says")


async def test_a_locked_run_needs_no_list_of_the_sources_tags_or_repositories(world: World) -> None:
    app = await world.put("hub/team/app", image("app"), "v1")
    world.mirror("all", "hub/{repository}", ["ours/{repository}"], tags=["v*"])
    world.mirrors[0] = replace(world.mirrors[0], repositories=RepositoryGlobs(("team/*",)))
    world.repository("hub/team/app").fail("tags", DownError("503"))
    world.locked("all", "hub/team/app:v1", app.digest)

    assert (await world.sync()).summary.create == 1
    assert await world.tag("ours/team/app", "v1") == app.digest


async def test_what_the_sources_tag_has_left_is_read_by_digest(world: World) -> None:
    app = await world.put("hub/app", image("app"))  # without any tag
    world.mirror("app", "hub/app", ["ours/app"])
    world.locked("app", "hub/app:v1", app.digest)

    await world.sync()

    assert await world.tag("ours/app", "v1") == app.digest


@pytest.mark.parametrize("down", [False, True], ids=["source lost it", "source is down"])
async def test_what_no_source_has_comes_from_another_target_with_its_evidence(
    world: World, *, down: bool
) -> None:
    app = index(image("app"), image("app", arch="arm64"))
    signature = cosign_signature(app)
    await world.put("eu/app", app, "v1")
    await world.put("eu/app", signature, cosign_tag(app))
    await world.put("eu/app", referrer(app))
    world.mirror("app", "hub/app", ["us/app", "eu/app"])
    world.locked("app", "hub/app:v1", app.digest)
    if down:
        for call in ("resolve", "manifest", "tags"):
            world.repository("hub/app").fail(call, DownError("503"))
    else:
        await world.put("hub/app", image("another"), "v1")

    report = await world.sync()

    assert report.problems == ()
    assert await world.tag("us/app", "v1") == app.digest
    assert await world.tag("us/app", cosign_tag(app)) == signature.digest
    assert len(await world.repository("us/app").referrers(Digest.parse(app.digest))) == 1
    assert (await world.sync()).results == ()


async def test_a_trimmed_index_that_the_source_lost_comes_from_another_target(world: World) -> None:
    whole = await world.put("hub/app", index(image("app"), image("app", arch="arm64")), "v1")
    arm = (Platform.of("linux", "arm64"),)
    world.mirror("app", "hub/app", ["eu/app"], platforms=arm)
    world.binding = Binding.HOLDS
    await world.sync()
    trimmed = await world.tag("eu/app", "v1")
    assert trimmed is not None
    world.mirrors.clear()
    world.mirror("app", "lost/app", ["eu/app", "us/app"], platforms=arm)
    facts = {"index": Digest.parse(whole.digest), "target": Digest.parse(trimmed)}
    world.locked("app", "lost/app:v1", whole.digest, **facts)
    world.binding = Binding.ALL

    planned = await world.plan()
    report = await world.apply(planned)

    assert report.problems == ()
    assert await world.tag("us/app", "v1") == trimmed == await world.tag("eu/app", "v1")


async def test_a_digest_that_does_not_exist_is_a_failure_that_names_its_line_and_stops_nothing_else(
    world: World,
) -> None:
    app = await world.put("hub/app", image("app"), "v1", "v2")
    world.mirror("app", "hub/app", ["ours/app"])
    world.locked("app", "hub/app:v1", NOWHERE)
    world.locked("app", "hub/app:v2", app.digest)

    report = await world.sync()

    failed, done = sorted(report.results, key=lambda one: str(one.action.tag))
    assert (failed.outcome, done.outcome) == (Outcome.FAILED, Outcome.DONE)
    assert failed.problem is not None
    assert failed.problem.message == (
        f"hub.test/app:v1@{NOWHERE} is locked, and it is at none of hub/app, ours/app"
    )
    assert exit_code(report.problems) == 1
    assert await world.tag("ours/app", "v1") is None


async def test_content_that_fails_verification_gets_no_tag_though_the_lock_names_it(world: World) -> None:
    signed, unsigned = (
        await world.put("hub/app", image("good"), "v1"),
        await world.put("hub/app", image("bad")),
    )
    await world.put("hub/app", signature(signed))
    world.policies.append(policy())
    world.mirror("app", "hub/app", ["ours/app"], verify=("prod",))
    world.locked("app", "hub/app:v1", unsigned.digest)

    report = await world.sync()

    (result,) = report.results
    assert (result.outcome, exit_code(report.problems)) == (Outcome.BLOCKED, Cause.POLICY)
    assert await world.tag("ours/app", "v1") is None
    world.locks.clear()
    world.locked("app", "hub/app:v1", signed.digest)
    assert (await world.sync()).summary.create == 1


async def test_an_entry_that_no_rule_could_choose_is_left_alone_and_told(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1", "nightly")
    world.mirror("app", "hub/app", ["ours/app"], tags=["v*"], exclude_tags=("*-beta",))
    for tag in ("v1", "v1-beta", "nightly"):
        world.locked("app", f"hub/app:{tag}", app.digest)

    report = await world.sync()

    assert [one.action.tag for one in report.results] == ["v1"]
    assert [one.partition("chooses ")[2] for one in report.warnings] == [
        "hub.test/app:v1-beta: it is left alone",
        "hub.test/app:nightly: it is left alone",
    ]


async def test_locked_tags_have_the_names_that_the_mirror_gives_them(world: World) -> None:
    app = await world.put("hub/app", image("app"), "1.2.3", "1.2.4")
    rules = [TagRule(glob="*", newest=1)]
    world.mirror(
        "app", "hub/app", ["ours/app"], rules=rules, rename="v{major}.{minor}-{tag}-{digest:8}-{date}"
    )
    world.locked("app", "hub/app:1.2.3", app.digest)
    named = f"v1.2-1.2.3-{app.digest[7:15]}-{world.clock.now():%Y%m%d}"

    await world.sync()
    world.clock.advance(timedelta(days=3))

    assert await world.tag("ours/app", named) == app.digest
    assert (await world.sync()).results == ()  # the ledger knows when it was seen first


async def test_a_plan_of_a_locked_run_is_applied_and_one_with_another_digest_is_refused(world: World) -> None:
    old = await world.put("hub/app", image("old"), "v1")
    new = await world.put("hub/app", image("new"), "v1")
    world.mirror("app", "hub/app", ["ours/app"])
    world.locked("app", "hub/app:v1", old.digest)
    planned = await world.plan()
    forged = replace(
        planned,
        actions=tuple(
            replace(one, digest=Digest.parse(new.digest), source_digest=Digest.parse(new.digest))
            for one in planned.actions
        ),
    )

    (refused,) = (await world.apply(forged)).results
    assert refused.outcome is Outcome.REFUSED
    (done,) = (await world.apply(planned)).results
    assert done.outcome is Outcome.DONE


async def test_what_is_held_stays_in_every_run_while_other_tags_move(world: World) -> None:
    world.binding = Binding.HOLDS
    old = await world.put("hub/app", image("old"), "v1", "v2")
    world.mirror("app", "hub/app", ["ours/app"])
    await world.sync()
    new = await world.put("hub/app", image("new"), "v1", "v2", "v3")
    world.locked("app", "hub/app:v1", old.digest, hold=True)
    world.locked("app", "hub/app:v2", old.digest)

    await world.sync()

    assert await world.tag("ours/app", "v1") == old.digest
    assert await world.tag("ours/app", "v2") == new.digest == await world.tag("ours/app", "v3")
    await world.put("ours/app", new, "v1")
    (action,) = (await world.plan()).actions
    assert (str(action.digest), action.reason) == (old.digest, "not where the lock file holds it")


async def test_a_held_tag_that_the_source_no_longer_has_is_no_failure_and_comes_back(world: World) -> None:
    world.binding = Binding.HOLDS
    old = await world.put("eu/app", image("old"))
    await world.put("hub/app", image("new"), "v2")
    world.mirror("app", "hub/app", ["eu/app", "us/app"], tags=["v1", "v2"])
    world.locked("app", "hub/app:v1", old.digest, hold=True)

    report = await world.sync()

    assert report.problems == ()
    assert await world.tag("eu/app", "v1") == old.digest == await world.tag("us/app", "v1")


async def test_a_chain_keeps_to_the_lock_from_end_to_end(world: World) -> None:
    old = await world.put("hub/app", image("old"), "v1")
    await world.put("hub/app", image("new"), "v1")
    world.mirror("b-prod", "dev/app", ["prod/app"])
    world.mirror("a-dev", "hub/app", ["dev/app"])
    world.locked("a-dev", "hub/app:v1", old.digest)
    world.locked("b-prod", "dev/app:v1", old.digest)

    planned = await world.plan()
    assert planned.summary.create == 2
    await world.sync()
    assert await world.tag("prod/app", "v1") == old.digest


def test_a_mirror_without_an_entry_is_an_error_at_the_mirror() -> None:
    world = World()
    world.mirror("app", "hub/app", ["ours/app"])
    world.mirror("other", "hub/other", ["ours/other"])
    world.locked("other", "hub/other:v1", NOWHERE)
    with pytest.raises(InvalidSpecError, match=r"mirror app has no entry in regsync\.lock: `regsync lock`"):
        locked_spec(world.spec())
    world.locked("app", "hub/app:v1", NOWHERE)
    assert locked_spec(world.spec()).binding is Binding.ALL


def test_an_entry_against_a_digest_in_the_spec_is_an_error() -> None:
    world = World()
    pin = Pin(Tag("v1"), Digest.of(b"pinned"))
    world.mirror("app", "hub/app", ["ours/app"])
    location = world.spec().mirrors[0].sources[0]
    world.mirrors[0] = replace(
        world.mirrors[0],
        rules=(),
        sources=(),
        images=((Location(location.registry, RepositoryName(location.path)), pin),),
    )
    world.locked("app", "hub/app:v1", NOWHERE)
    with pytest.raises(InvalidSpecError, match=f"mirror app pins hub.test/app:v1 to {pin.digest}"):
        locked_spec(world.spec())


def test_entries_of_a_mirror_that_was_renamed_count_for_the_one_with_its_source() -> None:
    world = World()
    world.mirror("renamed", "hub/app", ["ours/app"])
    world.locked("former", "hub/app:v1", NOWHERE)
    assert locked_spec(world.spec()).binding is Binding.ALL
    lock = Lock({LOCK: LockFile(LOCK, tuple(world.locks))}, {"renamed": LOCK, "former": LOCK})
    with pytest.raises(InvalidSpecError, match="no entry"):
        locked_spec(replace(world.spec(), lock=lock))


async def test_images_by_full_reference_are_locked_like_tags_and_pinned_content_stays_the_specs(
    world: World,
) -> None:
    old = await world.put("hub/app", image("old"))
    await world.put("hub/app", image("new"), "v1", "v2")
    pinned = await world.put("hub/app", image("pinned"))
    world.mirror("app", "hub/app", ["ours/app"])
    location = Location("hub", RepositoryName("app"))
    pins = (Pin(Tag("v1"), None), Pin(Tag("v2"), None), Pin(None, Digest.parse(pinned.digest)))
    images = tuple((location, pin) for pin in pins)
    world.mirrors[0] = replace(world.mirrors[0], rules=(), sources=(), images=images)
    world.locked("app", "hub/app:v1", old.digest)

    report = await world.sync()

    assert {str(one.action.tag or one.action.digest) for one in report.results} == {"v1", pinned.digest}
    assert await world.tag("ours/app", "v1") == old.digest
    assert await world.tag("ours/app", "v2") is None


@pytest.mark.parametrize("binding", Binding)
async def test_prune_leaves_what_is_held_or_locked_though_the_source_has_lost_it(
    world: World, binding: Binding
) -> None:
    world.binding = binding
    held = await world.put("eu/app", image("held"), "v1")
    await world.put("hub/app", image("app"), "v2", "v3")
    policy = PrunePolicy(DeletionLimits(10, 100), grace=timedelta())
    world.mirror("app", "hub/app", ["eu/app"], tags=["v*"], prune=policy)
    spot = Spot("https://eu.test", "app")
    for tag in ("v1", "v0"):
        await world.put("eu/app", held, tag)
        world.ledger.wrote(spot, Tag(tag), Digest.parse(held.digest), world.clock.now())
    stale = await world.put("eu/app", image("stale"), "v9")
    world.ledger.wrote(spot, Tag("v9"), Digest.parse(stale.digest), world.clock.now())
    world.locked("app", "hub/app:v1", held.digest, hold=True)

    report = await world.sync()

    assert report.problems == ()
    assert await world.tag("eu/app", "v1") == held.digest
    kept = {"v0", "v1", "v2", "v3"} if binding is Binding.HOLDS else {"v0", "v1", "v9"}
    assert set(world.repository("eu/app")._tags) == kept
