"""One run of the daemon: some mirrors, or one retention policy, under a lease that is held."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from typing import Protocol

import anyio

from regsync.clock import Clock
from regsync.errors import RegsyncError
from regsync.plan.model import Problem, Report, RunInfo
from regsync.plan.record import recorded
from regsync.reconcile.drift import DriftWatch
from regsync.reconcile.engine import Engine
from regsync.reconcile.events import Emit
from regsync.reconcile.lease import Lease, LeaseTable
from regsync.reconcile.ledger import Ledger, LedgerError
from regsync.reconcile.ledger_tasks import TaskState
from regsync.reconcile.prune_run import Extent, prune
from regsync.reconcile.run import sync
from regsync.reconcile.scheduled import MIRROR, RETENTION
from regsync.reconcile.standing import Ended, Ending, ended_of
from regsync.spec.model import Spec

COMMAND = "run"  # what history calls it


class DefectError(RegsyncError):
    """A run met a defect of regsync."""

    def __init__(self, error: Exception) -> None:
        super().__init__(f"internal error: {type(error).__name__}")

    @property
    def hint(self) -> str:
        """What to do next."""
        return "this is a defect in regsync; run `regsync sync` with REGSYNC_DEBUG=1 and report it"


class DaemonLedger(Ledger, LeaseTable, Protocol):
    """A ledger that also knows how far scheduled tasks have come."""

    def read_tasks(self) -> Mapping[str, TaskState]:
        """Tasks by their names; raises LedgerError. Blocks."""
        ...

    def write_tasks(self, tasks: Mapping[str, TaskState]) -> None:
        """Remember tasks; raises LedgerError. Blocks."""
        ...


class Outside(Protocol):
    """What runs are made with, built by whoever starts the daemon."""

    def open_ledger(self, spec: Spec) -> AbstractAsyncContextManager[DaemonLedger]:
        """The ledger of a spec; raises LedgerError and SpecError."""
        ...

    def engine(
        self, spec: Spec, ledger: DaemonLedger, lease: Lease, emit: Emit
    ) -> AbstractAsyncContextManager[Engine]:
        """An engine for one run; raises what opening places raises."""
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """What one run is for: the tasks, and the spec with nothing else in it."""

    tasks: tuple[str, ...]
    spec: Spec

    @property
    def names(self) -> tuple[str, ...]:
        """The tasks without what kind they are of."""
        return tuple(task.partition(":")[2] for task in self.tasks)


def work_for(spec: Spec, tasks: Sequence[str]) -> Work:
    """The work that mirrors of one company are, or a retention policy."""
    names = {task.removeprefix(MIRROR) for task in tasks if task.startswith(MIRROR)}
    mirrors = tuple(one for one in spec.mirrors if one.name in names)
    policies = tuple(one for one in spec.retention if f"{RETENTION}{one.name}" in tasks)
    declared = spec.declared or spec.mirrors  # what any of them declares is not deleted
    # A run of mirrors notes for all policies what tags led to before.
    retention = policies or spec.retention
    return Work(tuple(tasks), replace(spec, retention=retention, mirrors=mirrors, declared=declared))


@dataclass(frozen=True, slots=True)
class Carried:
    """How a run went: of each task, and as a whole."""

    report: Report
    by_task: Mapping[str, Ended]
    defect: Exception | None = None


async def carry_out(
    work: Work,
    outside: Outside,
    ledger: DaemonLedger,
    lease: Lease,
    clock: Clock,
    *,
    emit: Emit,
    stop: anyio.Event,
) -> Carried:
    """Do the work. A place that cannot be opened, and a defect, are outcomes too; raises nothing."""
    watch = DriftWatch(work.spec, ledger, emit)
    started, began = clock.now(), clock.monotonic()
    defect: Exception | None = None
    try:
        async with outside.engine(work.spec, ledger, lease, watch) as engine:
            report = await _work(work, engine, stop)
    except Exception as error:  # noqa: BLE001 - the defect of one run is its outcome, not the daemon's end
        known = _known(error)
        defect = None if known is not None else error
        problem = Problem.of(known or DefectError(error))
        info = RunInfo(clock.new_id(), started, clock.monotonic() - began)
        report = Report(work.spec.digest, (), 0, info, ended=problem)
        await _record(report, work, ledger, clock)
    ended = clock.now()
    by_task = {
        task: ended_of(
            report, name if task.startswith(MIRROR) else None, ended=ended, drift=watch.by_mirror[name]
        )
        for task, name in zip(work.tasks, work.names, strict=True)
    }
    if defect is not None:
        by_task = {task: replace(one, ending=Ending.CRASHED) for task, one in by_task.items()}
    return Carried(report, by_task, defect)


async def _work(work: Work, engine: Engine, stop: anyio.Event) -> Report:
    if any(task.startswith(RETENTION) for task in work.tasks):
        return await prune(work.spec, engine, Extent.ALL, stop=stop)
    return await sync(work.spec, engine, stop=stop, command=COMMAND)


async def _record(report: Report, work: Work, ledger: DaemonLedger, clock: Clock) -> None:
    """A run that did not come to record itself is in the history all the same."""
    summary = recorded(report, work.names)
    ledger.record_run(report.run.id, COMMAND, report.run.started, clock.now(), summary)
    with suppress(LedgerError), anyio.CancelScope(shield=True):
        await ledger.flush()


def _known(error: Exception) -> RegsyncError | None:
    """The error that a person can act on; None where there is a defect in it."""
    leaves = list(_leaves(error))
    known = [leaf for leaf in leaves if isinstance(leaf, RegsyncError)]
    return known[0] if len(known) == len(leaves) else None


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error
