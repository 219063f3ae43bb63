"""How each scheduled task stands: what metrics show and what people are told of."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from regsync.plan.model import Cause, Outcome, Problem, Report, Result


class Ending(Enum):
    """How a run went for one mirror."""

    DONE = "done"
    REFUSED = "refused"  # a policy, a limit or a moved target said no
    FAILED = "failed"
    TEMPORARY = "temporary"  # every failure may pass by itself
    INTERRUPTED = "interrupted"  # by a signal or a lost lease; it does not count as a run of the schedule
    CRASHED = "crashed"  # a defect of regsync


_NOT_DONE = (Outcome.BLOCKED, Outcome.REFUSED, Outcome.DEFERRED, Outcome.FAILED)
_BY_CAUSE = (
    (Cause.POLICY, Ending.REFUSED),
    (Cause.ERROR, Ending.FAILED),
    (Cause.TEMPORARY, Ending.TEMPORARY),
)


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of one mirror in one run."""

    run: str
    ending: Ending
    began: datetime
    ended: datetime
    pending: int = 0  # tags that are not as they should be
    blocked: int = 0  # of those, the ones that a rule or a registry's abilities keep so
    failed: int = 0  # of those, the others
    drift: int = 0  # tags that somebody else had moved or deleted at a target
    copied: int = 0  # bytes
    problem: str | None = None  # the first one


@dataclass(slots=True)
class Standing:
    """How one task stands. `since` is when it was first looked at by this process."""

    since: datetime
    last_success: datetime | None = None
    last: Ended | None = None
    runs: Counter[Ending] = field(default_factory=Counter)
    copied: int = 0  # bytes, of all runs

    def add(self, ended: Ended) -> None:
        """Count a run."""
        self.last = ended
        self.runs[ended.ending] += 1
        self.copied += ended.copied
        if ended.ending is Ending.DONE:
            self.last_success = ended.ended


def ended_of(report: Report, mirror: str | None, *, ended: datetime, drift: int = 0) -> Ended:
    """What a report says of one mirror, or (None) of all that the run was for."""
    results = [one for one in report.results if mirror is None or one.action.mirror == mirror]
    problems = [one.problem for one in results if one.problem is not None]
    if report.ended is not None:
        problems.append(report.ended)
    return Ended(
        run=report.run.id,
        ending=_ending(report, problems),
        began=report.run.started,
        ended=ended,
        pending=_count(results, _NOT_DONE),
        blocked=_count(results, (Outcome.BLOCKED, Outcome.REFUSED)),
        failed=_count(results, (Outcome.FAILED, Outcome.DEFERRED)),
        drift=drift,
        copied=sum(one.copied for one in results),
        problem=_worst(problems),
    )


def _ending(report: Report, problems: Sequence[Problem]) -> Ending:
    if report.run.interrupted:
        return Ending.INTERRUPTED
    causes = {problem.cause for problem in problems}
    return next((ending for cause, ending in _BY_CAUSE if cause in causes), Ending.DONE)


def _worst(problems: Sequence[Problem]) -> str | None:
    for cause, _ in _BY_CAUSE:
        for problem in problems:
            if problem.cause is cause:
                return problem.message
    return None


def _count(results: Iterable[Result], outcomes: Sequence[Outcome]) -> int:
    return sum(one.outcome in outcomes for one in results)
