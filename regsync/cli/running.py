"""What the verbs that run over a spec have in common: load, narrow, run until done or interrupted, answer."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import anyio

from regsync.cli.exit_codes import DONE, FAILED, PENDING, worse
from regsync.cli.narrow import narrow
from regsync.cli.options import RunOptions, manner
from regsync.cli.output import Document, present, write_reports
from regsync.cli.signals import Stop, run_until_signal
from regsync.cli.story import told
from regsync.clock import Clock, SystemClock
from regsync.plan.model import Plan, Report, exit_code, problems_of
from regsync.reconcile.engine import Engine
from regsync.reconcile.events import Emit
from regsync.report.events_log import Tense
from regsync.spec.load import load
from regsync.spec.locked import locked_spec
from regsync.spec.model import Spec

R = TypeVar("R")
Open = Callable[[Spec, Clock, Emit], AbstractAsyncContextManager[Engine]]


def load_spec(run: RunOptions, *, locked: bool = False) -> Spec:
    """The spec that the paths name, with the mirrors that the options leave. Raises SpecError, UsageError.

    `locked`: with `--locked`; then a mirror that the lock file does not cover is a SpecError too.
    """
    spec = narrow(load(run.paths, lock=run.lock), run.mirror, run.label)
    return locked_spec(spec) if locked else spec


def run_to_report(
    spec: Spec, run: RunOptions, open_engine: Open, work: Callable[[Engine, anyio.Event], Awaitable[Report]]
) -> tuple[Report, int]:
    """Do work that writes, and present its report, also that of a run which a signal cut short.

    With the report comes the exit code.
    """
    clock = SystemClock()

    async def body(stop: Stop) -> Report:
        async with open_engine(spec, clock, emit) as engine:
            return await work(engine, stop.event)

    with told(manner(), clock) as emit:
        report, interrupted = run_until_signal(body)
    code = 128 + interrupted if interrupted is not None else exit_code(report.problems)
    return report, answer(report, run, code, spec)


def run_to_read(spec: Spec, open_engine: Open, work: Callable[[Engine], Awaitable[R]]) -> R:
    """Do work that reads. Raises Interrupted: half a plan is none."""
    clock = SystemClock()

    async def body(_: Stop) -> R:
        async with open_engine(spec, clock, emit) as engine:
            return await work(engine)

    with told(manner(), clock, Tense.FUTURE) as emit:
        found, _ = run_until_signal(body)
    return found


def present_plan(plan: Plan, run: RunOptions, spec: Spec) -> int:
    """Answer with a plan; the exit code says whether something is pending."""
    return answer(plan, run, exit_code(problems_of(plan.actions), pending=len(plan.pending)), spec)


def answer(document: Document, run: RunOptions, code: int, spec: Spec) -> int:
    """Answer on stdout, then in files; the exit code is `code`, or that of a failed write if it is worse."""
    present(document, run.output, manner(), spec)
    return code if write_reports(document, run.report, manner(), spec) else worse(code, FAILED)


def forgive_pending(code: int) -> int:
    """What `--exit-zero` makes of an exit code."""
    return DONE if code == PENDING else code
