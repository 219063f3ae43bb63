"""Checkpoints: what a log signs to say how many entries it has and what their root is.

Sources: C2SP `signed-note.md` and `tlog-checkpoint.md`; sigstore/rekor, `pkg/util/signed_note.go`. Rekor v1
names its tree in the origin, `HOST - TREE`, and signs as HOST; Rekor v2 does both as HOST.
"""

import base64
import binascii
import re
from dataclasses import dataclass

from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.trusted_root import TransparencyLog

MAX_SIZE = 64 * 1024  # bytes
MAX_SIGNATURES = 100

_CHECK = "log checkpoint"
_HINT = 4  # bytes of the key id before a signature
_LINE = re.compile(r"— (\S+) ([A-Za-z0-9+/]+={0,2})")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One line below a note: whose it says it is, the hint of the key, and the signature."""

    name: str
    hint: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as read, before any of its signatures is believed."""

    origin: str
    size: int
    root: bytes
    note: bytes  # what the signatures are over
    signatures: tuple[NoteSignature, ...]

    @property
    def signs_as(self) -> str:
        """The name that the log's own lines bear."""
        return self.origin.partition(" - ")[0]


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a signed note with origin, size and root. Raises EvidenceRejectedError.

    Lines after these three are signed but not understood, as the format wants it.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_SIZE:
        raise EvidenceRejectedError(_CHECK, f"it has more than {MAX_SIZE} bytes")
    if any((ord(one) < 32 and one != "\n") or 0xD800 <= ord(one) < 0xE000 for one in text):
        raise EvidenceRejectedError(_CHECK, "it holds control characters")
    body, blank, below = text.rpartition("\n\n")
    if not blank or not below.endswith("\n"):
        raise EvidenceRejectedError(_CHECK, "it is no note with signatures below an empty line")
    lines = body.split("\n")
    if len(lines) < 3 or not lines[0]:
        raise EvidenceRejectedError(_CHECK, "it lacks an origin, a size or a root hash")
    if _SIZE.fullmatch(lines[1]) is None:
        raise EvidenceRejectedError(_CHECK, f"size {lines[1][:40]!r} is no number")
    signatures = below.removesuffix("\n").split("\n")
    if len(signatures) > MAX_SIGNATURES:
        raise EvidenceRejectedError(_CHECK, f"it has more than {MAX_SIGNATURES} signatures")
    root = _decode(lines[2], "the root hash")
    if len(root) != 32:
        raise EvidenceRejectedError(_CHECK, f"the root hash has {len(root)} bytes in place of 32")
    return Checkpoint(
        lines[0], int(lines[1]), root, f"{body}\n".encode(), tuple(_signature(line) for line in signatures)
    )


def verify_checkpoint(text: str, log: TransparencyLog) -> Checkpoint:
    """The checkpoint in `text`, signed by `log`. Raises EvidenceRejectedError.

    Lines of others count for nothing: witnesses, and keys of the log that the root does not have. Every
    line of the log's key has to hold.
    """
    checkpoint = parse_checkpoint(text)
    hint = log.checkpoint_key_id[:_HINT]
    own = [line for line in checkpoint.signatures if line.name == checkpoint.signs_as and line.hint == hint]
    if not own:
        reason = f"no signature of {checkpoint.signs_as[:120]} by the key of {log.url}"
        raise EvidenceRejectedError(_CHECK, reason)
    if not all(log.key.has_signed(line.signature, checkpoint.note) for line in own):
        raise EvidenceRejectedError(_CHECK, f"the signature is not by the key of {log.url}")
    return checkpoint


def _signature(line: str) -> NoteSignature:
    found = _LINE.fullmatch(line)
    if found is None:
        raise EvidenceRejectedError(_CHECK, f"{line[:80]!r} is no signature line")
    blob = _decode(found[2], "a signature")
    if len(blob) <= _HINT:
        raise EvidenceRejectedError(_CHECK, "a signature is too short")
    return NoteSignature(found[1], blob[:_HINT], blob[_HINT:])


def _decode(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as cause:
        raise EvidenceRejectedError(_CHECK, f"{what} is not base64: {cause}") from cause
