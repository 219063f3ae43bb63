"""Signatures by a key that somebody keeps: what a log has to say of them is the policy's choice."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from regsync.oci.digest import Digest
from regsync.spec.verification import HashChoice, LogUse
from regsync.trust.bundles import read_bundle
from regsync.trust.cosign import read_signature
from regsync.trust.envelopes import (
    Image,
    Kind,
    Message,
    NotationEnvelope,
    Question,
    SigstoreEnvelope,
)
from regsync.trust.errors import EvidenceRejectedError, TrustRootTooOldError
from regsync.trust.keys import InvalidKeyError, ManagedKey
from regsync.trust.witnesses import SigstoreTrust
from tests.support.cosign import Cosign
from tests.support.rekor_log import RekorLog
from tests.support.signing_keys import KINDS, SigningKey, certificate_pem, new_key, public_der, public_pem
from tests.support.sigstore_evidence import SLSA, Witness, dsse_bundle, signature_layer, statement
from tests.support.sigstore_pki import SIGNED_AT, Signer, SigstorePki
from tests.support.tools import Tool

Json = dict[str, Any]

DIGEST = Digest.of(b"a manifest")
QUESTION = Question(Image("hub", "acme/app", "v1", DIGEST), SIGNED_AT + timedelta(days=20))
KEY = new_key()
LOGGED = ("log entry (dsse 0.0.1)", "log promise (SET)", "log checkpoint", "log inclusion")
STAMPED = f"timestamp ({SIGNED_AT.isoformat()})"
IGNORED = "transparency log: not looked at (tlog: ignore)"


def authority(
    key: SigningKey = KEY, tlog: LogUse = LogUse.REQUIRED, root: bytes | None = None, **thresholds: int
) -> ManagedKey:
    trust = SigstoreTrust.parse(root, **thresholds) if root is not None else None
    return ManagedKey.parse("ops", public_pem(key), tlog=tlog, root=trust)


def read(bundle: Json) -> SigstoreEnvelope:
    return read_bundle(json.dumps(bundle).encode(), manifest_digest=DIGEST)


def signed(witness: Witness, key: SigningKey = KEY) -> SigstoreEnvelope:
    return read(dsse_bundle(Signer(key), statement(str(DIGEST), SLSA), witness))


@pytest.fixture
def pki() -> SigstorePki:
    return SigstorePki()


def test_a_signature_in_a_log_is_proven_and_every_check_is_named(pki: SigstorePki) -> None:
    found = authority(root=pki.trusted_root()).verify(signed(Witness(pki.log, pki.tsa)), QUESTION)
    assert found.checks == ("signature (ECDSA P-256, SHA-256)", STAMPED, *LOGGED)
    assert found.relaxed == ()
    assert found.signed_at == SIGNED_AT
    assert found.signer.authority == "ops"
    assert found.signer.identity == f"sha256:{sha256(public_der(KEY)).hexdigest()}"
    assert (found.signer.issuer, found.signer.subject) == (None, None)


@pytest.mark.parametrize("kind", KINDS)
def test_keys_are_of_every_kind(kind: str) -> None:
    key = new_key(kind)
    found = authority(key, LogUse.IGNORE).verify(signed(Witness(), key), QUESTION)
    assert kind in found.checks[0]
    assert found.relaxed == (IGNORED,)
    assert found.signed_at is None


def test_a_layer_of_cosign_2_is_proven_by_the_promise_of_the_log(pki: SigstorePki) -> None:
    layer = signature_layer(Signer(KEY), str(DIGEST), Witness(pki.log))
    envelope = read_signature(layer.data, layer.annotations)
    found = authority(root=pki.trusted_root()).verify(envelope, QUESTION)
    assert "log promise (SET)" in found.checks
    assert found.relaxed == ("log inclusion: the entry has no proof with a checkpoint, only a promise",)


def test_another_key_proves_nothing(pki: SigstorePki) -> None:
    with pytest.raises(EvidenceRejectedError) as refused:
        authority(new_key(), root=pki.trusted_root()).verify(signed(Witness(pki.log)), QUESTION)
    assert refused.value.check == "signature"


def test_where_a_log_is_required_one_has_to_have_it(pki: SigstorePki) -> None:
    asked = authority(root=pki.trusted_root(), tlog_threshold=0)  # the key's policy asks for one all the same
    with pytest.raises(EvidenceRejectedError, match="0 vouch for it") as refused:
        asked.verify(signed(Witness()), QUESTION)
    assert refused.value.check == "transparency log"
    with pytest.raises(TrustRootTooOldError, match="regsync trust update"):
        asked.verify(signed(Witness(RekorLog("other.example"))), QUESTION)


def test_where_a_log_is_optional_what_it_says_has_to_be_right(pki: SigstorePki) -> None:
    asked = authority(tlog=LogUse.OPTIONAL, root=pki.trusted_root())
    assert asked.verify(signed(Witness(pki.log)), QUESTION).checks[1:] == LOGGED
    assert asked.verify(signed(Witness()), QUESTION).relaxed == (
        "transparency log: none vouches for it, and none has to",
    )
    strange = asked.verify(signed(Witness(RekorLog("other.example"))), QUESTION)
    assert any("not in the trust root" in one for one in strange.relaxed)
    wrong = signed(Witness(pki.log))
    entry = replace(wrong.entries[0], promise=b"wrong")
    with pytest.raises(EvidenceRejectedError) as refused:
        asked.verify(replace(wrong, entries=(entry,)), QUESTION)
    assert refused.value.check == "log promise (SET)"


def test_where_a_log_is_ignored_nothing_of_it_is_said(pki: SigstorePki) -> None:
    wrong = signed(Witness(pki.log))
    entry = replace(wrong.entries[0], promise=b"wrong")
    for root in (None, pki.trusted_root()):
        asked = authority(tlog=LogUse.IGNORE, root=root)
        found = asked.verify(replace(wrong, entries=(entry,)), QUESTION)
        assert found.checks == ("signature (ECDSA P-256, SHA-256)",)
        assert found.relaxed == (IGNORED,)


def test_a_timestamp_tells_when_it_was_signed_without_any_log(pki: SigstorePki) -> None:
    envelope = signed(Witness(tsa=pki.tsa))
    found = authority(tlog=LogUse.OPTIONAL, root=pki.trusted_root(), timestamp_threshold=1).verify(
        envelope, QUESTION
    )
    assert (found.signed_at, found.checks[1]) == (SIGNED_AT, STAMPED)
    without = authority(tlog=LogUse.IGNORE).verify(envelope, QUESTION)
    assert without.signed_at is None
    assert "timestamp: not looked at without a trust root" in without.relaxed
    with pytest.raises(EvidenceRejectedError, match="timestamp: 0 vouch"):
        authority(tlog=LogUse.OPTIONAL, root=pki.trusted_root(), timestamp_threshold=1).verify(
            signed(Witness()), QUESTION
        )
    with pytest.raises(EvidenceRejectedError, match="still to come"):
        authority(tlog=LogUse.OPTIONAL, root=pki.trusted_root()).verify(
            envelope, replace(QUESTION, now=SIGNED_AT - timedelta(hours=1))
        )


def test_an_entry_of_another_signature_by_the_same_key_proves_nothing(pki: SigstorePki) -> None:
    other = read(dsse_bundle(Signer(KEY), statement(str(Digest.of(b"another")), SLSA), Witness(pki.log)))
    with pytest.raises(EvidenceRejectedError) as refused:
        authority(root=pki.trusted_root()).verify(
            replace(signed(Witness(pki.log)), entries=other.entries), QUESTION
        )
    assert refused.value.check == "log entry"


def test_a_certificate_beside_the_signature_has_to_be_of_the_key(pki: SigstorePki) -> None:
    """`cosign sign --key --certificate`: the log then has the certificate in place of the key."""
    layer = signature_layer(pki.certify(KEY), str(DIGEST), Witness(pki.log))
    envelope = read_signature(layer.data, layer.annotations)
    asked = authority(root=pki.trusted_root())
    assert "log promise (SET)" in asked.verify(envelope, QUESTION).checks
    for certificates in (pki.certify(new_key()).certificates, (b"\x30\x00",)):
        with pytest.raises(EvidenceRejectedError) as refused:
            asked.verify(replace(envelope, certificates=certificates), QUESTION)
        assert refused.value.check == "certificate"


def test_a_notation_signature_is_by_no_key() -> None:
    notation = NotationEnvelope("notation-cose", Message(Kind.SIGNATURE, frozenset({DIGEST})), b"")
    with pytest.raises(EvidenceRejectedError, match="notation"):
        authority(tlog=LogUse.IGNORE).verify(notation, QUESTION)


PRIVATE = new_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
STRANGE = x25519.X25519PrivateKey.generate().public_key()


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        pytest.param(b"", "expected one in PEM", id="nothing"),
        pytest.param(public_pem(KEY)[:-40], "expected one in PEM", id="cut off"),
        pytest.param(b"x" * 70_000, "at most 65536", id="too much"),
        pytest.param(public_pem(KEY) + public_pem(new_key()), "there are several", id="two keys"),
        pytest.param(PRIVATE, "this is a private key", id="the private half"),
        pytest.param(
            b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n",
            "this is a private key",
            id="cosign's private half",
        ),
        pytest.param(
            certificate_pem(SigstorePki().root.der).encode(), "this is a certificate", id="a certificate"
        ),
        pytest.param(
            STRANGE.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "neither an ECDSA",
            id="a key that signs nothing",
        ),
    ],
)
def test_what_is_no_public_key_is_refused(pem: bytes, reason: str) -> None:
    with pytest.raises(InvalidKeyError, match=reason):
        ManagedKey.parse("ops", pem, tlog=LogUse.IGNORE, root=None)


def test_choices_that_mean_nothing_are_refused() -> None:
    with pytest.raises(InvalidKeyError, match="hashAlgorithm: auto"):
        ManagedKey.parse(
            "ops",
            public_pem(new_key("Ed25519")),
            hash_algorithm=HashChoice.SHA512,
            tlog=LogUse.IGNORE,
            root=None,
        )
    with pytest.raises(InvalidKeyError, match="tlog: required takes a trust root"):
        authority()


@pytest.mark.parametrize("kind", ["P-256", "P-384", "P-521", "RSA"])  # with Ed25519 it signs no bundles
def test_what_cosign_signs_is_accepted(
    kind: str, pki: SigstorePki, tmp_path: Path, tool: Callable[[str], Tool]
) -> None:
    """With P-384 and P-521 it signs over hashes that it does not verify itself."""
    artifact, bundle = tmp_path / "artifact", tmp_path / "bundle"
    artifact.write_bytes(b"an artifact")
    cosign, key = Cosign(tool("cosign"), tmp_path, pki.trusted_root()), new_key(kind)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    cosign.sign_blob(artifact, cosign.import_key(pem, "imported"), bundle)
    envelope = read_bundle(
        bundle.read_bytes(), manifest_digest=Digest.of(b"an artifact"), content=b"an artifact"
    )
    (check,) = authority(key, LogUse.IGNORE).verify(envelope, QUESTION).checks
    assert kind in check
    with pytest.raises(EvidenceRejectedError):
        authority(key, LogUse.IGNORE).verify(replace(envelope, signed=b"another artifact"), QUESTION)


def test_curves_of_bitcoin_are_refused() -> None:
    key = ec.generate_private_key(ec.SECP256K1()).public_key()
    with pytest.raises(InvalidKeyError, match="secp256k1"):
        ManagedKey.parse(
            "ops",
            key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            tlog=LogUse.IGNORE,
            root=None,
        )
