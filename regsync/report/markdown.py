"""Plans and reports as Markdown: a pull request comment, or a job's summary page.

GitHub takes comments of 65,536 characters; what does not fit is left out and counted. All that comes
from outside stands in code spans, where nothing is rendered.
"""

from collections.abc import Iterator

from regsync.plan.model import Base, Explanation, Plan, Report
from regsync.report.change import aside, opening, sentences
from regsync.report.entries import Entry, Group, entries_of, groups_of, summary_sentence
from regsync.report.escape import code_span, html_text
from regsync.report.units import counted, human_bytes, human_seconds

MAX_LENGTH = 65_000  # characters of the whole document
_RESERVE = 300  # characters for closing a table and saying what is left out
_CLOSING = "\n</details>\n"
_TABLE = "| | tag | digest | size | reason |\n|---|---|---|--:|---|\n"


def render(document: Plan | Report, limit: int = MAX_LENGTH) -> Iterator[str]:
    """The document in pieces, at most `limit` characters together."""
    entries = entries_of(document)
    page = Page(limit - _RESERVE)
    page.add(_heading(document))
    page.add(_figures(document))
    if isinstance(document, Plan) and document.base is not None:
        _add_change(page, document.base)
    problems = [entry for entry in entries if entry.problem is not None]
    left_out = _add_problems(page, problems)
    left_out += _add_groups(page, [entry for entry in entries if entry.problem is None])
    warnings_left_out = _add_warnings(page, document.warnings)
    if isinstance(document, Plan):
        left_out += _add_explanations(page, document.explanations)
    yield from page.pieces
    if left_out or warnings_left_out:
        what = [counted(left_out, "entry", "entries")] if left_out else []
        what += [counted(warnings_left_out, "warning")] if warnings_left_out else []
        yield f"\n*{' and '.join(what)} left out to keep this short; `-o json` has everything.*\n"


class Page:
    """Collects pieces until there is no room for the next."""

    def __init__(self, room: int) -> None:
        self.pieces: list[str] = []
        self._room = room

    def add(self, text: str, closing: str = "") -> bool:
        """Add `text` if it fits together with what will have to close it."""
        if len(text) + len(closing) > self._room:
            return False
        self.pieces.append(text)
        self._room -= len(text)
        return True


def _heading(document: Plan | Report) -> str:
    if isinstance(document, Plan):
        title = "nothing to do" if not document.actions else ""
        title = title or summary_sentence(document.summary, future="to ")
        return f"### regsync plan: {title}\n"
    title = "nothing to do" if document.is_idle else summary_sentence(document.summary)
    if document.run.interrupted:
        title = f"interrupted: {summary_sentence(document.summary)}"
    return f"### regsync: {title}\n"


def _figures(document: Plan | Report) -> str:
    summary = document.summary
    cells = [("create", summary.create), ("update", summary.update)]
    if summary.delete is not None:
        cells.append(("delete", summary.delete))
    cells.append(("unchanged", summary.unchanged))
    optional = (
        ("blocked", summary.blocked),
        ("deferred", summary.deferred),
        ("degraded", summary.degraded),
        ("failed", summary.failed),
    )
    texts = [(name, str(count)) for name, count in cells]
    texts += [(name, f"**{count}**") for name, count in optional if count]
    if isinstance(document, Plan):
        texts.append(("at most to copy", human_bytes(document.bytes)))
    else:
        texts.append(("copied", human_bytes(document.copied)))
        texts.append(("reused", human_bytes(document.reused)))
        texts.append(("time", human_seconds(document.run.seconds)))
    rows = ([name for name, _ in texts], ["--:"] * len(texts), [text for _, text in texts])
    return "\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _add_change(page: Page, base: Base) -> None:
    page.add(f"\n{html_text(opening(base) + aside(base))}.\n\n")
    for sentence in sentences(base):
        page.add(f"- {code_span(sentence)}\n")


def _add_problems(page: Page, entries: list[Entry]) -> int:
    if not entries or not page.add("\n#### What needs attention\n\n"):
        return len(entries)
    for number, entry in enumerate(entries):
        if not page.add(_problem(entry)):
            return len(entries) - number
    return 0


def _problem(entry: Entry) -> str:
    assert entry.problem is not None  # noqa: S101 - the caller chose those that have one
    action, problem = entry.action, entry.problem
    place = f"{action.target}:{action.tag}" if action.tag is not None else str(action.target)
    text = f"- **{problem.outcome.value}** {code_span(place)}: {code_span(problem.message)}\n"
    return text + (f"  - {code_span(problem.hint)}\n" if problem.hint is not None else "")


def _add_groups(page: Page, entries: list[Entry]) -> int:
    left_out = 0
    for group in groups_of(entries):
        left_out += _add_group(page, group)
    return left_out


def _add_group(page: Page, group: Group) -> int:
    title = f"{group.mirror}: {group.source} → {group.target} ({group.counts})"
    opening = f"\n<details><summary>{html_text(title)}</summary>\n\n{_TABLE}"
    if not page.add(opening, _CLOSING + _row(group.entries[0])):
        return len(group.entries)
    added = 0
    for entry in group.entries:
        if not page.add(_row(entry), _CLOSING):
            break
        added += 1
    page.add(_CLOSING)
    return len(group.entries) - added


def _row(entry: Entry) -> str:
    cells = (
        code_span(entry.mark),
        code_span(entry.name),
        code_span(entry.digests) if entry.digests else "",
        human_bytes(entry.action.size),
        code_span(entry.why) if entry.why else "",
    )
    return f"| {' | '.join(cells)} |\n"


def _add_warnings(page: Page, warnings: tuple[str, ...]) -> int:
    if not warnings or not page.add("\n#### Warnings\n\n"):
        return len(warnings)
    for number, warning in enumerate(warnings):
        if not page.add(f"- {code_span(warning)}\n"):
            return len(warnings) - number
    return 0


def _add_explanations(page: Page, explanations: tuple[Explanation, ...]) -> int:
    if not explanations:
        return 0
    opening = "\n<details><summary>Why each tag was kept or dropped</summary>\n\n"
    opening += "| mirror | repository | tag | | why |\n|---|---|---|---|---|\n"
    if not page.add(opening, _CLOSING):
        return len(explanations)
    added = 0
    for entry in explanations:
        cells = (code_span(entry.mirror), code_span(str(entry.target or entry.source)), code_span(entry.tag))
        verdict = "kept" if entry.kept else "dropped" if entry.target is None else "deleted"
        if not page.add(f"| {' | '.join(cells)} | {verdict} | {code_span(entry.why)} |\n", _CLOSING):
            break
        added += 1
    page.add(_CLOSING)
    return len(explanations) - added
