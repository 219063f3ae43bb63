"""`regsync lock`: a digest for every selected tag, in files beside the spec."""

from datetime import timedelta

import click

from regsync.cli.durations import duration
from regsync.cli.options import RunOptions, exit_zero_option, own_answer_options
from regsync.cli.sync import wait_option

EXPORTS = ("list", "kustomize", "imageslock")


@click.command("lock")
@click.option(
    "--update", is_flag=True, help="Move entries to what their tags are now, and release what is held."
)
@click.option(
    "--min-age",
    default="0s",
    callback=duration,
    metavar="DURATION",
    help="With --update: take only digests that were first seen that long ago, by the ledger.",
)
@click.option(
    "--check", is_flag=True, help="Write nothing; exit with 2 when an update would change something."
)
@click.option(
    "--export",
    type=click.Choice(EXPORTS),
    help="Ask nobody; print where each locked image is at --target, for those who deploy from there.",
)
@click.option(
    "--target", metavar="REGISTRY", help="With --export: the registry, as targets of mirrors name it."
)
@exit_zero_option
@wait_option
@own_answer_options(("text", "json"))
def command(  # noqa: PLR0913
    run: RunOptions,
    update: bool,  # noqa: FBT001
    min_age: timedelta,
    check: bool,  # noqa: FBT001
    export: str | None,
    target: str | None,
    exit_zero: bool,  # noqa: FBT001
    wait: timedelta,
) -> int:
    """Write the lock file: every selected tag with its digest.

    Entries come and go as the spec selects tags; they move only with --update. There is one regsync.lock
    beside the files that hold mirrors. What could not be read keeps its entries, and what a policy
    refuses gets none. PATH is a file or a directory of spec documents, or `-` for stdin; without one it is
    regsync.yaml, else the directory regsync/.
    """
    if export is not None or target is not None:
        if export is None or target is None or update or check:
            raise click.UsageError(
                "--export and --target go together, and with neither --update nor --check."
            )
        from regsync.cli.lock_export import export_locks

        return export_locks(run, export, target)
    if update and check:
        raise click.UsageError("--check says what --update would do: one of them.")
    if min_age and not (update or check):
        raise click.UsageError("--min-age is about moving entries: it needs --update, or --check.")
    if exit_zero and not check:
        raise click.UsageError("--exit-zero is about pending changes: it needs --check.")
    from regsync.cli.locking import check_locks, write_locks
    from regsync.spec.lock_merge import Moves

    if check:
        return check_locks(run, min_age=min_age, exit_zero=exit_zero)
    return write_locks(run, Moves.UPDATE if update else Moves.NONE, min_age=min_age, wait=wait)
