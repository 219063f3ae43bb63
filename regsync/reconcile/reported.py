"""A run from its beginning to its report, whatever it does in between."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio
from anyio import CancelScope

from regsync.plan.model import Problem, Report, RunInfo, problems_of
from regsync.plan.record import recorded
from regsync.reconcile.engine import Engine, Run
from regsync.reconcile.pruning import Pruning
from regsync.reconcile.unit_work import Progress
from regsync.spec.model import Spec


async def reported(
    command: str,
    spec: Spec,
    engine: Engine,
    body: Callable[[Run, Progress], Awaitable[None]],
    stop: anyio.Event | None,
) -> Report:
    """Carry out `body` with its tasks: its end on `stop`, its report, and its row in the ledger."""
    run_id, started, began = engine.clock.new_id(), engine.clock.now(), engine.clock.monotonic()
    progress = Progress()
    finished = False
    async with anyio.create_task_group() as group:
        run = Run(engine, spec, started, group, id=run_id)
        known = Pruning(run).is_known
        if stop is not None:
            group.start_soon(_cancel_on, stop, group.cancel_scope)
        group.start_soon(run.end_when_lost)
        group.start_soon(run.remember_as_it_goes)
        await body(run, progress)
        finished = True
        group.cancel_scope.cancel()  # no delivery is under way that somebody waits for
    results = progress.results
    info = RunInfo(
        run_id,
        started,
        engine.clock.monotonic() - began,
        engine.places.requests(),
        run.transfers.bytes_read,
        interrupted=not finished,
    )
    report = Report(
        spec.digest,
        tuple(sorted(results, key=lambda result: result.action.order)),
        sum(work.unchanged for work in progress.works),
        info,
        ended=Problem.of(run.ended) if run.ended is not None else None,
        knows_deletions=known,
    )
    if run.ended is not None and report.ended not in problems_of(report.results):
        run.warn(str(run.ended))
    with CancelScope(shield=True):
        summary = recorded(_warned(report, run), (mirror.name for mirror in spec.mirrors))
        engine.ledger.record_run(run_id, command, started, engine.clock.now(), summary)
        await run.remember(at_least=0)
    return _warned(report, run)


def _warned(report: Report, run: Run) -> Report:
    warnings = (*run.warnings, *run.verification.warnings(), *run.engine.places.warnings())
    return replace(report, warnings=warnings)


async def _cancel_on(stop: anyio.Event, scope: CancelScope) -> None:
    await stop.wait()
    scope.cancel()
