"""The progress bar on a terminal. rich is loaded when the first byte is to be copied, not before:
a run with nothing to do never pays for it.
"""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Self, TextIO

from regsync.clock import Clock
from regsync.reconcile.events import ActionStarted, Event, Transferred
from regsync.report.events_log import Tense, TextLog
from regsync.report.progress import Progress, Snapshot
from regsync.report.style import Style
from regsync.report.units import human_bytes, human_seconds

if TYPE_CHECKING:
    from rich.live import Live

BAR_WIDTH = 28  # characters


class ProgressBar:
    """An `Emit` that keeps one bar at the foot of the terminal, with the log's lines above it."""

    def __init__(self, stream: TextIO, clock: Clock, style: Style, tense: Tense = Tense.PAST) -> None:
        self._stream, self._clock = stream, clock
        self._progress = Progress()
        self._log = TextLog(self._print, style, tense)
        self._live: Live | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, event: Event) -> None:
        """Take the event into account, and print its line if it has one."""
        self._progress.add(event)
        if isinstance(event, ActionStarted | Transferred) and self._live is None:
            self._live = _start_live(self._stream, self._line)
        self._log(event)

    def close(self) -> None:
        """Remove the bar."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _print(self, text: str) -> None:
        if self._live is None:
            self._stream.write(text)
            return
        from rich.text import Text

        self._live.console.print(Text.from_ansi(text.removesuffix("\n")), soft_wrap=True)

    def _line(self) -> str:
        return render(self._progress.at(self._clock.monotonic()))


def render(now: Snapshot) -> str:
    """One line: the bar and tags where their total is known, bytes copied and reused, rate, time left."""
    parts = [f"{human_bytes(now.copied)} copied"]
    if now.total:
        filled = int(now.fraction * BAR_WIDTH)
        bar = "━" * filled + "─" * (BAR_WIDTH - filled)
        parts.insert(0, f"{bar} {int(now.fraction * 100):3d} %")
        parts.insert(1, f"{now.tags_finished}/{now.tags_started} tags")
    if now.reused:
        parts.append(f"{human_bytes(now.reused)} reused")
    if now.rate is not None:
        parts.append(f"{human_bytes(int(now.rate))}/s")
    if now.total and now.seconds_left is not None:
        parts.append(f"{human_seconds(now.seconds_left)} left")
    return "  ".join(parts)


def _start_live(stream: TextIO, line: Callable[[], str]) -> "Live":
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(file=stream, highlight=False)
    live = Live(
        console=console,
        refresh_per_second=5,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=stream is sys.stderr,
        get_renderable=lambda: Text(line(), no_wrap=True, overflow="ellipsis"),
    )
    live.start()
    return live
