"""A signing certificate is one that a Fulcio of the root issued, for code, and valid at the time."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from regsync.trust.certificates import MAX_CERTIFICATES, verify_chain
from regsync.trust.errors import EvidenceRejectedError, TrustRootTooOldError
from regsync.trust.trusted_root import TrustedRoot
from tests.support.rekor_log import b64
from tests.support.signing_keys import KINDS, new_key
from tests.support.sigstore_pki import ISSUER, SIGNED_AT, SUBJECT, Leaf, SigstorePki
from tests.support.x509_issuing import CertificateAuthority

SUITE = Path(__file__).parents[1] / "data" / "signing" / "conformance" / "bundle-verify"
SECOND = timedelta(seconds=1)
PKI = SigstorePki()
ROOT = TrustedRoot.parse(PKI.trusted_root())
KEY = new_key()
LEAF, INTERMEDIATE, TOP = PKI.certify(KEY).certificates


def root_of(*chain: bytes, **interval: str) -> TrustedRoot:
    """A root with one Fulcio."""
    document = PKI.trusted_root_document()
    document["certificateAuthorities"] = [
        {
            "uri": "https://fulcio.example",
            "certChain": {"certificates": [{"rawBytes": b64(one)} for one in chain]},
            "validFor": {"start": "2020-01-01T00:00:00Z"} | interval,
        }
    ]
    return TrustedRoot.parse(json.dumps(document).encode())


def test_a_certificate_says_who_holds_it() -> None:
    leaf = PKI.certify(KEY, Leaf(extensions={"runnerEnvironment": "github-hosted"})).certificates[0]
    found = verify_chain((leaf,), ROOT, SIGNED_AT)
    assert (found.der, found.issuer, found.subject) == (leaf, ISSUER, SUBJECT)
    assert found.public_key == KEY.public_key()
    assert found.extensions == {"runnerEnvironment": "github-hosted"}
    assert found.chain == (INTERMEDIATE, TOP)


@pytest.mark.parametrize("kind", KINDS)
def test_keys_of_every_kind_are_certified(kind: str) -> None:
    key = new_key(kind)
    assert verify_chain(PKI.certify(key).certificates, ROOT, SIGNED_AT).public_key == key.public_key()


def test_an_intermediate_may_come_with_the_evidence() -> None:
    assert verify_chain((LEAF, INTERMEDIATE), root_of(TOP), SIGNED_AT).chain == (INTERMEDIATE, TOP)
    with pytest.raises(TrustRootTooOldError):
        verify_chain((LEAF,), root_of(TOP), SIGNED_AT)


def test_a_root_that_comes_with_the_evidence_is_not_believed() -> None:
    other = SigstorePki()
    with pytest.raises(EvidenceRejectedError, match="certificate chain"):
        verify_chain(other.certify(KEY).certificates, ROOT, SIGNED_AT)


def test_an_authority_that_the_root_lacks_means_that_the_root_is_too_old() -> None:
    stranger = CertificateAuthority("another fulcio")
    with pytest.raises(TrustRootTooOldError, match=r"another fulcio.*run regsync trust update"):
        verify_chain((issue(stranger),), ROOT, SIGNED_AT)


def test_a_certificate_is_valid_from_its_first_second_to_its_last() -> None:
    start = SIGNED_AT - timedelta(minutes=1)
    end = start + timedelta(minutes=10)
    for at in (start, end):
        assert verify_chain((LEAF,), ROOT, at).subject == SUBJECT
    for at in (start - SECOND, end + SECOND, end + timedelta(microseconds=1)):
        with pytest.raises(EvidenceRejectedError, match="not valid at validation time") as refused:
            verify_chain((LEAF,), ROOT, at)
        assert refused.value.check == "certificate chain"


def test_an_authority_is_believed_for_the_time_that_the_root_says() -> None:
    chain = PKI.intermediate.der, PKI.root.der
    for interval in ({"start": "2026-11-01T10:00:00Z"}, {"end": "2026-11-01T10:00:00Z"}):
        assert verify_chain((LEAF,), root_of(*chain, **interval), SIGNED_AT).subject == SUBJECT
    for interval in ({"start": "2026-11-01T10:00:01Z"}, {"end": "2026-11-01T09:59:59Z"}):
        with pytest.raises(EvidenceRejectedError, match=r"outside of https://fulcio\.example's time"):
            verify_chain((LEAF,), root_of(*chain, **interval), SIGNED_AT)


@dataclass(frozen=True)
class Shape:
    """What a leaf made by hand is like; by default as Fulcio makes one, without timestamps."""

    usage: Sequence[x509.ObjectIdentifier] | None = (ExtendedKeyUsageOID.CODE_SIGNING,)
    names: Sequence[x509.GeneralName] | None = (x509.UniformResourceIdentifier(SUBJECT),)
    is_authority: bool = False
    critical: bool = False  # has an extension that nobody knows and that is critical
    signed_by: ec.EllipticCurvePrivateKey | None = None


def issue(authority: CertificateAuthority, shape: Shape = Shape()) -> bytes:
    builder = authority.builder(None, KEY, SIGNED_AT - SECOND, SIGNED_AT + SECOND)
    if shape.usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(shape.usage)), critical=False)
    if shape.names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(shape.names)), critical=True)
    if shape.is_authority:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    oids = {"1.3.6.1.4.1.57264.1.1": ISSUER.encode()} | ({"1.2.3.4": b"\x05\x00"} if shape.critical else {})
    for oid, value in oids.items():
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
        builder = builder.add_extension(extension, critical=oid == "1.2.3.4")
    return builder.sign(shape.signed_by or authority.key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_a_leaf_made_by_hand_is_good() -> None:
    assert verify_chain((issue(PKI.intermediate),), ROOT, SIGNED_AT).issuer == ISSUER


@pytest.mark.parametrize(
    ("shape", "check"),
    [
        pytest.param(Shape(usage=None), "certificate usage", id="for no use"),
        pytest.param(Shape(usage=[ExtendedKeyUsageOID.SERVER_AUTH]), "certificate chain", id="for servers"),
        pytest.param(
            Shape(usage=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), "certificate usage", id="for anything"
        ),
        pytest.param(Shape(is_authority=True), "certificate chain", id="an authority"),
        pytest.param(Shape(critical=True), "certificate chain", id="something critical that nobody knows"),
        pytest.param(Shape(names=None), "certificate chain", id="no subject"),
        pytest.param(
            Shape(names=[x509.RFC822Name("a@b.c"), x509.RFC822Name("d@e.f")]), "certificate subject", id="two"
        ),
        pytest.param(
            Shape(signed_by=ec.generate_private_key(ec.SECP256R1())),
            "certificate chain",
            id="forged signature",
        ),
    ],
)
def test_a_certificate_that_fulcio_would_not_issue_is_refused(shape: Shape, check: str) -> None:
    with pytest.raises(EvidenceRejectedError) as refused:
        verify_chain((issue(PKI.intermediate, shape),), ROOT, SIGNED_AT)
    assert refused.value.check == check


def test_an_intermediate_for_other_uses_issues_nothing() -> None:
    servers = CertificateAuthority("servers", PKI.root, purpose=ExtendedKeyUsageOID.SERVER_AUTH)
    with pytest.raises(EvidenceRejectedError, match="not code signing"):
        verify_chain((issue(servers), servers.der), root_of(TOP), SIGNED_AT)


def two_intermediates(**interval: str) -> TrustedRoot:
    """A root with two Fulcios below one root, the usual one believed for a time."""
    document = PKI.trusted_root_document()
    (usual,) = document["certificateAuthorities"]
    chain = {"certificates": [{"rawBytes": b64(one)} for one in (NEW.der, TOP)]}
    document["certificateAuthorities"] = [
        usual | {"validFor": usual["validFor"] | interval},
        usual | {"uri": "https://new.example", "certChain": chain},
    ]
    return TrustedRoot.parse(json.dumps(document).encode())


NEW = CertificateAuthority("new", PKI.root, purpose=ExtendedKeyUsageOID.CODE_SIGNING)


def test_an_intermediate_that_is_believed_no_longer_cannot_be_brought_along() -> None:
    for brought in ((LEAF,), (LEAF, INTERMEDIATE)):
        assert verify_chain(brought, two_intermediates(), SIGNED_AT).chain[0] == INTERMEDIATE
        with pytest.raises(EvidenceRejectedError, match=r"outside of https://fulcio\.example's time"):
            verify_chain(brought, two_intermediates(end="2026-11-01T09:59:59Z"), SIGNED_AT)
    assert verify_chain((issue(NEW),), two_intermediates(), SIGNED_AT).chain[0] == NEW.der


def test_an_intermediate_that_the_root_has_not_cannot_be_brought_along_to_others() -> None:
    with pytest.raises(TrustRootTooOldError, match="new"):
        verify_chain((issue(NEW), NEW.der), ROOT, SIGNED_AT)


def test_a_leaf_issues_nothing() -> None:
    """Whoever holds a certificate must not be able to make another with it."""
    holder = CertificateAuthority("holder")
    builder = PKI.intermediate.builder("holder", holder.key, SIGNED_AT - SECOND, SIGNED_AT + SECOND)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
    certified = PKI.intermediate.sign(builder)
    holder.name = certified.subject
    with pytest.raises(EvidenceRejectedError, match="certificate chain"):
        verify_chain((issue(holder), certified.public_bytes(Encoding.DER)), ROOT, SIGNED_AT)


@pytest.mark.parametrize(
    "certificates",
    [
        pytest.param((), id="none"),
        pytest.param((LEAF,) * (MAX_CERTIFICATES + 1), id="too many"),
        pytest.param((b"",), id="empty"),
        pytest.param((b"\x30\x84\xff\xff\xff\xff",), id="no DER"),
        pytest.param((LEAF[:-1],), id="cut"),
        pytest.param((LEAF + b"\x00",), id="with something behind it"),
        pytest.param((bytes(70_000),), id="long"),
        pytest.param((LEAF, b"nothing"), id="an intermediate that is none"),
    ],
)
def test_what_is_no_certificate_is_refused(certificates: tuple[bytes, ...]) -> None:
    with pytest.raises(EvidenceRejectedError, match="certificate"):
        verify_chain(certificates, ROOT, SIGNED_AT)


@settings(deadline=None)
@given(st.integers(0), st.integers(1, 255))
def test_with_any_byte_changed_it_is_refused(place: int, change: int) -> None:
    changed = bytearray(LEAF)
    changed[place % len(changed)] ^= change
    with pytest.raises(EvidenceRejectedError):
        verify_chain((bytes(changed),), ROOT, SIGNED_AT)


def suite(case: str) -> tuple[tuple[bytes, ...], TrustedRoot]:
    material: dict[str, Any] = json.loads((SUITE / case / "bundle.sigstore.json").read_text())
    chain = material["verificationMaterial"]["x509CertificateChain"]["certificates"]
    root = TrustedRoot.parse((SUITE / case / "trusted_root.json").read_bytes())
    return tuple(base64.b64decode(one["rawBytes"]) for one in chain), root


def test_certificates_of_the_conformance_suite() -> None:
    at = datetime(2023, 2, 1, tzinfo=UTC)
    certificates, root = suite("intoto-with-custom-trust-root")
    assert verify_chain(certificates, root, at).issuer == ISSUER
    expired, root = suite("intoto-expired-certificate_fail")
    with pytest.raises(EvidenceRejectedError):
        verify_chain(expired, root, at)
