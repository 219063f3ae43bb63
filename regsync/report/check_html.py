"""A check as one HTML page: how places stand to what they are to have, as a matrix of tags and places."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from regsync.plan.check import CheckReport, Owner, Row, State
from regsync.report.page import Cell, Line, Matrix, document, escaped, figures, listed, matrices
from regsync.report.units import counted, human_bytes, human_seconds

_COLOURS = {
    State.MISSING: "warn",
    State.DRIFTED: "bad",
    State.EXTRA: "warn",
    State.EVIDENCE_MISSING: "warn",
    State.UNREACHABLE: "bad",
}


def render(report: CheckReport) -> Iterator[str]:
    """The page in pieces."""
    drifted = sum(row.is_drift for row in report.rows)
    title = (
        f"regsync check: {counted(drifted, 'difference')}"
        if drifted
        else "regsync check: all places are equal"
    )
    yield from document(title, _body(report))


def _body(report: CheckReport) -> Iterator[str]:
    pairs = [(state.value, str(count)) for state, count in report.counts.items()]
    if report.reread is not None:
        pairs.append(("read again", human_bytes(report.reread.bytes)))
    yield figures([*pairs, ("time", human_seconds(report.run.seconds))])
    yield from listed("Warnings", [escaped(warning) for warning in report.warnings])
    yield from _places(report)
    if report.rows:
        yield "<h2>What is not equal</h2>\n"
        rows = sorted(report.rows, key=lambda row: (row.mirror, str(row.source)))
        groups = groupby(rows, key=lambda row: (row.mirror, str(row.source)))
        yield from matrices((_matrix(list(group), report) for _, group in groups), len(rows))
    yield f'<p class="dim">Spec <code>{escaped(str(report.spec_digest))}</code></p>\n'


def _places(report: CheckReport) -> Iterator[str]:
    lines = [
        Line(f"{one.source} → {one.target}", {}, (one.mirror, str(one.tags), str(one.equal)))
        for one in report.compared
    ]
    if lines:
        yield "<h2>Places</h2>\n"
        yield from matrices(
            [Matrix(counted(len(lines), "place"), (), lines, ("mirror", "tags", "equal"))], len(lines)
        )


def _matrix(rows: Sequence[Row], report: CheckReport) -> Matrix:
    first = rows[0]
    by_name: dict[str, list[Row]] = {}
    for row in rows:
        by_name.setdefault(_name(row), []).append(row)
    here = {
        str(one.target) for one in report.compared if (one.mirror, one.source) == (first.mirror, first.source)
    }
    return Matrix(
        f"{first.mirror}: {first.source} ({counted(len(by_name), 'tag')})",
        tuple(sorted(here | {str(row.target) for row in rows})),
        [_line(name, members) for name, members in sorted(by_name.items())],
        ("expected", "why"),
        "equal",
    )


def _line(name: str, rows: Sequence[Row]) -> Line:
    cells = {str(row.target): _cell(row) for row in rows}
    expected = next((row.expected.short() for row in rows if row.expected is not None), "")
    return Line(name, cells, (expected, "; ".join(dict.fromkeys(map(_why, rows)))))


def _cell(row: Row) -> Cell:
    word = row.drift.value if row.drift is not None else row.state.value
    colour = "dim" if row.owner is Owner.OURS else _COLOURS[row.state]
    since = f" since {row.since:%Y-%m-%d %H:%M} UTC" if row.since is not None else ""
    return Cell(f"{word}{since}", colour, row.digest.short() if row.digest is not None else "")


def _why(row: Row) -> str:
    return row.why if row.problem is None else f"{row.why}: {row.problem.message}"


def _name(row: Row) -> str:
    if row.tag is not None:
        return row.tag
    return f"@{row.expected.short()}" if row.expected is not None else "*"
