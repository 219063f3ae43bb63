"""Certificates of a Fulcio: that its root leads to them at a time, and whom they name.

Sources: RFC 5280, sections 4.2 and 6; sigstore/fulcio, `docs/certificate-specification.md`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from regsync.trust.errors import EvidenceRejectedError, TrustRootTooOldError
from regsync.trust.fulcio_extensions import read_extensions, read_issuer, read_subject
from regsync.trust.trusted_root import CertificateAuthority, TrustedRoot
from regsync.trust.x509_reading import InvalidCertificateError, read_certificate

MAX_CERTIFICATES = 16  # in one piece of evidence

_CHECK = "certificate chain"
_T = TypeVar("_T", bound=x509.ExtensionType)
_CODE_SIGNING = {ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}


@dataclass(frozen=True, slots=True)
class FulcioCertificate:
    """A signing certificate under a root, with what it says of its holder."""

    der: bytes
    public_key: CertificatePublicKeyTypes
    issuer: str  # of the identity, the OpenID Connect provider
    subject: str
    extensions: Mapping[str, str]  # by the names of fulcio_extensions.NAMES
    chain: tuple[bytes, ...]  # DER: its issuer first, the root last


def verify_chain(certificates: Sequence[bytes], root: TrustedRoot, at: datetime) -> FulcioCertificate:
    """The first of `certificates` (DER), proven to be valid at `at` under an authority of `root`.

    The rest serve as intermediates where the root has none of an authority, only its own root: else one
    that the root gave up, or believes no longer, could be brought along under another that shares its root.
    Raises TrustRootTooOldError where the root lacks the authority that issued it, else EvidenceRejectedError.
    """
    if not 1 <= len(certificates) <= MAX_CERTIFICATES:
        reason = f"the evidence has {len(certificates)} certificates, from 1 to {MAX_CERTIFICATES} are read"
        raise EvidenceRejectedError(_CHECK, reason)
    leaf, *given = map(_read, certificates)
    chain = _chain(leaf, [one for one in given if one.subject != one.issuer], root, at)
    _check_usage(leaf)
    return FulcioCertificate(
        certificates[0],
        leaf.public_key(),
        read_issuer(leaf),
        read_subject(leaf),
        read_extensions(leaf),
        tuple(one.public_bytes(Encoding.DER) for one in chain),
    )


def _chain(
    leaf: x509.Certificate, given: list[x509.Certificate], root: TrustedRoot, at: datetime
) -> Sequence[x509.Certificate]:
    """The issuers of `leaf`, up to a root of `root` that is to be believed at `at`."""
    known = [one for one in root.certificate_authorities if _may_lead_to(one, leaf, given)]
    if not known:
        raise TrustRootTooOldError(_CHECK, f"certificate authority {leaf.issuer.rfc4514_string()[:120]!r}")
    reasons = []
    for authority in known:
        if not authority.valid.covers(at):
            reasons.append(f"{at.isoformat()} is outside of {authority.url}'s time, {authority.valid}")
            continue
        try:
            return _path(leaf, given, authority, at)
        except (VerificationError, x509.UnsupportedGeneralNameType) as cause:
            reasons.append(str(cause).partition(" (encountered processing")[0][:200])
    raise EvidenceRejectedError(_CHECK, "; ".join(dict.fromkeys(reasons)))


def _may_lead_to(
    authority: CertificateAuthority, leaf: x509.Certificate, given: list[x509.Certificate]
) -> bool:
    """Whether it has the name of who issued the leaf, or of who issued an intermediate that it lacks."""
    below = [leaf] if len(authority.certificates) > 1 else [leaf, *given]
    return bool({one.issuer for one in below} & {one.subject for one in authority.certificates})


def _path(
    leaf: x509.Certificate, given: list[x509.Certificate], authority: CertificateAuthority, at: datetime
) -> Sequence[x509.Certificate]:
    # The defaults for the Web, but that a Fulcio signs code, and that no key identifier is asked of its
    # certificates: the path is found by names and signatures.
    issuers = ExtensionPolicy.webpki_defaults_ca().may_be_present(
        x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _signs_code
    )
    leaves = (
        ExtensionPolicy.webpki_defaults_ee()
        .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _signs_code)
        .may_be_present(x509.AuthorityKeyIdentifier, Criticality.AGNOSTIC, None)
    )
    verifier = (
        PolicyBuilder()
        .store(Store([authority.certificates[-1]]))
        .time(at)
        .extension_policies(ca_policy=issuers, ee_policy=leaves)
        .build_client_verifier()
    )
    intermediates = list(authority.certificates[:-1]) or given
    chain = verifier.verify(leaf, intermediates).chain
    if any(at > one.not_valid_after_utc for one in chain):  # the verifier drops fractions of a second
        raise VerificationError("cert is not valid at validation time")
    return chain[1:]


def _signs_code(policy: Policy, certificate: x509.Certificate, usage: x509.ExtendedKeyUsage | None) -> None:
    """An authority that is bound to other uses issues no certificates for signing."""
    if usage is not None and not _CODE_SIGNING & set(usage):
        raise ValueError("extended key usage is not code signing")


def _check_usage(leaf: x509.Certificate) -> None:
    usage = _extension(leaf, x509.KeyUsage)
    if usage is None or not usage.digital_signature:
        raise EvidenceRejectedError("certificate usage", "its key usage is not digital signature")
    extended = _extension(leaf, x509.ExtendedKeyUsage)
    if extended is None or ExtendedKeyUsageOID.CODE_SIGNING not in extended:
        raise EvidenceRejectedError("certificate usage", "its extended key usage is not code signing")


def _extension(certificate: x509.Certificate, kind: type[_T]) -> _T | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _read(der: bytes) -> x509.Certificate:
    try:
        return read_certificate(der)
    except InvalidCertificateError as cause:
        raise EvidenceRejectedError("certificate", f"it cannot be read: {cause}") from cause
