"""A Sigstore trusted root: the logs and authorities of one instance, and when each is to be believed.

Source: sigstore/protobuf-specs, `sigstore_trustroot.proto`. Intervals hold both their ends, and one
without a start makes the whole root invalid, as the conformance suite has it since 2026-08.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from cryptography import x509

from regsync.errors import RegsyncError
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.logs.keys import InvalidLogKeyError, LogKey
from regsync.trust.protojson import Fields
from regsync.trust.rfc3339 import parse_time
from regsync.trust.shipped_roots import PUBLIC_GOOD, STAGING, TRUSTED_ROOT, shipped
from regsync.trust.x509_reading import InvalidCertificateError, read_certificate

MAX_SIZE = 1024 * 1024  # bytes; the public-good root has 7 KiB
MAX_ITEMS = 256  # of each kind
MAX_CHAIN = 10  # certificates of one authority

_MEDIA_TYPE = re.compile(
    r"application/vnd\.dev\.sigstore\.trustedroot(\+json;version=0\.[12]|\.v0\.[12]\+json)"
)
_TREE_HASH = "SHA2_256"


class TrustRootError(RegsyncError):
    """A trusted root cannot be used."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"invalid trusted root: {reason}")


@dataclass(frozen=True, slots=True)
class Validity:
    """From `start` to `end`, both included; for ever, without an end."""

    start: datetime
    end: datetime | None

    def covers(self, at: datetime) -> bool:
        """Whether `at` lies within."""
        return self.start <= at and (self.end is None or at <= self.end)

    def __str__(self) -> str:
        return f"{self.start.isoformat()} to {'ever' if self.end is None else self.end.isoformat()}"


@dataclass(frozen=True, slots=True)
class TransparencyLog:
    """A Rekor, or a certificate transparency log."""

    url: str
    log_id: bytes
    checkpoint_key_id: bytes  # its first four bytes are the hint of the log's lines in checkpoints
    key: LogKey
    valid: Validity

    @property
    def host(self) -> str | None:
        """Of its address."""
        return urlsplit(self.url).hostname


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """A Fulcio (issuers, the root last) or a timestamp authority (the signing certificate first)."""

    url: str
    certificates: tuple[x509.Certificate, ...]
    valid: Validity


@dataclass(frozen=True, slots=True)
class TrustedRoot:
    """All that one Sigstore instance has to be believed by."""

    tlogs: tuple[TransparencyLog, ...] = ()
    certificate_authorities: tuple[CertificateAuthority, ...] = ()
    ctlogs: tuple[TransparencyLog, ...] = ()
    timestamp_authorities: tuple[CertificateAuthority, ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> "TrustedRoot":
        """Read a `trusted_root.json`; raises TrustRootError. Fields that are not known are let be."""
        if len(data) > MAX_SIZE:
            raise TrustRootError(f"it has {len(data)} bytes, at most {MAX_SIZE} are read")
        try:
            root = cls._read(Fields.parse(data, "trusted root"))
        except EvidenceRejectedError as cause:
            raise TrustRootError(cause.reason) from cause
        if root == cls():
            raise TrustRootError("it names no log and no authority")
        return root

    @classmethod
    def _read(cls, document: Fields) -> "TrustedRoot":
        media_type = document.text("mediaType")
        if _MEDIA_TYPE.fullmatch(media_type) is None:
            raise document.refuse(
                "mediaType", f"is {media_type[:120]!r}, not that of a trusted root, 0.1 or 0.2"
            )
        return cls(
            tuple(map(_log, document.messages("tlogs", MAX_ITEMS))),
            tuple(map(_authority, document.messages("certificateAuthorities", MAX_ITEMS))),
            tuple(map(_log, document.messages("ctlogs", MAX_ITEMS))),
            tuple(map(_authority, document.messages("timestampAuthorities", MAX_ITEMS))),
        )

    def logs(self, log_id: bytes) -> tuple[TransparencyLog, ...]:
        """The transparency logs that an entry's log id stands for: one, unless a root has a log twice."""
        return tuple(log for log in self.tlogs if log_id in (log.log_id, log.checkpoint_key_id))

    def certificate_logs(self, log_id: bytes) -> tuple[TransparencyLog, ...]:
        """The certificate transparency logs with this id."""
        return tuple(log for log in self.ctlogs if log.log_id == log_id)


def public_good() -> bytes:
    """The root of the public-good instance, as it came with the sigstore package; that is not imported.

    Raises TrustRootError where the package is not there or keeps it elsewhere.
    """
    return _shipped(PUBLIC_GOOD)


def staging() -> bytes:
    """The same of Sigstore's staging instance."""
    return _shipped(STAGING)


def _shipped(instance: str) -> bytes:
    found = shipped(instance, TRUSTED_ROOT)
    if found is None:
        raise TrustRootError(f"the sigstore package has none for {instance}; name a file instead")
    return found


def _log(fields: Fields) -> TransparencyLog:
    public_key, log_id = fields.needed("publicKey"), fields.needed("logId").data("keyId")
    checkpoint_key = fields.message("checkpointKeyId")
    url = fields.text("baseUrl")
    try:
        urlsplit(url)
    except ValueError as cause:
        raise fields.refuse("baseUrl", f"is no address: {cause}") from cause
    return TransparencyLog(
        url,
        log_id,
        log_id if checkpoint_key is None else checkpoint_key.data("keyId"),
        _key(public_key, fields.text("hashAlgorithm") or _TREE_HASH),
        _validity(public_key),
    )


def _key(fields: Fields, tree_hash: str) -> LogKey:
    details = fields.text("keyDetails")
    if tree_hash != _TREE_HASH:
        return LogKey(f"{details} over a tree of {tree_hash}", None)
    try:
        return LogKey.parse(fields.data("rawBytes"), details)
    except InvalidLogKeyError as cause:
        raise fields.refuse("rawBytes", f"cannot be used: {cause}") from cause


def _authority(fields: Fields) -> CertificateAuthority:
    chain = fields.needed("certChain").messages("certificates", MAX_CHAIN)
    if not chain:
        raise fields.refuse("certChain.certificates", "is empty")
    return CertificateAuthority(fields.text("uri"), tuple(map(_certificate, chain)), _validity(fields))


def _certificate(fields: Fields) -> x509.Certificate:
    try:
        return read_certificate(fields.data("rawBytes"))
    except InvalidCertificateError as cause:
        raise fields.refuse("rawBytes", f"is no certificate: {cause}") from cause


def _validity(fields: Fields) -> Validity:
    interval = fields.needed("validFor")
    end = interval.text("end")
    return Validity(_time(interval, "start"), _time(interval, "end") if end else None)


def _time(fields: Fields, name: str) -> datetime:
    try:
        return parse_time(fields.text(name))
    except ValueError as cause:
        raise fields.refuse(name, f"cannot be used: {cause}") from cause
