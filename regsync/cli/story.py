"""Who is told what happens while a run goes on: a log for machines, a bar on a terminal, else lines."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from regsync.cli import streams
from regsync.cli.failures import Manner
from regsync.clock import Clock
from regsync.reconcile.events import Emit
from regsync.report.events_log import JsonLog, Tense, TextLog


@contextmanager
def told(manner: Manner, clock: Clock, tense: Tense = Tense.PAST) -> Iterator[Emit]:
    """The `Emit` that fits the command line and the terminal."""
    if sys.stderr.isatty() and not manner.json_log:
        from regsync.report.progress_bar import ProgressBar

        with ProgressBar(sys.stderr, clock, manner.style, tense) as bar:
            yield bar
    else:
        yield lines(manner, clock, tense)


def lines(manner: Manner, clock: Clock, tense: Tense = Tense.PAST) -> Emit:
    """A line for each event that a person has to know of, whatever stderr is."""
    return JsonLog(streams.tell, clock) if manner.json_log else TextLog(streams.tell, manner.style, tense)
