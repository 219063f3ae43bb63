"""What `check` found as a person reads it: a matrix of what is not equal, why, and how much is."""

from collections.abc import Iterator

from regsync.plan.check import CheckReport, Row, State
from regsync.plan.document import timestamp
from regsync.plan.model import Problem
from regsync.report.check_matrix import ABSENT, EQUAL, Line, Sheet, sheets, summary_sentence, word_of
from regsync.report.escape import message, visible
from regsync.report.style import BOLD, CYAN, DIM, GREEN, PLAIN, RED, YELLOW, Style
from regsync.report.units import counted, human_bytes, human_seconds

MAX_LINES = 50  # tags of one repository; JSON has all of them
MAX_NAME_WIDTH = 40  # characters that the column of tags takes at most
INDENT = " " * 6
_COLOURS = {
    State.MISSING: YELLOW,
    State.DRIFTED: RED,
    State.EXTRA: CYAN,
    State.EVIDENCE_MISSING: RED,
    State.UNREACHABLE: CYAN,
}


def render(report: CheckReport, style: Style = PLAIN) -> Iterator[str]:
    """Lines, each with its newline; the last says what it comes to."""
    mirror = None
    for sheet in sheets(report):
        if sheet.mirror != mirror:
            mirror = sheet.mirror
            yield f"{style.paint(visible(mirror), BOLD)}\n"
        yield from _sheet(sheet, style)
    for warning in report.warnings:
        yield f"{style.paint('warning:', YELLOW)} {message(warning)}\n"
    yield f"{style.paint(closing(report), BOLD)}\n"


def closing(report: CheckReport) -> str:
    """The one sentence that says it all."""
    word = "Equal" if not report.rows else "Compared"
    if any(row.is_drift for row in report.rows):
        word = "Drift"
    parts = [summary_sentence(report)]
    if (reread := report.reread) is not None:
        parts.append(f"{counted(reread.blobs, 'blob')} read again ({human_bytes(reread.bytes)})")
        if reread.skipped:
            parts.append(f"{reread.skipped} had been read before an interruption")
    return f"{word}: {'; '.join(parts)} (in {human_seconds(report.run.seconds)})."


def _sheet(sheet: Sheet, style: Style) -> Iterator[str]:
    yield f"  {visible(str(sheet.source))}: {_figures(sheet)}\n"
    for row in sheet.whole:
        yield f"    {style.paint(word_of(row), CYAN)} {visible(str(row.target))}: {message(row.why)}\n"
        if row.problem is not None:
            yield from _problem(row.problem, style)
    if not sheet.lines:
        return
    shown = sheet.lines[:MAX_LINES]
    widths = _widths(sheet, shown)
    heads = (f"{visible(str(place)):<{width}}" for place, width in zip(sheet.places, widths[1:], strict=True))
    yield f"    {'':<{widths[0]}}  {'  '.join(heads)}".rstrip() + "\n"
    told: set[str] = set()
    for line in shown:
        yield _line(sheet, line, widths, style)
        yield from _reasons(line, told, style)
    if len(sheet.lines) > len(shown):
        left_out = len(sheet.lines) - len(shown)
        yield f"{INDENT}{style.paint(f'and {left_out} more; -o json lists all', DIM)}\n"


def _figures(sheet: Sheet) -> str:
    targets = counted(len(sheet.compared), "place")
    if sheet.equal_everywhere == sheet.tags and not sheet.whole:
        return f"{counted(sheet.tags, 'tag')} equal at {targets}"
    return f"{sheet.equal_everywhere} of {counted(sheet.tags, 'tag')} equal at all of {targets}"


def _widths(sheet: Sheet, lines: tuple[Line, ...]) -> list[int]:
    name = min(max(len(visible(line.name)) for line in lines), MAX_NAME_WIDTH)
    cells = [
        max(len(visible(str(place))), *(len(sheet.cell(line, place)) for line in lines))
        for place in sheet.places
    ]
    return [name, *cells]


def _line(sheet: Sheet, line: Line, widths: list[int], style: Style) -> str:
    cells = []
    for place, width in zip(sheet.places, widths[1:], strict=True):
        text = sheet.cell(line, place)
        row = line.cells.get(place)
        colour = _COLOURS[row.state] if row is not None else GREEN if text == EQUAL else DIM
        cells.append(style.paint(text, colour) + " " * (width - len(text)))
    return f"    {visible(line.name):<{widths[0]}}  {'  '.join(cells)}".rstrip() + "\n"


def _reasons(line: Line, told: set[str], style: Style) -> Iterator[str]:
    """Each kind of difference in words the first time that it is met; digests always."""
    for place, row in line.cells.items():
        digests = _digests(row)
        why = message(row.why) if row.why not in told or row.problem is not None else ""
        told.add(row.why)
        parts = [part for part in (digests, why) if part]
        if parts:
            yield f"{INDENT}{style.paint(visible(str(place)) + ':', DIM)} {'; '.join(parts)}\n"
        if row.problem is not None and row.problem.message not in told:
            told.add(row.problem.message)
            yield from _problem(row.problem, style)


def _digests(row: Row) -> str:
    since = f", stale since {timestamp(row.since)}" if row.since is not None else ""
    there = row.digest.short() if row.digest is not None else ABSENT
    if row.expected is None or row.expected == row.digest:
        return (there if row.digest is not None else "") + since
    return f"{there}, expected {row.expected.short()}{since}"


def _problem(problem: Problem, style: Style) -> Iterator[str]:
    yield f"{INDENT}{style.paint(problem.outcome.value, RED)}: {message(problem.message)}\n"
    if problem.hint is not None:
        yield f"{INDENT}{style.paint('hint:', DIM)} {message(problem.hint)}\n"
