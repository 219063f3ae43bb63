"""`regsync apply`: exactly a plan that was saved and reviewed."""

from datetime import timedelta
from pathlib import Path

import click

from regsync.cli.durations import duration
from regsync.cli.options import RunOptions, locked_option, run_options
from regsync.cli.sync import wait_option
from regsync.regular_file import STDIN


@click.command("apply")
@click.argument("plan", type=click.Path(path_type=Path))
@click.option(
    "--max-age",
    default="24h",
    show_default=True,
    callback=duration,
    metavar="DURATION",
    help="Refuse a plan that is older.",
)
@locked_option
@wait_option
@run_options
def command(run: RunOptions, plan: Path, max_age: timedelta, wait: timedelta, locked: bool) -> int:  # noqa: FBT001
    """Carry out exactly a saved plan.

    PLAN is a file that `regsync plan --out` wrote, PATH the spec that it was made from: credentials
    come from there. One of them may be `-`, for stdin. A plan of another spec, or one that
    is too old, is refused (3); so is each action whose target moved since, while the rest go on.
    """
    from regsync.cli.engines import writing_engine
    from regsync.cli.narrow import narrow_plan
    from regsync.cli.plan_file import read_plan
    from regsync.cli.running import load_spec, run_to_report
    from regsync.reconcile.run import apply

    if plan == STDIN and STDIN in run.paths:
        raise click.UsageError("stdin holds the plan or the spec, not both: name a file for one of them.")
    saved = read_plan(plan)
    spec = load_spec(run, locked=locked)
    chosen = narrow_plan(saved, spec) if run.mirror or run.label else saved
    _, code = run_to_report(
        spec,
        run,
        lambda spec, clock, emit: writing_engine(spec, run, clock, emit, command="apply", wait=wait),
        lambda engine, stop: apply(chosen, spec, engine, max_age=max_age, stop=stop),
    )
    return code
