"""Comments in lock files: those on lines of their own, and one behind the first line of an entry.

YAML forgets them, so they are taken from the text, by the lines at which entries begin. They go where their
entry goes; what stands before an entry belongs to it, and so does what stands within.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from regsync.spec.lock import LockEntry, LockFile

_COMMENT = re.compile(r"\s*(#.*)")
_FIRST_LINE = re.compile(r"""\s*-\s+image:\s+(?:"[^"]*"|'[^']*'|[^\s#]+)\s+(#.*)""")


def with_comments(path: Path, entries: Sequence[LockEntry], lines: Sequence[str]) -> LockFile:
    """The file of `entries`, which stand in `lines`.

    Where several entries share a line, as in flow style, there are none to keep.
    """
    images = next((number for number, line in enumerate(lines, 1) if line.startswith("images:")), len(lines))
    kept: list[LockEntry] = []
    end = images  # of what was read so far, in lines
    starts = [entry.position.line for entry in entries if entry.position is not None]
    for number, (entry, start) in enumerate(zip(entries, starts, strict=True)):
        behind = starts[number + 1] - 1 if number + 1 < len(starts) else len(lines)
        before = _comments(lines[end : start - 1])
        end = max(_ends(lines, start, behind))
        first = _FIRST_LINE.fullmatch(lines[start - 1])
        remark = first[1].rstrip() if first is not None else None
        kept.append(replace(entry, comments=(*before, *_comments(lines[start:end])), remark=remark))
    return LockFile(path, tuple(kept), _comments(lines[:images]), _comments(lines[end:]))


def _ends(lines: Sequence[str], start: int, behind: int) -> list[int]:
    """The lines from `start` on that hold something else than comments."""
    found = range(start, behind)
    return [start, *(one + 1 for one in found if lines[one].strip() and not _COMMENT.fullmatch(lines[one]))]


def _comments(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(found[1].rstrip() for line in lines if (found := _COMMENT.fullmatch(line)) is not None)
