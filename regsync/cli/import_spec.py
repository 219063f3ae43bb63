"""`regsync import`: a spec from another tool's file."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from regsync.cli.options import color_option, set_manner

if TYPE_CHECKING:
    from regsync.report.style import Style

MAX_SIZE = 16 * 1024 * 1024  # bytes of a file that is imported
FORMATS = ("regclient", "skopeo", "list", "hauler", "imgpkg", "kubernetes")


@click.command("import")
@click.argument("form", metavar="FORMAT", type=click.Choice(FORMATS))
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--target",
    metavar="REGISTRY/PATH",
    help="Where images go if the file does not say, {repository} allowed; default: a built-in store.",
)
@color_option
def command(form: str, file: Path, target: str | None, no_color: bool) -> int:  # noqa: FBT001
    """Make a spec from another tool's file.

    \b
    FORMAT is one of
      regclient   regsync.yml of regclient's regsync
      skopeo      the YAML of `skopeo sync --src yaml`
      list        a plain list of images, one a line
      hauler      Hauler's manifests (kind Images)
      imgpkg      ImagesLock of Carvel's imgpkg and kbld
      kubernetes  rendered Kubernetes YAML: every image of its containers

    FILE is read, or stdin for `-`. The spec goes to stdout; what could not be carried over is listed
    on stderr, and in comments at the top of the spec.
    """  # noqa: D301 - click wants the character that keeps a paragraph's lines
    from regsync.cli import streams
    from regsync.cli.input_files import read_input
    from regsync.spec.imports import import_file

    manner = set_manner("text", no_color=no_color)
    imported = import_file(form, read_input(file, MAX_SIZE), name=str(file), target=target)
    streams.answer([imported.documents])
    if imported.not_carried:
        streams.tell("".join(_notes(imported.not_carried, manner.style)))
    return 0


def _notes(notes: Iterable[str], style: "Style") -> Iterable[str]:
    from regsync.report.escape import message
    from regsync.report.style import YELLOW

    yield f"{style.paint('not carried over:', YELLOW)}\n"
    for note in notes:
        yield f"  {message(note)}\n"
