"""What `regsync lock` changes, or would: who moved from what to what."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from regsync.oci.digest import Digest
from regsync.plan.codec import problem_to_json
from regsync.plan.document import API_VERSION, encode
from regsync.plan.model import Problem
from regsync.report.escape import message, visible
from regsync.report.style import BOLD, BY_MARK, DIM, PLAIN, YELLOW, Style
from regsync.spec.lock_merge import Change, Kind

_MARKS = {
    Kind.ADDED: "+",
    Kind.REMOVED: "-",
    Kind.MOVED: "~",
    Kind.BEHIND: "~",
    Kind.WAITING: "?",
    Kind.IMMUTABLE: "!",
    Kind.HELD: "=",
    Kind.RELEASED: "~",
    Kind.REFUSED: "!",
}
_WORDS = {
    Kind.BEHIND: "moved at the source",
    Kind.WAITING: "too young",
    Kind.IMMUTABLE: "immutable, moved at the source",
    Kind.HELD: "held, moved at the source",
    Kind.RELEASED: "hold released",
    Kind.REFUSED: "refused",
}


@dataclass(frozen=True, slots=True)
class LockChanges:
    """The changes of every file, under its path as people see it."""

    files: Mapping[str, tuple[Change, ...]]
    entries: int  # in all files, afterwards
    written: bool  # False: only looked
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def changes(self) -> Iterator[Change]:
        """All of them."""
        return (change for changes in self.files.values() for change in changes)


def render_text(found: LockChanges, style: Style = PLAIN) -> Iterator[str]:
    """Lines, each with its newline; the last says what it comes to."""
    for path, changes in sorted(found.files.items()):
        if changes:
            yield f"{style.paint(visible(path), BOLD)}\n"
        for change in changes:
            mark = _MARKS[change.kind]
            yield (
                f"  {style.paint(mark, BY_MARK[mark])} {visible(change.name)}  {_row(change)}".rstrip() + "\n"
            )
    for problem in dict.fromkeys(found.problems):
        yield f"{style.paint(problem.outcome.value, BY_MARK['x'])}: {message(problem.message)}\n"
        if problem.hint is not None:
            yield f"  {style.paint('hint:', DIM)} {message(problem.hint)}\n"
    for warning in found.warnings:
        yield f"{style.paint('warning:', YELLOW)} {message(warning)}\n"
    yield f"{style.paint(_closing(found), BOLD)}\n"


def render_json(found: LockChanges) -> Iterator[str]:
    """The same as JSON, sorted."""
    return encode(
        {
            "apiVersion": API_VERSION,
            "kind": "LockChanges",
            "summary": _counts(found.changes) | {"entries": found.entries},
            "written": found.written,
            "changes": [
                {
                    "file": path,
                    "change": change.kind.value,
                    "image": change.name,
                    "mirror": change.mirror,
                    "old": str(change.old) if change.old is not None else None,
                    "new": str(change.new) if change.new is not None else None,
                    "why": change.why,
                }
                for path, changes in sorted(found.files.items())
                for change in changes
            ],
            "problems": [problem_to_json(problem) for problem in found.problems],
            "warnings": sorted(found.warnings),
        }
    )


def _row(change: Change) -> str:
    digests = [_short(one) for one in (change.old, change.new) if one is not None]
    if change.old == change.new:
        digests = digests[:1]
    words = [word for word in (_WORDS.get(change.kind), change.why) if word is not None]
    return f"{' → '.join(digests)}  {message(': '.join(words))}"


def _short(digest: Digest) -> str:
    return f"{digest.algorithm}:{digest.short(12)}"


def _counts(changes: Iterable[Change]) -> dict[str, object]:
    counts: dict[str, object] = {kind.value: 0 for kind in Kind}
    for change in changes:
        counts[change.kind.value] = int(str(counts[change.kind.value])) + 1
    return counts


def _closing(found: LockChanges) -> str:
    many = f"{found.entries} entr{'y' if found.entries == 1 else 'ies'}"
    shown: Sequence[str] = [f"{count} {word}" for word, count in _counts(found.changes).items() if count]
    word = "Lock" if found.written else "Check"
    return f"{word}: {', '.join(shown)}; {many}." if shown else f"{word}: nothing changed; {many}."
