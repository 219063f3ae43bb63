"""The body of `check`."""

from regsync.cli.engines import reading_engine
from regsync.cli.narrow import narrow
from regsync.cli.options import RunOptions
from regsync.cli.running import answer, forgive_pending, run_to_read
from regsync.reconcile.check import check
from regsync.spec.load import load


def check_over(run: RunOptions, *, exit_zero: bool = False) -> int:
    """Compare, answer, and return the exit code."""
    whole = load(run.paths, lock=run.lock)
    spec = narrow(whole, run.mirror, run.label)
    unchecked = [mirror for mirror in whole.mirrors if mirror not in spec.mirrors]
    report = run_to_read(
        spec,
        lambda spec, clock, emit: reading_engine(spec, run, clock, emit),
        lambda engine: check(spec, engine, unchecked=unchecked),
    )
    code = answer(report, run, report.exit_code)
    return forgive_pending(code) if exit_zero else code
