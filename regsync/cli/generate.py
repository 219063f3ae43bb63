"""`regsync generate`: a spec and a lock file from what is there."""

from pathlib import Path

import click

from regsync.cli.options import color_option, log_format_option, set_manner


@click.command("generate")
@click.argument("sources", nargs=-1, required=True, metavar="REGISTRY/REPOSITORY...|STORE")
@click.option(
    "--spec",
    "paths",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="PATH",
    help="Where the Registry that a source begins with is declared; default regsync.yaml, else regsync/.",
)
@click.option(
    "--target",
    metavar="REGISTRY/PATH",
    help="Where mirrors bring images, {repository} allowed; default: a built-in store.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIRECTORY",
    help="Write regsync.yaml and regsync.lock there, instead of both to stdout; neither may be there.",
)
@log_format_option
@color_option
def command(
    sources: tuple[str, ...],
    paths: tuple[Path, ...],
    target: str | None,
    out: Path | None,
    log_format: str,
    no_color: bool,  # noqa: FBT001
) -> int:
    """Make a spec and its lock file from what registries or stores hold now.

    A source is a repository, as `docker.io/library/nginx` or behind the name of a Registry, or all of a
    place: a directory with a built-in store, or the name of a Registry that lists its repositories. Each
    repository becomes a mirror that names its tags: a start, to be made shorter by rules.
    """
    from regsync.cli.generating import generate_spec

    set_manner(log_format, no_color=no_color)
    return generate_spec(sources, paths, target=target, out=out)
