"""Signed certificate timestamps: that logs of certificates have seen one.

Source: RFC 6962, section 3.2; the timestamps are embedded, and over the certificate without them.
"""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.certificate_transparency import SignatureAlgorithm, SignedCertificateTimestamp

from regsync.trust.certificates import FulcioCertificate
from regsync.trust.errors import EvidenceRejectedError, TrustRootTooOldError
from regsync.trust.trusted_root import TransparencyLog, TrustedRoot
from regsync.trust.x509_reading import read_certificate

MAX_TIMESTAMPS = 16

_CHECK = "certificate timestamp (SCT)"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PRECERTIFICATE = 1  # LogEntryType
_ALGORITHMS = {  # section 2.1.4
    SignatureAlgorithm.ECDSA: ec.EllipticCurvePublicKey,
    SignatureAlgorithm.RSA: rsa.RSAPublicKey,
}


def verify_sct(certificate: FulcioCertificate, root: TrustedRoot) -> int:
    """How many logs of `root` have signed that they saw the certificate; 0 where it bears no timestamps.

    Raises EvidenceRejectedError for a timestamp that is not by the log it names, and TrustRootTooOldError
    where all are by logs that the root lacks.
    """
    leaf = read_certificate(certificate.der)
    try:
        value = leaf.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps).value
    except x509.ExtensionNotFound:
        return 0
    timestamps = list(value)
    if len(timestamps) > MAX_TIMESTAMPS:
        reason = f"it has {len(timestamps)} timestamps, at most {MAX_TIMESTAMPS} are read"
        raise EvidenceRejectedError(_CHECK, reason)
    try:
        entry = _precertificate(leaf, certificate.chain[0])
        signed = {one.log_id for one in timestamps if _is_signed(one, entry, root)}
    except (ValueError, UnsupportedAlgorithm) as cause:
        raise EvidenceRejectedError(_CHECK, f"it cannot be read: {cause}") from cause
    if timestamps and not signed:
        raise TrustRootTooOldError(_CHECK, f"certificate log {timestamps[0].log_id.hex()}")
    return len(signed)


def _is_signed(timestamp: SignedCertificateTimestamp, entry: bytes, root: TrustedRoot) -> bool:
    """False for one of a log that is not in the root."""
    logs = root.certificate_logs(timestamp.log_id)
    if not logs:
        return False
    at = timestamp.timestamp.replace(tzinfo=UTC)
    in_time = [log for log in logs if log.valid.covers(at)]
    if not in_time:
        reason = f"{at.isoformat()} is outside of {logs[0].url}'s time, {logs[0].valid}"
        raise EvidenceRejectedError(_CHECK, reason)
    if not any(_has_signed(log, timestamp, at, entry) for log in in_time):
        raise EvidenceRejectedError(_CHECK, f"the signature is not by the key of {in_time[0].url}")
    return True


def _has_signed(
    log: TransparencyLog, timestamp: SignedCertificateTimestamp, at: datetime, entry: bytes
) -> bool:
    algorithm = _ALGORITHMS.get(timestamp.signature_algorithm)
    if algorithm is None or not isinstance(log.key.public, algorithm):
        return False
    if not isinstance(timestamp.signature_hash_algorithm, hashes.SHA256):
        return False
    extensions = timestamp.extension_bytes
    data = b"".join(
        (
            b"\x00\x00",  # version 1, certificate_timestamp
            ((at - _EPOCH) // timedelta(milliseconds=1)).to_bytes(8, "big"),
            _PRECERTIFICATE.to_bytes(2, "big"),
            entry,
            len(extensions).to_bytes(2, "big"),
            extensions,
        )
    )
    return log.key.has_signed(timestamp.signature, data)


def _precertificate(leaf: x509.Certificate, issuer: bytes) -> bytes:
    """The hash of the issuer's key, and the certificate to be signed as it was before the timestamps."""
    key = read_certificate(issuer).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    body = leaf.tbs_precertificate_bytes
    return sha256(key).digest() + len(body).to_bytes(3, "big") + body
