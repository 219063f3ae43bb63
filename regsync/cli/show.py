"""`regsync show`: what one earlier run did, from the ledger."""

from pathlib import Path

import click

from regsync.cli.options import (
    REPORT_FORMATS,
    color_option,
    manner,
    output_option,
    paths_argument,
    state_option,
)


@click.command("show")
@click.argument("run", metavar="RUN")
@paths_argument
@state_option
@output_option(REPORT_FORMATS)
@color_option
def command(run: str, paths: tuple[Path, ...], state: Path | None, output: str, no_color: bool) -> int:  # noqa: FBT001
    """Show the report of an earlier run once more.

    RUN is an id that `regsync history` lists, or the beginning of one. Of a run that changed very much
    the ledger keeps what had a problem, and says how much it left out.
    """
    from regsync.cli.output import present
    from regsync.cli.recorded_runs import earlier_runs, one_run
    from regsync.plan.record import record_of, report_of

    manner().no_color = no_color
    with earlier_runs(paths, state) as ledger:
        row = one_run(ledger, run)
    present(report_of(record_of(*row), row.summary), output, manner())
    return 0
