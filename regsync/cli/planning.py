"""The body of `plan` and of `sync --dry-run`."""

from pathlib import Path

from regsync.cli.engines import reading_engine
from regsync.cli.options import RunOptions
from regsync.cli.output import render, write_file
from regsync.cli.running import forgive_pending, load_spec, present_plan, run_to_plan
from regsync.reconcile.run import Explain, make_plan


def plan_over(
    run: RunOptions, *, explain: Explain = Explain.NO, out: Path | None = None, exit_zero: bool = False
) -> int:
    """Plan, answer, and return the exit code."""
    spec = load_spec(run)
    plan = run_to_plan(
        spec,
        lambda spec, clock, emit: reading_engine(spec, run, clock, emit),
        lambda engine: make_plan(spec, engine, explain=explain),
    )
    if out is not None:
        write_file(out, render(plan, "json"))
    code = present_plan(plan, run)
    return forgive_pending(code) if exit_zero else code
