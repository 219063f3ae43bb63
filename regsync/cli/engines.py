"""Building the engine of a run out of a spec: places, ledger, lease."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

from anyio.to_thread import run_sync

from regsync.cli.failures import note
from regsync.cli.options import RunOptions, manner
from regsync.cli.places import Missing, SpecPlaces, stores_of
from regsync.cli.policies import understood
from regsync.clock import Clock
from regsync.errors import RegsyncError
from regsync.reconcile.engine import Engine
from regsync.reconcile.events import Emit
from regsync.reconcile.lease import hold_lease
from regsync.reconcile.ledger import Ledger, LedgerError
from regsync.reconcile.ledger_memory import MemoryLedger
from regsync.reconcile.ledger_readonly import ReadOnlyLedger
from regsync.reconcile.ledger_sqlite import SqliteLedger, open_ledger
from regsync.spec.model import Spec


def ledger_path(spec: Spec, run: RunOptions) -> Path:
    """`--state`, else what the spec says (DESIGN.md, section 3)."""
    return run.state.absolute() if run.state is not None else spec.settings.state


@asynccontextmanager
async def writing_engine(
    spec: Spec,
    run: RunOptions,
    clock: Clock,
    emit: Emit,
    *,
    command: str,
    wait: timedelta,
    missing: Missing = Missing.CREATE,
) -> AsyncIterator[Engine]:
    """An engine that holds the lease. `missing`: what becomes of stores that are not there yet.

    Raises InvalidSpecError for a policy, LeaseHeldError, LedgerError and what opening places raises.
    """
    policies = understood(spec)
    async with AsyncExitStack() as stack:
        ledger = stack.enter_context(await run_sync(open_ledger, ledger_path(spec, run), clock))
        lease = await stack.enter_async_context(
            hold_lease(ledger, clock, command=command, wait=wait.total_seconds(), told=_waiting)
        )
        places = await stack.enter_async_context(
            SpecPlaces.open(spec, clock, ledger, stores_of(spec, missing), emit, guard=lease.check)
        )
        yield Engine(
            places, ledger, clock, emit, spec.settings.concurrency, lease.check, lease.lost, policies
        )


@asynccontextmanager
async def reading_engine(
    spec: Spec, run: RunOptions, clock: Clock, emit: Emit, *, missing: Missing = Missing.EMPTY
) -> AsyncIterator[Engine]:
    """An engine that writes nothing anywhere, not even a ledger.

    Raises InvalidSpecError for a policy, and what opening places raises.
    """
    policies = understood(spec)
    async with AsyncExitStack() as stack:
        ledger: Ledger = MemoryLedger()
        path = ledger_path(spec, run)
        if path.exists():
            written = await _open_or_do_without(path, clock)
            if written is not None:
                ledger = ReadOnlyLedger(stack.enter_context(written))
        places = await stack.enter_async_context(
            SpecPlaces.open(spec, clock, ledger, stores_of(spec, missing), emit)
        )
        yield Engine(places, ledger, clock, emit, spec.settings.concurrency, policies=policies)


async def _open_or_do_without(path: Path, clock: Clock) -> SqliteLedger | None:
    try:
        return await run_sync(partial(open_ledger, path, clock))
    except LedgerError as error:  # a plan from a read-only checkout is still a plan
        note("warning", f"planning without the ledger: {error}", manner())
        return None


def _waiting(held: RegsyncError) -> None:
    note("waiting", str(held), manner())
