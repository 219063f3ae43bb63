"""`regsync plan`: observe and compare; nothing is written anywhere."""

from pathlib import Path
from typing import Any

import click

from regsync.cli.options import RunOptions, exit_zero_option, locked_option, run_options, writable_file
from regsync.regular_file import STDIN


@click.command("plan")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=writable_file,
    metavar="FILE",
    help="Write the plan to FILE, for review and for `regsync apply`; exactly what `-o json` prints.",
)
@click.option("--explain", is_flag=True, help="Say of each tag which rule and step kept or dropped it.")
@click.option(
    "--base",
    metavar="REV",
    help="Show only what the change of the spec since this git revision causes: both are planned from one "
    "look.",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=writable_file,
    metavar="FILE",
    help="Write what was seen to FILE, for --observation; no secret is in it.",
)
@click.option(
    "--observation",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Plan from what --record wrote: nobody is asked, and no secret is needed.",
)
@locked_option
@exit_zero_option
@run_options
def command(run: RunOptions, explain: bool, **options: Any) -> int:  # noqa: FBT001
    """Show what a sync would change, and write nothing.

    Both sides are asked, and whether the targets may be written. Exits with 2 when changes are
    pending. PATH is a file or a directory of spec documents, or `-` for stdin, where paths are
    relative to the current directory; without one it is regsync.yaml, else the directory regsync/.
    """
    from regsync.cli.planning import PlanOptions, plan_over
    from regsync.reconcile.run import Explain

    if options["record"] is not None and options["observation"] is not None:
        raise click.UsageError("--record writes what --observation reads: give one of them.")
    if options["observation"] == STDIN and STDIN in run.paths:
        raise click.UsageError("stdin holds the observation or the spec, not both: name a file for one.")
    wanted = Explain.YES if explain else Explain.NO
    return plan_over(run, PlanOptions(wanted, **options))
