"""The story of a run on stderr: one line an event, as text for people or as NDJSON for machines.

Text says little, since most runs are uneventful: a line per repository of a mirror, one for each tag
that was not done, and one when a registry keeps the run waiting. NDJSON (`--log-format json`) has every
event but the transfer of single chunks; its schema is docs/schemas/event.schema.json.
"""

from collections.abc import Callable
from enum import Enum

from regsync.clock import Clock
from regsync.errors import RegsyncError
from regsync.plan.codec import summary_to_json
from regsync.plan.document import encode_line, timestamp
from regsync.plan.model import Outcome, Result
from regsync.reconcile.events import (
    ActionFinished,
    ActionStarted,
    Event,
    RegistryWaited,
    RepositoryFinished,
    RepositorySelected,
    RepositoryStarted,
    Reused,
    RunFinished,
    Transferred,
)
from regsync.report.entries import Entry, summary_sentence
from regsync.report.escape import message, visible
from regsync.report.style import BOLD, BY_MARK, PLAIN, Style
from regsync.report.units import counted, human_bytes, human_seconds

Write = Callable[[str], object]
_QUIET = frozenset({Outcome.DONE})
_SHOWN_MIRRORS = 5  # of one run


class Tense(Enum):
    """What a change is called: in a run one that was made, in a plan one that would be."""

    PAST = "changed"
    FUTURE = "to change"


class TextLog:
    """Lines for people, without a time: whatever collects them adds its own."""

    def __init__(self, write: Write, style: Style = PLAIN, tense: Tense = Tense.PAST) -> None:
        self._write, self._style, self._tense = write, style, tense

    def __call__(self, event: Event) -> None:
        """Write a line if the event is worth one."""
        match event:
            case RepositoryFinished():
                self._write(f"{_finished(event, self._tense)}\n")
            case ActionFinished(result) if result.outcome not in _QUIET:
                self._write(f"{self._unfinished(result)}\n")
            case RunFinished():
                self._write(f"{_run_finished(event)}\n")
            case RegistryWaited(_, text):
                self._write(f"{self._style.paint('waiting:', BOLD)} {message(text)}\n")

    def _unfinished(self, result: Result) -> str:
        entry = Entry(result.action, result.outcome, result.problem)
        mark = self._style.paint(entry.mark, BY_MARK[entry.mark])
        cause = f": {message(result.problem.message)}" if result.problem is not None else ""
        place = f"{result.action.target}:{entry.name}" if result.action.tag else str(result.action.target)
        return f"{mark} {visible(result.action.mirror)}: {visible(place)} {result.outcome.value}{cause}"


def _finished(event: RepositoryFinished, tense: Tense) -> str:
    parts = [f"{event.changed} {tense.value}"] if event.changed else []
    if event.unchanged or not event.changed + event.problems:
        parts.append(f"{counted(event.unchanged, 'tag')} unchanged")
    if event.problems:
        parts.append(counted(event.problems, "problem"))
    return f"{visible(event.mirror)}: {visible(str(event.source))}: {', '.join(parts)}"


def _run_finished(event: RunFinished) -> str:
    mirrors = message(", ".join(event.mirrors[:_SHOWN_MIRRORS]))
    more = f" and {len(event.mirrors) - _SHOWN_MIRRORS} more" if len(event.mirrors) > _SHOWN_MIRRORS else ""
    copied = f", {human_bytes(event.copied)} copied" if event.copied else ""
    cause = f": {message(event.message)}" if event.message is not None else ""
    did = f"{summary_sentence(event.summary)}{copied} in {human_seconds(event.seconds)}"
    return f"run {visible(event.run)}: {mirrors}{more}: {event.outcome}: {did}{cause}"


class JsonLog:
    """One JSON object a line, each with its time, level and name."""

    def __init__(self, write: Write, clock: Clock) -> None:
        self._write, self._clock = write, clock

    def __call__(self, event: Event) -> None:
        """Write the event's line; chunks of transfers have none."""
        match event:
            case RepositoryStarted(mirror, source):
                self._line("repository-started", mirror=mirror, source=str(source))
            case RepositorySelected(mirror, source, tags):
                self._line("repository-selected", mirror=mirror, source=str(source), tags=tags)
            case RepositoryFinished(mirror, source, unchanged, changed, problems):
                self._line(
                    "repository-finished",
                    mirror=mirror,
                    source=str(source),
                    unchanged=unchanged,
                    changed=changed,
                    problems=problems,
                )
            case ActionStarted(action, size):
                self._line(
                    "action-started",
                    mirror=action.mirror,
                    target=str(action.target),
                    tag=action.tag,
                    size=size,
                )
            case ActionFinished(result):
                self._finished(result)
            case RegistryWaited(registry, text, seconds):
                self._line(
                    "registry-waited", level="warning", registry=registry, message=text, seconds=seconds
                )
            case RunFinished():
                self._run_finished(event)
            case Transferred() | Reused():
                pass

    def _run_finished(self, event: RunFinished) -> None:
        self._line(
            "run-finished",
            level="info" if event.outcome == "done" else "warning",
            run=event.run,
            mirrors=list(event.mirrors),
            outcome=event.outcome,
            summary=summary_to_json(event.summary) | {"bytes": event.copied},
            seconds=round(event.seconds, 3),
            message=event.message,
        )

    def error(self, error: RegsyncError) -> None:
        """The line for what ended the command."""
        self._line("error", level="error", message=str(error), hint=error.hint)

    def note(self, text: str) -> None:
        """A line for what else is to be told."""
        self._line("note", message=text)

    def _finished(self, result: Result) -> None:
        problem = result.problem
        self._line(
            "action-finished",
            level="info" if result.outcome in _QUIET else "warning",
            mirror=result.action.mirror,
            target=str(result.action.target),
            tag=result.action.tag,
            digest=str(result.action.digest) if result.action.digest is not None else None,
            action=result.action.verb.value,
            outcome=result.outcome.value,
            copied=result.copied,
            reused=result.reused,
            message=problem.message if problem is not None else None,
            hint=problem.hint if problem is not None else None,
        )

    def _line(self, event: str, *, level: str = "info", **values: object) -> None:
        head = {"time": timestamp(self._clock.now()), "level": level, "event": event}
        self._write(encode_line(head | values) + "\n")
