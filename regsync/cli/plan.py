"""`regsync plan`: observe and compare; nothing is written anywhere."""

from pathlib import Path

import click

from regsync.cli.options import RunOptions, exit_zero_option, locked_option, run_options, writable_file


@click.command("plan")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=writable_file,
    metavar="FILE",
    help="Write the plan to FILE, for review and for `regsync apply`; exactly what `-o json` prints.",
)
@click.option("--explain", is_flag=True, help="Say of each tag which rule and step kept or dropped it.")
@locked_option
@exit_zero_option
@run_options
def command(run: RunOptions, out: Path | None, explain: bool, exit_zero: bool, locked: bool) -> int:  # noqa: FBT001
    """Show what a sync would change, and write nothing.

    Both sides are asked, and whether the targets may be written. Exits with 2 when changes are
    pending. PATH is a file or a directory of spec documents, or `-` for stdin, where paths are
    relative to the current directory; without one it is regsync.yaml, else the directory regsync/.
    """
    from regsync.cli.planning import plan_over
    from regsync.reconcile.run import Explain

    wanted = Explain.YES if explain else Explain.NO
    return plan_over(run, explain=wanted, out=out, exit_zero=exit_zero, locked=locked)
