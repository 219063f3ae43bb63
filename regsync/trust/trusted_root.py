"""A Sigstore trusted root: the logs and authorities of one instance, and when each is to be believed.

Source: sigstore/protobuf-specs, `sigstore_trustroot.proto`. Intervals hold both their ends, and one
without a start makes the whole root invalid, as the conformance suite has it since 2026-08.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

from cryptography import x509

from regsync.errors import RegsyncError
from regsync.trust.json_fields import Fields
from regsync.trust.logs.keys import InvalidKeyError, LogKey
from regsync.trust.x509_reading import InvalidCertificateError, read_certificate

MAX_SIZE = 1024 * 1024  # bytes; the public-good root has 7 KiB
MAX_ITEMS = 256  # of each kind
MAX_CHAIN = 10  # certificates of one authority

_MEDIA_TYPE = re.compile(
    r"application/vnd\.dev\.sigstore\.trustedroot(\+json;version=0\.[12]|\.v0\.[12]\+json)"
)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_SHIPPED = "_store/https%3A%2F%2Ftuf-repo-cdn.sigstore.dev/trusted_root.json"


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
        document = Fields.parse(data, TrustRootError)
        media_type = document.text("mediaType")
        if _MEDIA_TYPE.fullmatch(media_type) is None:
            raise TrustRootError(f"mediaType {media_type[:120]!r} is not that of a trusted root, 0.1 or 0.2")
        root = cls(
            tuple(map(_log, document.items("tlogs", most=MAX_ITEMS))),
            tuple(map(_authority, document.items("certificateAuthorities", most=MAX_ITEMS))),
            tuple(map(_log, document.items("ctlogs", most=MAX_ITEMS))),
            tuple(map(_authority, document.items("timestampAuthorities", most=MAX_ITEMS))),
        )
        if root == cls():
            raise TrustRootError("it names no log and no authority")
        return root

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
    package = find_spec("sigstore")
    for place in (package and package.submodule_search_locations) or ():
        try:
            return (Path(place) / _SHIPPED).read_bytes()
        except OSError:
            continue
    raise TrustRootError("the sigstore package has none for the public-good instance; name a file instead")


def _log(fields: Fields) -> TransparencyLog:
    url, public_key = fields.text("baseUrl"), fields.nested("publicKey")
    details = public_key.text("keyDetails")
    if fields.has("hashAlgorithm") and fields.text("hashAlgorithm") != "SHA2_256":
        key = LogKey(f"{details} over a tree of {fields.text('hashAlgorithm')}", None)
    else:
        try:
            key = LogKey.parse(public_key.decoded("rawBytes"), details)
        except InvalidKeyError as cause:
            raise TrustRootError(f"{public_key.at('rawBytes')}: {cause}") from cause
    log_id = fields.nested("logId").decoded("keyId")
    has_other = fields.has("checkpointKeyId")
    checkpoint_key_id = fields.nested("checkpointKeyId").decoded("keyId") if has_other else log_id
    return TransparencyLog(url, log_id, checkpoint_key_id, key, _validity(public_key))


def _authority(fields: Fields) -> CertificateAuthority:
    chain = fields.nested("certChain").items("certificates", most=MAX_CHAIN)
    if not chain:
        raise TrustRootError(f"{fields.at('certChain.certificates')} is empty")
    url = fields.text("uri") if fields.has("uri") else "no address"
    return CertificateAuthority(url, tuple(map(_certificate, chain)), _validity(fields))


def _certificate(fields: Fields) -> x509.Certificate:
    try:
        return read_certificate(fields.decoded("rawBytes"))
    except InvalidCertificateError as cause:
        raise TrustRootError(f"{fields.at('rawBytes')} is no certificate: {cause}") from cause


def _validity(fields: Fields) -> Validity:
    interval = fields.nested("validFor")
    return Validity(_time(interval, "start"), _time(interval, "end") if interval.has("end") else None)


def _time(fields: Fields, name: str) -> datetime:
    text = fields.text(name)
    if _TIME.fullmatch(text) is None:
        raise TrustRootError(f"{fields.at(name)} {text[:60]!r} is no time such as 2025-07-04T00:00:00Z")
    try:
        return datetime.fromisoformat(text)
    except ValueError as cause:
        raise TrustRootError(f"{fields.at(name)}: {cause}") from cause
