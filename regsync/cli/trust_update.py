"""`regsync trust update`: a Sigstore instance's trusted root, fetched by TUF into a file for git."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from regsync.cli.options import writable_file
from regsync.errors import RefusedError, RegsyncError, UsageError

if TYPE_CHECKING:
    from regsync.trust.believed import Believed

MAX_TUF_ROOT = 512_000  # bytes, as TUF's clients have it


class NoTufRootError(UsageError):
    """A TUF repository is named of which no root is known."""

    def __init__(self, mirror: str) -> None:
        super().__init__(
            f"{mirror}: no root of this TUF repository came with regsync; give one with --root FILE"
        )


class NotATrustedRootError(RefusedError):
    """What would be overwritten is something else."""

    def __init__(self, path: Path, cause: RegsyncError) -> None:
        super().__init__(f"{path}: is there and holds no trusted root, so it is not overwritten: {cause}")


class UnwritableDataError(RegsyncError):
    """The directory that keeps what was seen of a TUF repository cannot be written."""

    usual_hint = "XDG_DATA_HOME names another directory for data"

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(f"{path}: cannot be written: {cause.strerror or cause}")


@click.command("update")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("trusted_root.json"),
    show_default=True,
    callback=writable_file,
    metavar="FILE",
    help="Where the trusted root goes; a TrustRoot names it.",
)
@click.option("--mirror", metavar="URL", help="The TUF repository; default Sigstore's public-good one.")
@click.option(
    "--root",
    "tuf_root",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A root.json of that repository which is believed; needed but for Sigstore's own two.",
)
def command(out: Path, mirror: str | None, tuf_root: Path | None) -> int:
    """Fetch the trusted root of a Sigstore instance, and say what changed in it.

    The one command that asks the network for trust: everything else takes the file, from git. Nothing is
    written unless the repository's signatures hold, and nothing when the file has it already.
    """
    from regsync.cli import streams
    from regsync.cli.input_files import read_input
    from regsync.cli.output import write_file
    from regsync.trust.believed import of_sigstore
    from regsync.trust.shipped_roots import PUBLIC_GOOD
    from regsync.trust.trusted_root import MAX_SIZE, TrustedRoot

    url = (mirror or PUBLIC_GOOD).rstrip("/")
    old = read_input(out, MAX_SIZE) if out.is_file() else None
    before = _believed_in(out, old)
    document = _fetched(url, _bootstrap(url, tuf_root))
    after = of_sigstore(TrustedRoot.parse(document))
    if old == document:
        streams.answer([f"{out}: unchanged, {len(after)} logs and authorities\n"])
        return 0
    write_file(out, [document.decode("utf-8")])
    streams.answer(_changes(out, before, after))
    return 0


def _bootstrap(url: str, path: Path | None) -> bytes:
    from regsync.cli.input_files import read_input
    from regsync.trust.shipped_roots import TUF_ROOT, shipped

    if path is not None:
        return read_input(path, MAX_TUF_ROOT)
    found = shipped(url, TUF_ROOT)
    if found is None:
        raise NoTufRootError(url)
    return found


def _fetched(url: str, bootstrap: bytes) -> bytes:
    from regsync.trust.root_updates import fetch_trusted_root, metadata_directory

    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    directory = metadata_directory(Path(data), url)
    try:
        return fetch_trusted_root(url, bootstrap, directory)
    except OSError as cause:
        raise UnwritableDataError(directory, cause) from cause


def _believed_in(path: Path, document: bytes | None) -> "tuple[Believed, ...]":
    """What the file holds so far; nothing where there is none. Raises NotATrustedRootError."""
    from regsync.trust.believed import of_sigstore
    from regsync.trust.trusted_root import TrustedRoot, TrustRootError

    if document is None:
        return ()
    try:
        return of_sigstore(TrustedRoot.parse(document))
    except TrustRootError as cause:
        raise NotATrustedRootError(path, cause) from cause


def _changes(out: Path, before: "Iterable[Believed]", after: "Iterable[Believed]") -> Iterator[str]:
    from regsync.cli.trust_show import line

    old = {(one.kind, one.name, one.key): one for one in before}
    new = {(one.kind, one.name, one.key): one for one in after}
    yield f"{out}: written\n"
    for key, one in new.items():
        if key not in old:
            yield f"  added: {line(one)}\n"
        elif old[key] != one:
            yield f"  changed: {line(one)}\n"
    for key, one in old.items():
        if key not in new:
            yield f"  removed: {line(one)}\n"
