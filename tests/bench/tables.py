"""Outcomes as Markdown: one table for all rows, then the counts behind it."""

from collections.abc import Iterator, Sequence

from tests.bench.rows import MEMORY_GOAL, MEMORY_PER_TAG, MIB, Goal, Outcome, Result
from tests.bench.world import Traffic


def markdown(outcomes: Sequence[Outcome], machine: str) -> str:
    """The whole report."""
    return "\n".join([*_head(machine), *_summary(outcomes), "", *_details(outcomes), ""])


def one_line(outcome: Outcome) -> str:
    """A row as a person reads it while the next one runs."""
    parts = [_time(result) for result in outcome.results if result.runs or result.failure]
    verdicts = [verdict for goal in outcome.goals if (verdict := _verdict(outcome, goal))]
    return f"{outcome.row}: {', '.join(parts)}; {'; '.join(verdicts) or 'no goal'}"


def _time(result: Result) -> str:
    return f"{result.name} FAILED" if result.failure else f"{result.name} {result.seconds:.2f} s"


def _head(machine: str) -> Iterator[str]:
    yield "# regsync beside its peers"
    yield ""
    yield f"Medians of runs in turn, whole processes, on {machine}."
    yield "Ratios bind; seconds are what this machine gave."
    yield ""


def _summary(outcomes: Sequence[Outcome]) -> Iterator[str]:
    yield "| work | contender | seconds | ours / theirs | CPU s | peak MiB | requests | goal |"
    yield "|---|---|---:|---:|---:|---:|---:|---|"
    for outcome in outcomes:
        for number, result in enumerate(one for one in outcome.results if one.runs):
            first = number == 0
            cells = [
                outcome.title if first else "",
                f"{result.name} ({len(result.runs)})",
                f"{result.seconds:.2f}",
                _ratio(outcome, result),
                f"{result.cpu_seconds:.2f}",
                f"{result.peak_bytes / MIB:.0f}",
                f"{result.last.source.total:,} + {result.last.target.total:,}",
                _goals(outcome) if first else "",
            ]
            yield "| " + " | ".join(cells) + " |"


def _ours(outcome: Outcome) -> Result | None:
    return next((one for one in outcome.results if one.name == "regsync" and one.runs), None)


def _ratio(outcome: Outcome, theirs: Result) -> str:
    ours = _ours(outcome)
    return "" if ours is None or ours is theirs else f"{ours.seconds / theirs.seconds:.2f}"


def _goals(outcome: Outcome) -> str:
    verdicts = [verdict for goal in outcome.goals if (verdict := _verdict(outcome, goal))]
    return "; ".join([*verdicts, *_memory(outcome)])


def _details(outcomes: Sequence[Outcome]) -> Iterator[str]:
    for outcome in outcomes:
        ran = [one for one in outcome.results if one.runs]
        counted = [one for one in ran if one.last.source.total + one.last.target.total]
        failures = [f"{one.name} FAILED: {one.failure}" for one in outcome.results if one.failure]
        if not counted and not outcome.notes and not failures:
            continue
        yield f"## {outcome.title}"
        yield ""
        for result in counted:
            asked = _kinds(result.last.source), _kinds(result.last.target)
            yield "- {}: source {}; target {}".format(result.name, *asked)
        for note in [*outcome.notes, *failures]:
            yield f"- {note}"
        yield ""


def _kinds(traffic: Traffic) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in sorted(traffic.requests.items())) or "nothing"


def _verdict(outcome: Outcome, goal: Goal) -> str | None:
    ours = _ours(outcome)
    if ours is None:
        return None
    if goal.against is None:
        return _said(ours.seconds, goal.ratio, f"≤ {goal.ratio:g} s")
    theirs = next((one for one in outcome.results if one.name == goal.against and one.runs), None)
    if theirs is None:
        return f"≤ {goal.ratio:g} x {goal.against}: not measured"
    return _said(ours.seconds / theirs.seconds, goal.ratio, f"≤ {goal.ratio:g} x {goal.against}")


def _memory(outcome: Outcome) -> list[str]:
    ours = _ours(outcome)
    if ours is None or not outcome.tags:
        return []
    allowed = MEMORY_GOAL + MEMORY_PER_TAG * outcome.tags
    return [_said(ours.peak_bytes / MIB, allowed / MIB, f"≤ {allowed / MIB:.0f} MiB")]


def _said(found: float, allowed: float, goal: str) -> str:
    return f"{goal}: {found:.2f}, {'met' if found <= allowed else 'MISSED'}"
