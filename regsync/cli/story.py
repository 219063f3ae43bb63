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
    if manner.json_log:
        yield JsonLog(streams.tell, clock)
    elif sys.stderr.isatty():
        from regsync.report.progress_bar import ProgressBar

        with ProgressBar(sys.stderr, clock, manner.style, tense) as bar:
            yield bar
    else:
        yield TextLog(streams.tell, manner.style, tense)
