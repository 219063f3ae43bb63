"""SIGINT and SIGTERM: the step in hand is finished or undone, then the command says how far it came."""

import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import anyio

from regsync.cli.interrupted import Interrupted

T = TypeVar("T")
WATCHED = (signal.SIGINT, signal.SIGTERM)
SHOW_CURSOR = b"\x1b[?25h\n"


@dataclass(slots=True)
class Stop:
    """How work hears of a signal: it is cancelled, or, once it has asked for `event`, that is set."""

    signal: int | None = None
    _event: anyio.Event | None = None
    _scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    @property
    def event(self) -> anyio.Event:
        """From now on the work ends by itself when this is set, and gives a result all the same."""
        if self._event is None:
            self._event = anyio.Event()
            if self.signal is not None:
                self._event.set()
        return self._event

    @property
    def scope(self) -> anyio.CancelScope:
        """What the work runs in."""
        return self._scope

    def hear(self, number: int) -> None:
        """Take a signal. A second one ends the process at once: whoever sends it has waited enough."""
        if self.signal is not None:
            if sys.stderr.isatty():
                os.write(sys.stderr.fileno(), SHOW_CURSOR)  # the progress bar has hidden it
            os._exit(128 + number)
        self.signal = number
        if self._event is not None:
            self._event.set()
        else:
            self._scope.cancel()


def run_until_signal(work: Callable[[Stop], Awaitable[T]]) -> tuple[T, int | None]:
    """Run `work` in an event loop of its own; its result, and the signal that cut it short.

    Raises Interrupted when a signal came before the work asked for `Stop.event`, or when the work failed
    while it ended; the failure is then its cause.
    """
    return anyio.run(_run, work)


async def _run(work: Callable[[Stop], Awaitable[T]]) -> tuple[T, int | None]:
    stop = Stop()
    results: list[T] = []
    failure: Exception | None = None
    with anyio.open_signal_receiver(*WATCHED) as signals:
        async with anyio.create_task_group() as group:
            group.start_soon(_watch, signals, stop)
            with stop.scope:
                try:
                    results.append(await work(stop))
                except Exception as error:  # noqa: BLE001 - raised again below: the group would wrap it
                    failure = error
            group.cancel_scope.cancel()
    if failure is not None and stop.signal is None:
        raise failure
    if not results:
        raise Interrupted(stop.signal or signal.SIGINT) from failure
    return results[0], stop.signal


async def _watch(signals: AsyncIterator[signal.Signals], stop: Stop) -> None:
    async for number in signals:
        stop.hear(number)
