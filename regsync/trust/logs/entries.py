"""A log's entry: that the log has it, that it is about this very signature, and when it came in."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from regsync.trust.envelopes import InclusionProof, LogEntry, SigstoreEnvelope
from regsync.trust.errors import EvidenceRejectedError, TrustRootTooOldError
from regsync.trust.logs.bodies import match_body
from regsync.trust.logs.checkpoint import verify_checkpoint
from regsync.trust.logs.merkle import leaf_hash, root_of
from regsync.trust.logs.promise import verify_promise
from regsync.trust.trusted_root import TransparencyLog, TrustedRoot

_LOG = "transparency log"
_INCLUSION = "log inclusion"
_VALIDITY = "log key validity"
_REKOR_2 = {("hashedrekord", "0.0.2"), ("dsse", "0.0.2")}


@dataclass(frozen=True, slots=True)
class LogProof:
    """An entry that its log vouches for, and exactly the checks that were made."""

    log: str  # its address in the root: two entries of one log are one log's word
    time: datetime | None  # UTC, by the log's promise; Rekor v2 gives none
    checks: tuple[str, ...]
    relaxed: tuple[str, ...] = ()


def verify_entry(
    entry: LogEntry,
    envelope: SigstoreEnvelope,
    root: TrustedRoot,
    verifier: bytes,
    *,
    at: Sequence[datetime] = (),
) -> LogProof:
    """Prove that a log of `root` has an entry for this signature, this verifier and these contents.

    `verifier` is the signing certificate in DER, or the public key as SubjectPublicKeyInfo in DER. `at`
    are times that timestamp authorities vouch for: where the log gives none, its key has to be valid at
    those. The entry needs a promise, or a proof under a signed checkpoint; whichever it has must hold.

    Raises TrustRootTooOldError for a log that the root lacks, else EvidenceRejectedError.
    """
    logs = root.logs(entry.log_id)
    if not logs:
        raise TrustRootTooOldError(_LOG, f"log {entry.log_id[:32].hex()}")
    match_body(entry, envelope, verifier)
    for log in logs[:-1]:  # one alone, unless a root believes a log at several times
        with suppress(EvidenceRejectedError):
            return _prove(entry, log, at)
    return _prove(entry, logs[-1], at)


def _prove(entry: LogEntry, log: TransparencyLog, at: Sequence[datetime]) -> LogProof:
    if log.key.public is None:
        raise EvidenceRejectedError(_LOG, f"{log.url} signs with {log.key.details}, which is not supported")
    checks, relaxed = [f"log entry ({entry.kind} {entry.version})"], []
    time = None
    if entry.promise is not None:
        time = verify_promise(entry, log)
        checks.append("log promise (SET)")
    if entry.proof is not None and entry.proof.checkpoint is not None:
        _verify_inclusion(entry, entry.proof, entry.proof.checkpoint, log)
        checks += ["log checkpoint", _INCLUSION]
    elif time is None:
        raise EvidenceRejectedError(_INCLUSION, "the entry has neither a promise nor a proof with checkpoint")
    else:
        relaxed.append(f"{_INCLUSION}: the entry has no proof with a checkpoint, only a promise")
    if time is None and at:
        _check_key_was_valid(log, at)
        checks.append(_VALIDITY)
    elif time is None:
        relaxed.append(f"{_VALIDITY}: no verified time says when the key of {log.url} was to be valid")
    return LogProof(log.url, time, tuple(checks), tuple(relaxed))


def _verify_inclusion(entry: LogEntry, proof: InclusionProof, text: str, log: TransparencyLog) -> None:
    checkpoint = verify_checkpoint(text, log)
    if (entry.kind, entry.version) in _REKOR_2 and checkpoint.origin != log.host:
        # Its key ids bind a name to a key, so that one key cannot speak for two logs.
        reason = f"origin {checkpoint.origin[:120]!r} is not {log.url}'s"
        raise EvidenceRejectedError("log checkpoint", reason)
    if (checkpoint.size, checkpoint.root) != (proof.tree_size, proof.root_hash):
        raise EvidenceRejectedError(_INCLUSION, "the checkpoint is of another tree than the proof")
    if root_of(leaf_hash(entry.body), proof.index, proof.tree_size, proof.hashes) != checkpoint.root:
        raise EvidenceRejectedError(_INCLUSION, f"the proof does not lead to the root that {log.url} signed")


def _check_key_was_valid(log: TransparencyLog, at: Sequence[datetime]) -> None:
    for time in at:
        if not log.valid.covers(time):
            reason = f"{time.isoformat()} is outside of {log.url}'s time, {log.valid}"
            raise EvidenceRejectedError(_VALIDITY, reason)
