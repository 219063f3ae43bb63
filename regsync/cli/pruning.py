"""The bodies of `prune`: a dry run, a run, and an undoing."""

from contextlib import AbstractAsyncContextManager
from datetime import timedelta

from regsync.cli.engines import reading_engine, writing_engine
from regsync.cli.options import RunOptions
from regsync.cli.places import Missing
from regsync.cli.recorded_runs import one_run
from regsync.cli.running import Open, forgive_pending, load_spec, present_plan, run_to_read, run_to_report
from regsync.clock import Clock
from regsync.reconcile.engine import Engine
from regsync.reconcile.events import Emit
from regsync.reconcile.ledger_sqlite import SqliteLedger
from regsync.reconcile.prune_run import Extent, plan_pruning, prune
from regsync.reconcile.run import Explain
from regsync.reconcile.undo import undo
from regsync.spec.model import Spec

ABANDONED_AT_MOST = 10  # tags of one repository


def extent(run: RunOptions, abandoned_at_most: int | None) -> Extent:
    """What the command line asks for."""
    if abandoned_at_most is not None:
        return Extent.abandoned(abandoned_at_most)
    return Extent.MIRRORS if run.mirror or run.label else Extent.ALL


def show(run: RunOptions, what: Extent, *, explain: bool, exit_zero: bool) -> int:
    """Say what would be deleted, and return the exit code."""
    spec = load_spec(run)
    plan = run_to_read(
        spec,
        lambda spec, clock, emit: reading_engine(spec, run, clock, emit, missing=Missing.UNUSED),
        lambda engine: plan_pruning(spec, engine, what, explain=Explain.YES if explain else Explain.NO),
    )
    code = present_plan(plan, run, spec)
    return forgive_pending(code) if exit_zero else code


def delete(run: RunOptions, what: Extent, wait: timedelta) -> int:
    """Delete, and return the exit code."""
    spec = load_spec(run)
    _, code = run_to_report(
        spec, run, _engine(run, wait), lambda engine, stop: prune(spec, engine, what, stop=stop)
    )
    return code


def put_back(run: RunOptions, of: str, wait: timedelta) -> int:
    """Put back what a run deleted, and return the exit code."""
    spec = load_spec(run)
    _, code = run_to_report(
        spec,
        run,
        _engine(run, wait),
        lambda engine, stop: undo(spec, engine, _whole_id(engine, of), stop=stop),
    )
    return code


def _engine(run: RunOptions, wait: timedelta) -> Open:
    def opened(spec: Spec, clock: Clock, emit: Emit) -> AbstractAsyncContextManager[Engine]:
        return writing_engine(spec, run, clock, emit, command="prune", wait=wait, missing=Missing.UNUSED)

    return opened


def _whole_id(engine: Engine, run: str) -> str:
    """The id of a run of which only the beginning is given. One that was killed has no row to find it by."""
    ledger = engine.ledger
    if ledger.deletions(run) or not isinstance(ledger, SqliteLedger) or not ledger.find_runs(run):
        return run
    return one_run(ledger, run).id
