"""A policy's verdict over evidence: what counts, what does not and why, and what cannot be told."""

from dataclasses import replace
from datetime import timedelta

import pytest

from regsync.content.errors import BoundHitError, ContentNotFoundError, ContentTooLargeError
from regsync.oci.digest import Digest
from regsync.remote.errors import (
    ForbiddenError,
    RegistryError,
    RegistryFailedError,
    RejectedError,
    TlsError,
    UnknownHostError,
    UnsafeRedirectError,
)
from regsync.spec.verification import (
    AllOf,
    Allowed,
    AtLeast,
    AttestationRequirement,
    Condition,
    Mode,
    Select,
    Severity,
    SignatureRequirement,
    Skip,
    VulnerabilityCondition,
)
from regsync.trust.judge import skipped
from regsync.trust.verdict import Result, Verdict
from tests.support.evidence_pieces import piece_of
from tests.support.images import artifact
from tests.support.sigstore_evidence import (
    IN_TOTO,
    SLSA,
    SPDX,
    VULN,
    Layer,
    layers_manifest,
    statement,
)
from tests.support.vouched import APP, DAY, HOUR, NOW, OTHER, UNKNOWN_LOG, Court, attested, place, signed

OPS = SignatureRequirement("ops")
CI = SignatureRequirement("ci")
FAILED = RegistryFailedError("hub answered 503", status=503)


def scan(*severities: str, finished: str | None = None) -> dict[str, object]:
    found = [{"VulnerabilityID": f"CVE-{number}", "Severity": one} for number, one in enumerate(severities)]
    metadata = {"scanFinishedOn": finished} if finished else {}
    return {"scanner": {"result": {"Results": [{"Vulnerabilities": found}]}}, "metadata": metadata}


def scans(select: Select = Select.ANY, **more: object) -> AttestationRequirement:
    condition = VulnerabilityCondition(Severity.HIGH)
    requirement = AttestationRequirement(VULN, "ci", "scan", select, vulnerabilities=condition)
    return replace(requirement, **more)  # type: ignore[arg-type]


def result(verdict: Verdict) -> Result:
    assert (verdict.reason is None) == (verdict.result is Result.PASS), verdict
    return verdict.result


def test_a_signature_by_the_authority_passes_and_says_which_checks_were_made() -> None:
    verdict = Court(OPS, ops="olga").judge(signed("olga"))
    assert result(verdict) is Result.PASS
    assert verdict.signers == ("ops: olga",)
    assert verdict.lets_pass
    assert verdict.expires is None
    (requirement,) = verdict.requirements
    (seen,) = requirement.evidence
    assert (requirement.requirement, requirement.authority) == ("signature by ops", "ops")
    assert (seen.checks, seen.signer, seen.reason) == (("signature (name)",), "ops: olga", None)


def test_an_image_without_evidence_is_told_where_it_was_looked_for() -> None:
    verdict = Court(OPS, ops="olga").judge()
    assert result(verdict) is Result.FAIL
    assert verdict.reason == (
        "no signature by ops: there is none; looked at referrers, tag:.sig of hub/acme/app"
    )


def test_the_reason_counts_what_was_found_instead() -> None:
    verdict = Court(OPS, ops="olga").judge(signed("mallory"), signed("olga", OTHER), signed("trudy"))
    assert verdict.reason == (
        "no signature by ops: found 3 signatures: 2 of them: signature: it was made by another key; "
        f"1 of them: it is of another digest: {OTHER}; looked at referrers, tag:.sig of hub/acme/app"
    )


def test_an_attestation_is_never_a_signature() -> None:
    verdict = Court(OPS, ops="olga").judge(attested("olga", VULN))
    assert result(verdict) is Result.FAIL
    assert "1 attestation beside it, which never counts as a signature" in (verdict.reason or "")


def test_a_signature_is_never_an_attestation() -> None:
    require = AttestationRequirement("https://sigstore.dev/cosign/sign/v1", "ops")
    court = Court(require, ops="olga")
    assert (
        result(court.judge(signed("olga"), attested("olga", "https://sigstore.dev/cosign/sign/v1")))
        is Result.FAIL
    )


def test_what_nobody_signed_counts_for_nothing() -> None:
    built = layers_manifest(Layer(IN_TOTO, statement(APP, SPDX)))
    verdict = Court(AttestationRequirement(SPDX, "ci"), ci="bot").judge(piece_of(built, APP, "index"))
    assert result(verdict) is Result.FAIL
    (seen,) = verdict.requirements[0].evidence
    assert (seen.format, seen.reason) == ("in-toto-unsigned", "nobody signed it")


def test_an_sbom_that_nobody_signed_is_not_told_as_a_signature() -> None:
    sbom = layers_manifest(Layer("text/spdx+json", b"{}"))
    verdict = Court(OPS, ops="olga").judge(piece_of(sbom, APP, "tag:.sbom"))
    assert "found 1 signature" not in (verdict.reason or "")
    assert "1 attestation beside it" in (verdict.reason or "")


@pytest.mark.parametrize(
    ("annotations", "reason"),
    [
        pytest.param({}, "it has no annotation team", id="missing"),
        pytest.param({"team": "web"}, "its annotation team is 'web', not 'core'", id="another"),
        pytest.param({"team": "core", "more": "x"}, None, id="right, among others"),
    ],
)
def test_a_signature_has_the_annotations_that_are_asked_for(
    annotations: dict[str, str], reason: str | None
) -> None:
    court = Court(SignatureRequirement("ops", {"team": "core"}), ops="olga")
    verdict = court.judge(signed("olga", annotations=annotations))
    assert verdict.requirements[0].evidence[0].reason == reason
    assert result(verdict) is (Result.PASS if reason is None else Result.FAIL)


def test_all_of_them_are_needed() -> None:
    court = Court(AllOf((OPS, CI)), ops="olga", ci="bot")
    assert result(court.judge(signed("olga"))) is Result.FAIL
    assert result(court.judge(signed("olga"), signed("bot"))) is Result.PASS


def test_any_of_them_is_enough() -> None:
    court = Court(AtLeast(1, (OPS, CI)), ops="olga", ci="bot")
    assert result(court.judge(signed("bot"))) is Result.PASS
    verdict = court.judge()
    assert (verdict.reason or "").startswith("none is met: no signature by ops: there is none")


def test_a_policy_that_asks_for_nothing_lets_nothing_pass() -> None:
    verdict = Court(AllOf(()), ops="olga").judge(signed("olga"))
    assert result(verdict) is Result.FAIL
    assert "it asks for nothing" in (verdict.reason or "")
    assert Court(AtLeast(0, (OPS,)), ops="olga").judge(signed("olga")).result is Result.FAIL
    assert Court(OPS, ops="olga").judge(signed("olga"), subjects=()).reason == "there is no digest to judge"


def test_one_signer_counts_once_however_many_requirements_they_meet() -> None:
    court = Court(AtLeast(2, (OPS, CI)), ops="olga", ci="olga")
    verdict = court.judge(signed("olga"))
    assert result(verdict) is Result.FAIL
    assert "1 of 2 met, 2 needed by distinct signers: 2 are met, but by no more signers" in (
        verdict.reason or ""
    )


def test_signers_are_spread_so_that_the_most_requirements_are_met() -> None:
    """olga could stand for either; taken for the first, nobody would be left for the second."""
    court = Court(AtLeast(2, (OPS, CI)), ops=("olga", "otto"), ci="olga")
    assert result(court.judge(signed("olga"), signed("otto"))) is Result.PASS


def test_a_branch_is_stood_for_by_any_of_its_signers() -> None:
    branch = AllOf((CI, AttestationRequirement(SLSA, "ci")))
    court = Court(AtLeast(2, (branch, OPS)), ci=("bot", "olga"), ops="olga")
    assert result(court.judge(signed("olga"), attested("olga", SLSA))) is Result.FAIL
    assert result(court.judge(signed("olga"), attested("bot", SLSA))) is Result.PASS


def test_a_count_within_a_count() -> None:
    inner = AtLeast(2, (SignatureRequirement("a"), SignatureRequirement("b"), SignatureRequirement("c")))
    court = Court(AtLeast(2, (inner, SignatureRequirement("d"))), a="ann", b="bob", c="cyd", d="ann")
    assert result(court.judge(signed("ann"), signed("bob"))) is Result.PASS
    assert result(court.judge(signed("ann"), signed("dan"))) is Result.FAIL


def test_only_those_are_asked_whose_word_could_count() -> None:
    court = Court(AllOf((OPS, AttestationRequirement(SLSA, "ci"))), ops="olga", ci="bot")
    court.judge(signed("olga"), attested("bot", SLSA), *(attested("bot", SPDX) for _ in range(3)))
    assert {name: one.asked for name, one in court.authorities.items()} == {"ops": 1, "ci": 1}


@pytest.mark.parametrize(
    "problem",
    [
        pytest.param(FAILED, id="the registry failed"),
        pytest.param(ForbiddenError("hub answered 403", status=403), id="it is forbidden"),
        pytest.param(BoundHitError("image", "at most 1000 are read", where="hub"), id="a bound was hit"),
    ],
)
def test_a_place_that_could_not_be_looked_at_is_an_error_and_no_denial(problem: Exception) -> None:
    places = [place("referrers", problem), place("tag:.sig")]
    court = Court(OPS, ops="olga")
    verdict = court.judge(signed("mallory"), looked=places)
    assert result(verdict) is Result.ERROR
    assert (verdict.reason or "").startswith(
        "cannot tell whether there is a signature by ops: found 1 signature"
    )
    assert f"could not look everywhere: referrers of hub/acme/app: {problem}" in (verdict.reason or "")
    assert verdict.expires == NOW
    assert verdict.searched[0].is_error
    assert result(court.judge(signed("olga"), looked=places)) is Result.PASS


def test_a_failure_is_told_once_and_as_one() -> None:
    places = [place("referrers", FAILED), place("tag:.att", FAILED), place("tag:.sig")]
    reason = Court(scans(), ci="bot").judge(looked=places).reason
    assert reason == (
        "cannot tell whether there is an attestation scan by ci: none was found; looked at tag:.sig of "
        "hub/acme/app; could not look everywhere: referrers, tag:.att of hub/acme/app: hub answered 503"
    )


def test_a_place_that_is_not_there_is_looked_at() -> None:
    places = [place("referrers", ContentNotFoundError("repository", where="hub"))]
    verdict = Court(OPS, ops="olga").judge(looked=places)
    assert result(verdict) is Result.FAIL
    assert [one.is_error for one in verdict.searched] == [False]


@pytest.mark.parametrize("select", [Select.ALL, Select.NEWEST])
def test_what_was_not_seen_may_be_the_one_that_decides(select: Select) -> None:
    court = Court(scans(select), ci="bot")
    good = attested("bot", VULN, scan("LOW"), at=NOW - HOUR)
    assert result(court.judge(good, looked=[place("referrers", FAILED)])) is Result.ERROR
    assert result(court.judge(good)) is Result.PASS
    assert result(Court(scans(), ci="bot").judge(good, looked=[place("referrers", FAILED)])) is Result.PASS


@pytest.mark.parametrize(
    "failure",
    [
        FAILED,
        ForbiddenError("hub answered 403", status=403),
        RejectedError("hub answered 400", status=400),
        TlsError("blobs.hub: certificate expired"),
        UnknownHostError("blobs.hub", "does not resolve"),
        UnsafeRedirectError("hub sends us to 169.254.169.254"),
    ],
)
def test_evidence_that_the_registry_did_not_give_is_an_error(failure: RegistryError) -> None:
    manifest = signed("olga")
    withheld = piece_of(manifest, APP, layers={Digest.parse(one): failure for one in manifest.all_blobs()})
    verdict = Court(OPS, ops="olga").judge(withheld)
    assert result(verdict) is Result.ERROR
    assert f"unreadable: {failure}" in (verdict.reason or "")


def test_evidence_that_cannot_be_read_is_a_denial_with_its_reason() -> None:
    manifest = signed("olga")
    broken = ContentTooLargeError("layer", 5, where="hub")
    unreadable = piece_of(manifest, APP, layers={Digest.parse(one): broken for one in manifest.all_blobs()})
    verdict = Court(OPS, ops="olga").judge(unreadable)
    assert result(verdict) is Result.FAIL
    assert f"unreadable: {broken}" in (verdict.reason or "")
    assert result(Court(OPS, ops="olga").judge(unreadable, signed("olga"))) is Result.PASS


def test_a_trust_root_that_is_too_old_is_an_error_that_says_what_to_do() -> None:
    verdict = Court(OPS, ops="olga").judge(signed(UNKNOWN_LOG))
    assert result(verdict) is Result.ERROR
    assert "trust root too old: run regsync trust update" in (verdict.reason or "")
    assert result(Court(OPS, ops="olga").judge(signed(UNKNOWN_LOG), signed("olga"))) is Result.PASS


def test_an_error_that_could_not_have_helped_is_a_denial() -> None:
    court = Court(AtLeast(2, (OPS, CI, SignatureRequirement("qa"))), ops="olga", ci="bot", qa="quinn")
    only_ops = AtLeast(2, (OPS, AttestationRequirement(SLSA, "ci"), AttestationRequirement(VULN, "ci")))
    assert result(court.judge(signed(UNKNOWN_LOG))) is Result.ERROR
    assert result(Court(only_ops, ops="olga", ci="bot").judge(signed(UNKNOWN_LOG))) is Result.FAIL
    assert (
        result(
            Court(AllOf((OPS, AttestationRequirement(SLSA, "ci"))), ops="olga", ci="bot").judge(
                signed(UNKNOWN_LOG)
            )
        )
        is Result.FAIL
    )


def test_an_attestation_is_of_the_type_that_is_asked_for() -> None:
    court = Court(AttestationRequirement(SPDX, "ci", "sbom"), ci="bot")
    assert result(court.judge(attested("bot", f"{SPDX}/v2.3"))) is Result.PASS
    verdict = court.judge(attested("bot", SLSA))
    assert verdict.reason == (
        f"no attestation sbom by ci: there is none; of other types there are {SLSA}; "
        "looked at referrers, tag:.sig of hub/acme/app"
    )


def test_a_condition_that_does_not_hold_is_shown_with_what_is_wrong() -> None:
    require = AttestationRequirement(
        SLSA, "ci", conditions=(Condition("predicate.builder.id == 'us'"), Condition("now > signedAt"))
    )
    court = Court(require, ci="bot")
    assert result(court.judge(attested("bot", SLSA, {"builder": {"id": "us"}}, at=NOW - DAY))) is Result.PASS
    verdict = court.judge(attested("bot", SLSA, {"builder": {}}))
    assert "there is no predicate.builder.id in: predicate.builder.id == 'us'" in (verdict.reason or "")


def test_conditions_are_asked_only_of_what_the_authority_vouches_for() -> None:
    court = Court(AttestationRequirement(SLSA, "ci", conditions=(Condition("true"),)), ci="bot")
    (examined,) = court.examine(attested("mallory", SLSA))
    assert not examined.answers


def test_any_good_attestation_is_enough_by_default() -> None:
    court = Court(scans(), ci="bot")
    bad, good = attested("bot", VULN, scan("CRITICAL")), attested("bot", VULN, scan("HIGH"))
    assert result(court.judge(bad, good)) is Result.PASS
    assert "it has 1 vulnerability above HIGH: CVE-0 (CRITICAL)" in (court.judge(bad).reason or "")


def test_all_attestations_have_to_be_good_where_that_is_asked() -> None:
    court = Court(scans(Select.ALL), ci="bot")
    bad, good = attested("bot", VULN, scan("CRITICAL")), attested("bot", VULN, scan("HIGH"))
    verdict = court.judge(bad, good)
    assert result(verdict) is Result.FAIL
    assert "1 of 2 do not meet the conditions, and all have to" in (verdict.reason or "")
    assert result(court.judge(good)) is Result.PASS
    assert result(court.judge(good, attested("mallory", VULN, scan("CRITICAL")))) is Result.PASS


def test_the_newest_decides_by_its_verified_time() -> None:
    court = Court(scans(Select.NEWEST), ci="bot")
    old = attested("bot", VULN, scan("HIGH", finished="2030-01-01T00:00:00Z"), at=NOW - DAY)
    new = attested("bot", VULN, scan("CRITICAL"), at=NOW - HOUR)
    verdict = court.judge(old, new)
    assert result(verdict) is Result.FAIL
    assert "the newest does not meet the conditions" in (verdict.reason or "")
    assert "a newer one decides" in {one.reason for one in verdict.requirements[0].evidence}
    assert result(court.judge(old)) is Result.PASS


def test_the_newest_is_told_by_its_own_word_where_no_time_is_verified() -> None:
    court = Court(scans(Select.NEWEST), ci="bot")
    old = attested("bot", VULN, scan("CRITICAL", finished="2026-11-20T00:00:00Z"))
    new = attested("bot", VULN, scan("LOW", finished="2026-11-23T00:00:00Z"))
    assert result(court.judge(old, new)) is Result.PASS


def test_an_old_scan_that_was_stamped_again_is_not_the_newest() -> None:
    """Who can push can have the signature of an old scan logged or stamped a second time."""
    court = Court(scans(Select.NEWEST), ci="bot")
    stamped_again = attested("bot", VULN, scan("LOW", finished="2026-11-20T00:00:00Z"), at=NOW - HOUR)
    new = attested("bot", VULN, scan("CRITICAL", finished="2026-11-23T00:00:00Z"), at=NOW - DAY)
    assert result(court.judge(stamped_again, new)) is Result.FAIL


def test_which_is_the_newest_cannot_be_told_without_times() -> None:
    court = Court(scans(Select.NEWEST), ci="bot")
    verdict = court.judge(attested("bot", VULN, scan("LOW")), attested("bot", VULN, scan("HIGH")))
    assert result(verdict) is Result.FAIL
    assert "which of 2 is the newest cannot be told: 2 have no time" in (verdict.reason or "")
    assert result(court.judge(attested("bot", VULN, scan("LOW")))) is Result.PASS


def test_the_newest_of_one_second_are_all_the_newest() -> None:
    court = Court(scans(Select.NEWEST), ci="bot")
    both = [attested("bot", VULN, scan(one), at=NOW - HOUR) for one in ("LOW", "CRITICAL")]
    assert result(court.judge(*both)) is Result.FAIL


@pytest.mark.parametrize(
    ("at", "finished", "passes", "until"),
    [
        pytest.param(NOW - DAY, None, True, NOW + 6 * DAY, id="by a verified time"),
        pytest.param(NOW - 8 * DAY, None, False, None, id="too old by a verified time"),
        pytest.param(None, "2026-11-20T12:00:00Z", True, NOW + 3 * DAY, id="by its own word"),
        pytest.param(None, "2026-11-10T12:00:00Z", False, None, id="too old by its own word"),
        pytest.param(NOW - DAY, "2026-11-10T12:00:00Z", False, None, id="an old scan, signed again"),
        pytest.param(
            NOW - DAY, "2027-11-10T12:00:00Z", True, NOW + 6 * DAY, id="a scan of the future, signed"
        ),
        pytest.param(None, "2027-11-10T12:00:00Z", False, None, id="a scan of the future"),
        pytest.param(None, "2026-11-24T12:05:00Z", True, NOW + 7 * DAY + timedelta(minutes=5), id="skew"),
        pytest.param(None, None, False, None, id="of no known age"),
        pytest.param(NOW - 7 * DAY, None, False, None, id="at the very moment"),
    ],
)
def test_an_attestation_grows_too_old(at: object, finished: str | None, passes: bool, until: object) -> None:
    court = Court(scans(max_age=7 * DAY), ci="bot")
    verdict = court.judge(attested("bot", VULN, scan("LOW", finished=finished), at=at))  # type: ignore[arg-type]
    assert result(verdict) is (Result.PASS if passes else Result.FAIL)
    assert verdict.expires == until


def test_a_time_to_come_is_told_from_none() -> None:
    found = attested("bot", VULN, scan("LOW", finished="2027-11-10T12:00:00Z"))
    reason = Court(scans(max_age=7 * DAY), ci="bot").judge(found).reason or ""
    assert "it says that it is of 2027-11-10 12:00 UTC, still to come" in reason


def test_what_is_too_old_costs_no_evaluation() -> None:
    require = AttestationRequirement(SLSA, "ci", max_age=DAY, conditions=(Condition("no expression at all"),))
    court = Court(require, ci="bot")
    verdict = court.judge(*(attested("bot", SLSA, {"number": one}, at=NOW - 2 * DAY) for one in range(3)))
    assert "found 3 attestations: 3 of them: it is 2d old, at most 1d is let pass" in (verdict.reason or "")


def test_an_exception_for_a_vulnerability_ends_the_verdict_with_it() -> None:
    allow = (Allowed("cve-0", "not reachable", NOW + DAY), Allowed("CVE-9", "unused", NOW + HOUR))
    condition = VulnerabilityCondition(Severity.HIGH, allow=allow)
    court = Court(scans(vulnerabilities=condition), ci="bot")
    verdict = court.judge(attested("bot", VULN, scan("CRITICAL")))
    assert (result(verdict), verdict.expires) == (Result.PASS, NOW + DAY)
    (seen,) = verdict.requirements[0].evidence
    assert f"cve-0 is allowed until {NOW + DAY:%Y-%m-%d}: not reachable" in seen.relaxed
    court.now = NOW + DAY
    assert result(court.judge(attested("bot", VULN, scan("CRITICAL")))) is Result.FAIL


def test_an_expression_that_speaks_of_now_is_asked_each_time() -> None:
    require = AttestationRequirement(
        SLSA, "ci", conditions=(Condition("now > timestamp('2026-01-01T00:00:00Z')"),)
    )
    verdict = Court(require, ci="bot").judge(attested("bot", SLSA))
    assert (result(verdict), verdict.expires) == (Result.PASS, NOW)


def test_a_verdict_ends_with_the_signature_that_it_rests_on() -> None:
    court = Court(OPS, ops="olga")
    verdict = court.judge(signed("olga", until=NOW + DAY))
    assert (result(verdict), verdict.expires) == (Result.PASS, NOW + DAY)
    court.now = NOW + DAY
    verdict = court.judge(signed("olga", until=NOW + DAY))
    assert result(verdict) is Result.FAIL
    assert "it expired at 2026-11-25 12:00 UTC" in (verdict.reason or "")


def test_an_image_has_to_have_been_signed_for_a_while() -> None:
    court = Court(OPS, ops=("olga", "otto")).with_policy(min_age=3 * DAY)
    assert result(court.judge(signed("olga", at=NOW - 3 * DAY))) is Result.PASS
    verdict = court.judge(signed("olga", at=NOW - DAY))
    assert (result(verdict), verdict.expires) == (Result.FAIL, NOW + 2 * DAY)
    assert verdict.requirements[-1].reason == (
        "not signed at least 3d ago: signed 2026-11-23 12:00 UTC, 1d ago"
    )
    assert result(court.judge(signed("olga", at=NOW - DAY), signed("otto", at=NOW - 4 * DAY))) is Result.PASS


def test_a_time_that_nobody_verified_makes_no_signature_old_enough() -> None:
    court = Court(AttestationRequirement(VULN, "ci"), ci="bot").with_policy(min_age=3 * DAY)
    verdict = court.judge(attested("bot", VULN, scan("LOW", finished="2020-01-01T00:00:00Z")))
    assert result(verdict) is Result.FAIL
    assert "nothing that counts has a time that was verified" in (verdict.reason or "")


def test_the_age_of_an_image_is_not_told_by_strangers() -> None:
    court = Court(OPS, ops="olga").with_policy(min_age=3 * DAY)
    verdict = court.judge(signed("olga", at=NOW - DAY), signed("mallory", at=NOW - 9 * DAY))
    assert result(verdict) is Result.FAIL


def test_every_digest_that_is_asked_for_has_to_carry_evidence() -> None:
    court = Court(OPS, ops="olga")
    arm = Digest.parse(OTHER)
    beside_arm = piece_of(signed("olga", OTHER), OTHER)
    places = [place("referrers"), place("referrers", subject=OTHER)]
    verdict = court.judge(
        signed("olga"), looked=places, subjects=(APP, OTHER), platforms={arm: "linux/arm64"}
    )
    assert result(verdict) is Result.FAIL
    assert (verdict.reason or "").startswith(
        f"linux/arm64 ({arm.short()}): no signature by ops: there is none; looked at"
    )
    assert [(one.requirement, one.result) for one in verdict.requirements] == [
        (APP, Result.PASS),
        (f"linux/arm64 ({arm.short()})", Result.FAIL),
    ]
    assert (
        result(court.judge(signed("olga"), beside_arm, looked=places, subjects=(APP, OTHER))) is Result.PASS
    )


def test_what_many_platforms_lack_is_said_once() -> None:
    digests = [Digest.of(b"%d" % number) for number in range(9)]
    places = [place("referrers", subject=str(one)) for one in digests]
    reason = Court(OPS, ops="olga").judge(looked=places, subjects=tuple(map(str, digests))).reason or ""
    assert all(str(one) in reason for one in digests)
    assert (reason.count("no signature by ops"), reason.count("looked at")) == (1, 1)


def test_evidence_beside_the_index_counts_for_the_platform_that_it_names() -> None:
    court = Court(OPS, ops="olga")
    assert result(court.judge(signed("olga", OTHER), subjects=(OTHER,))) is Result.PASS
    assert result(court.judge(signed("olga", APP), subjects=(OTHER,))) is Result.FAIL


def test_a_failed_place_of_one_platform_says_nothing_of_another() -> None:
    places = [place("referrers"), place("referrers", FAILED, subject=OTHER)]
    verdict = Court(OPS, ops="olga").judge(looked=places, subjects=(APP, OTHER))
    assert [one.result for one in verdict.requirements] == [Result.FAIL, Result.ERROR]
    assert result(verdict) is Result.FAIL


def test_a_policy_that_only_warns_lets_pass_and_says_what_it_would_have_refused() -> None:
    verdict = Court(OPS, ops="olga").with_policy(mode=Mode.WARN).judge()
    assert (result(verdict), verdict.mode, verdict.lets_pass) == (Result.FAIL, Mode.WARN, True)


def test_an_image_that_is_skipped_says_why_and_until_when() -> None:
    court = Court(OPS, ops="olga")
    verdict = skipped(
        court.compiled, Skip(("hub/acme/*",), "vendor does not sign yet", NOW + DAY), court.question
    )
    assert (verdict.result, verdict.lets_pass, verdict.expires) == (Result.SKIPPED, True, NOW + DAY)
    assert verdict.reason == "until 2026-11-25: vendor does not sign yet"


def test_a_manifest_that_holds_no_evidence_is_none() -> None:
    assert Court(OPS, ops="olga").examine(artifact("application/vnd.example.thing")) == []
