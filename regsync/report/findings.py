"""What of a plan, a report or a check a person has to act on: each kind of it a rule, each place a site."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

from regsync.plan.check import CheckReport, Row, State
from regsync.plan.judgement import Judgement
from regsync.plan.model import Action, Cause, Outcome, Plan, Problem, Report
from regsync.plan.sites import Sites
from regsync.report.change import unguarded
from regsync.report.entries import Entry, entries_of
from regsync.spec.model import Position
from regsync.spec.verification import Mode
from regsync.trust.verdict import Result

MAX_PLACES = 20  # that one finding names


class Level(Enum):
    """How bad it is."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """A kind of finding: of a problem, a state at a place, or of one requirement of one policy."""

    id: str
    text: str  # what it says, in one sentence
    position: Position | None = None  # of the requirement


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and every place that it holds for."""

    rule: Rule
    level: Level
    message: str
    mirror: str
    position: Position | None
    places: tuple[str, ...]  # the first of them
    count: int = 1  # of all places
    hint: str | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """What is told once."""
        return (self.rule.id, self.level, self.mirror, self.position, self.message)


_PROBLEMS = {
    "refused": "A rule says no: a policy, an immutable tag, a limit.",
    "unsupported": "The registry cannot do it, or regsync does not carry such content.",
    "moved": "The target moved since it was observed.",
    "deferred": "It would take a wait longer than this run may wait.",
    "degraded": "The target refuses evidence that belongs to the image.",
    "unavailable": "A registry did not answer, or not now: trying again may help.",
    "failed": "It failed, and will again until something is changed.",
    "unguarded": "A target is not guarded by a policy that guarded it before, or is new without any.",
    "warning": "Something to know of, which stops nothing.",
}
_LEVELS = {"deferred": Level.WARNING, "degraded": Level.WARNING, "unavailable": Level.WARNING}
_STATES = {
    State.MISSING: "A place lacks what its mirror declares.",
    State.DRIFTED: "A place has something else than what its mirror declares.",
    State.EXTRA: "A place has a tag that no mirror selects.",
    State.EVIDENCE_MISSING: "A place lacks evidence that its source has, or a policy refuses what is there.",
    State.UNREACHABLE: "A place could not be compared.",
}
_NOT_MET = (Result.FAIL, Result.ERROR)


def findings_of(document: Plan | Report | CheckReport, sites: Sites | None) -> list[Finding]:
    """All of them, sorted; what says the same of several places is one."""
    found: dict[tuple[object, ...], Finding] = {}
    for one in _each(document, sites):
        known = found.get(one.key)
        if known is None:
            found[one.key] = one
        else:
            places = known.places + one.places if known.count < MAX_PLACES else known.places
            found[one.key] = replace(known, places=places, count=known.count + 1)
    return sorted(found.values(), key=lambda one: (one.mirror, one.rule.id, one.message, one.places))


def _each(document: Plan | Report | CheckReport, sites: Sites | None) -> Iterator[Finding]:
    if isinstance(document, CheckReport):
        for row in document.rows:
            yield _of_row(row, sites)
    else:
        for entry in entries_of(document):
            yield from _of_entry(entry, sites)
    if isinstance(document, Plan) and document.base is not None:
        for one in document.base.unguarded:
            position = sites.of_tag(one.mirror, one.target, None) if sites is not None else None
            place = (str(one.target),)
            yield Finding(_rule("unguarded"), Level.WARNING, unguarded(one), one.mirror, position, place)
    for text in document.warnings:
        position = sites.beginning if sites is not None else None
        yield Finding(_rule("warning"), Level.NOTE, text, "", position, ())


def _of_entry(entry: Entry, sites: Sites | None) -> Iterator[Finding]:
    """What policies said, requirement by requirement, and any other problem."""
    action = entry.action
    told = False
    for one in action.verdicts:
        if one.result not in _NOT_MET:
            continue
        told = told or not one.lets_pass
        yield from _of_judgement(one, action, sites)
    problem = entry.problem
    # A refusal by a policy says what its requirements say already.
    if problem is not None and not told:
        name = _name(problem)
        level = _LEVELS.get(name, Level.ERROR)
        yield _at(_rule(name), level, problem.message, action, sites, problem.hint)


def _of_judgement(one: Judgement, action: Action, sites: Sites | None) -> Iterator[Finding]:
    level = Level.ERROR if one.mode is Mode.ENFORCE else Level.WARNING
    for label in one.unmet or (None,):
        position = sites.of_requirement(one.policy, label) if sites is not None else None
        name = f"policy/{one.policy}" + (f"/{label}" if label is not None else "")
        rule = Rule(name, f"Policy {one.policy} requires: {label or 'what it says'}.", position)
        reason = one.reason or "it is not met"
        yield _at(rule, level, f"policy {one.policy}: {reason}", action, sites, None)


def _of_row(row: Row, sites: Sites | None) -> Finding:
    name = f"check/{row.drift.value if row.drift is not None else row.state.value}"
    rule = Rule(name, _STATES[row.state])
    problem = f": {row.problem.message}" if row.problem is not None else ""
    position = sites.of_tag(row.mirror, row.source, row.tag) if sites is not None else None
    level = Level.ERROR if row.problem is not None else Level.WARNING if row.is_drift else Level.NOTE
    place = f"{row.target}:{row.tag}" if row.tag is not None else str(row.target)
    hint = row.problem.hint if row.problem is not None else None
    return Finding(
        rule, level, f"{row.state.value}: {row.why}{problem}", row.mirror, position, (place,), 1, hint
    )


def _at(
    rule: Rule, level: Level, text: str, action: Action, sites: Sites | None, hint: str | None
) -> Finding:
    position = sites.of_tag(action.mirror, action.source, action.source_tag) if sites is not None else None
    place = f"{action.target}:{action.tag}" if action.tag is not None else str(action.target)
    return Finding(rule, level, text, action.mirror, position, (place,), 1, hint)


def _rule(name: str) -> Rule:
    return Rule(name, _PROBLEMS[name])


def _name(problem: Problem) -> str:
    match problem.outcome, problem.cause:
        case Outcome.BLOCKED, Cause.ERROR:
            return "unsupported"
        case Outcome.BLOCKED, _:
            return "refused"
        case Outcome.REFUSED, _:
            return "moved"
        case Outcome.DEFERRED, _:
            return "deferred"
        case Outcome.DEGRADED, _:
            return "degraded"
        case _, Cause.TEMPORARY:
            return "unavailable"
    return "failed"


def rules_of(findings: Iterable[Finding]) -> list[Rule]:
    """The rules that are broken, each once, sorted."""
    return sorted({one.rule.id: one.rule for one in findings}.values(), key=lambda rule: rule.id)
