"""`regsync check`: compare all places of every mirror; nothing is written to any of them."""

from pathlib import Path

import click

from regsync.cli.options import RunOptions, exit_zero_option, run_options, writable_file
from regsync.cli.sizes import size


@click.command("check")
@click.option(
    "--deep",
    is_flag=True,
    help="Read everything that is equal again and hash every byte; goes on where it was interrupted.",
)
@click.option(
    "--rate",
    callback=size,
    metavar="SIZE",
    help="With --deep: at most so many bytes a second over all places, such as 50MiB.",
)
@click.option(
    "--sample",
    type=click.FloatRange(0, 100, min_open=True),
    default=100.0,
    show_default=True,
    metavar="PERCENT",
    help="With --deep: only this share of the blobs, by chance.",
)
@click.option("--repair", is_flag=True, help="Answer with a plan of exactly what heals the differences.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=writable_file,
    metavar="FILE",
    help="With --repair: write that plan to FILE, for review and for `regsync apply`.",
)
@exit_zero_option
@run_options
def command(
    run: RunOptions,
    deep: bool,  # noqa: FBT001
    rate: int | None,
    sample: float,
    repair: bool,  # noqa: FBT001
    out: Path | None,
    exit_zero: bool,  # noqa: FBT001
) -> int:
    """Compare what all places of every mirror hold, and write to none of them.

    Every target is compared with the source and with the others: tags that are missing, that somebody
    moved, that are there for other platforms or in other bytes, that nobody selects, and evidence that is
    not there. Exits with 2 when something differs. PATH is a file or a directory of spec documents, or `-`
    for stdin, where paths are relative to the current directory; without one it is regsync.yaml, else the
    directory regsync/.
    """
    if not deep and (rate is not None or sample < 100):
        raise click.UsageError("--rate and --sample say how --deep reads: they need it.")
    if out is not None and not repair:
        raise click.UsageError("--out is where the plan of --repair goes: it needs it.")
    from regsync.cli.checking import Depth, check_over

    return check_over(
        run,
        deep=Depth(rate, sample) if deep else None,
        repair=repair,
        out=out,
        exit_zero=exit_zero,
    )
