"""The body of `plan` and of `sync --dry-run`."""

from pathlib import Path

from regsync.cli.engines import reading_engine
from regsync.cli.exit_codes import FAILED, worse
from regsync.cli.options import RunOptions, manner
from regsync.cli.output import render, write_or_tell
from regsync.cli.running import forgive_pending, load_spec, present_plan, run_to_read
from regsync.reconcile.run import Explain, make_plan


def plan_over(
    run: RunOptions,
    *,
    explain: Explain = Explain.NO,
    out: Path | None = None,
    exit_zero: bool = False,
    locked: bool = False,
) -> int:
    """Plan, answer, and return the exit code."""
    spec = load_spec(run, locked=locked)
    plan = run_to_read(
        spec,
        lambda spec, clock, emit: reading_engine(spec, run, clock, emit),
        lambda engine: make_plan(spec, engine, explain=explain),
    )
    code = present_plan(plan, run, spec)
    if out is not None and not write_or_tell(out, render(plan, "json"), manner()):
        code = worse(code, FAILED)
    return forgive_pending(code) if exit_zero else code
