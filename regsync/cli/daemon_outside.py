"""What the daemon's runs are made with: the ledger, places, limits that its runs share, the log."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from anyio import CancelScope
from anyio.to_thread import run_sync

from regsync.cli import streams
from regsync.cli.failures import Manner, note, show
from regsync.cli.places import Missing, SpecPlaces, stores_of
from regsync.cli.policies import understood
from regsync.cli.remotes import new_limiters
from regsync.clock import Clock
from regsync.errors import RegsyncError
from regsync.plan.model import Outcome
from regsync.reconcile.daemon_run import DaemonLedger
from regsync.reconcile.engine import Engine
from regsync.reconcile.events import ActionFinished, Emit, Event, RegistryWaited, RunFinished
from regsync.reconcile.lease import Lease
from regsync.reconcile.ledger_sqlite import open_ledger
from regsync.remote.transport import NativeTransport
from regsync.spec.model import Spec

_TIME_LIMIT = 15.0  # seconds for one notification
_JSON = {"Content-Type": "application/json"}


class RunsOutside:
    """Implements the daemon's `Outside`. `state`: the ledger, instead of where the spec says."""

    def __init__(self, state: Path | None, clock: Clock, emit: Emit) -> None:
        self._state, self._clock, self._emit = state, clock, emit
        self.limiters = new_limiters(clock, emit)

    def begin_anew(self) -> None:
        """Another spec is in force: limits that it loosens are not kept."""
        self.limiters = new_limiters(self._clock, self._emit)

    @asynccontextmanager
    async def open_ledger(self, spec: Spec) -> AsyncIterator[DaemonLedger]:
        """The ledger. Raises LedgerError, NewerLedgerError."""
        path = self._state.absolute() if self._state is not None else spec.settings.state
        ledger = await run_sync(open_ledger, path, self._clock)
        try:
            yield ledger
        finally:
            with CancelScope(shield=True):
                await run_sync(ledger.close)

    @asynccontextmanager
    async def engine(
        self, spec: Spec, ledger: DaemonLedger, lease: Lease, emit: Emit
    ) -> AsyncIterator[Engine]:
        """An engine for one run. Raises InvalidSpecError for a policy, and what opening places raises."""
        policies = understood(spec)
        opening = SpecPlaces.open(
            spec,
            self._clock,
            ledger,
            stores_of(spec, Missing.CREATE),
            emit,
            guard=lease.check,
            limiters=self.limiters,
        )
        async with opening as places:
            yield Engine(
                places,
                ledger,
                self._clock,
                emit,
                spec.settings.concurrency,
                lease.check,
                lease.lost,
                policies,
            )


class DaemonStory:
    """Implements the daemon's `Story`: a line for each run, and for what went wrong in it."""

    def __init__(self, manner: Manner, emit: Emit) -> None:
        self._manner, self._emit = manner, emit

    def emit(self, event: Event) -> None:
        """Pass on what a person has to know of."""
        match event:
            case RunFinished() | RegistryWaited():
                self._emit(event)
            case ActionFinished(result) if result.outcome is not Outcome.DONE:
                self._emit(event)

    def show(self, error: RegsyncError) -> None:
        """Tell of an error."""
        show(error, self._manner)

    def note(self, word: str, text: str) -> None:
        """Tell of something else."""
        note(word, text, self._manner)

    def defect(self, error: Exception) -> None:
        """Tell of a defect; its traceback only with REGSYNC_DEBUG=1."""
        if os.environ.get("REGSYNC_DEBUG") == "1":
            import traceback

            streams.tell("".join(traceback.format_exception(error)))
        else:
            self.note("defect", "run again with REGSYNC_DEBUG=1 and report the traceback")


class Poster:
    """Posts notifications: follows nothing, reads nothing of answers but their status."""

    def __init__(self) -> None:
        self._transport = NativeTransport()

    async def post(self, url: str, body: bytes) -> int:
        """The status. Raises RegistryError, whose text may hold the URL."""
        from anyio import fail_after

        from regsync.remote.errors import RegistryTimeoutError

        try:
            with fail_after(_TIME_LIMIT):
                answer = await self._transport.start("POST", url, _JSON, body)
        except TimeoutError as cause:
            raise RegistryTimeoutError("no answer in time") from cause
        status = answer.status
        await answer.close()
        return status

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()
