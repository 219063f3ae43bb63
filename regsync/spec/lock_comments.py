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
        end = _end(lines, start, behind)
        comments, remark = (*before, *_comments(lines[start:end])), _remark(lines[start - 1])
        kept.append(replace(entry, comments=comments, remark=remark) if comments or remark else entry)
    return LockFile(path, tuple(kept), _comments(lines[:images]), _comments(lines[end:]))


def _end(lines: Sequence[str], start: int, behind: int) -> int:
    """The last line from `start` on that holds something else than comments."""
    for number in range(behind, start, -1):
        if lines[number - 1].strip() and _COMMENT.fullmatch(lines[number - 1]) is None:
            return number
    return start


def _remark(line: str) -> str | None:
    found = _FIRST_LINE.fullmatch(line) if "#" in line else None
    return found[1].rstrip() if found is not None else None


def _comments(lines: Iterable[str]) -> tuple[str, ...]:
    found = (_COMMENT.fullmatch(line) for line in lines if "#" in line)
    return tuple(one[1].rstrip() for one in found if one is not None)
