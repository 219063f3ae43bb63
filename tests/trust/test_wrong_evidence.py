"""Evidence that is right but not what was asked for: of another kind, type, image or time."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from regsync.trust.verdict import Result
from tests.support.evidence_pieces import FIXTURE_SUBJECT, SIGNING, piece_of, pieces_in
from tests.support.judging import (
    NOW,
    attested,
    evidence_of,
    judged,
    key_of,
    keyless,
    policy_of,
    trust_of,
)
from tests.support.signing_keys import new_key
from tests.support.sigstore_evidence import (
    SLSA,
    VULN,
    Layer,
    Witness,
    attestation_layer,
    bundle_referrer,
    dsse_bundle,
    layers_manifest,
    signature_layer,
    statement,
)
from tests.support.sigstore_pki import SIGNED_AT, Signer
from tests.trust.drafts import (
    APP,
    BOTH,
    LOGGED,
    OTHER,
    PKI,
    ROGUE,
    TIMESTAMPS,
    Make,
    certified,
    judged_by_key,
    verdict,
)


@pytest.mark.parametrize("layout", ["legacy", "newfmt", "attonly"])
def test_real_evidence_counts_for_what_it_is(layout: str) -> None:
    policy = policy_of(_cosign_key(), trust_of(PKI))
    signed = judged(policy, pieces_in(layout), FIXTURE_SUBJECT)
    assert signed.result is (Result.FAIL if layout == "attonly" else Result.PASS), signed.reason
    scanned = judged(
        policy_of(_cosign_key(), trust_of(PKI), attested(VULN)), pieces_in(layout), FIXTURE_SUBJECT
    )
    assert scanned.result is Result.PASS


def _cosign_key() -> Any:
    own = key_of(Signer(new_key()))
    return replace(own, key=replace(own.key, data=(SIGNING / "cosign.pub").read_bytes()))


def test_an_image_with_attestations_alone_is_not_signed() -> None:
    signer = certified()
    contents = [
        bundle_referrer(APP, dsse_bundle(signer, statement(APP.digest, kind), LOGGED))
        for kind in (VULN, SLSA)
    ]
    contents.append(layers_manifest(attestation_layer(signer, statement(APP.digest, VULN), LOGGED)))
    found = judged(
        policy_of(keyless(), trust_of(PKI)), [piece_of(one, APP.digest) for one in contents], APP.digest
    )
    assert found.result is Result.FAIL
    assert "3 attestations beside it, which never count as a signature" in (found.reason or "")


def test_a_signature_is_no_attestation() -> None:
    policy = policy_of(keyless(), trust_of(PKI), attested(VULN))
    content = layers_manifest(signature_layer(certified(), APP.digest, LOGGED))
    assert judged(policy, [piece_of(content, APP.digest, "tag:.sig")], APP.digest).result is Result.FAIL


def test_a_predicate_type_that_only_an_annotation_claims_does_not_count() -> None:
    signer = certified()
    in_layer = attestation_layer(signer, statement(APP.digest, VULN), LOGGED)
    in_layer.annotations["predicateType"] = SLSA
    contents = [
        layers_manifest(in_layer),
        bundle_referrer(APP, dsse_bundle(signer, statement(APP.digest, VULN), LOGGED), SLSA),
    ]
    for content in contents:
        pieces = [piece_of(content, APP.digest, "tag:.att")]
        for wanted, expected in ((VULN, Result.PASS), (SLSA, Result.FAIL)):
            policy = policy_of(keyless(), trust_of(PKI), attested(wanted))
            found = judged(policy, pieces, APP.digest)
            assert found.result is expected
            assert expected is Result.PASS or f"of other types there are {VULN}" in (found.reason or "")


def test_an_attestation_cannot_be_told_as_a_signature_by_an_annotation() -> None:
    content = bundle_referrer(APP, dsse_bundle(certified(), statement(APP.digest, VULN), LOGGED))
    policy = policy_of(keyless(), trust_of(PKI))
    assert judged(policy, [piece_of(content, APP.digest)], APP.digest).result is Result.FAIL


def test_a_payload_under_another_layer_type_is_not_taken_for_what_it_was_signed_as() -> None:
    signer = Signer(new_key())
    payload = statement(APP.digest, VULN)
    signed = signature_layer(signer, APP.digest)
    disguised = Layer(signed.media_type, payload, signed.annotations)
    assert (
        "payload: critical"
        in judged_by_key(signer, piece_of(layers_manifest(disguised), APP.digest, "tag:.sig"))[1]
    )


def test_a_good_signature_counts_whatever_lies_beside_it() -> None:
    good = signature_layer(certified(), APP.digest, LOGGED)
    rubbish = [
        Layer(good.media_type, b"{", good.annotations),
        replace(good, annotations=good.annotations | {"dev.sigstore.cosign/bundle": "{}"}),
        signature_layer(certified(pki=ROGUE), APP.digest, LOGGED),
        signature_layer(certified(), OTHER.digest, LOGGED),
    ]
    content = layers_manifest(*rubbish[:2], good, *rubbish[2:])
    found = judged(
        policy_of(keyless(), trust_of(PKI)), [piece_of(content, APP.digest, "tag:.sig")], APP.digest
    )
    assert found.result is Result.PASS
    reasons = [seen.reason for seen in evidence_of(found)]
    assert sum(reason is None for reason in reasons) == 1
    assert len(reasons) == 5


@BOTH
def test_an_expired_certificate_counts_where_a_time_shows_that_it_signed_before(make: Make) -> None:
    for witness, trust in ((LOGGED, trust_of(PKI)), (Witness(None, PKI.tsa), TIMESTAMPS)):
        draft = make(certified(), witness)
        policy = policy_of(keyless(), trust)
        pieces = [piece_of(draft.content(), APP.digest, draft.location)]
        found = judged(policy, pieces, APP.digest, NOW + timedelta(days=3000))
        assert found.result is Result.PASS
        (seen,) = evidence_of(found)
        assert seen.signed_at == SIGNED_AT


@BOTH
def test_an_expired_certificate_without_a_time_does_not_count(make: Make) -> None:
    result, reason = verdict(make(certified(), Witness()), trust_of(PKI, tlog=0))
    assert result is Result.FAIL
    assert "trusted time: no log and no timestamp authority says when it was signed" in reason


@BOTH
@pytest.mark.parametrize(
    ("ahead", "expected"),
    [
        pytest.param(timedelta(minutes=2), Result.PASS, id="by what clocks differ"),
        pytest.param(timedelta(minutes=20), Result.FAIL, id="by more"),
    ],
)
def test_a_time_that_is_still_to_come_is_let_pass_only(
    make: Make, ahead: timedelta, expected: Result
) -> None:
    now = SIGNED_AT - ahead
    for witness, trust in ((LOGGED, trust_of(PKI)), (Witness(None, PKI.tsa), TIMESTAMPS)):
        draft = make(certified(), witness)
        pieces = [piece_of(draft.content(), APP.digest, draft.location)]
        found = judged(policy_of(keyless(), trust), pieces, APP.digest, now)
        assert found.result is expected
        assert expected is Result.PASS or "is still to come" in (found.reason or "")
