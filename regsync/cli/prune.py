"""`regsync prune`: mirror pruning and retention, and nothing else."""

from datetime import timedelta

import click

from regsync.cli.options import RunOptions, exit_zero_option, run_options
from regsync.cli.sync import wait_option


@click.command("prune")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option("--explain", is_flag=True, help="With --dry-run: say of each tag why it stays or goes.")
@click.option("--abandoned", is_flag=True, help="Delete what is ours and what no mirror declares any more.")
@click.option(
    "--max-deletes",
    type=click.IntRange(1),
    metavar="N",
    help="With --abandoned: how many tags of one repository may go at once.  [default: 10]",
)
@click.option("--undo", metavar="RUN", help="Put back the tags that this run deleted.")
@exit_zero_option
@wait_option
@run_options
def command(  # noqa: PLR0913 - click gives each option so
    run: RunOptions,
    wait: timedelta,
    dry_run: bool,  # noqa: FBT001
    explain: bool,  # noqa: FBT001
    abandoned: bool,  # noqa: FBT001
    max_deletes: int | None,
    undo: str | None,
    exit_zero: bool,  # noqa: FBT001
) -> int:
    """Delete what mirrors with `prune` no longer select, then what retention policies no longer keep.

    Nothing is copied. With --mirror or -l only these mirrors are pruned, and no retention policy is
    carried out. PATH is a file or a directory of spec documents; without one it is regsync.yaml, else
    the directory regsync/.
    """
    if undo is not None and (dry_run or abandoned):
        raise click.UsageError("--undo stands alone: neither --dry-run nor --abandoned goes with it.")
    if (undo is not None or abandoned) and (run.mirror or run.label):
        raise click.UsageError(
            "--undo is about a whole run, and --abandoned about what has no mirror: "
            "neither --mirror nor -l narrows them."
        )
    if (exit_zero or explain) and not dry_run:
        raise click.UsageError("--exit-zero and --explain need --dry-run.")
    if max_deletes is not None and not abandoned:
        raise click.UsageError("--max-deletes is for --abandoned; a mirror's limits are in the spec.")
    from regsync.cli import pruning

    if undo is not None:
        return pruning.put_back(run, undo, wait)
    extent = pruning.extent(run, (max_deletes or pruning.ABANDONED_AT_MOST) if abandoned else None)
    if dry_run:
        return pruning.show(run, extent, explain=explain, exit_zero=exit_zero)
    return pruning.delete(run, extent, wait)
