"""Writing lock files: sorted, one key a line, so that a change of one tag is a change of few lines."""

import json
import re
from collections.abc import Iterator

from regsync.spec.lock import KIND, LockEntry, LockFile
from regsync.spec.lock_reading import API_VERSION

HEAD = (
    "# Which digest stands for each tag; `regsync lock` writes it. People and bots may edit digests: what",
    "# stands below such a line is for people, and may be stale until the next `regsync lock`.",
)
# What YAML 1.1 and 1.2 both take for this very text, and no number, date or word of theirs.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./@=+><^~'()?-]*(?: [A-Za-z0-9_./@=+><^~'\"()|,?*-]+)*")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def lock_text(file: LockFile) -> Iterator[str]:
    """The file, line by line."""
    for line in HEAD if file.head is None else file.head:
        yield f"{line}\n"
    yield f"apiVersion: {API_VERSION}\nkind: {KIND}\n"
    yield "images:\n" if file.entries else "images: []\n"
    for entry in sorted(file.entries, key=lambda one: one.key):
        yield from (f"{line}\n" for line in _entry(entry))
    yield from (f"{line}\n" for line in file.foot)


def _entry(entry: LockEntry) -> Iterator[str]:
    yield from entry.comments
    remark = f" {entry.remark}" if entry.remark is not None else ""
    # In quotes the patterns of bots pass it by: what is held is not theirs to move. So does a host in IPv6.
    quoted = entry.hold or entry.image.startswith("[")
    image = json.dumps(entry.image) if quoted else entry.image
    yield f"- image: {image}{remark}"
    for key, value in (("mirror", entry.mirror), ("rule", entry.rule)):
        if value is not None:
            yield f"  {key}: {_scalar(value)}"
    if entry.size is not None:
        yield f"  size: {entry.size}"
    if len(entry.signers) == 1:
        yield f"  signer: {_scalar(entry.signers[0])}"
    elif entry.signers:
        yield f"  signer: [{', '.join(json.dumps(one, ensure_ascii=False) for one in entry.signers)}]"
    if entry.index is not None:
        yield f"  index: {entry.index}"
    if entry.target is not None:
        yield f"  target: {entry.target}"
    if entry.hold:
        yield "  hold: true"


def _scalar(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return json.dumps(text, ensure_ascii=False)  # every JSON text is YAML
