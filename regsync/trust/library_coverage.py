"""What sigstore-python covers: the one choice whether it is asked too, made without importing it.

Every keyless signature is verified by this package. What sigstore-python covers is verified by it as
well, and only what both accept is accepted: a mistake in either alone lets nothing in.
Source: sigstore-python 4.5, `sigstore/models.py` and `sigstore/verify/verifier.py` (SIGNING.md, section 2.2).
"""

from collections.abc import Sequence
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec

from regsync.trust.certificates import FulcioCertificate
from regsync.trust.envelopes import LogEntry, SigstoreEnvelope
from regsync.trust.witnesses import SigstoreTrust

_OF_STATEMENTS = {("dsse", "0.0.1"), ("hashedrekord", "0.0.2")}
_OF_MESSAGES = {("hashedrekord", "0.0.1"), ("hashedrekord", "0.0.2")}


def why_not_covered(
    envelope: SigstoreEnvelope,
    trust: SigstoreTrust,
    certificate: FulcioCertificate,
    times: Sequence[datetime],
) -> str | None:
    """What sigstore-python lacks for this signature, verified at `times`; None: it covers it."""
    if envelope.bundle is None:
        return "no Sigstore bundle"
    if len(envelope.entries) != 1:
        return f"{len(envelope.entries)} log entries, it takes one"
    if trust.ctlog_threshold < 1:
        return "a trust root that asks no certificate log"
    return (
        _of_entry(envelope.entries[0], envelope, trust)
        or _of_key(certificate, envelope)
        or _of_timestamps(envelope, trust, times)
    )


def _of_entry(entry: LogEntry, envelope: SigstoreEnvelope, trust: SigstoreTrust) -> str | None:
    if (entry.kind, entry.version) not in (_OF_STATEMENTS if envelope.dsse is not None else _OF_MESSAGES):
        return f"a log entry of kind {entry.kind} {entry.version}"
    if entry.proof is None or entry.proof.checkpoint is None:
        return "a log entry without an inclusion proof and its checkpoint"
    if not trust.root.logs(entry.log_id):
        return "a log that the trust root lacks"
    return None


def _of_key(certificate: FulcioCertificate, envelope: SigstoreEnvelope) -> str | None:
    key = certificate.public_key
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        return "a certificate of another key than ECDSA P-256"
    if envelope.signed_digest.algorithm != "sha256":
        return f"a message signature over {envelope.signed_digest.algorithm}"
    return None


def _of_timestamps(envelope: SigstoreEnvelope, trust: SigstoreTrust, times: Sequence[datetime]) -> str | None:
    authorities = trust.root.timestamp_authorities
    if envelope.timestamps and not authorities:
        return "a timestamp, and no authority for it"
    if any(authority.valid.end in times for authority in authorities):
        return "a timestamp of the last moment of its authority, which it holds to be too late"
    return None
