"""Plans, reports and checks as JUnit XML: a suite per mirror and places, a case per tag and target.

Blocked, refused and failed tags are failures; what is put off, and evidence that a target refuses, is
skipped with its reason. A change that is pending, or was made, passes. What nothing had to be done for is
one case, with the count in its name. The shape is what Jenkins, GitLab and GitHub's actions read
(junit-10.xsd).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from regsync.plan.check import CheckReport, Row
from regsync.plan.model import Outcome, Plan, Problem, Report
from regsync.report.change import sentences
from regsync.report.entries import Entry, entries_of, groups_of
from regsync.report.escape import message
from regsync.report.units import counted

_SKIPPED = (Outcome.DEFERRED, Outcome.DEGRADED)


@dataclass(frozen=True, slots=True)
class Case:
    """One test case: it passes where there is neither a failure nor a reason for passing it over."""

    name: str
    place: str  # what it is of
    told: str  # for people
    failure: str | None = None
    skipped: str | None = None
    kind: str = ""  # of the failure
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Suite:
    """The cases of a mirror between two repositories."""

    name: str
    cases: tuple[Case, ...]


def render(document: Plan | Report | CheckReport) -> Iterator[str]:
    """The XML in pieces, suite by suite."""
    suites = list(_checked(document) if isinstance(document, CheckReport) else _suites(document))
    cases = [case for suite in suites for case in suite.cases]
    seconds = document.run.seconds if isinstance(document, Report | CheckReport) else 0.0
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f'<testsuites name="regsync"{_counts(cases)} time="{seconds:.3f}">\n'
    for suite in suites:
        counts = f'{_counts(suite.cases)} skipped="{_skipped(suite)}"'
        yield f'  <testsuite name="{_xml(suite.name)}"{counts} time="0.000">\n'
        for case in suite.cases:
            yield from _case(case)
        yield "  </testsuite>\n"
    yield "</testsuites>\n"


def _suites(document: Plan | Report) -> Iterator[Suite]:
    for group in groups_of(entries_of(document)):
        cases = tuple(_of(entry, group.target) for entry in group.entries)
        yield Suite(f"{group.mirror}: {group.source} → {group.target}", cases)
    if isinstance(document, Plan) and document.base is not None and (told := list(sentences(document.base))):
        yield Suite("change", tuple(Case(one, "regsync", "", skipped=one) for one in told))
    unchanged = document.summary.unchanged
    if unchanged:
        yield Suite("unchanged", (Case(f"{counted(unchanged, 'tag')} unchanged", "regsync", ""),))
    if isinstance(document, Report) and document.ended is not None:
        yield Suite("run", (_failed("the run came to its end", "regsync", "", document.ended),))


def _of(entry: Entry, target: str) -> Case:
    place = f"{entry.action.mirror}.{target}"
    told = f"{entry.action.verb.value} {entry.digests}: {entry.why}"
    if entry.problem is None:
        return Case(entry.name, place, told)
    return _failed(entry.name, place, told, entry.problem)


def _failed(name: str, place: str, told: str, problem: Problem) -> Case:
    if problem.outcome in _SKIPPED:
        return Case(name, place, told, skipped=f"{problem.outcome.value}: {problem.message}")
    return Case(name, place, told, problem.message, kind=problem.outcome.value, hint=problem.hint)


def _checked(report: CheckReport) -> Iterator[Suite]:
    rows = {place: tuple(found) for place, found in groupby(report.rows, key=_place_of)}
    for one in report.compared:
        key = (one.mirror, str(one.target))
        cases = [_of_row(row) for row in rows.pop(key, ())]
        equal = Case(f"{counted(one.equal, 'tag')} equal", f"{one.mirror}.{one.target}", "")
        yield Suite(f"{one.mirror}: {one.source} → {one.target}", (*cases, *([equal] if one.equal else [])))
    for (mirror, target), left in rows.items():  # places that could not be looked at
        yield Suite(f"{mirror}: {target}", tuple(map(_of_row, left)))


def _place_of(row: Row) -> tuple[str, str]:
    return row.mirror, str(row.target)


def _of_row(row: Row) -> Case:
    name = row.tag or (f"@{row.expected.short()}" if row.expected is not None else "*")
    place = f"{row.mirror}.{row.target}"
    problem = f": {row.problem.message}" if row.problem is not None else ""
    text = f"{row.state.value}: {row.why}{problem}"
    if not row.is_drift:
        return Case(name, place, "", skipped=text)
    hint = row.problem.hint if row.problem is not None else None
    return Case(name, place, "", text, kind=row.state.value, hint=hint)


def _case(case: Case) -> Iterator[str]:
    yield f'    <testcase name="{_xml(case.name)}" classname="{_xml(case.place)}" time="0.000"'
    if case.failure is not None:
        hint = f"\n{message(case.hint)}" if case.hint is not None else ""
        body = f"{message(case.failure)}{hint}"
        opening = f'<failure message="{_xml(case.failure)}" type="{_xml(case.kind)}">'
        yield f">\n      {opening}{_escaped(body)}</failure>\n    </testcase>\n"
    elif case.skipped is not None:
        yield f'>\n      <skipped message="{_xml(case.skipped)}"/>\n    </testcase>\n'
    elif case.told:
        yield f">\n      <system-out>{_xml(case.told)}</system-out>\n    </testcase>\n"
    else:
        yield "/>\n"


def _counts(cases: Iterable[Case]) -> str:
    found = list(cases)
    failures = sum(case.failure is not None for case in found)
    return f' tests="{len(found)}" failures="{failures}" errors="0"'


def _skipped(suite: Suite) -> int:
    return sum(case.skipped is not None for case in suite.cases)


def _xml(text: str) -> str:
    """Text for an attribute or an element; what XML has no character for is written as an escape."""
    return _escaped(message(text))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
