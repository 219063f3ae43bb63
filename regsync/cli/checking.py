"""The body of `check`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from regsync.cli.engines import ledger_path, reading_engine
from regsync.cli.exit_codes import FAILED, worse
from regsync.cli.narrow import narrow
from regsync.cli.options import RunOptions, manner
from regsync.cli.output import present, render, write_or_tell, write_reports
from regsync.cli.running import answer, forgive_pending, run_to_read
from regsync.plan.check import State
from regsync.plan.model import Plan, exit_code, problems_of
from regsync.reconcile.check import Checked, Repair, check
from regsync.reconcile.check_deep import Deep, Throttle
from regsync.reconcile.check_progress import Progress
from regsync.reconcile.engine import Engine
from regsync.spec.load import load
from regsync.spec.model import Spec

PROGRESS = "check-deep.jsonl"  # beside the ledger


@dataclass(frozen=True, slots=True)
class Depth:
    """How `--deep` reads."""

    rate: int | None  # bytes a second over all places; None: as they come
    percent: float  # of the blobs


def check_over(
    run: RunOptions,
    *,
    deep: Depth | None = None,
    repair: bool = False,
    out: Path | None = None,
    exit_zero: bool = False,
) -> int:
    """Compare, answer, and return the exit code."""
    whole = load(run.paths, lock=run.lock)
    spec = narrow(whole, run.mirror, run.label)
    unchecked = [mirror for mirror in whole.mirrors if mirror not in spec.mirrors]
    progress = ledger_path(spec, run).parent / PROGRESS

    async def work(engine: Engine) -> tuple[Checked, Plan]:
        wanted = Repair.PLANNED if repair else Repair.NO
        with _deepened(progress, deep, engine) as deepen:
            checked = await check(spec, engine, unchecked=unchecked, deep=deepen, repair=wanted)
        return checked, _plan(spec, checked)

    checked, plan = run_to_read(spec, lambda spec, clock, emit: reading_engine(spec, run, clock, emit), work)
    if repair:
        code = _answer_with_plan(checked, plan, spec, run, out)
    else:
        code = answer(checked.report, run, checked.report.exit_code, spec)
    return forgive_pending(code) if exit_zero else code


@contextmanager
def _deepened(progress: Path, deep: Depth | None, engine: Engine) -> Iterator[Deep | None]:
    if deep is None:
        yield None
        return
    with Progress.open(progress, engine.clock) as done:
        yield Deep(done, Throttle(deep.rate, engine.clock), deep.percent)


def _plan(spec: Spec, checked: Checked) -> Plan:
    """What heals, as `apply` takes it; it deletes nothing."""
    report = checked.report
    equal = sum(one.equal for one in report.compared)
    unread = (
        f"{row.target} was not compared, nothing is planned for it: {row.problem.message}"
        for row in report.rows
        if row.state is State.UNREACHABLE and row.tag is None and row.problem is not None
    )
    warnings = (*report.warnings, *dict.fromkeys(unread))
    return Plan(spec.digest, report.run.started, checked.actions, equal, warnings)


def _answer_with_plan(checked: Checked, plan: Plan, spec: Spec, run: RunOptions, out: Path | None) -> int:
    """The plan is the answer; what was found goes to the reports."""
    present(plan, run.output, manner(), spec)
    written = [write_reports(checked.report, run.report, manner(), spec)]
    if out is not None:
        written.append(write_or_tell(out, render(plan, "json"), manner()))
    pending = exit_code(problems_of(plan.actions), pending=len(plan.pending))
    code = worse(checked.report.exit_code, pending)
    return code if all(written) else worse(code, FAILED)
