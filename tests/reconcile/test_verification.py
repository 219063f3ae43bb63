"""Signing requirements in runs: no tag moves before every policy that applies let its content pass."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from regsync.content.errors import ContentNotFoundError
from regsync.errors import DeniedError, RegsyncError, TemporaryError
from regsync.oci.digest import Digest
from regsync.oci.platform import Platform
from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.model import Action, Cause, Outcome, Report, Result, exit_code, problems_of
from regsync.spec.model import IndexForm, Location, ReferrersMode, ReferrersPolicy
from regsync.spec.verification import (
    AllOf,
    AttestationRequirement,
    Condition,
    KeyAuthority,
    LogUse,
    Material,
    Mode,
    Scope,
    Select,
    SignatureRequirement,
    Skip,
    VerificationPolicy,
)
from regsync.trust.verdict import Result as Verdict
from tests.reconcile.world import World
from tests.support.images import (
    OCI_INDEX,
    OCI_MANIFEST,
    Content,
    as_json,
    blob_descriptor,
    buildkit_index,
    cosign_tag,
    fallback_tag,
    image,
    index,
)
from tests.support.signing_keys import new_key, public_pem
from tests.support.sigstore_evidence import (
    DSSE,
    SPDX,
    VULN,
    Layer,
    bundle_referrer,
    dsse_bundle,
    dsse_envelope,
    layers_manifest,
    signature_layer,
    statement,
)
from tests.support.sigstore_pki import Signer

pytestmark = pytest.mark.anyio

OPS, STRANGER = Signer(new_key()), Signer(new_key())
SIGNED = SignatureRequirement("ops")
SCANNED = AttestationRequirement(VULN, "ops", "scan", Select.NEWEST, timedelta(days=7))


class DownError(TemporaryError):
    """A registry that is down."""


class NotTakenError(RegsyncError):
    """A registry that takes no such referrers, as ECR's 405."""


def policy(name: str = "prod", *require: Any, **more: Any) -> VerificationPolicy:
    """By default a signature of the key `ops`, without a log."""
    key = KeyAuthority(Material("ops.pub", public_pem(OPS.key)), tlog=LogUse.IGNORE)
    return VerificationPolicy(name, {"ops": key}, AllOf(require or (SIGNED,)), **more)


def signature(subject: Content, signer: Signer = OPS) -> Content:
    """As cosign 3 signs."""
    return bundle_referrer(subject, dsse_bundle(signer, statement(subject.digest)))


def scan(subject: Content, when: str, signer: Signer = OPS) -> Content:
    """As cosign attests a scan that ended at a time."""
    predicate = {"metadata": {"scanFinishedOn": when}, "scanner": {"result": {"Results": []}}}
    return bundle_referrer(subject, dsse_bundle(signer, statement(subject.digest, VULN, predicate)), VULN)


async def sign_by_tag(world: World, path: str, subject: Content, signer: Signer = OPS) -> Content:
    """As cosign 2 signs."""
    signed = layers_manifest(signature_layer(signer, subject.digest))
    return await world.put(path, signed, cosign_tag(subject))


@pytest.fixture
def world() -> World:
    world = World()
    world.policies.append(policy())
    return world


async def signed_app(world: World, tag: str = "v1", path: str = "hub/app") -> Content:
    """An image with a signature as referrer."""
    app = await world.put(path, image(f"{path} {tag}"), tag)
    await world.put(path, signature(app))
    return app


def mirrored(world: World, **more: Any) -> None:
    world.mirror("app", "hub/app", ["ours/app"], **{"verify": ("prod",), **more})


def only(report: Report) -> Result:
    (result,) = report.results
    return result


def problem_of(action: Action) -> str:
    assert action.problem is not None
    return action.problem.message


async def test_a_signed_image_arrives_with_its_signature_and_the_report_says_who_signed(world: World) -> None:
    app = await signed_app(world)
    mirrored(world)

    result = only(await world.sync())

    assert result.outcome is Outcome.DONE
    (said,) = result.action.verdicts
    assert (said.policy, said.result) == ("prod", Verdict.PASS)
    assert said.signers[0].startswith("ops: sha256:")
    assert await world.tag("ours/app", "v1") == app.digest
    there = await world.repository("ours/app").referrers(Digest.parse(app.digest))
    assert [str(one.digest) for one in there] == [signature(app).digest] or len(there) == 1


async def test_a_signature_in_a_digest_tag_counts_as_one_in_a_referrer_does(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    await sign_by_tag(world, "hub/app", app)
    mirrored(world)
    assert only(await world.sync()).outcome is Outcome.DONE
    assert await world.tag("ours/app", cosign_tag(app)) is not None


@pytest.mark.parametrize(
    "sign",
    [
        pytest.param(lambda app: [], id="nothing"),
        pytest.param(lambda app: [scan(app, "2026-11-24T00:00:00Z")], id="an attestation alone"),
        pytest.param(lambda app: [signature(app, STRANGER)], id="a signature by another key"),
        pytest.param(
            lambda app: [bundle_referrer(app, dsse_bundle(OPS, statement(image("other").digest)))],
            id="a signature of another image, copied over",
        ),
    ],
)
async def test_what_is_not_signed_by_the_key_is_blocked_and_copied_nowhere(
    world: World, sign: Callable[[Content], Sequence[Content]]
) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    for one in sign(app):
        await world.put("hub/app", one)
    mirrored(world)

    planned = await world.plan()
    report = await world.sync()

    assert (planned.summary.blocked, report.summary.blocked) == (1, 1)
    assert exit_code(report.problems) == exit_code(problems_of(planned.actions)) == 3
    assert "refused by policy prod: no signature by ops" in problem_of(only(report).action)
    assert world.repository("ours/app").count("push") == 0
    assert await world.tag("ours/app", "v1") is None


async def test_a_refused_tag_stops_no_other(world: World) -> None:
    await world.put("hub/app", image("unsigned"), "v1")
    signed = await signed_app(world, "v2")
    mirrored(world)
    report = await world.sync()
    assert (report.summary.create, report.summary.blocked) == (1, 1)
    assert await world.tag("ours/app", "v2") == signed.digest


async def test_a_tag_that_moved_to_what_is_unsigned_leaves_the_target_on_the_last_good_one(
    world: World,
) -> None:
    good = await signed_app(world)
    mirrored(world)
    await world.sync()
    await world.put("hub/app", image("unsigned"), "v1")

    result = only(await world.sync())

    assert result.outcome is Outcome.BLOCKED
    assert f"the tag stays at {good.digest}" in problem_of(result.action)
    assert await world.tag("ours/app", "v1") == good.digest


async def test_a_refusal_is_forgotten_and_what_is_signed_later_passes(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    mirrored(world)
    assert only(await world.sync()).outcome is Outcome.BLOCKED
    await world.put("hub/app", signature(app))
    assert only(await world.sync()).outcome is Outcome.DONE


async def test_a_policy_that_only_warns_lets_the_tag_move_and_says_what_it_would_refuse(world: World) -> None:
    world.policies[:] = [policy(mode=Mode.WARN)]
    for tag in ("v1", "v2", "v3", "v4"):
        await world.put("hub/app", image(tag), tag)
    mirrored(world)

    report = await world.sync()

    assert (report.summary.create, exit_code(report.problems)) == (4, 0)
    (warning,) = report.warnings
    assert "policy prod (mode: warn) would refuse hub/app:v1: no signature by ops" in warning
    assert warning.endswith("and 1 more")
    assert {one.action.verdicts[0].result for one in report.results} == {Verdict.FAIL}


async def test_evidence_that_a_target_lost_is_told_of_a_policy_that_only_warns_too(world: World) -> None:
    world.policies[:] = [policy(mode=Mode.WARN)]
    app = await signed_app(world)
    evidence = await world.repository("hub/app").referrers(Digest.parse(app.digest))
    refuse = NotTakenError("405 no such referrers here")
    world.repository("ours/app").fail("push_manifest", refuse, when=evidence[0].digest)
    mirrored(world)

    report = await world.sync()

    assert only(report).outcome is Outcome.DEGRADED
    assert "as it arrived there: no signature by ops" in report.warnings[0]


async def test_more_evidence_than_a_policy_lets_be_read_is_no_refusal(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    for number in range(3):
        await world.put("hub/app", scan(app, f"2026-11-2{number}T00:00:00Z"))
    world.policies[:] = [policy(max_evidence=2)]
    mirrored(world)
    report = await world.sync()
    assert exit_code(report.problems) == 1
    assert "at most 2 are read" in problem_of(only(report).action)
    world.policies[:] = [policy(max_evidence=3)]
    assert exit_code((await world.sync()).problems) == 3


async def test_an_exception_passes_an_image_over_until_it_ends(world: World) -> None:
    until = world.clock.now() + timedelta(days=1)
    world.policies[:] = [policy(skip=(Skip(("hub/app*",), "not yet signed", until),))]
    await world.put("hub/app", image("app"), "v1")
    mirrored(world)
    planned = await world.plan()
    assert planned.actions[0].verdicts[0].result is Verdict.SKIPPED
    assert "not yet signed" in (planned.actions[0].verdicts[0].reason or "")
    assert world.repository("hub/app").count("fetch") == 0
    world.clock.advance(timedelta(days=1))
    assert only(await world.sync()).outcome is Outcome.BLOCKED


async def test_a_policy_of_targets_holds_whatever_the_source_and_for_those_targets_alone(
    world: World,
) -> None:
    world.policies[:] = [policy(targets=("*/prod/**",))]
    await world.put("elsewhere/app", image("app"), "v1")
    world.mirror("app", "elsewhere/app", ["ours/prod/app", "ours/dev/app"])

    report = await world.sync()

    assert (report.summary.create, report.summary.blocked) == (1, 1)
    assert await world.tag("ours/prod/app", "v1") is None
    assert await world.tag("ours/dev/app", "v1") is not None


async def test_a_policy_of_images_holds_without_being_named(world: World) -> None:
    world.policies[:] = [policy(images=("hub/**",))]
    await world.put("hub/app", image("app"), "v1")
    mirrored(world, verify=())
    assert only(await world.sync()).outcome is Outcome.BLOCKED


async def test_what_stands_at_the_target_already_is_reported_when_a_policy_refuses_it(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    mirrored(world, verify=())
    await world.sync()
    world.mirrors.clear()
    mirrored(world)

    report = await world.sync()

    assert exit_code(report.problems) == 3
    assert only(report).action.reason == "there already, and refused by a policy"
    assert await world.tag("ours/app", "v1") == app.digest


async def test_a_pass_is_remembered_and_costs_no_request(world: World) -> None:
    app = await signed_app(world)
    mirrored(world)
    await world.sync()
    world.clock.advance(timedelta(days=8))
    await world.sync()
    world.forget_calls()

    report = await world.sync()

    assert (report.summary.unchanged, report.results) == (1, ())
    asked = world.repository("hub/app").calls + world.repository("ours/app").calls
    assert {call for call, _ in asked} <= {"tags", "resolve"}
    assert not any(signature(app).digest in argument for _, argument in asked)


async def test_a_remembered_pass_ends_with_what_it_rests_on(world: World) -> None:
    world.policies[:] = [policy("prod", SIGNED, SCANNED)]
    app = await signed_app(world)
    now = world.clock.now()
    await world.put("hub/app", scan(app, now.strftime("%Y-%m-%dT%H:%M:%SZ")))
    mirrored(world)
    assert only(await world.sync()).outcome is Outcome.DONE
    world.clock.advance(timedelta(days=6))
    assert (await world.sync()).results == ()
    world.clock.advance(timedelta(days=2))

    result = only(await world.sync())

    assert result.outcome is Outcome.BLOCKED
    assert "scan" in problem_of(result.action)
    await world.put("hub/app", scan(app, world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")))
    assert (await world.sync()).summary.blocked == 0
    world.clock.advance(timedelta(days=1))
    assert only(await world.sync()).outcome is Outcome.DONE  # the new scan travels when evidence is due


async def test_another_policy_of_the_same_name_is_asked_anew(world: World) -> None:
    await signed_app(world)
    mirrored(world)
    await world.sync()
    key = KeyAuthority(Material("ops.pub", public_pem(STRANGER.key)), tlog=LogUse.IGNORE)
    world.policies[:] = [replace(policy(), authorities={"ops": key})]
    assert only(await world.sync()).outcome is Outcome.BLOCKED


async def test_a_target_that_lost_the_evidence_on_the_way_gets_no_tag(world: World) -> None:
    app = await signed_app(world)
    evidence = await world.repository("hub/app").referrers(Digest.parse(app.digest))
    refuse = NotTakenError("405 no such referrers here")
    world.repository("ours/app").fail("push_manifest", refuse, when=evidence[0].digest)
    mirrored(world)

    result = only(await world.sync())

    assert result.outcome is Outcome.BLOCKED
    assert ", as it arrived there: refused by policy prod" in result.problem.message  # type: ignore[union-attr]
    assert await world.tag("ours/app", "v1") is None


async def test_a_registry_that_fails_is_told_from_one_without_signatures(world: World) -> None:
    await signed_app(world)
    world.repository("hub/app").fail("fetch", DownError("503 not now"))
    mirrored(world)
    report = await world.sync()
    assert only(report).outcome is Outcome.FAILED
    assert exit_code(report.problems) == Cause.TEMPORARY
    assert "503 not now" in only(report).problem.message  # type: ignore[union-attr]
    world.repository("hub/app").fail("fetch", DeniedError("403 go away"))
    assert exit_code((await world.sync()).problems) == Cause.ERROR


async def test_what_is_gone_for_good_makes_an_outage_no_less_temporary(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    await world.put("hub/app", signature(app))
    gone = Digest.of((await world.put("hub/app", signature(app, STRANGER))).blobs[-1])
    mirrored(world)
    world.repository("hub/app").failing["fetch"] = lambda digest: (
        ContentNotFoundError(gone, where="hub") if digest == gone else DownError("503 not now")
    )
    report = await world.sync()
    assert exit_code(report.problems) == Cause.TEMPORARY


async def test_applying_a_plan_verifies_again(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    await sign_by_tag(world, "hub/app", app)
    mirrored(world)
    planned = await world.plan()
    assert planned.summary.create == 1
    await sign_by_tag(world, "hub/app", app, STRANGER)

    report = await world.apply(planned)

    assert only(report).outcome is Outcome.BLOCKED
    assert world.repository("ours/app").count("push") == 0


async def test_each_platform_of_a_trimmed_index_has_to_be_signed_where_the_policy_says_so(
    world: World,
) -> None:
    world.policies[:] = [policy(scope=Scope.PLATFORMS)]
    amd, arm = image("amd"), image("arm", arch="arm64")
    await world.put("hub/app", index(amd, arm), "v1")
    await world.put("hub/app", signature(amd))
    mirrored(world, platforms=(Platform.of("linux", "amd64"), Platform.of("linux", "arm64")))
    result = only(await world.sync())
    assert result.outcome is Outcome.BLOCKED
    assert "linux/arm64" in problem_of(result.action)
    await world.put("hub/app", signature(arm))
    assert only(await world.sync()).outcome is Outcome.DONE


async def test_attestations_inside_an_index_are_no_platforms_that_have_to_be_signed(world: World) -> None:
    world.policies[:] = [policy(scope=Scope.BOTH)]
    built = await world.put("hub/app", buildkit_index("app"), "v1")
    platforms = [
        one
        for one, entry in zip(built.children, built.document["manifests"], strict=True)
        if entry["platform"]["os"] != "unknown"
    ]
    for one in (built, *platforms):
        await world.put("hub/app", signature(one))
    mirrored(world)
    assert only(await world.sync()).outcome is Outcome.DONE


@pytest.mark.parametrize("more", [{}, {"platforms": (Platform.of("linux", "arm64"),)}])
async def test_what_is_listed_for_no_platform_and_for_one_has_to_be_signed(
    world: World, more: dict[str, Any]
) -> None:
    world.policies[:] = [policy(scope=Scope.PLATFORMS)]
    arm = image("arm", arch="arm64")
    entries = [
        blob_descriptor(OCI_MANIFEST, arm.data, platform={"os": os, "architecture": architecture})
        for os, architecture in (("unknown", "unknown"), ("linux", "arm64"))
    ]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    amd = image("amd")
    entries.append(blob_descriptor(OCI_MANIFEST, amd.data, platform={"os": "linux", "architecture": "amd64"}))
    await world.put("hub/app", signature(amd))
    for nested in (False, True):
        built = Content(OCI_INDEX, as_json(document), (), (arm, amd))
        if nested and not more:
            outer = {**document, "manifests": [blob_descriptor(OCI_INDEX, built.data)]}
            built = Content(OCI_INDEX, as_json(outer), (), (built,))
        await world.put("hub/app", built, "v1")
        world.mirrors.clear()
        mirrored(world, **more)
        (planned,) = (await world.plan()).actions
        assert "no signature by ops" in problem_of(planned)


@pytest.mark.parametrize("scope", [Scope.PLATFORMS, Scope.BOTH])
async def test_an_attestation_inside_the_index_that_somebody_signed_counts_for_its_platform(
    world: World, scope: Scope
) -> None:
    world.policies[:] = [policy("prod", AttestationRequirement(SPDX, "ops"), scope=scope)]
    amd = image("amd")
    envelope = as_json(dsse_envelope(OPS, statement(amd.digest, SPDX)))
    held = layers_manifest(Layer("application/vnd.in-toto.spdx+dsse", envelope))
    inside = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": amd.digest}
    entries = [
        blob_descriptor(OCI_MANIFEST, amd.data, platform={"os": "linux", "architecture": "amd64"}),
        blob_descriptor(
            OCI_MANIFEST, held.data, platform={"os": "unknown", "architecture": "unknown"}, annotations=inside
        ),
    ]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    built = await world.put("hub/app", Content(OCI_INDEX, as_json(document), (), (amd, held)), "v1")
    await world.put("hub/app", bundle_referrer(built, dsse_bundle(OPS, statement(built.digest, SPDX)), SPDX))
    mirrored(world)
    assert only(await world.sync()).outcome is Outcome.DONE


async def test_the_index_left_whole_is_what_was_signed_when_only_some_platforms_are_kept(
    world: World,
) -> None:
    whole = await world.put("hub/app", index(image("amd"), image("arm", arch="arm64")), "v1")
    await world.put("hub/app", signature(whole))
    mirrored(world, platforms=(Platform.of("linux", "amd64"),), index=IndexForm.ORIGINAL)
    assert (await world.plan()).summary.create == 1


async def test_a_pass_of_some_platforms_is_none_of_all(world: World) -> None:
    world.policies[:] = [policy(scope=Scope.PLATFORMS)]
    amd, arm = image("amd"), image("arm", arch="arm64")
    await world.put("hub/app", index(amd, arm), "v1")
    await world.put("hub/app", signature(amd))
    some = {"platforms": (Platform.of("linux", "amd64"),), "index": IndexForm.ORIGINAL}
    mirrored(world, **some)
    await world.sync()  # whose pass is remembered
    world.mirrors.clear()
    mirrored(world)
    (planned,) = (await world.plan()).actions
    assert "linux/arm64" in problem_of(planned)


async def test_a_verdict_on_a_name_is_of_the_registry_that_the_mirror_names(world: World) -> None:
    named = replace(SCANNED, max_age=None, conditions=(Condition("image.registry == 'hub'"),))
    world.policies[:] = [policy("prod", named)]
    app = await world.put("hub/app", image("app"), "v1")
    await world.put("hub/app", scan(app, "2026-11-24T00:00:00Z"))
    mirrored(world)
    assert only(await world.sync()).outcome is Outcome.DONE
    world.mirrors.clear()
    world.places["other"] = world.places["hub"]
    world.hosts["other"] = "hub"
    world.mirror("app", "other/app", ["ours/app"], verify=("prod",))
    (planned,) = (await world.plan()).actions
    assert "image.registry" in problem_of(planned)


async def test_a_pass_that_a_clock_ahead_of_its_time_gave_is_not_believed(world: World) -> None:
    await signed_app(world)
    mirrored(world)
    now = world.clock.now()
    world.clock.set(now + timedelta(days=50))
    await world.sync()
    world.clock.set(now)
    world.forget_calls()
    await world.sync()
    assert world.repository("hub/app").count("fetch") == 1


async def test_evidence_of_another_repository_counts_and_is_copied_beside_the_image(world: World) -> None:
    kept = Location("hub", RepositoryName("signatures"))
    world.policies[:] = [policy(evidence=(kept,))]
    app = await world.put("hub/app", image("app"), "v1")
    await sign_by_tag(world, "hub/signatures", app)
    mirrored(world)
    assert only(await world.sync()).outcome is Outcome.DONE
    assert await world.tag("ours/app", cosign_tag(app)) is not None
    assert await world.tag("ours/app", "v1") == app.digest


async def test_signatures_travel_for_a_policy_also_where_the_mirror_takes_other_types_alone(
    world: World,
) -> None:
    await signed_app(world)
    mirrored(world, referrers=ReferrersPolicy(ReferrersMode.TYPES, ("application/spdx+json",)))
    assert only(await world.sync()).outcome is Outcome.DONE


async def test_envelopes_that_lie_as_referrers_travel_for_a_policy_too(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    held = layers_manifest(Layer(DSSE, as_json(dsse_envelope(OPS, statement(app.digest)))))
    document = {**held.document, "subject": blob_descriptor(OCI_MANIFEST, app.data), "artifactType": DSSE}
    await world.put("hub/app", Content(OCI_MANIFEST, as_json(document), held.blobs))
    mirrored(world, referrers=ReferrersPolicy(ReferrersMode.TYPES, ("application/spdx+json",)))
    assert only(await world.sync()).outcome is Outcome.DONE


async def test_a_chain_is_planned_with_the_signatures_that_would_be_there(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1")
    await sign_by_tag(world, "hub/app", app)
    mirrored(world)
    world.mirror("prod", "ours/app", ["prod/app"], verify=("prod",))
    planned = await world.plan()
    assert (planned.summary.create, planned.summary.blocked) == (2, 0)
    report = await world.sync()
    assert report.summary.create == 2


async def test_an_immutable_tag_costs_no_request_once_its_policy_passed(world: World) -> None:
    await signed_app(world)
    mirrored(world, immutable=("v*",))
    await world.sync()
    world.clock.advance(timedelta(days=8))
    await world.sync()
    world.forget_calls()
    assert (await world.sync()).summary.unchanged == 1
    assert {call for call, _ in world.repository("hub/app").calls} <= {"tags"}


async def test_an_immutable_tag_that_a_policy_passes_over_costs_no_request(world: World) -> None:
    skip = Skip(("hub/**",), "not signed yet", world.clock.now() + timedelta(days=99))
    world.policies[:] = [policy(skip=(skip,))]
    await world.put("hub/app", image("app"), "v1")
    mirrored(world, immutable=("v*",))
    await world.sync()
    world.clock.advance(timedelta(days=8))
    await world.sync()
    world.forget_calls()
    assert (await world.sync()).summary.unchanged == 1
    assert {call for call, _ in world.repository("hub/app").calls} <= {"tags"}


async def test_an_immutable_tag_from_before_the_policy_is_looked_at_once_and_reported(world: World) -> None:
    await world.put("hub/app", image("app"), "v1")
    mirrored(world, verify=(), immutable=("v*",))
    await world.sync()
    world.clock.advance(timedelta(days=8))
    await world.sync()
    world.mirrors.clear()
    mirrored(world, immutable=("v*",))
    assert exit_code((await world.sync()).problems) == 3


async def test_two_tags_of_one_digest_are_judged_once(world: World) -> None:
    app = await world.put("hub/app", image("app"), "v1", "v2", "latest")
    signed = await world.put("hub/app", signature(app))
    mirrored(world)
    await world.plan()
    read = [argument for call, argument in world.repository("hub/app").calls if call == "manifest"]
    assert read.count(signed.digest) <= 1
    assert fallback_tag(app) not in read
    assert Tag("v1") in {action.tag for action in (await world.plan()).actions}
