"""What `check` found as Markdown: an issue, a job's summary page; nothing from outside is rendered."""

from collections.abc import Iterator

from regsync.plan.check import CheckReport, Row
from regsync.plan.document import timestamp
from regsync.report.check_matrix import Line, Sheet, sheets, summary_sentence, word_of
from regsync.report.escape import code_span, html_text
from regsync.report.markdown import MAX_LENGTH, Page
from regsync.report.units import counted

_RESERVE = 300  # characters for closing a table and saying what is left out
_CLOSING = "\n</details>\n"


def render(report: CheckReport, limit: int = MAX_LENGTH) -> Iterator[str]:
    """The document in pieces, at most `limit` characters together."""
    page = Page(limit - _RESERVE)
    page.add(f"### regsync check: {summary_sentence(report)}\n")
    left_out = 0
    for sheet in sheets(report):
        if sheet.lines or sheet.whole:
            left_out += _sheet(page, sheet)
    for warning in report.warnings:
        left_out += not page.add(f"\n- warning: {code_span(warning)}\n")
    yield from page.pieces
    if left_out:
        yield f"\n*{counted(left_out, 'entry', 'entries')} left out to keep this short; `-o json` has all.*\n"


def _sheet(page: Page, sheet: Sheet) -> int:
    """Add one; how many of its entries had no room."""
    title = f"{sheet.mirror}: {sheet.source} ({sheet.equal_everywhere} of {counted(sheet.tags, 'tag')} equal)"
    opening = f"\n<details open><summary>{html_text(title)}</summary>\n\n"
    rows = [_whole(row) for row in sheet.whole]
    if sheet.lines:
        rows.append(_heads(sheet))
    rows += [_line(sheet, line) for line in sheet.lines]
    if not page.add(opening, _CLOSING + rows[0]):
        return len(sheet.whole) + len(sheet.lines)
    added = 0
    for row in rows:
        if not page.add(row, _CLOSING):
            break
        added += 1
    page.add(_CLOSING)
    return len(rows) - added


def _whole(row: Row) -> str:
    problem = f": {code_span(row.problem.message)}" if row.problem is not None else ""
    return f"- **{word_of(row)}** {code_span(str(row.target))}, {code_span(row.why)}{problem}\n"


def _heads(sheet: Sheet) -> str:
    heads = [code_span(str(place)) for place in sheet.places]
    return f"\n| tag | {' | '.join(heads)} | why |\n|---|{'---|' * len(heads)}---|\n"


def _line(sheet: Sheet, line: Line) -> str:
    cells = [code_span(line.name), *(sheet.cell(line, place) for place in sheet.places)]
    reasons = "; ".join(dict.fromkeys(_reason(row) for row in line.cells.values()))
    return f"| {' | '.join(cells)} | {code_span(reasons)} |\n"


def _reason(row: Row) -> str:
    since = f", stale since {timestamp(row.since)}" if row.since is not None else ""
    problem = f": {row.problem.message}" if row.problem is not None else ""
    return f"{row.why}{since}{problem}"
