"""Trust stores: the certificates that signatures and timestamps have to lead to.

Source: notaryproject specifications, trust-store-trust-policy.md, "Trust Store".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from regsync.spec.verification import Material, NotationRoot
from regsync.trust.notation.certificate import Certificate
from regsync.trust.notation.der import InvalidDerError, elements
from regsync.trust.notation.errors import NotationTrustError
from regsync.trust.x509_reading import InvalidCertificateError


class StoreType(Enum):
    """What the certificates of a store are trusted for."""

    CA = "ca"
    SIGNING_AUTHORITY = "signingAuthority"
    TSA = "tsa"


@dataclass(frozen=True, slots=True)
class TrustStores:
    """Certificates by `TYPE:NAME`, as trust policies write it."""

    by_name: Mapping[str, tuple[Certificate, ...]]

    @classmethod
    def parse(cls, root: NotationRoot) -> Self:
        """Read every file of every store; raises NotationTrustError.

        A store without files is none: it may lie about unused, and a policy that names it is told so.
        """
        return cls({name: _read_store(name, files) for name, files in root.stores.items() if files})

    def certificates(self, kind: StoreType, names: Iterable[str]) -> tuple[Certificate, ...]:
        """All that the stores of one type among `names` hold."""
        wanted = [name for name in names if name.startswith(f"{kind.value}:")]
        return tuple(certificate for name in wanted for certificate in self.by_name[name])


def _read_store(name: str, files: tuple[Material, ...]) -> tuple[Certificate, ...]:
    kind, _, _ = name.partition(":")
    if kind not in {known.value for known in StoreType}:
        raise NotationTrustError(f"trust store {name}", "its type is none of ca, signingAuthority and tsa")
    return tuple(certificate for file in files for certificate in _read_file(file, StoreType(kind)))


def _read_file(file: Material, kind: StoreType) -> tuple[Certificate, ...]:
    try:
        found = tuple(Certificate.parse(der) for der in _split(file.data))
    except (InvalidCertificateError, InvalidDerError, ValueError) as cause:
        raise NotationTrustError(file.name, str(cause), file.position) from cause
    if not found:
        raise NotationTrustError(file.name, "it holds no certificate", file.position)
    for certificate in found:
        _check_anchor(certificate, kind, file)
    return found


def _split(data: bytes) -> tuple[bytes, ...]:
    """The certificates of a file: PEM, or DER one after another."""
    if b"PRIVATE KEY-----" in data:
        raise InvalidCertificateError("it holds a private key, which nothing needs here: take it out")
    if b"-----BEGIN" in data:
        found = x509.load_pem_x509_certificates(data)
        return tuple(certificate.public_bytes(Encoding.DER) for certificate in found)
    return tuple(element.whole for element in elements(data))


def _check_anchor(certificate: Certificate, kind: StoreType, file: Material) -> None:
    if kind is StoreType.TSA and not (certificate.is_authority and certificate.is_self_signed):
        cause = f"{certificate.subject} is no root: a tsa store takes roots alone"
    elif not certificate.is_authority and not certificate.is_self_signed:
        cause = f"{certificate.subject} is neither an authority's certificate nor self-signed"
    else:
        return
    raise NotationTrustError(file.name, cause, file.position)
