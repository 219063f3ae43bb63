"""Runs over registries in memory: what ends up where, and how little is asked for."""

from datetime import timedelta

import pytest

from regsync.content.errors import DigestMismatchError
from regsync.errors import DeniedError, TemporaryError
from regsync.oci.digest import Digest
from regsync.oci.platform import Platform
from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.model import Cause, Outcome, exit_code, problems_of
from regsync.spec.model import Location, Pin, ReferrersMode, ReferrersPolicy
from tests.reconcile.world import CountingPlace, World
from tests.support.images import cosign_signature, cosign_tag, image, index, referrer

pytestmark = pytest.mark.anyio


class DownError(TemporaryError):
    """A registry that is down."""


@pytest.fixture
def world() -> World:
    return World()


async def test_a_sync_brings_every_selected_tag_and_a_second_one_does_nothing(world: World) -> None:
    one, two = image("one"), index(image("two"), image("two", arch="arm64"))
    await world.put("hub/app", one, "v1", "latest")
    await world.put("hub/app", two, "v2")
    world.mirror("app", "hub/app", ["ours/app"])

    report = await world.sync()

    assert (report.summary.create, report.summary.failed) == (3, 0)
    assert await world.tag("ours/app", "v1") == one.digest == await world.tag("ours/app", "latest")
    assert await world.tag("ours/app", "v2") == two.digest
    again = await world.sync()
    assert (again.summary.unchanged, again.results) == (3, ())


async def test_each_source_blob_is_read_once_for_many_repositories_and_targets(world: World) -> None:
    shared = [b"base" * 1000, b"middle" * 100]
    for number in range(6):
        await world.put(
            f"hub/app{number}", image(f"app{number}", layers=[*shared, f"{number}".encode()]), "v1"
        )
    repositories = [f"app{number}" for number in range(6)]
    world.mirror("all", "hub/{repository}", ["eu/{repository}", "us/{repository}"], repositories=repositories)

    report = await world.sync()

    assert report.summary.create == 12
    fetched = [
        digest
        for number in range(6)
        for call, digest in world.repository(f"hub/app{number}").calls
        if call == "fetch"
    ]
    assert len(fetched) == len(set(fetched)) == 2 + 6 + 6
    assert report.run.bytes_read < report.copied + report.reused


async def test_a_moved_tag_is_updated_and_its_old_digest_is_named(world: World) -> None:
    old = await world.put("hub/app", image("old"), "v1")
    world.mirror("app", "hub/app", ["ours/app"])
    await world.sync()
    new = await world.put("hub/app", image("new"), "v1")

    report = await world.sync()

    (result,) = report.results
    assert (str(result.action.replaces), str(result.action.digest)) == (old.digest, new.digest)
    assert report.summary.update == 1
    assert await world.tag("ours/app", "v1") == new.digest


async def test_one_failing_target_does_not_hold_back_the_others(world: World) -> None:
    await world.put("hub/app", image("app"), "v1")
    world.mirror("app", "hub/app", ["eu/app", "us/app", "asia/app"])
    world.repository("us/app").fail("push", DownError("us is down"))
    world.repository("asia/app").fail("tags", DownError("asia is down"))

    report = await world.sync()

    outcomes = {str(one.action.target): one.outcome for one in report.results}
    assert outcomes == {"eu/app": Outcome.DONE, "us/app": Outcome.FAILED, "asia/app": Outcome.FAILED}
    reasons = {str(one.action.target): one.action.reason for one in report.results}
    assert reasons["asia/app"] == "the target could not be looked at"
    assert exit_code(problems_of(report.results)) == Cause.TEMPORARY
    assert await world.tag("us/app", "v1") is None


async def test_a_lying_source_never_gets_a_tag(world: World) -> None:
    good = await world.put("hub/app", image("good"), "v1")
    bad = await world.put("hub/app", image("bad"), "v2")
    source = world.repository("hub/app")
    digest = Digest.of(bad.blobs[1])
    source._blobs[digest] = b"x" * len(source._blobs[digest])
    world.mirror("app", "hub/app", ["ours/app"])

    report = await world.sync()

    failed = {one.action.tag: one.problem for one in report.results if one.problem}
    assert failed.keys() == {"v2"}
    assert str(digest) in failed[Tag("v2")].message
    assert await world.tag("ours/app", "v1") == good.digest
    assert await world.tag("ours/app", "v2") is None


async def test_evidence_travels_with_its_image_and_before_its_tag(world: World) -> None:
    child = image("app")
    app = index(child, image("app", arch="arm64"))
    sbom, nested = referrer(app), None
    nested = referrer(sbom, artifact_type="application/vnd.signature", data=b"signed")
    await world.put("hub/app", app, "v1")
    await world.put("hub/app", sbom)
    await world.put("hub/app", nested)
    await world.put("hub/app", referrer(child, data=b"of the child"))
    await world.put("hub/app", cosign_signature(app), cosign_tag(app))
    world.mirror("app", "hub/app", ["ours/app"])

    report = await world.sync()

    target = world.repository("ours/app")
    assert report.summary.create == 1
    assert [str(one.digest) for one in await target.referrers(Digest.parse(app.digest))] == [sbom.digest]
    assert [str(one.digest) for one in await target.referrers(Digest.parse(sbom.digest))] == [nested.digest]
    assert len(await target.referrers(Digest.parse(child.digest))) == 1
    assert await world.tag("ours/app", cosign_tag(app)) == cosign_signature(app).digest
    puts = [name for call, name in target.calls if call == "push_manifest"]
    assert puts.index("v1") > puts.index(sbom.digest)
    assert puts[-1] == "v1"


async def test_evidence_that_comes_after_its_image_still_travels(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    world.mirror("app", "hub/app", ["ours/app"])
    await world.sync()
    late = await world.put("hub/app", referrer(app))
    await world.put("hub/app", cosign_signature(app), cosign_tag(app))
    world.clock.advance(timedelta(days=1))

    planned = await world.plan()
    report = await world.sync()

    assert "2 pieces of evidence missing" in planned.actions[0].reason
    assert report.summary.update == 1
    found = await world.repository("ours/app").referrers(Digest.parse(app.digest))
    assert [str(one.digest) for one in found] == [late.digest]
    assert (await world.sync()).summary.unchanged == 1


async def test_signatures_on_a_target_are_merged_not_overwritten(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    await world.put("hub/app", cosign_signature(app, "c291cmNl"), cosign_tag(app))
    await world.put("ours/app", app, "v1")
    await world.put("ours/app", image("signature", layers=[b"target payload"]), cosign_tag(app))
    world.mirror("app", "hub/app", ["ours/app"])

    await world.sync()

    _, raw = await world.repository("ours/app").manifest(Tag(cosign_tag(app)))
    assert b"dev.cosignproject.cosign/signature" in raw
    assert Digest.of(b"target payload").encoded.encode() in raw
    assert (await world.sync()).summary.unchanged == 1


async def test_referrers_can_stay_behind(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    await world.put("hub/app", referrer(app))
    world.mirror("app", "hub/app", ["ours/app"], referrers=ReferrersPolicy(ReferrersMode.NONE))

    await world.sync()

    assert await world.repository("ours/app").referrers(Digest.parse(app.digest)) == ()


async def test_a_referrer_that_the_target_refuses_degrades_and_does_not_hold_the_tag(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    sbom = await world.put("hub/app", referrer(app))
    world.mirror("app", "hub/app", ["ours/app"])
    refusal = DigestMismatchError(Digest.parse(sbom.digest), Digest.of(b""), where="ours")
    world.repository("ours/app").fail("push_manifest", refusal, when=Digest.parse(sbom.digest))

    report = await world.sync()

    assert report.results[0].outcome is Outcome.DEGRADED
    assert exit_code(problems_of(report.results)) == 0
    assert await world.tag("ours/app", "v1") == app.digest


async def test_required_evidence_holds_the_tag(world: World) -> None:
    await world.put("hub/app", image("app"), "v1")
    world.mirror("app", "hub/app", ["ours/app"], referrers=ReferrersPolicy(required=True))

    report = await world.sync()

    assert report.results[0].outcome is Outcome.FAILED
    assert await world.tag("ours/app", "v1") is None


async def test_a_trimmed_index_is_in_sync_on_the_next_run_without_reading_it(world: World) -> None:
    app = index(image("app"), image("app", arch="arm64"), image("app", arch="s390x"))
    await world.put("hub/app", app, "v1")
    platforms = (Platform.parse("linux/amd64"), Platform.parse("linux/arm64/v8"))
    world.mirror("app", "hub/app", ["ours/app"], platforms=platforms)

    report = await world.sync()
    trimmed = report.results[0].action.digest
    world.forget_calls()
    again = await world.sync()

    assert trimmed != Digest.parse(app.digest)
    assert again.summary.unchanged == 1
    assert world.repository("hub/app").count("manifest") == 0
    assert Digest.parse(image("app", arch="s390x").digest) not in world.repository("ours/app")._manifests


async def test_immutable_tags_cost_no_request_per_tag(world: World) -> None:
    for number in range(20):
        await world.put("hub/app", image(f"v{number}"), f"v1.{number}")
    world.mirror(
        "app", "hub/app", ["ours/app"], immutable=("v*",), referrers=ReferrersPolicy(ReferrersMode.NONE)
    )
    await world.sync()
    await world.put("hub/app", image("moved"), "v1.0")
    world.forget_calls()

    report = await world.sync()

    assert report.summary.unchanged == 20
    assert [call for call, _ in world.repository("hub/app").calls] == ["tags"]
    assert [call for call, _ in world.repository("ours/app").calls] == ["tags"]


async def test_a_wiped_target_heals_in_the_same_run_although_the_ledger_knows_it(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    world.mirror("app", "hub/app", ["ours/app"])
    await world.sync()
    world.places["ours"] = CountingPlace("ours")

    report = await world.sync()

    assert report.summary.create == 1
    assert await world.tag("ours/app", "v1") == app.digest


async def test_a_named_tag_that_the_source_lacks_fails_and_the_rest_goes_on(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    world.mirror("app", "hub/app", ["ours/app"], tags=["v1", "v9"])

    report = await world.sync()

    assert {one.action.tag: one.outcome for one in report.results} == {
        "v1": Outcome.DONE,
        "v9": Outcome.FAILED,
    }
    assert exit_code(problems_of(report.results)) == Cause.ERROR
    assert await world.tag("ours/app", "v1") == app.digest


async def test_an_emptied_source_is_an_error_and_changes_nothing(world: World) -> None:
    await world.put("hub/app", image("app"))
    world.mirror("app", "hub/app", ["ours/app"])

    report = await world.sync()

    assert exit_code(problems_of(report.results)) == Cause.ERROR
    assert "atLeast" in report.results[0].problem.message  # type: ignore[union-attr]


async def test_later_sources_supply_absent_tags_and_move_none(world: World) -> None:
    first = await world.put("hub/app", image("first"), "v1")
    await world.put("backup/app", image("other"), "v1")
    extra = await world.put("backup/app", image("extra"), "v2")
    world.mirror("app", ["hub/app", "backup/app"], ["ours/app"])

    await world.sync()

    assert await world.tag("ours/app", "v1") == first.digest
    assert await world.tag("ours/app", "v2") == extra.digest
    await world.put("backup/app", image("moved"), "v2")
    assert (await world.sync()).summary.unchanged == 2
    assert await world.tag("ours/app", "v2") == extra.digest


async def test_images_named_by_tag_and_digest_or_digest_alone_keep_their_evidence(world: World) -> None:
    tagged, alone = image("tagged"), image("alone")
    await world.put("hub/app", tagged, "v1")
    await world.put("hub/app", alone)
    for subject in (tagged, alone):
        await world.put("hub/app", referrer(subject))
    await world.put("hub/app", image("moved since"), "v1")
    source = Location("hub", RepositoryName("app"))
    pins = (
        (source, Pin(Tag("v1"), Digest.parse(tagged.digest))),
        (source, Pin(None, Digest.parse(alone.digest))),
    )
    world.mirror("release", [], ["ours/app"], images=pins)

    report = await world.sync()

    assert report.summary.create == 2
    target = world.repository("ours/app")
    assert await world.tag("ours/app", "v1") == tagged.digest
    for subject in (tagged, alone):
        assert len(await target.referrers(Digest.parse(subject.digest))) == 1
    assert (await world.sync()).summary.unchanged == 2


async def test_a_chain_is_planned_as_it_would_be_applied(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    world.mirror("a-second", "dev/app", ["prod/app"])
    world.mirror("z-first", "hub/app", ["dev/app"])

    plan = await world.plan()

    assert [str(one.target) for one in plan.actions] == ["prod/app", "dev/app"]
    assert plan.summary.create == 2
    report = await world.sync()
    assert report.summary.create == 2
    assert await world.tag("prod/app", "v1") == app.digest


class HiddenError(DeniedError):
    """A registry that does not say whether a repository is there."""


async def test_a_target_repository_that_is_hidden_until_it_is_there_is_filled(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    world.mirror("app", "hub/app", ["ours/app"])
    world.repository("ours/app").fail("tags", HiddenError("403"))
    world.repository("ours/app").fail("resolve", HiddenError("403"))

    report = await world.sync()

    assert report.summary.create == 1
    assert await world.tag("ours/app", "v1") == app.digest


async def test_a_target_that_denies_listing_and_pushing_costs_no_read_of_the_source(world: World) -> None:
    await world.put("hub/app", image("app"), "v1")
    world.mirror("app", "hub/app", ["ours/app"])
    world.repository("ours/app").fail("tags", HiddenError("401"))
    world.unwritable["ours/app"] = HiddenError("401 for a push too")

    report = await world.sync()

    assert "401 for a push too" in str(report.results[0].problem)
    assert world.repository("hub/app").count("manifest") == 0
