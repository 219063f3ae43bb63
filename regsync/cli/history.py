"""`regsync history`: earlier runs, from the ledger."""

import sys
from pathlib import Path

import click

from regsync.cli.options import color_option, manner, output_option, paths_argument, state_option


@click.command("history")
@paths_argument
@click.option(
    "-n",
    "--number",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="How many runs, the newest first.",
)
@click.option("--mirror", multiple=True, metavar="NAME", help="Only runs over this mirror; may be repeated.")
@state_option
@output_option(("text", "json"))
@color_option
def command(
    paths: tuple[Path, ...],
    number: int,
    mirror: tuple[str, ...],
    state: Path | None,
    output: str,
    no_color: bool,  # noqa: FBT001
) -> int:
    """List earlier runs over a spec: of `sync`, `apply`, `prune`, and of the daemon `run`.

    `regsync show RUN` tells what one of them did.
    """
    from regsync.cli import streams
    from regsync.cli.recorded_runs import earlier_runs, newest
    from regsync.report import history
    from regsync.report.style import COLOUR, PLAIN

    manner().no_color = no_color
    with earlier_runs(paths, state) as ledger:
        records = newest(ledger, number, mirror)
    if output == "json":
        streams.answer(history.json(records))
    else:
        style = COLOUR if streams.wants_colour(sys.stdout, forbidden=no_color) else PLAIN
        streams.answer(history.text(records, style))
    return 0
