"""`regsync rollback`: back to an earlier digest, through the lock file."""

import click

from regsync.cli.options import RunOptions, one_mirror_options
from regsync.oci.digest import Digest, InvalidDigestError


def _digest(context: click.Context, option: click.Parameter, value: str | None) -> Digest | None:
    try:
        return Digest.parse(value) if value is not None else None
    except InvalidDigestError as cause:
        raise click.BadParameter(str(cause)) from cause


@click.command("rollback")
@click.argument("name", metavar="MIRROR")
@click.argument("tag", metavar="[REPOSITORY:]TAG")
@click.option("--to", callback=_digest, metavar="DIGEST", help="The digest, instead of the last earlier one.")
@one_mirror_options(("text", "json"))
def command(run: RunOptions, name: str, tag: str, to: Digest | None) -> int:
    """Have every run keep a tag at an earlier digest, until `lock --update` releases it.

    The lock file gets the digest, with `hold: true`; nothing is copied yet. TAG is a tag's name at the
    source or on the targets; where a mirror has several repositories with it, REPOSITORY says which. Which
    digest was there before is known from former images that `history` keeps, and from earlier runs. PATH is
    a file or a directory of spec documents; without one it is regsync.yaml, else the directory regsync/.
    """
    from regsync.cli.rolling_back import roll_back

    return roll_back(run, name, tag, to)
