"""What the real tools signed, judged by policies as they are compiled: key, notation, identity."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from regsync.content.pieces import Looked, Piece
from regsync.oci.digest import Digest
from regsync.spec.verification import (
    AllOf,
    Allowed,
    AtLeast,
    AttestationRequirement,
    Authority,
    Condition,
    KeyAuthority,
    KeylessAuthority,
    LogUse,
    Material,
    NotationAuthority,
    NotationRoot,
    Requirement,
    Select,
    Severity,
    SignatureRequirement,
    SigstoreRoot,
    SlsaCondition,
    TextMatch,
    TrustRoot,
    VerificationPolicy,
    VulnerabilityCondition,
)
from regsync.trust.envelopes import Image, Question
from regsync.trust.examine import examine
from regsync.trust.judge import judge
from regsync.trust.policy import compile_policies
from regsync.trust.verdict import Result, Verdict
from tests.support.evidence_pieces import FIXTURE_SUBJECT, SIGNING, piece_of, pieces_in
from tests.support.images import image
from tests.support.signing_keys import new_key
from tests.support.sigstore_evidence import SLSA, SPDX, VULN, Witness, bundle_referrer, dsse_bundle, statement
from tests.support.sigstore_pki import ISSUER, SIGNED_AT, SUBJECT, Leaf, SigstorePki

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
OPS = KeyAuthority(Material("cosign.pub", (SIGNING / "cosign.pub").read_bytes()), tlog=LogUse.IGNORE)
CA = TrustRoot(
    "acme", NotationRoot({"ca:acme": (Material("root.crt", (SIGNING / "root.crt").read_bytes()),)})
)
PKI = SigstorePki()
PRIVATE = TrustRoot("private", SigstoreRoot(Material("root.json", PKI.trusted_root())))
REPOSITORY, RELEASE = "https://github.com/acme/app", TextMatch(exact="refs/tags/v1.0.0")

SIGNED = SignatureRequirement("ops", {"team": "core"})
PROVENANCE = AttestationRequirement(
    SLSA,
    "ops",
    "slsa",
    slsa=SlsaCondition(
        TextMatch(regex=r"https://github\.com/acme/app/\.github/workflows/release\.yml@refs/tags/v[0-9.]+"),
        REPOSITORY,
        RELEASE,
        "https://actions.github.io/buildtypes/workflow/v1",
    ),
    conditions=(Condition("predicate.runDetails.builder.id.startsWith('https://github.com/acme/app/')"),),
)
SCAN = AttestationRequirement(
    VULN,
    "ops",
    "scan",
    Select.NEWEST,
    timedelta(days=7),
    (
        Condition(
            'predicate.scanner.result.Results.all(r, r.Vulnerabilities.all(v, v.Severity != "CRITICAL"))'
        ),
    ),
    vulnerabilities=VulnerabilityCondition(Severity.HIGH),
)
SBOM = AttestationRequirement(SPDX, "ops")
EVERYTHING = AllOf((SIGNED, PROVENANCE, SCAN, SBOM))


def judged(
    require: Requirement,
    pieces: Sequence[Piece],
    subject: str = FIXTURE_SUBJECT,
    now: datetime = NOW,
    **authorities: Authority,
) -> Verdict:
    policy = VerificationPolicy("prod", authorities or {"ops": OPS}, require)
    compiled = compile_policies({"prod": policy}, {one.name: one for one in (CA, PRIVATE)})["prod"]
    digest = Digest.parse(subject)
    question = Question(Image("hub", "acme/app", "v1", digest), now)
    examined = [found for piece in pieces for found in examine(piece, compiled, question)]
    looked = [Looked(digest, "hub/acme/app", "referrers", len(pieces))]
    return judge(compiled, examined, looked, [digest], question)


@pytest.mark.parametrize("layout", ["legacy", "newfmt"])
def test_what_cosign_signed_and_attested_meets_a_policy_in_either_format(layout: str) -> None:
    verdict = judged(EVERYTHING, list(pieces_in(layout)))
    assert verdict.result is Result.PASS, verdict.reason
    assert verdict.expires == datetime(2026, 11, 27, 10, 1, tzinfo=UTC)  # 7 days after the scan
    (signer,) = verdict.signers
    assert signer.startswith("ops: sha256:")


@pytest.mark.parametrize("layout", ["legacy", "newfmt"])
def test_the_scan_grows_too_old(layout: str) -> None:
    verdict = judged(EVERYTHING, list(pieces_in(layout)), now=NOW + timedelta(days=3))
    assert verdict.result is Result.FAIL
    assert "it is 7d old, at most 7d is let pass" in (verdict.reason or "")


def test_a_finding_that_is_too_bad_is_named_until_it_is_let_pass() -> None:
    pieces = list(pieces_in("newfmt"))
    strict = AttestationRequirement(VULN, "ops", vulnerabilities=VulnerabilityCondition(Severity.MEDIUM))
    assert "1 vulnerability above MEDIUM: CVE-2026-0001 (HIGH)" in (judged(strict, pieces).reason or "")
    allow = (Allowed("CVE-2026-0001", "not reachable", NOW + timedelta(days=1)),)
    let = AttestationRequirement(
        VULN, "ops", vulnerabilities=VulnerabilityCondition(Severity.MEDIUM, allow=allow)
    )
    verdict = judged(let, pieces)
    assert (verdict.result, verdict.expires) == (Result.PASS, NOW + timedelta(days=1))


def test_an_image_that_has_a_scan_alone_is_not_signed() -> None:
    verdict = judged(SIGNED, list(pieces_in("attonly")))
    assert verdict.result is Result.FAIL
    assert "there is none; 1 attestation beside it, which never counts as a signature" in (
        verdict.reason or ""
    )
    assert judged(SCAN, list(pieces_in("attonly"))).result is Result.PASS


def test_evidence_of_another_image_is_of_no_use() -> None:
    other = image("another").digest
    pieces = [
        Piece(one.digest, Digest.parse(other), one.repository, one.location, one.manifest, one.layers)
        for one in pieces_in("legacy")
    ]
    verdict = judged(SIGNED, pieces, other)
    assert verdict.result is Result.FAIL
    assert "it is of another digest" in (verdict.reason or "")


def test_what_notation_signed_is_judged_beside_what_cosign_signed() -> None:
    both = AtLeast(2, (SignatureRequirement("ops"), SignatureRequirement("vendor")))
    who = {"ops": OPS, "vendor": NotationAuthority("acme")}
    pieces = [*pieces_in("newfmt"), *pieces_in("notation2")]
    verdict = judged(both, pieces, **who)  # type: ignore[arg-type]
    assert verdict.result is Result.PASS, verdict.reason
    assert judged(both, list(pieces_in("notation2")), **who).result is Result.FAIL  # type: ignore[arg-type]


def test_an_identity_is_judged_with_the_time_that_its_log_gave() -> None:
    app = image("keyless")
    leaf = Leaf(extensions={"sourceRepositoryURI": REPOSITORY, "sourceRepositoryRef": "refs/tags/v1.0.0"})
    signer = PKI.certify(new_key(), leaf)
    parameters = {"workflow": {"repository": REPOSITORY, "ref": "refs/tags/v1.0.0"}}
    predicate = {"buildDefinition": {"externalParameters": parameters}}
    payload = statement(app.digest, SLSA, predicate)
    bundle = dsse_bundle(signer, payload, Witness(PKI.log))
    ci = KeylessAuthority("private", TextMatch(exact=ISSUER), TextMatch(exact=SUBJECT))
    require = AttestationRequirement(
        SLSA,
        "ci",
        max_age=timedelta(days=7),
        slsa=SlsaCondition(None, REPOSITORY, RELEASE),
        conditions=(
            Condition(f"signer.subject == {json.dumps(SUBJECT)} && signer.issuer == {json.dumps(ISSUER)}"),
            Condition(f"signer.extensions.sourceRepositoryURI == {json.dumps(REPOSITORY)}"),
            Condition(f"signedAt == timestamp('{SIGNED_AT:%Y-%m-%dT%H:%M:%SZ}')"),
        ),
    )
    pieces = [piece_of(bundle_referrer(app, bundle, SLSA), app.digest)]
    soon = SIGNED_AT + timedelta(days=1)
    verdict = judged(require, pieces, app.digest, soon, ci=ci)
    assert verdict.result is Result.PASS, verdict.reason
    assert verdict.expires == SIGNED_AT + timedelta(days=7)
    assert verdict.signers == (f"ci: {SUBJECT}",)
    too_late = SIGNED_AT + timedelta(days=8)
    assert judged(require, pieces, app.digest, too_late, ci=ci).result is Result.FAIL
