"""`regsync check`: compare all places of every mirror; nothing is written to any of them."""

import click

from regsync.cli.options import RunOptions, exit_zero_option, run_options


@click.command("check")
@exit_zero_option
@run_options
def command(run: RunOptions, exit_zero: bool) -> int:  # noqa: FBT001
    """Compare what all places of every mirror hold, and write to none of them.

    Every target is compared with the source and with the others: tags that are missing, that somebody
    moved, that are there for other platforms or in other bytes, that nobody selects, and evidence that is
    not there. Exits with 2 when something differs. PATH is a file or a directory of spec documents, or `-`
    for stdin, where paths are relative to the current directory; without one it is regsync.yaml, else the
    directory regsync/.
    """
    from regsync.cli.checking import check_over

    return check_over(run, exit_zero=exit_zero)
