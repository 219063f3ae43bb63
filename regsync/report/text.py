"""Plans and reports as a person reads them at a glance: what changes, why, and how much."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from regsync.plan.model import Explanation, Plan, Problem, Report
from regsync.report.change import aside, opening, sentences
from regsync.report.entries import Entry, Group, entries_of, groups_of, summary_sentence
from regsync.report.escape import message, visible
from regsync.report.style import BOLD, BY_MARK, DIM, PLAIN, YELLOW, Style
from regsync.report.units import human_bytes, human_seconds

MAX_ROWS = 50  # of one repository without a problem; JSON has all of them
MAX_NAME_WIDTH = 40  # characters that the column of tags takes at most
INDENT = " " * 6


def render(document: Plan | Report, style: Style = PLAIN) -> Iterator[str]:
    """Lines, each with its newline; the last says what it comes to."""
    mirror = None
    for group in groups_of(entries_of(document)):
        if group.mirror != mirror:
            mirror = group.mirror
            yield f"{style.paint(visible(mirror), BOLD)}\n"
        yield from _group(group, style)
    if isinstance(document, Plan):
        yield from _explanations(document.explanations, style)
        if document.base is not None:
            for sentence in sentences(document.base):
                yield f"{style.paint('change:', YELLOW)} {message(sentence)}\n"
    for warning in document.warnings:
        yield f"{style.paint('warning:', YELLOW)} {message(warning)}\n"
    yield f"{style.paint(closing(document), BOLD)}\n"


def closing(document: Plan | Report) -> str:
    """The one sentence that says it all."""
    if isinstance(document, Plan):
        return _plan_sentence(document)
    return _report_sentence(document)


def _plan_sentence(plan: Plan) -> str:
    if plan.base is not None:
        much = f"; at most {human_bytes(plan.bytes)} to copy" if plan.pending else ""
        what = (
            summary_sentence(replace(plan.summary, unchanged=0), future="to ") if plan.actions else "nothing"
        )
        return f"{message(opening(plan.base))}: {what}{much}{aside(plan.base)}."
    if not plan.actions:
        return f"Nothing to do: {summary_sentence(plan.summary)}."
    much = f"; at most {human_bytes(plan.bytes)} to copy" if plan.pending else ""
    return f"Plan: {summary_sentence(plan.summary, future='to ')}{much}."


def _report_sentence(report: Report) -> str:
    took = f"in {human_seconds(report.run.seconds)}"
    if report.is_idle:
        return f"Nothing to do: {summary_sentence(report.summary)} ({took})."
    parts = [f"{human_bytes(report.copied)} copied"]
    if report.reused:
        parts.append(f"{human_bytes(report.reused)} reused")
    much = f"{', '.join(parts)} {took}"
    if report.run.interrupted:
        return f"Interrupted: {summary_sentence(report.summary)}; {much}. What is not listed was not reached."
    word = "Done" if all(result.problem is None for result in report.results) else "Not all done"
    return f"{word}: {summary_sentence(report.summary)}; {much}."


def _group(group: Group, style: Style) -> Iterator[str]:
    yield f"  {visible(group.source)} → {visible(group.target)}\n"
    shown = _shown(group.entries)
    widths = _widths(shown)
    told: dict[Problem, str] = {}  # problems, and the tag under which they stand in full
    for entry in shown:
        yield _row(entry, widths, style)
        if entry.problem is not None:
            yield from _problem(entry.problem, entry, told, style)
    if len(group.entries) > len(shown):
        left_out = len(group.entries) - len(shown)
        yield f"{INDENT}{style.paint(f'and {left_out} more; -o json lists all', DIM)}\n"


def _shown(entries: tuple[Entry, ...]) -> list[Entry]:
    """Problems first in line for the room there is, then changes; in their own order again."""
    if len(entries) <= MAX_ROWS:
        return list(entries)
    ranked = sorted(range(len(entries)), key=lambda number: (entries[number].problem is None, number))
    return [entries[number] for number in sorted(ranked[:MAX_ROWS])]


def _widths(entries: Iterable[Entry]) -> tuple[int, int, int]:
    rows = [(len(visible(entry.name)), len(entry.digests), len(_size(entry))) for entry in entries]
    names, digests, sizes = zip(*rows, strict=True)
    return min(max(names), MAX_NAME_WIDTH), max(digests), max(sizes)


def _row(entry: Entry, widths: tuple[int, int, int], style: Style) -> str:
    name, digests, size = widths
    row = f"{visible(entry.name):<{name}}  {entry.digests:<{digests}}  {_size(entry):>{size}}"
    mark = style.paint(entry.mark, BY_MARK[entry.mark])
    return f"    {mark} {row}  {message(entry.why)}".rstrip() + "\n"


def _problem(problem: Problem, entry: Entry, told: dict[Problem, str], style: Style) -> Iterator[str]:
    """In full once for each repository: one dead target must not bury what else went wrong."""
    word = style.paint(problem.outcome.value, BY_MARK[entry.mark])
    if problem in told:
        yield f"{INDENT}{word}: as {visible(told[problem])}\n"
        return
    told[problem] = entry.name
    yield f"{INDENT}{word}: {message(problem.message)}\n"
    if problem.hint is not None:
        yield f"{INDENT}{style.paint('hint:', DIM)} {message(problem.hint)}\n"


def _size(entry: Entry) -> str:
    return human_bytes(entry.action.size) if entry.action.size is not None else ""


def _explanations(explanations: tuple[Explanation, ...], style: Style) -> Iterator[str]:
    place = None
    for entry in explanations:
        if place != (entry.mirror, entry.target or entry.source):
            place = (entry.mirror, entry.target or entry.source)
            heading = f"{entry.mirror}: tags {f'at {entry.target}' if entry.target else f'of {entry.source}'}"
            yield f"{style.paint(visible(heading), BOLD)}\n"
        gone = style.paint("dropped", DIM) if entry.target is None else style.paint("deleted", BY_MARK["-"])
        mark = style.paint("kept   ", BY_MARK["+"]) if entry.kept else gone
        yield f"    {mark} {visible(entry.tag)}  {message(entry.why)}\n"
