"""`regsync sync`: plan and apply in one pass."""

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from regsync.cli.durations import duration
from regsync.cli.options import RunOptions, exit_zero_option, locked_option, run_options

if TYPE_CHECKING:
    from regsync.spec.model import Spec

wait_option = click.option(
    "--wait",
    default="0s",
    show_default=True,
    callback=duration,
    metavar="DURATION",
    help="How long to wait for another run that holds the ledger's lease.",
)


@click.command("sync")
@click.option("--dry-run", is_flag=True, help="Only plan, as `regsync plan` does.")
@locked_option
@exit_zero_option
@wait_option
@run_options
def command(run: RunOptions, wait: timedelta, dry_run: bool, exit_zero: bool, locked: bool) -> int:  # noqa: FBT001
    """Make the targets hold what the spec says.

    Safe to kill at any moment and to run twice: a tag appears on a target only when all it needs is
    there. PATH is a file or a directory of spec documents, or `-` for stdin, where paths are
    relative to the current directory; without one it is regsync.yaml, else the directory regsync/.
    """
    if exit_zero and not dry_run:
        raise click.UsageError("--exit-zero is about pending changes: it needs --dry-run.")
    if dry_run:
        from regsync.cli.planning import PlanOptions, plan_over

        return plan_over(run, PlanOptions(exit_zero=exit_zero, locked=locked))
    from regsync.cli.running import load_spec

    return _sync(run, wait, load_spec(run, locked=locked))


def _sync(run: RunOptions, wait: timedelta, spec: "Spec") -> int:
    from regsync.cli.engines import ledger_path, writing_engine
    from regsync.cli.running import run_to_report
    from regsync.reconcile.run import sync

    first = not ledger_path(spec, run).exists()
    report, code = run_to_report(
        spec,
        run,
        lambda spec, clock, emit: writing_engine(spec, run, clock, emit, command="sync", wait=wait),
        lambda engine, stop: sync(spec, engine, stop=stop),
    )
    if first and code == 0 and run.output == "text":
        from regsync.cli.next_steps import suggest

        suggest(spec, run, report)
    return code
