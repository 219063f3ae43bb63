"""Keys of every kind, and signatures that are not made as their key makes them."""

import base64
import json
import re

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from regsync.oci.digest import Digest
from regsync.spec.verification import LogUse
from regsync.trust.verdict import Result
from tests.support.evidence_drafts import bundle_draft, layer_draft
from tests.support.evidence_pieces import piece_of
from tests.support.judging import (
    judged,
    key_of,
    policy_of,
    trust_of,
)
from tests.support.rekor_log import b64, canonical
from tests.support.signing_keys import SigningKey, new_key, public_der
from tests.support.sigstore_evidence import (
    Witness,
    bundle_referrer,
    dsse_bundle,
    layers_manifest,
    message_bundle,
    signature_layer,
    simple_signing,
    statement,
)
from tests.support.sigstore_pki import SIGNED_AT, Signer
from tests.trust.drafts import (
    APP,
    LOGGED,
    OTHER,
    PKI,
    TIMESTAMPS,
    bundle,
    certified,
    judged_by_key,
    layer,
    verdict,
)

KINDS = ["P-256", "P-384", "P-521", "Ed25519", "RSA"]


@pytest.mark.parametrize("kind", KINDS)
def test_keys_of_every_kind_are_accepted_and_only_over_what_they_signed(kind: str) -> None:
    signer = Signer(new_key(kind))
    for make in (
        lambda digest: layers_manifest(signature_layer(signer, digest)),
        lambda digest: bundle_referrer(APP, dsse_bundle(signer, statement(digest))),
    ):
        assert judged_by_key(signer, piece_of(make(APP.digest), APP.digest, "tag:.sig"))[0] is Result.PASS
        result, reason = judged_by_key(signer, piece_of(make(OTHER.digest), APP.digest, "tag:.sig"))
        assert (result, f"it is of another digest: {OTHER.digest}" in reason) == (Result.FAIL, True)
        result, reason = judged_by_key(
            Signer(new_key("P-384")), piece_of(make(APP.digest), APP.digest, "tag:.sig")
        )
        assert (result, "signature: it is not by this key" in reason) == (Result.FAIL, True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("witness", [LOGGED, Witness(None, PKI.tsa)], ids=["log", "timestamp"])
def test_certificates_for_keys_of_every_kind_are_accepted(kind: str, witness: Witness) -> None:
    trust = trust_of(PKI) if witness.log else TIMESTAMPS
    for make in (layer, bundle):
        assert verdict(make(certified(kind=kind), witness), trust) == (Result.PASS, "")


@pytest.mark.parametrize(
    ("kind", "algorithm"), [("P-256", hashes.SHA512()), ("P-384", hashes.SHA512()), ("RSA", hashes.SHA512())]
)
def test_a_signature_with_another_hash_than_the_key_goes_with_is_refused(
    kind: str, algorithm: hashes.HashAlgorithm
) -> None:
    signer = Signer(new_key(kind))
    content = layers_manifest(signature_layer(signer, APP.digest, hash_algorithm=algorithm))
    result, reason = judged_by_key(signer, piece_of(content, APP.digest, "tag:.sig"))
    assert (result, "signature: it is not by this key" in reason) == (Result.FAIL, True)


def test_a_signature_with_another_padding_is_refused() -> None:
    signer = Signer(new_key("RSA"))
    assert isinstance(signer.key, rsa.RSAPrivateKey)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    signature = signer.key.sign(simple_signing(APP.digest), pss, hashes.SHA256())
    made = signature_layer(signer, APP.digest)
    made.annotations["dev.cosignproject.cosign/signature"] = b64(signature)
    result, reason = judged_by_key(signer, piece_of(layers_manifest(made), APP.digest, "tag:.sig"))
    assert (result, "signature: it is not by this key" in reason) == (Result.FAIL, True)


@pytest.mark.parametrize("algorithm", ["SHA2_512", "SHA2_384", "MD5", "HASH_ALGORITHM_UNSPECIFIED"])
def test_a_message_signature_that_names_another_algorithm_is_refused(algorithm: str) -> None:
    draft = bundle_draft(message_bundle(certified(), APP.data, LOGGED), APP)
    assert verdict(draft)[0] is Result.PASS
    draft.document["messageSignature"]["messageDigest"]["algorithm"] = algorithm
    result, reason = verdict(draft)
    assert result is Result.FAIL
    assert re.search("bundle: |message digest: ", reason), reason


@pytest.mark.parametrize("algorithm", ["sha512", "sha1", "md5"])
def test_a_log_entry_that_names_another_algorithm_is_refused(algorithm: str) -> None:
    draft = layer(certified())
    body = json.loads(base64.b64decode(draft.get("body")))
    body["spec"]["data"]["hash"]["algorithm"] = algorithm
    entry = PKI.log.add(canonical(body), SIGNED_AT)
    draft.document["bundle"] = PKI.log.cosign_bundle(entry)
    result, reason = verdict(draft)
    assert result is Result.FAIL
    assert "log entry: " in reason


def test_a_log_entry_of_another_key_over_the_same_contents_is_refused() -> None:
    signer = Signer(new_key())
    draft = layer_draft(signature_layer(signer, APP.digest, LOGGED), "tag:.sig")
    other = layer_draft(signature_layer(Signer(new_key()), APP.digest, LOGGED), "tag:.sig")
    policy = policy_of(key_of(signer, LogUse.REQUIRED), trust_of(PKI))

    def said() -> tuple[Result, str]:
        answer = judged(policy, [piece_of(draft.content(), APP.digest, "tag:.sig")], APP.digest)
        return answer.result, answer.reason or ""

    assert said()[0] is Result.PASS
    draft.put("log entry", other.get("log entry"))
    result, reason = said()
    assert (result, "log entry: it is about another " in reason) == (Result.FAIL, True)


def test_a_key_is_called_by_the_digest_that_cosign_hints_at() -> None:
    key: SigningKey = new_key()
    found = judged(
        policy_of(key_of(Signer(key)), trust_of(PKI)),
        [piece_of(layers_manifest(signature_layer(Signer(key), APP.digest)), APP.digest, "tag:.sig")],
        APP.digest,
    )
    assert found.signers == (f"release: {Digest.of(public_der(key))}",)
