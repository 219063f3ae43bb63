"""Rekor v1's promise to include an entry, the signed entry timestamp: where its time comes from.

Source: sigstore/rekor, `pkg/verify`: a signature over the canonical JSON (RFC 8785) of four fields.
"""

import base64
import json
from datetime import UTC, datetime

from regsync.trust.envelopes import LogEntry
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.trusted_root import TransparencyLog

_CHECK = "log promise (SET)"
_EARLIEST, _LATEST = 1, 253402300799  # seconds; the year 9999 ends


def verify_promise(entry: LogEntry, log: TransparencyLog) -> datetime:
    """When `log` took the entry, by its own signed word (UTC). Raises EvidenceRejectedError."""
    time = entry.integrated_time
    if entry.promise is None or time is None:
        raise EvidenceRejectedError(_CHECK, "the entry has none, or no time")
    if not _EARLIEST <= time <= _LATEST:
        raise EvidenceRejectedError(_CHECK, f"{time} is no time in seconds")
    if not log.key.has_signed(entry.promise, _signed(entry)):
        raise EvidenceRejectedError(_CHECK, f"the signature is not by the key of {log.url}")
    at = datetime.fromtimestamp(time, UTC)
    if not log.valid.covers(at):
        raise EvidenceRejectedError(_CHECK, f"{at.isoformat()} is outside of {log.url}'s time, {log.valid}")
    return at


def _signed(entry: LogEntry) -> bytes:
    # With ASCII strings and integers alone, sorted keys without spaces are RFC 8785's form.
    fields = {
        "body": base64.b64encode(entry.body).decode(),
        "integratedTime": entry.integrated_time,
        "logID": entry.log_id.hex(),
        "logIndex": entry.index,
    }
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
