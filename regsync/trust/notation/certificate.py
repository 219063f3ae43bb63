"""One X.509 certificate, with what chains and identities ask of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.hashes import MD5, SHA1

from regsync.oci.digest import Digest
from regsync.trust.x509_reading import read_certificate

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as read; says nothing of whether to believe it."""

    der: bytes
    parsed: x509.Certificate
    key: CertificatePublicKeyTypes
    subject: str  # RFC 4514
    issuer: str  # RFC 4514
    not_before: datetime
    not_after: datetime
    extensions: x509.Extensions

    @classmethod
    def parse(cls, der: bytes) -> Self:
        """Read DER; raises InvalidCertificateError of `x509_reading`."""
        parsed = read_certificate(der)
        return cls(
            der=der,
            parsed=parsed,
            key=parsed.public_key(),
            subject=parsed.subject.rfc4514_string(),
            issuer=parsed.issuer.rfc4514_string(),
            not_before=parsed.not_valid_before_utc,
            not_after=parsed.not_valid_after_utc,
            extensions=parsed.extensions,
        )

    def is_issued_by(self, issuer: "Certificate") -> bool:
        """Whether `issuer` has the name and the key that this certificate says signed it."""
        try:
            self.parsed.verify_directly_issued_by(issuer.parsed)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
            return False
        return True

    @property
    def fingerprint(self) -> str:
        """`sha256:…` of the DER."""
        return str(Digest.of(self.der))

    @property
    def has_weak_hash(self) -> bool:
        """Whether it was signed with a hash that is broken, or with one that nobody knows."""
        try:
            return isinstance(self.parsed.signature_hash_algorithm, MD5 | SHA1)
        except UnsupportedAlgorithm:
            return True

    @property
    def is_self_signed(self) -> bool:
        """Whether it was signed with its own key under its own name."""
        return self.is_issued_by(self)

    @property
    def is_authority(self) -> bool:
        """Whether it may sign others, as far as its basic constraints say."""
        constraints = self.extension(x509.BasicConstraints)
        return constraints is not None and constraints.value.ca

    def extension(self, kind: type[_Extension]) -> x509.Extension[_Extension] | None:
        """The extension of this kind, if there is one."""
        try:
            return self.extensions.get_extension_for_class(kind)
        except x509.ExtensionNotFound:
            return None
