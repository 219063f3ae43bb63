"""What the chain of a signature or of a timestamp has to be, whoever is trusted.

Source: notaryproject specifications, signature-specification.md, "Certificate Requirements". Of the
extensions only basic constraints, key usage and extended key usage are looked at, as it says.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.notation.algorithms import algorithm_of
from regsync.trust.notation.certificate import Certificate
from regsync.trust.x509_reading import InvalidCertificateError

CHAIN = "certificate chain"


class Purpose(Enum):
    """What the leaf is for."""

    CODE_SIGNING = "code signing"
    TIMESTAMPING = "timestamping"


_NOT_FOR_CODE = {
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "any",
    ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "emailProtection",
    ExtendedKeyUsageOID.TIME_STAMPING: "timeStamping",
    ExtendedKeyUsageOID.OCSP_SIGNING: "OCSPSigning",
}
# Without key agreement, encipherOnly and decipherOnly mean nothing and the library does not read them.
_NOT_FOR_LEAVES = ("key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign")


def parse_chain(chain: Sequence[bytes]) -> tuple[Certificate, ...]:
    """Read the certificates of an envelope; raises EvidenceRejectedError."""
    found = []
    for number, der in enumerate(chain, 1):
        try:
            found.append(Certificate.parse(der))
        except InvalidCertificateError as cause:
            raise EvidenceRejectedError(CHAIN, f"certificate {number} cannot be read: {cause}") from cause
    return tuple(found)


def check_chain(chain: Sequence[Certificate], purpose: Purpose) -> None:
    """Check order, signatures and constraints, from the leaf to a root that signed itself.

    A chain of one is a leaf that signed itself. Raises EvidenceRejectedError.
    """
    for certificate in chain:
        if certificate.has_weak_hash:
            raise _refused(certificate, "it is signed with SHA-1, MD5 or an unknown hash")
    _check_links(chain)
    for depth, certificate in enumerate(chain):
        if depth == 0:
            _check_leaf(certificate, purpose)
        else:
            _check_authority(certificate, depth - 1, purpose)


def outside_validity(
    chain: Sequence[Certificate], earliest: datetime, latest: datetime
) -> Certificate | None:
    """The first certificate that is not valid for all of this time, both ends included."""
    for certificate in chain:
        if earliest < certificate.not_before or latest > certificate.not_after:
            return certificate
    return None


def _check_links(chain: Sequence[Certificate]) -> None:
    *below, root = chain
    if not root.is_self_signed:
        raise _refused(root, "it ends the chain and is no root that signed itself")
    for certificate, issuer in zip(below, chain[1:], strict=True):
        if certificate.is_self_signed:
            raise _refused(certificate, "it signed itself and does not end the chain")
        if not certificate.is_issued_by(issuer):
            raise _refused(certificate, f"the next in the chain did not issue it: {issuer.subject:.200}")


def _check_leaf(leaf: Certificate, purpose: Purpose) -> None:
    if leaf.is_authority:
        raise _refused(leaf, "it is the certificate of an authority, not of a signer")
    usage = _key_usage(leaf, purpose)
    if not usage.digital_signature:
        raise _refused(leaf, "its key usage lacks digitalSignature")
    if wrong := [name for name in _NOT_FOR_LEAVES if getattr(usage, name)]:
        raise _refused(leaf, f"its key usage has more than a signer's: {', '.join(wrong)}")
    if algorithm_of(leaf.key) is None:
        raise _refused(leaf, "its key is none of RSA 2048, 3072, 4096 and EC P-256, P-384, P-521")
    if purpose is Purpose.CODE_SIGNING:
        _check_code_signing_use(leaf)
    else:
        _check_timestamping_use(leaf)


def _check_code_signing_use(leaf: Certificate) -> None:
    extended = leaf.extension(x509.ExtendedKeyUsage)
    wrong = [_NOT_FOR_CODE[oid] for oid in extended.value if oid in _NOT_FOR_CODE] if extended else []
    if wrong:
        raise _refused(leaf, f"its extended key usage is not for code: {', '.join(wrong)}")


def _check_timestamping_use(leaf: Certificate) -> None:
    extended = leaf.extension(x509.ExtendedKeyUsage)
    if extended is None or list(extended.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise _refused(leaf, "its extended key usage is not timeStamping alone")
    if not extended.critical:
        raise _refused(leaf, "its extended key usage is not critical")


def _check_authority(authority: Certificate, below: int, purpose: Purpose) -> None:
    """`below` is how many authorities stand between this one and the leaf."""
    constraints = authority.extension(x509.BasicConstraints)
    if constraints is None or not constraints.critical or not constraints.value.ca:
        raise _refused(authority, "it issues, and no critical basic constraints let it")
    longest = constraints.value.path_length
    if longest is not None and longest < below:
        raise _refused(authority, f"its path length is {longest}, with {below} authorities below it")
    if not _key_usage(authority, purpose).key_cert_sign:
        raise _refused(authority, "its key usage lacks keyCertSign")


def _key_usage(certificate: Certificate, purpose: Purpose) -> x509.KeyUsage:
    usage = certificate.extension(x509.KeyUsage)
    if usage is None:
        raise _refused(certificate, "it has no key usage")
    if purpose is Purpose.CODE_SIGNING and not usage.critical:
        raise _refused(certificate, "its key usage is not critical")
    return usage.value


def _refused(certificate: Certificate, reason: str) -> EvidenceRejectedError:
    return EvidenceRejectedError(CHAIN, f"{certificate.subject:.200}: {reason}")
