"""Signatures by a key that somebody keeps: cosign's own, one of a KMS, whatever has a public key."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from regsync.errors import RegsyncError
from regsync.spec.verification import HashChoice, LogUse
from regsync.trust.envelopes import NotationEnvelope, Proven, Question, Signer, SigstoreEnvelope
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.signatures import (
    PublicKey,
    UnusableKeyError,
    subject_public_key_info,
    usable,
    verify_signature,
)
from regsync.trust.witnesses import (
    LOG,
    TIMESTAMP,
    SigstoreTrust,
    Witnessed,
    refuse_future,
    seen_by_authorities,
    seen_by_logs,
)
from regsync.trust.x509_reading import InvalidCertificateError, read_certificate

MAX_SIZE = 64 * 1024  # bytes of PEM


class InvalidKeyError(RegsyncError):
    """A text is no public key, or one that signatures are not verified with."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"invalid public key: {reason}")


@dataclass(frozen=True, slots=True)
class ManagedKey:
    """An authority: whoever holds the private half of a key. `root` is None where no log is asked."""

    name: str
    public_key: PublicKey
    spki: bytes  # the key in DER
    hash_algorithm: HashChoice
    tlog: LogUse
    root: SigstoreTrust | None

    @classmethod
    def parse(
        cls,
        name: str,
        pem: bytes,
        *,
        hash_algorithm: HashChoice = HashChoice.AUTO,
        tlog: LogUse = LogUse.REQUIRED,
        root: SigstoreTrust | None,
    ) -> "ManagedKey":
        """Read a public key in PEM; raises InvalidKeyError."""
        key = _public_key(pem)
        if isinstance(key, ed25519.Ed25519PublicKey) and hash_algorithm is not HashChoice.AUTO:
            raise InvalidKeyError("an Ed25519 key has one hash of its own; take hashAlgorithm: auto")
        if root is None and tlog is not LogUse.IGNORE:
            raise InvalidKeyError(f"tlog: {tlog.value} takes a trust root, which has the keys of the log")
        return cls(name, key, subject_public_key_info(key), hash_algorithm, tlog, root)

    @property
    def fingerprint(self) -> str:
        """`sha256:` and the SHA-256 of the key in DER, which is also cosign's hint."""
        return f"sha256:{sha256(self.spki).hexdigest()}"

    def verify(self, envelope: SigstoreEnvelope | NotationEnvelope, question: Question) -> Proven:
        """Who signed, and the checks made. Raises EvidenceRejectedError, TrustRootTooOldError."""
        if isinstance(envelope, NotationEnvelope):
            raise EvidenceRejectedError("signature", "a notation signature is by a certificate, not by a key")
        signature = verify_signature(self.public_key, envelope, self.hash_algorithm)
        stamps = self._timestamps(envelope)
        logs = self._logs(envelope, stamps.times)
        times = (*stamps.times, *logs.times)
        refuse_future(times, question.now)
        return Proven(
            Signer(self.name, self.fingerprint),
            (signature, *stamps.checks, *logs.checks),
            (*stamps.relaxed, *logs.relaxed),
            min(times, default=None),
        )

    def _logs(self, envelope: SigstoreEnvelope, at: Sequence[datetime]) -> Witnessed:
        if self.root is None or self.tlog is LogUse.IGNORE:
            return Witnessed(relaxed=(f"{LOG}: not looked at (tlog: {LogUse.IGNORE.value})",))
        needed = max(1, self.root.tlog_threshold) if self.tlog is LogUse.REQUIRED else 0
        return seen_by_logs(envelope, self.root, self._logged_as(envelope), at=at, needed=needed)

    def _logged_as(self, envelope: SigstoreEnvelope) -> bytes:
        """What the log has of the signer: the key, or the certificate that came with the signature."""
        if not envelope.certificates:
            return self.spki
        leaf = envelope.certificates[0]
        try:
            certified = subject_public_key_info(usable(read_certificate(leaf).public_key()))
        except (InvalidCertificateError, UnusableKeyError) as cause:
            raise EvidenceRejectedError("certificate", f"it cannot be read: {cause}") from cause
        if certified != self.spki:
            raise EvidenceRejectedError("certificate", "it is of another key than the one that signed")
        return leaf

    def _timestamps(self, envelope: SigstoreEnvelope) -> Witnessed:
        if self.root is None:
            came = f"{TIMESTAMP}: not looked at without a trust root"
            return Witnessed(relaxed=(came,) if envelope.timestamps else ())
        return seen_by_authorities(envelope, self.root, needed=self.root.timestamp_threshold)


def _public_key(pem: bytes) -> PublicKey:
    if len(pem) > MAX_SIZE:
        raise InvalidKeyError(f"{len(pem)} bytes, at most {MAX_SIZE} are read")
    if b"PRIVATE KEY-----" in pem:
        raise InvalidKeyError(
            "this is a private key; `cosign public-key` or `openssl pkey -pubout` print the public half"
        )
    if b"-----BEGIN CERTIFICATE-----" in pem:
        raise InvalidKeyError("this is a certificate; `openssl x509 -pubkey -noout` prints its key")
    if pem.count(b"-----BEGIN ") > 1:
        raise InvalidKeyError("there are several, and an authority has one: declare an authority for each")
    try:
        return usable(load_pem_public_key(pem))
    except UnusableKeyError as cause:
        raise InvalidKeyError(str(cause)) from cause
    except (ValueError, UnsupportedAlgorithm) as cause:
        raise InvalidKeyError("expected one in PEM, whole, from -----BEGIN PUBLIC KEY----- on") from cause
