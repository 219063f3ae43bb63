"""A chain has to be what the specification says, whoever is trusted and whatever the level."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID as Use

from regsync.spec.verification import NotationLevel
from regsync.trust.envelopes import Proven
from regsync.trust.errors import EvidenceRejectedError
from tests.support.notation_pki import (
    AUTHORITY,
    SIGNER,
    Chain,
    Extensions,
    Holder,
    issue,
    key_of,
    make_chain,
    make_root,
    name,
    usage,
)
from tests.support.notation_signing import COSE, Request, sign_cose

Prove = Callable[..., Proven]
LEAF_ENDS_NOTHING = (x509.BasicConstraints(ca=False, path_length=None), True)


def test_a_leaf_for_code_signing_is_right(root: Holder, prove: Prove) -> None:
    extended = (x509.ExtendedKeyUsage([Use.CODE_SIGNING]), True)
    assert prove(sign_cose(Request(), make_chain(root=root, extensions=(*SIGNER, extended))), COSE)


def test_a_leaf_needs_no_basic_constraints(root: Holder, prove: Prove) -> None:
    assert prove(sign_cose(Request(), make_chain(root=root, extensions=SIGNER[:1])), COSE)


@pytest.mark.parametrize("level", [None, NotationLevel.AUDIT], ids=["strict", "audit"])
@pytest.mark.parametrize(
    ("extensions", "reason"),
    [
        pytest.param((LEAF_ENDS_NOTHING,), "has no key usage", id="no key usage"),
        pytest.param(((usage("digital_signature"), False),), "key usage is not critical", id="not critical"),
        pytest.param(((usage("content_commitment"), True),), "lacks digitalSignature", id="no signing"),
        *(
            pytest.param(((usage("digital_signature", bit), True),), f"more than a signer's: {bit}", id=bit)
            for bit in ("key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign")
        ),
        pytest.param(AUTHORITY, "the certificate of an authority", id="an authority"),
        *(
            pytest.param(
                (*SIGNER, (x509.ExtendedKeyUsage([Use.CODE_SIGNING, oid]), False)),
                f"extended key usage is not for code: {said}",
                id=said,
            )
            for oid, said in (
                (Use.ANY_EXTENDED_KEY_USAGE, "any"),
                (Use.SERVER_AUTH, "serverAuth"),
                (Use.CLIENT_AUTH, "clientAuth"),
                (Use.EMAIL_PROTECTION, "emailProtection"),
                (Use.TIME_STAMPING, "timeStamping"),
                (Use.OCSP_SIGNING, "OCSPSigning"),
            )
        ),
    ],
)
def test_a_leaf_that_is_no_signers_is_refused_at_every_level(
    extensions: Extensions, reason: str, level: NotationLevel | None, root: Holder, prove: Prove
) -> None:
    raw = sign_cose(Request(), make_chain(root=root, extensions=extensions))
    with pytest.raises(EvidenceRejectedError, match=f"^certificate chain: CN=acme-signer.*{reason}"):
        prove(raw, COSE, level=level)


def below(authority: Holder, *others: Holder) -> Chain:
    return Chain((issue(name("acme-signer"), authority), authority, *others))


def an_authority(root: Holder, *extensions: tuple[x509.ExtensionType, bool]) -> Holder:
    return issue(name("issuing"), root, extensions=extensions)


AS_AUTHORITY, SIGNS = AUTHORITY[1], AUTHORITY[0]


@pytest.mark.parametrize(
    ("extensions", "reason"),
    [
        pytest.param((SIGNS,), "no critical basic constraints let it", id="no constraints"),
        pytest.param((SIGNS, LEAF_ENDS_NOTHING), "no critical basic constraints let it", id="no authority"),
        pytest.param(
            (SIGNS, (AS_AUTHORITY[0], False)), "no critical basic constraints let it", id="not critical"
        ),
        pytest.param((AS_AUTHORITY,), "has no key usage", id="no key usage"),
        pytest.param(((SIGNS[0], False), AS_AUTHORITY), "key usage is not critical", id="usage not critical"),
        pytest.param(((usage("crl_sign"), True), AS_AUTHORITY), "lacks keyCertSign", id="no signing"),
    ],
)
def test_who_issues_has_to_be_an_authority(
    extensions: Extensions, reason: str, root: Holder, prove: Prove
) -> None:
    chain = below(an_authority(root, *extensions), root)
    with pytest.raises(EvidenceRejectedError, match=f"CN=issuing.*{reason}"):
        prove(sign_cose(Request(), chain), COSE)


def test_a_signer_cannot_issue_another_signer(root: Holder, prove: Prove) -> None:
    signer = make_chain(root=root).leaf
    with pytest.raises(EvidenceRejectedError, match="no critical basic constraints let it"):
        prove(sign_cose(Request(), below(signer, root)), COSE)


def test_a_path_length_is_kept(root: Holder, prove: Prove) -> None:
    short = an_authority(root, SIGNS, (x509.BasicConstraints(ca=True, path_length=0), True))
    assert prove(sign_cose(Request(), below(short, root)), COSE)
    another = issue(name("issuing 2"), short, extensions=AUTHORITY)
    with pytest.raises(EvidenceRejectedError, match="path length is 0, with 1 authorities below it"):
        prove(sign_cose(Request(), below(another, short, root)), COSE)


def test_the_order_is_from_the_leaf_to_the_root(root: Holder, prove: Prove) -> None:
    leaf, low, high, top = make_chain(root=root, between=["high", "low"]).holders
    with pytest.raises(EvidenceRejectedError, match="the next in the chain did not issue it"):
        prove(sign_cose(Request(), Chain((leaf, high, low, top))), COSE)
    with pytest.raises(EvidenceRejectedError, match="the next in the chain did not issue it"):
        prove(sign_cose(Request(), Chain((leaf, high, top))), COSE)
    with pytest.raises(EvidenceRejectedError, match=r"CN=low.*ends the chain and is no root"):
        prove(sign_cose(Request(), Chain((leaf, low))), COSE)
    with pytest.raises(EvidenceRejectedError, match="signed itself and does not end the chain"):
        prove(sign_cose(Request(), Chain((leaf, low, high, top, top))), COSE)
    assert prove(sign_cose(Request(), Chain((leaf, low, high, top))), COSE)


def test_an_authority_of_the_right_name_with_another_key_issued_nothing(root: Holder, prove: Prove) -> None:
    leaf = make_chain(root=make_root()).leaf
    with pytest.raises(EvidenceRejectedError, match="the next in the chain did not issue it"):
        prove(sign_cose(Request(), Chain((leaf, root))), COSE)


def test_any_certificate_that_has_ended_ends_the_chain(prove: Prove) -> None:
    ended = make_root(end=datetime(2026, 6, 15, tzinfo=UTC))
    raw = sign_cose(Request(), make_chain(root=ended))
    with pytest.raises(EvidenceRejectedError, match=r"CN=acme-root.* was not valid now"):
        prove(raw, COSE, stores={"ca:acme": ended.pem})


def test_bytes_that_are_no_certificate_are_refused(root: Holder, prove: Prove) -> None:
    leaf = make_chain(root=root).leaf
    with pytest.raises(EvidenceRejectedError, match="certificate chain: certificate 2 cannot be read"):
        prove(sign_cose(Request(), _Odd((leaf, root))), COSE)


class _Odd(Chain):
    """A chain whose root is broken off."""

    @property
    def ders(self) -> tuple[bytes, ...]:
        return (self.leaf.der, self.root.der[:-7])


def test_sha_1_signs_no_certificate(prove: Prove) -> None:
    root = make_root(key=key_of("RSA 2048"))
    leaf = make_chain(root=root).leaf
    weak = Holder(_signed_with_sha1(leaf.certificate, root), leaf.key)
    with pytest.raises(EvidenceRejectedError, match="signed with SHA-1"):
        prove(sign_cose(Request(), Chain((weak, root))), COSE, stores={"ca:acme": root.pem})


def _signed_with_sha1(certificate: x509.Certificate, issuer: Holder) -> x509.Certificate:
    """The same once more; the library itself refuses to make such a thing."""
    assert isinstance(issuer.key, rsa.RSAPrivateKey)
    with_sha256, with_sha1 = bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105")
    der = certificate.public_bytes(Encoding.DER)
    old = certificate.tbs_certificate_bytes
    new = old.replace(with_sha256, with_sha1)
    signature = issuer.key.sign(new, padding.PKCS1v15(), hashes.SHA1())
    changed = der.replace(old, new).replace(with_sha256, with_sha1).replace(certificate.signature, signature)
    return x509.load_der_x509_certificate(changed)
