"""A plan and a report: what would change, and what became of it (DESIGN.md, sections 2 and 4)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, IntEnum
from typing import Self

from regsync.errors import DeferredError, RefusedError, RegsyncError, TemporaryError, UnsupportedError
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.plan.judgement import Judgement
from regsync.spec.model import Location


class Verb(Enum):
    """What an action does to a tag on a target."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Outcome(Enum):
    """What became of an action."""

    DONE = "done"
    DEGRADED = "degraded"  # done, but for evidence that the target refuses
    BLOCKED = "blocked"  # a rule or the registry's abilities forbid it
    REFUSED = "refused"  # the target moved since it was observed
    DEFERRED = "deferred"  # not now: a quota or a wait longer than allowed
    FAILED = "failed"


class Cause(IntEnum):
    """Why an action was not carried out, as the exit code that it leads to."""

    ERROR = 1
    POLICY = 3
    TEMPORARY = 75


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something was not done, for the person who has to act on it."""

    outcome: Outcome
    cause: Cause | None  # None: the exit code stays as it is
    message: str
    hint: str | None = None

    @classmethod
    def of(cls, error: RegsyncError) -> Self:
        """The problem that an error on the way to a tag is."""
        match error:
            case RefusedError():
                return cls(Outcome.BLOCKED, Cause.POLICY, str(error), error.hint)
            case UnsupportedError():
                return cls(Outcome.BLOCKED, Cause.ERROR, str(error), error.hint)
            case DeferredError():
                return cls(Outcome.DEFERRED, Cause.TEMPORARY, str(error), error.hint)
            case TemporaryError():
                return cls(Outcome.FAILED, Cause.TEMPORARY, str(error), error.hint)
            case _:
                return cls(Outcome.FAILED, Cause.ERROR, str(error), error.hint)


@dataclass(frozen=True, slots=True)
class Action:
    """One step of a plan, with its precondition.

    Without `problem` it is to be carried out; with one it is listed so that a dry run shows what a
    run would meet. `tag` is None for content that is pinned by digest alone, and, together with
    `digest`, where a whole repository could not be read. `replaces` is what the target's tag must
    still point to when the action is carried out; None: the tag must not exist.
    """

    verb: Verb
    mirror: str
    source: Location
    target: Location
    tag: Tag | None
    digest: Digest | None  # on the target, after trimming
    replaces: Digest | None
    size: int | None  # distinct bytes under the digest
    reason: str
    source_tag: Tag | None = None
    source_digest: Digest | None = None
    problem: Problem | None = None
    verdicts: tuple[Judgement, ...] = ()  # of every policy that applies, in the order of their names

    @property
    def order(self) -> tuple[str, ...]:
        """Plans and reports are sorted by it."""
        return (
            self.mirror,
            str(self.target),
            self.tag or "",
            str(self.digest or ""),
            self.verb.value,
            str(self.source),
            self.reason,
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of tags over all targets; each tag counts once. `delete` is None when it cannot be known."""

    create: int = 0
    update: int = 0
    delete: int | None = None
    unchanged: int = 0
    blocked: int = 0
    deferred: int = 0
    degraded: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """Which rule and step kept or dropped one tag of a source, or (with `target`) one on a target."""

    mirror: str
    source: Location
    tag: Tag
    kept: bool
    why: str
    target: Location | None = None


@dataclass(frozen=True, slots=True)
class Left:
    """Tags at one target that a mirror kept before a change of the spec, and nothing keeps any more."""

    mirror: str
    target: Location
    tags: tuple[str, ...]  # the first of them, and digests of pinned content
    count: int

    @property
    def order(self) -> tuple[str, ...]:
        """Plans are sorted by it."""
        return (self.mirror, str(self.target))


@dataclass(frozen=True, slots=True)
class Unguarded:
    """A target where policies are not enforced any more, or (without `policies`) a new one without any."""

    mirror: str
    target: Location
    policies: tuple[str, ...]  # that were enforced before the change
    remaining: tuple[str, ...]  # that are still

    @property
    def order(self) -> tuple[str, ...]:
        """Plans are sorted by it."""
        return (self.mirror, str(self.target))


@dataclass(frozen=True, slots=True)
class Base:
    """What a plan is the difference to: the same spec at a revision, over the same observation."""

    revision: str  # as it was named
    commit: str
    spec_digest: Digest | None  # None: there was no spec
    anyway: int  # actions that are pending without the change too, and not in the plan
    left: tuple[Left, ...] = ()
    unguarded: tuple[Unguarded, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The difference between the spec and what registries hold."""

    spec_digest: Digest
    created: datetime
    actions: tuple[Action, ...]
    unchanged: int
    warnings: tuple[str, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    knows_deletions: bool = False  # whether there was any history to know them by
    base: Base | None = None  # of a plan that shows only what a change of the spec causes

    @property
    def pending(self) -> tuple[Action, ...]:
        """What `apply` would carry out."""
        return tuple(action for action in self.actions if action.problem is None)

    @property
    def bytes(self) -> int:
        """An upper bound of what would be transferred: distinct content may be shared, or be there."""
        sizes: dict[tuple[str, Digest], int] = {}
        for action in self.pending:
            if action.digest is not None and action.size is not None:
                sizes[(action.target.registry, action.digest)] = action.size
        return sum(sizes.values())

    @property
    def summary(self) -> Summary:
        """How many tags would do what."""
        return summarise(
            ((action, action.problem.outcome if action.problem else Outcome.DONE) for action in self.actions),
            unchanged=self.unchanged,
            knows_deletions=self.knows_deletions,
        )


@dataclass(frozen=True, slots=True)
class Result:
    """An action and what became of it."""

    action: Action
    outcome: Outcome
    problem: Problem | None = None
    copied: int = 0  # bytes that were sent to the target
    reused: int = 0  # bytes that were there, or mounted
    was_there: bool = False  # DONE without a change: the target had it when it was asked again


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What differs between two runs over the same input."""

    id: str
    started: datetime
    seconds: float
    requests: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # by registry and kind
    bytes_read: int = 0  # from all sources
    interrupted: bool = False  # by a signal or a lost lease; what it did is reported, the rest is not


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did."""

    spec_digest: Digest
    results: tuple[Result, ...]
    unchanged: int
    run: RunInfo
    warnings: tuple[str, ...] = ()
    ended: Problem | None = None  # why the run ended before its time, other than by a signal
    knows_deletions: bool = False  # whether there was any history to know them by

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that the exit code has to tell."""
        return problems_of(self.results) + ((self.ended,) if self.ended is not None else ())

    @property
    def copied(self) -> int:
        """Bytes sent to targets."""
        return sum(result.copied for result in self.results)

    @property
    def reused(self) -> int:
        """Bytes of changed tags that were at the target already, or were mounted there."""
        return sum(result.reused for result in self.results)

    @property
    def summary(self) -> Summary:
        """How many tags did what."""
        changed = ((result.action, result.outcome) for result in self.results if not result.was_there)
        unchanged = self.unchanged + sum(one.was_there for one in self.results)
        return summarise(changed, unchanged=unchanged, knows_deletions=self.knows_deletions)

    @property
    def is_idle(self) -> bool:
        """Whether it came to its end and found nothing to do."""
        return not self.run.interrupted and all(result.was_there for result in self.results)


def summarise(
    outcomes: Iterable[tuple[Action, Outcome]], *, unchanged: int, knows_deletions: bool = False
) -> Summary:
    """Count each tag once, under what became of it."""
    counts = dict.fromkeys(("create", "update", "delete", "blocked", "deferred", "degraded", "failed"), 0)
    for action, outcome in outcomes:
        match outcome:
            case Outcome.DONE:
                counts[action.verb.value] += 1
            case Outcome.REFUSED:
                counts["blocked"] += 1
            case _:
                counts[outcome.value] += 1
    deletions = counts.pop("delete")
    known = deletions if deletions or knows_deletions else None
    return Summary(delete=known, unchanged=unchanged, **counts)


def exit_code(problems: Iterable[Problem], *, pending: int = 0) -> int:
    """The exit code of DESIGN.md, section 4: 3 before 1 before 75 before 2 before 0."""
    causes = {problem.cause for problem in problems}
    for cause in (Cause.POLICY, Cause.ERROR, Cause.TEMPORARY):
        if cause in causes:
            return int(cause)
    return 2 if pending else 0


def problems_of(entries: Sequence[Action] | Sequence[Result]) -> tuple[Problem, ...]:
    """Every problem that stands in a plan's actions or a report's results."""
    return tuple(entry.problem for entry in entries if entry.problem is not None)
