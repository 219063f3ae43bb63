"""What plans and reports have in common for those who print them: rows in groups, and one summary."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from regsync.plan.judgement import Judgement
from regsync.plan.model import Action, Outcome, Plan, Problem, Report, Result, Summary, Verb
from regsync.report.units import counted
from regsync.trust.verdict import Result as Verdict

_MARKS = {
    Outcome.DEGRADED: "*",
    Outcome.BLOCKED: "!",
    Outcome.REFUSED: "!",
    Outcome.DEFERRED: "?",
    Outcome.FAILED: "x",
}
_KEY = re.compile(r": sha256:[0-9a-f]{64}$")  # a key's fingerprint, which says no more than its name
_VERB_MARKS = {Verb.CREATE: "+", Verb.UPDATE: "~", Verb.DELETE: "-"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One tag on one target; `outcome` is DONE for what a plan would carry out."""

    action: Action
    outcome: Outcome
    problem: Problem | None
    copied: int = 0  # bytes
    reused: int = 0  # bytes
    was_there: bool = False  # nothing had to be done

    @property
    def mark(self) -> str:
        """One character that says what becomes of the tag."""
        if self.was_there:
            return "="
        return _MARKS.get(self.outcome) or _VERB_MARKS[self.action.verb]

    @property
    def name(self) -> str:
        """The tag, or the digest where content has no tag, or `*` for a whole repository."""
        if self.action.tag is not None:
            return self.action.tag
        return f"@{self.action.digest.short()}" if self.action.digest is not None else "*"

    @property
    def why(self) -> str:
        """The reason, and what policies said that did not stop it."""
        words = [_word_of(one) for one in self.action.verdicts if one.lets_pass]
        return "; ".join([self.action.reason, *words])

    @property
    def digests(self) -> str:
        """`old → new`, or the new digest alone, shortened for people."""
        new = self.action.digest.short() if self.action.digest is not None else ""
        if self.action.replaces is None or self.action.replaces == self.action.digest:
            return new
        return f"{self.action.replaces.short()} → {new}"


@dataclass(frozen=True, slots=True)
class Group:
    """The entries of one mirror, source repository and target repository."""

    mirror: str
    source: str
    target: str
    entries: tuple[Entry, ...]

    @property
    def counts(self) -> str:
        """`3 to create, 1 failed`, in words that fit plans and reports."""
        return ", ".join(
            f"{sum(entry.mark == mark for entry in self.entries)} {word}"
            for mark, word in _WORDS
            if any(entry.mark == mark for entry in self.entries)
        )


def _word_of(judgement: Judgement) -> str:
    who = ", ".join(dict.fromkeys(_KEY.sub("", one) for one in judgement.signers))
    signers = f" by {who}" if who else ""
    match judgement.result:
        case Verdict.PASS:
            return (
                f"{judgement.policy}: verified, signed{signers}" if signers else f"{judgement.policy}: passed"
            )
        case Verdict.SKIPPED:
            return f"{judgement.policy}: skipped, {judgement.reason}"
        case _:
            return f"{judgement.policy} would refuse it (mode: warn): {judgement.reason}"


_WORDS = (
    ("+", "create"),
    ("~", "update"),
    ("-", "delete"),
    ("=", "unchanged"),
    ("*", "degraded"),
    ("!", "blocked"),
    ("?", "deferred"),
    ("x", "failed"),
)


def entries_of(document: Plan | Report) -> list[Entry]:
    """Every entry, sorted."""
    if isinstance(document, Plan):
        found = [_planned(action) for action in document.actions]
    else:
        found = [_resulted(result) for result in document.results]
    return sorted(found, key=lambda entry: entry.action.order)


def groups_of(entries: Iterable[Entry]) -> Iterator[Group]:
    """Sorted entries, gathered by mirror, target and source."""
    for (mirror, target, source), members in groupby(entries, key=_place):
        yield Group(mirror, source, target, tuple(members))


def summary_sentence(summary: Summary, *, future: str = "") -> str:
    """`2 to create, 1 failed, 120 unchanged`; `future` is "to " for a plan."""
    parts = [
        f"{count} {future}{verb}" if future else f"{count} {verb}d"
        for count, verb in (
            (summary.create, "create"),
            (summary.update, "update"),
            (summary.delete or 0, "delete"),
        )
        if count
    ]
    parts += [
        f"{count} {word}"
        for count, word in (
            (summary.degraded, "degraded"),
            (summary.blocked, "blocked"),
            (summary.deferred, "deferred"),
            (summary.failed, "failed"),
        )
        if count
    ]
    if summary.unchanged or not parts:
        parts.append(f"{counted(summary.unchanged, 'tag')} unchanged")
    return ", ".join(parts)


def _place(entry: Entry) -> tuple[str, str, str]:
    return (entry.action.mirror, str(entry.action.target), str(entry.action.source))


def _planned(action: Action) -> Entry:
    outcome = action.problem.outcome if action.problem is not None else Outcome.DONE
    return Entry(action, outcome, action.problem)


def _resulted(result: Result) -> Entry:
    done = (result.copied, result.reused, result.was_there)
    return Entry(result.action, result.outcome, result.problem, *done)
