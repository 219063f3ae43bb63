"""What a person sees when a command ends with an error: what, where, why and what to do; no traceback.

A traceback is a defect, whatever the input. Where there is one after all, a short text says so, and
the traceback itself is printed only with REGSYNC_DEBUG=1.
"""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from regsync.cli import streams
from regsync.cli.exit_codes import DEFECT, code_of_all
from regsync.errors import RegsyncError
from regsync.report.escape import message, visible
from regsync.report.style import BOLD, COLOUR, PLAIN, RED, Style

MAX_LINES = 200  # of one message; a spec with more errors than that has one cause


@dataclass(slots=True)
class Manner:
    """How this command line wants to be spoken to; the options of a verb set it."""

    json_log: bool = False
    no_color: bool = False

    @property
    def style(self) -> Style:
        """The style of stderr."""
        return COLOUR if streams.wants_colour(sys.stderr, forbidden=self.no_color) else PLAIN


def handle(error: BaseException, manner: Manner) -> int:
    """Show `error` and return the exit code that it leads to; a defect is shown as what it is."""
    leaves = list(_leaves(error))
    known = [leaf for leaf in leaves if isinstance(leaf, RegsyncError)]
    if len(known) < len(leaves):
        return _defect(error)
    for leaf in known:
        show(leaf, manner)
    return code_of_all(known)


def show(error: RegsyncError, manner: Manner) -> None:
    """Write the message of one error, and what to do next, to stderr."""
    if manner.json_log:
        from regsync.clock import SystemClock
        from regsync.report.events_log import JsonLog

        JsonLog(streams.tell, SystemClock()).error(error)
        return
    style = manner.style
    first, *rest = str(error).splitlines() or [type(error).__name__]
    streams.tell(f"{style.paint('error:', RED)} {visible(first)}\n")
    for line in rest[:MAX_LINES]:
        streams.tell(f"  {visible(line)}\n")
    if len(rest) > MAX_LINES:
        streams.tell(f"  and {len(rest) - MAX_LINES} lines more\n")
    if error.hint is not None:
        streams.tell(f"{style.paint('hint:', BOLD)} {visible(error.hint)}\n")


def note(word: str, text: str, manner: Manner) -> None:
    """Tell a person something that is no error, such as what is waited for."""
    if manner.json_log:
        from regsync.clock import SystemClock
        from regsync.report.events_log import JsonLog

        JsonLog(streams.tell, SystemClock()).note(f"{word}: {text}")
        return
    streams.tell(f"{manner.style.paint(f'{word}:', BOLD)} {message(text)}\n")


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


def _defect(error: BaseException) -> int:
    streams.tell(f"internal error: {type(error).__name__}\n")
    if os.environ.get("REGSYNC_DEBUG") == "1":
        import traceback

        streams.tell("".join(traceback.format_exception(error)))
    else:
        streams.tell("hint: this is a defect in regsync; run again with REGSYNC_DEBUG=1 and report it\n")
    return DEFECT
