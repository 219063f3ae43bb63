"""Saved plans: carried out exactly, or refused; never more than the spec declares."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from regsync.errors import TemporaryError
from regsync.oci.digest import Digest
from regsync.oci.platform import Platform
from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.codec import plan_document, plan_from_json
from regsync.plan.document import encode
from regsync.plan.model import Outcome, Plan, Verb, exit_code, problems_of
from regsync.reconcile.apply_plan import StalePlanError
from regsync.reconcile.ledger import Spot
from regsync.reconcile.ledger_memory import MemoryLedger
from regsync.spec.model import Location, Pin, ReferrersPolicy, RepositoryGlobs, TagRule
from tests.reconcile.world import World
from tests.support.images import cosign_signature, cosign_tag, image, index, referrer

pytestmark = pytest.mark.anyio


class DownError(TemporaryError):
    """503."""


@pytest.fixture
def world() -> World:
    return World()


def edited(plan: Plan, **changes: Any) -> Plan:
    """The plan with its only action changed."""
    (action,) = plan.actions
    return replace(plan, actions=(replace(action, **changes),))


async def test_a_plan_is_carried_out_and_another_has_nothing_to_do(world: World) -> None:
    app = await world.put("hub/app", index(image("a"), image("a", arch="arm64")), "v1", "v2")
    await world.put("hub/app", referrer(app))
    world.mirror("app", "hub/app", ["eu/app", "us/app"])

    report = await world.apply(await world.plan())

    assert report.summary.create == 4
    assert await world.tag("us/app", "v2") == app.digest
    after = await world.plan()
    assert (after.actions, after.unchanged) == ((), 4)


async def test_a_plan_that_went_through_a_file_does_the_same(world: World) -> None:
    app = index(image("a"), image("a", arch="arm64"))
    await world.put("hub/app", app, "v1")
    alone = await world.put("hub/app", image("alone"))
    world.mirror(
        "app",
        "hub/app",
        ["ours/app"],
        own_rules=(),
        images=(
            (Location("hub", RepositoryName("app")), Pin(Tag("v1"), Digest.parse(app.digest))),
            (Location("hub", RepositoryName("app")), Pin(None, Digest.parse(alone.digest))),
        ),
        platforms=(Platform.parse("linux/amd64"),),
    )
    planned = await world.plan()

    report = await world.apply(plan_from_json("".join(encode(plan_document(planned))).encode()))

    assert report.summary.create == 2
    assert await world.tag("ours/app", "v1") == str(planned.actions[-1].digest)
    assert (await world.plan()).actions == ()


async def test_a_plan_writes_nothing_anywhere(world: World) -> None:
    await world.put("hub/app", image("a"), "v1")
    world.mirror("app", "hub/app", ["ours/app"])

    await world.plan()

    for path in ("hub/app", "ours/app"):
        calls = {call for call, _ in world.repository(path).calls}
        assert calls.isdisjoint({"push", "push_manifest", "mount"})


@pytest.mark.parametrize(
    ("stale", "why"),
    [
        pytest.param(
            lambda plan, now: replace(plan, spec_digest=Digest.of(b"other")), "spec", id="another spec"
        ),
        pytest.param(
            lambda plan, now: replace(plan, created=now - timedelta(hours=25, minutes=1)),
            "the plan is 25 hours 1 minute old, at most 24 hours is allowed",
            id="too old",
        ),
        pytest.param(
            lambda plan, now: replace(plan, created=now + timedelta(hours=1)),
            "not come",
            id="from the future",
        ),
    ],
)
async def test_a_stale_plan_is_refused_whole(
    world: World, stale: Callable[[Plan, Any], Plan], why: str
) -> None:
    await world.put("hub/app", image("a"), "v1")
    world.mirror("app", "hub/app", ["ours/app"])
    planned = await world.plan()

    with pytest.raises(StalePlanError, match=why):
        await world.apply(stale(planned, world.clock.now()))

    assert await world.tag("ours/app", "v1") is None


ALL = (TagRule(glob="*"),)
EVIL = Location("hub", RepositoryName("evil"))


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param({"target": Location("ours", RepositoryName("prod"))}, id="another target"),
        pytest.param({"source": EVIL}, id="another source"),
        pytest.param({"mirror": "other"}, id="another mirror"),
        pytest.param({"tag": Tag("latest")}, id="a tag that no rule leads to"),
        pytest.param({"tag": None}, id="content that nothing pins"),
        pytest.param({"source_tag": Tag("v1-windows")}, id="a tag that is excluded"),
        pytest.param({"source_tag": Tag("v2")}, id="the name of another tag, which a policy may go by"),
        pytest.param({"verb": Verb.DELETE}, id="a deletion"),
    ],
)
async def test_an_edited_action_that_the_spec_does_not_lead_to_is_refused(
    world: World, edit: dict[str, Any]
) -> None:
    await world.put("hub/app", image("a"), "v1")
    await world.put("hub/evil", image("evil"), "v1")
    world.repository("ours/prod")
    world.mirror("app", "hub/app", ["ours/app"], tags=["v*"], exclude_tags=("*-windows",))
    planned = await world.plan()

    report = await world.apply(edited(planned, **edit))

    assert [one.outcome for one in report.results] == [Outcome.REFUSED]
    assert exit_code(problems_of(report.results)) == 3
    assert not world.repository("ours/app")._manifests
    assert not world.repository("ours/prod")._manifests


async def test_a_source_tag_that_cannot_be_renamed_is_refused(world: World) -> None:
    await world.put("hub/app", image("a"), "v1")
    world.mirror("app", "hub/app", ["ours/app"], tags=["v*"], rename="copy-of-{tag}")
    planned = await world.plan()
    assert (await world.apply(planned)).summary.create == 1
    report = await world.apply(edited(planned, source_tag=Tag("v" * 128)))
    assert [one.outcome for one in report.results] == [Outcome.REFUSED]


async def test_a_digest_that_the_source_digest_does_not_lead_to_is_refused(world: World) -> None:
    await world.put("hub/app", image("a"), "v1")
    evil = await world.put("hub/app", image("evil"), "other")
    world.mirror("app", "hub/app", ["ours/app"], tags=["v*"])
    planned = await world.plan()

    report = await world.apply(edited(planned, digest=Digest.parse(evil.digest)))

    assert [one.outcome for one in report.results] == [Outcome.REFUSED]
    assert await world.tag("ours/app", "v1") is None


async def test_a_pinned_tag_gets_no_other_digest(world: World) -> None:
    app = await world.put("hub/app", image("a"), "v1")
    evil = Digest.parse((await world.put("hub/app", image("evil"))).digest)
    source = Location("hub", RepositoryName("app"))
    world.mirror("app", [], ["ours/app"], images=((source, Pin(Tag("v1"), Digest.parse(app.digest))),))
    planned = await world.plan()

    report = await world.apply(edited(planned, digest=evil, source_digest=evil))

    assert [one.outcome for one in report.results] == [Outcome.REFUSED]


async def test_a_digest_that_is_nowhere_fails_alone(world: World) -> None:
    await world.put("hub/app", image("a"), "v1")
    await world.put("hub/app", image("b"), "v2")
    world.mirror("app", "hub/app", ["ours/app"])
    planned = await world.plan()
    lost = Digest.of(b"lost")
    first = replace(planned.actions[0], digest=lost, source_digest=lost)

    report = await world.apply(replace(planned, actions=(first, planned.actions[1])))

    assert [one.outcome for one in report.results] == [Outcome.DONE, Outcome.FAILED] or [
        one.outcome for one in report.results
    ] == [Outcome.FAILED, Outcome.DONE]


async def test_an_immutable_tag_is_not_moved_by_an_edited_plan(world: World) -> None:
    old = await world.put("hub/app", image("old"), "v1")
    world.mirror("app", "hub/app", ["ours/app"], immutable=("v*",))
    planned = await world.plan()
    await world.apply(planned)
    new = Digest.parse((await world.put("hub/app", image("new"), "v1")).digest)

    report = await world.apply(
        edited(planned, verb=Verb.UPDATE, digest=new, source_digest=new, replaces=Digest.parse(old.digest))
    )

    assert [one.outcome for one in report.results] == [Outcome.REFUSED]
    assert "immutable" in problems_of(report.results)[0].message
    assert await world.tag("ours/app", "v1") == old.digest


async def test_a_tag_that_somebody_made_meanwhile_is_left_alone_and_the_rest_goes_on(world: World) -> None:
    await world.put("hub/app", image("a"), "v1", "v2")
    world.mirror("app", "hub/app", ["ours/app"])
    planned = await world.plan()
    theirs = await world.put("ours/app", image("theirs"), "v1")

    report = await world.apply(planned)

    assert {one.action.tag: one.outcome for one in report.results} == {
        "v1": Outcome.REFUSED,
        "v2": Outcome.DONE,
    }
    assert exit_code(problems_of(report.results)) == 3
    assert await world.tag("ours/app", "v1") == theirs.digest


async def test_a_tag_that_is_there_as_planned_is_recorded_as_the_plan_says(world: World) -> None:
    app = await world.put("hub/app", image("a"), "v1")
    world.mirror("app", "hub/app", ["ours/app"])
    planned = await world.plan()
    await world.put("ours/app", app, "v1")

    report = await world.apply(planned)

    assert (report.summary.create, report.summary.unchanged) == (0, 1)
    ours = world.ledger.ours(Spot("https://ours.test", "app"))
    assert ours[Tag("v1")] == Digest.parse(app.digest), "the run that wrote it may have lost its ledger"


async def test_a_plan_applied_again_after_the_ledger_was_lost_records_its_tags_again(world: World) -> None:
    await world.put("hub/app", image("a"), "v1", "v2")
    world.mirror("app", "hub/app", ["ours/app"])
    planned = await world.plan()
    await world.apply(planned)
    spot = Spot("https://ours.test", "app")
    before = dict(world.ledger.ours(spot)), set(world.ledger.sightings(spot))
    world.ledger = MemoryLedger()

    await world.apply(planned)

    assert set(before[0]) == {"v1", "v2"}
    assert (dict(world.ledger.ours(spot)), set(world.ledger.sightings(spot))) == before


async def test_an_applied_tag_that_is_there_fails_where_required_evidence_is_gone(world: World) -> None:
    app = await world.put("hub/app", image("a"), "v1")
    signature = await world.put("hub/app", referrer(app))
    world.mirror("app", "hub/app", ["ours/app"], referrers=ReferrersPolicy(required=True))
    planned = await world.plan()
    await world.apply(planned)
    source = world.repository("hub/app")
    await source.delete(await source.resolve(Digest.parse(signature.digest)))

    report = await world.apply(planned)

    assert report.results[0].outcome is Outcome.FAILED
    assert "none of the referrers" in str(report.results[0].problem)


async def test_a_plan_applied_twice_finds_everything_there_and_writes_nothing(world: World) -> None:
    app = await world.put("hub/app", index(image("a"), image("a", arch="arm64")), "v1", "v2")
    await world.put("hub/app", referrer(app))
    alone = await world.put("hub/app", image("alone"))
    world.mirror("app", "hub/app", ["ours/app"], digests=(Digest.parse(alone.digest),), own_rules=ALL)
    planned = await world.plan()
    first = await world.apply(planned)
    world.forget_calls()

    second = await world.apply(planned)

    assert (first.summary.create, first.summary.unchanged) == (3, 0)
    assert (second.summary.create, second.summary.unchanged) == (0, 3)
    assert {(one.outcome, one.action.reason) for one in second.results} == {(Outcome.DONE, "already there")}
    assert (second.copied, second.reused) == (0, 0)
    calls = {call for call, _ in world.repository("ours/app").calls}
    assert calls.isdisjoint({"push", "push_manifest", "mount"})


async def test_an_image_that_is_there_without_its_evidence_gets_that_and_is_not_created(world: World) -> None:
    app = await world.put("hub/app", image("a"), "v1")
    await world.put("hub/app", referrer(app))
    world.mirror("app", "hub/app", ["ours/app"])
    planned = await world.plan()
    await world.put("ours/app", app, "v1")

    report = await world.apply(planned)

    assert (report.summary.create, report.summary.update) == (0, 1)
    assert await world.repository("ours/app").referrers(Digest.parse(app.digest))


async def test_what_is_applied_is_what_was_planned_although_the_source_moved(world: World) -> None:
    old = await world.put("hub/app", image("old"), "v1")
    world.mirror("app", "hub/app", ["ours/app"])
    planned = await world.plan()
    await world.put("hub/app", image("new"), "v1")

    await world.apply(planned)

    assert await world.tag("ours/app", "v1") == old.digest


async def test_problems_of_the_plan_stay_in_the_report(world: World) -> None:
    await world.put("hub/app", image("a"), "v1")
    world.mirror("app", "hub/app", ["ours/app"], tags=["v1", "v9"])
    planned = await world.plan()

    report = await world.apply(planned)

    assert {one.action.tag: one.outcome for one in report.results} == {
        "v1": Outcome.DONE,
        "v9": Outcome.FAILED,
    }
    assert exit_code(problems_of(report.results)) == 1


async def test_an_unwritable_target_shows_in_the_plan_and_is_not_tried(world: World) -> None:
    await world.put("hub/app", image("a"), "v1")
    world.mirror("app", "hub/app", ["eu/app", "us/app"])
    world.unwritable["us/app"] = DownError("no token for push")

    planned = await world.plan()
    report = await world.apply(planned)

    assert [str(one.target) for one in planned.pending] == ["eu/app"]
    assert exit_code(problems_of(planned.actions)) == 75
    assert world.repository("us/app").count("push") == 0
    assert report.summary.create == 1


async def test_actions_of_an_unreachable_target_fail_alone(world: World) -> None:
    await world.put("hub/app", image("a"), "v1")
    world.mirror("app", "hub/app", ["eu/app", "us/app"])
    planned = await world.plan()
    world.repository("us/app").fail("tags", DownError("down"))

    report = await world.apply(planned)

    assert [one.outcome for one in report.results] == [Outcome.DONE, Outcome.FAILED]
    assert exit_code(problems_of(report.results)) == 75


async def test_a_registry_that_cannot_be_listed_for_the_moment_is_no_undeclared_mirror(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.put("hub/team/app", image("a"), "v1")
    mirror = world.mirror("app", "hub/{repository}", ["ours/{repository}"])
    world.mirrors[0] = replace(mirror, repositories=RepositoryGlobs(("team/*",)))
    planned = await world.plan()

    async def down(registry: str) -> Any:
        raise DownError("catalog: 503")

    monkeypatch.setattr(world, "repositories", down)
    report = await world.apply(planned)

    assert len(planned.pending) == 1
    assert [one.outcome for one in report.results] == [Outcome.FAILED]
    assert exit_code(problems_of(report.results)) == 75


async def test_evidence_and_two_digests_of_one_repository_go_through_a_plan(world: World) -> None:
    one, two = image("one"), image("two")
    for app in (one, two):
        await world.put("hub/app", app)
        await world.put("hub/app", referrer(app))
        await world.put("hub/app", cosign_signature(app), cosign_tag(app))
    pins = tuple(Digest.parse(app.digest) for app in (one, two))
    world.mirror("app", "hub/app", ["ours/app"], digests=pins)

    report = await world.apply(await world.plan())

    target = world.repository("ours/app")
    assert report.summary.create == 2
    for app in (one, two):
        assert len(await target.referrers(Digest.parse(app.digest))) == 1
        assert await world.tag("ours/app", cosign_tag(app)) == cosign_signature(app).digest
    assert (await world.plan()).actions == ()
