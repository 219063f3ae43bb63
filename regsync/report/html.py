"""Plans and reports as one HTML page: what comes of it, what needs attention, tags by places, verdicts.

A hundred thousand tags are folded: by mirror and source, and within these by a few hundred rows, so that
a browser lays out only what somebody opens.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

from regsync.plan.model import Explanation, Outcome, Plan, Problem, Report, Verb
from regsync.report.change import sentences
from regsync.report.entries import Entry, entries_of, summary_sentence
from regsync.report.page import (
    OPEN_UP_TO,
    Cell,
    Line,
    Matrix,
    document,
    escaped,
    figures,
    folded,
    listed,
    matrices,
    table,
)
from regsync.report.text import closing
from regsync.report.units import counted, human_bytes, human_seconds
from regsync.trust.verdict import Result as Verdict

MAX_NAMED = 20  # tags that one problem or verdict names
_COLOURS = {
    Outcome.DONE: "good",
    Outcome.DEGRADED: "warn",
    Outcome.DEFERRED: "warn",
    Outcome.BLOCKED: "bad",
    Outcome.REFUSED: "bad",
    Outcome.FAILED: "bad",
}
_DONE = {Verb.CREATE: "created", Verb.UPDATE: "updated", Verb.DELETE: "deleted"}


def render(found: Plan | Report) -> Iterator[str]:
    """The page in pieces."""
    word = "plan" if isinstance(found, Plan) else "report"
    sentence = summary_sentence(found.summary, future="to " if isinstance(found, Plan) else "")
    yield from document(f"regsync {word}: {sentence}", _body(found))


def _body(found: Plan | Report) -> Iterator[str]:
    entries = entries_of(found)
    problems: dict[Problem, int] = {}
    for entry in entries:
        if entry.problem is not None:
            problems.setdefault(entry.problem, len(problems) + 1)
    yield f"<p>{escaped(closing(found))}</p>\n"
    yield figures(_figures(found))
    if isinstance(found, Plan) and found.base is not None:
        yield from listed("The change", [escaped(one) for one in sentences(found.base)])
    yield from _problems(entries, problems)
    yield from listed("Warnings", [escaped(warning) for warning in found.warnings])
    if entries:
        yield "<h2>Tags by places</h2>\n"
        is_plan = isinstance(found, Plan)
        yield from matrices(
            (_matrix(list(group), problems, is_plan=is_plan) for group in _grouped(entries)), len(entries)
        )
    yield from _verdicts(entries)
    if isinstance(found, Plan):
        yield from _explanations(found.explanations)
    yield f'<p class="dim">Spec <code>{escaped(str(found.spec_digest))}</code></p>\n'


def _figures(found: Plan | Report) -> list[tuple[str, str]]:
    summary = found.summary
    names = ("create", "update", "delete", "unchanged", "blocked", "deferred", "degraded", "failed")
    pairs = [
        (name, "not known" if (count := getattr(summary, name)) is None else str(count)) for name in names
    ]
    if isinstance(found, Plan):
        return [*pairs, ("at most to copy", human_bytes(found.bytes))]
    copied = [("copied", human_bytes(found.copied)), ("reused", human_bytes(found.reused))]
    return [*pairs, *copied, ("time", human_seconds(found.run.seconds))]


def _problems(entries: Sequence[Entry], numbers: dict[Problem, int]) -> Iterator[str]:
    """Each problem once, with the tags that it keeps back."""
    if not numbers:
        return
    places: dict[Problem, list[str]] = {problem: [] for problem in numbers}
    for entry in entries:
        if entry.problem is not None:
            places[entry.problem].append(f"{entry.action.target}:{entry.name}")
    yield "<h2>What needs attention</h2>\n"
    yield from folded(
        counted(len(numbers), "problem"), _told(places, numbers), is_open=len(numbers) <= OPEN_UP_TO
    )


def _told(places: dict[Problem, list[str]], numbers: dict[Problem, int]) -> Iterator[str]:
    yield "<ol>\n"
    for problem, names in places.items():
        colour = _COLOURS[problem.outcome]
        yield f'<li id="p{numbers[problem]}"><strong class="{colour}">{problem.outcome.value}</strong> '
        yield f"{escaped(problem.message)}"
        if problem.hint is not None:
            yield f'<br><span class="dim">hint:</span> {escaped(problem.hint)}'
        yield f"<br>{_names(names)}</li>\n"
    yield "</ol>\n"


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(f"<code>{escaped(name)}</code>" for name in names[:MAX_NAMED])
    return shown + (f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else "")


def _grouped(entries: Sequence[Entry]) -> Iterator[Iterator[Entry]]:
    """Sorted entries by mirror and source."""
    ordered = sorted(entries, key=lambda one: (one.action.mirror, str(one.action.source)))
    for _, group in groupby(ordered, key=lambda one: (one.action.mirror, str(one.action.source))):
        yield group


def _matrix(entries: Sequence[Entry], problems: dict[Problem, int], *, is_plan: bool) -> Matrix:
    first = entries[0].action
    rows: dict[str, list[Entry]] = {}
    for entry in entries:
        rows.setdefault(entry.name, []).append(entry)
    return Matrix(
        f"{first.mirror}: {first.source} ({counted(len(rows), 'tag')})",
        tuple(sorted({str(entry.action.target) for entry in entries})),
        [_line(name, members, problems, is_plan=is_plan) for name, members in sorted(rows.items())],
        ("size", "why"),
        "nothing to do",
    )


def _line(name: str, members: Sequence[Entry], problems: dict[Problem, int], *, is_plan: bool) -> Line:
    cells = {str(one.action.target): _cell(one, problems, is_plan=is_plan) for one in members}
    size = next((one.action.size for one in members if one.action.size is not None), None)
    reasons = dict.fromkeys(one.action.reason for one in members)
    return Line(name, cells, (human_bytes(size) if size is not None else "", "; ".join(reasons)))


def _cell(entry: Entry, problems: dict[Problem, int], *, is_plan: bool) -> Cell:
    number = problems[entry.problem] if entry.problem is not None else None
    if entry.was_there:
        return Cell("was there", "dim", entry.digests)
    if entry.outcome is not Outcome.DONE:
        return Cell(entry.outcome.value, _COLOURS[entry.outcome], entry.digests, number)
    verb = entry.action.verb
    word = f"to {verb.value}" if is_plan else _DONE[verb]
    return Cell(word, "bad" if verb is Verb.DELETE else "good", entry.digests)


def _verdicts(entries: Sequence[Entry]) -> Iterator[str]:
    """What policies said, what was said of several tags once."""
    said: dict[tuple[str, str, str, str], list[str]] = {}
    for entry in entries:
        for one in entry.action.verdicts:
            note = one.reason or ", ".join(one.signers)
            if one.result in (Verdict.FAIL, Verdict.ERROR) and one.lets_pass:
                note = f"(mode: warn, it moves) {note}"
            key = (one.policy, one.result.value, note, ", ".join(one.unmet))
            said.setdefault(key, []).append(f"{entry.action.target}:{entry.name}")
    if said:
        yield "<h2>Verdicts of policies</h2>\n"
        head = ("policy", "result", "signers, or why not", "requirements not met", "of")
        yield from folded(
            counted(len(said), "verdict"),
            table(head, ((*key, _few(names)) for key, names in sorted(said.items()))),
            is_open=len(said) <= OPEN_UP_TO,
        )


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def _explanations(found: Sequence[Explanation]) -> Iterator[str]:
    if found:
        rows = ((one.mirror, str(one.target or one.source), one.tag, _fate(one), one.why) for one in found)
        head = ("mirror", "repository", "tag", "", "why")
        yield from folded("Why each tag is in, or out", table(head, rows), is_open=False)


def _fate(one: Explanation) -> str:
    return "kept" if one.kept else "dropped" if one.target is None else "deleted"
