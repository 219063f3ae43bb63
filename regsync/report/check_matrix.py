"""A CheckReport as a matrix: a sheet for each mirror and repository, its places across and tags down.

Tags that are equal everywhere are only counted. Whoever prints decides how a cell looks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from regsync.plan.check import CheckReport, Compared, Drift, Row, State
from regsync.report.units import counted
from regsync.spec.model import Location

EQUAL, ABSENT, NOT_COMPARED = "=", "-", "?"
SHORT = {
    State.MISSING: "missing",
    State.EXTRA: "extra",
    State.EVIDENCE_MISSING: "evidence",
    State.UNREACHABLE: "unreachable",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One tag (or pinned content) that is not equal everywhere, with its row at each place that has one."""

    name: str
    cells: Mapping[Location, Row]

    @property
    def is_extra(self) -> bool:
        """Whether nothing selects it, so that a place without it is as it should be."""
        return all(row.state is State.EXTRA for row in self.cells.values())


@dataclass(frozen=True, slots=True)
class Sheet:
    """One mirror and source repository."""

    mirror: str
    source: Location
    places: tuple[Location, ...]  # the source first where it has rows, then the targets
    compared: tuple[Compared, ...]
    whole: tuple[Row, ...]  # of repositories that could not be compared, or not to the end
    lines: tuple[Line, ...]

    @property
    def tags(self) -> int:
        """How many tags the mirror has here."""
        return max((one.tags for one in self.compared), default=0)

    @property
    def equal_everywhere(self) -> int:
        """Tags that are equal at every place that could be compared."""
        differing = sum(not line.is_extra for line in self.lines)
        return max(0, self.tags - differing) if any(one.equal for one in self.compared) else 0

    def cell(self, line: Line, place: Location) -> str:
        """One word, or `=` for equal, `-` for not there as it should be, `?` for not compared."""
        row = line.cells.get(place)
        if row is not None:
            return word_of(row)
        if any(one.target == place for one in self.whole):
            return NOT_COMPARED
        return ABSENT if line.is_extra and place != self.source else EQUAL


def word_of(row: Row) -> str:
    """What a cell says: the kind of a drift, else the state."""
    if row.drift is not None:
        return "drifted" if row.drift is Drift.UNKNOWN else row.drift.value
    if row.state is State.EVIDENCE_MISSING and row.problem is not None:
        return "refused"
    return SHORT[row.state]


def sheets(report: CheckReport) -> Iterator[Sheet]:
    """The sheets of a report, sorted as its rows are."""
    rows: dict[tuple[str, Location], list[Row]] = {}
    for row in report.rows:
        rows.setdefault((row.mirror, row.source), []).append(row)
    compared: dict[tuple[str, Location], list[Compared]] = {}
    for (mirror, source), some in groupby(report.compared, key=lambda one: (one.mirror, one.source)):
        compared[(mirror, source)] = list(some)
    for key in sorted(rows.keys() | compared.keys()):
        yield _sheet(*key, compared.get(key, []), rows.get(key, []))


def summary_sentence(report: CheckReport) -> str:
    """`2 missing, 1 drifted, 4997 tags equal at 4 places`."""
    counts = report.counts
    parts = [
        f"{counts[state]} {state.value.replace('-', ' ')}"
        for state in State
        if state is not State.EQUAL and counts[state]
    ]
    targets = len({one.target for one in report.compared})
    return ", ".join([*parts, f"{counted(counts[State.EQUAL], 'tag')} equal at {counted(targets, 'place')}"])


def _sheet(mirror: str, source: Location, compared: list[Compared], rows: list[Row]) -> Sheet:
    whole = tuple(row for row in rows if row.tag is None and row.expected is None)
    cells: dict[str, dict[Location, Row]] = {}
    for row in rows:
        if row not in whole:
            cells.setdefault(_name(row), {})[row.target] = row
    targets = dict.fromkeys(one.target for one in compared)
    first = (source,) if any(row.target == source for row in rows) and source not in targets else ()
    lines = tuple(Line(name, cells[name]) for name in sorted(cells))
    return Sheet(mirror, source, (*first, *targets), tuple(compared), whole, lines)


def _name(row: Row) -> str:
    if row.tag is not None:
        return row.tag
    digest = row.expected or row.digest
    return f"@{digest.short()}" if digest is not None else "*"
