"""Whom a trust root believes and until when, for people: what `regsync trust show` and `update` tell."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from regsync.spec.verification import NotationRoot
from regsync.trust.notation.store import TrustStores
from regsync.trust.trusted_root import CertificateAuthority, TransparencyLog, TrustedRoot


@dataclass(frozen=True, slots=True, order=True)
class Believed:
    """One log or authority. `end` is None where its time has none.

    `key` is in hex: a log's id, of an authority the SHA-256 of its certificates, one after the other.
    """

    kind: str
    name: str  # its address in the root, or the store
    key: str
    detail: str  # what kind of key, or whose certificate
    start: datetime
    end: datetime | None

    def state(self, now: datetime) -> str:
        """`valid`, `expired` or `not yet valid`. What was signed in its time stays good."""
        if now < self.start:
            return "not yet valid"
        return "valid" if self.end is None or now <= self.end else "expired"


def of_sigstore(root: TrustedRoot) -> tuple[Believed, ...]:
    """Everything in a trusted root."""
    return tuple(_of_sigstore(root))


def of_notation(root: NotationRoot) -> tuple[Believed, ...]:
    """Every certificate in the trust stores; raises NotationTrustError."""
    stores = TrustStores.parse(root).by_name
    return tuple(
        _certificates("notation certificate", store, (one.parsed,))
        for store, certificates in sorted(stores.items())
        for one in certificates
    )


def _of_sigstore(root: TrustedRoot) -> Iterator[Believed]:
    for log in root.tlogs:
        yield _log("transparency log", log)
    for authority in root.certificate_authorities:
        yield _authority("certificate authority", authority)
    for log in root.ctlogs:
        yield _log("certificate log", log)
    for authority in root.timestamp_authorities:
        yield _authority("timestamp authority", authority)


def _log(kind: str, log: TransparencyLog) -> Believed:
    detail = log.key.details if log.key.public is not None else f"{log.key.details}, which is not supported"
    return Believed(kind, log.url, log.log_id.hex(), detail, log.valid.start, log.valid.end)


def _authority(kind: str, authority: CertificateAuthority) -> Believed:
    found = _certificates(kind, authority.url, authority.certificates)
    start, end = authority.valid.start, authority.valid.end
    ends = [one for one in (end, found.end) if one is not None]
    return Believed(kind, found.name, found.key, found.detail, max(start, found.start), min(ends))


def _certificates(kind: str, name: str, chain: tuple[x509.Certificate, ...]) -> Believed:
    key = sha256(b"".join(one.public_bytes(Encoding.DER) for one in chain)).hexdigest()
    return Believed(
        kind,
        name,
        key,
        chain[0].subject.rfc4514_string(),
        max(one.not_valid_before_utc for one in chain),
        min(one.not_valid_after_utc for one in chain),
    )
