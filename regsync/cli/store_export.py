"""`regsync store export`: write images of a store into an archive."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from regsync.cli.options import log_format_option, output_option, set_manner, store_argument

if TYPE_CHECKING:
    from regsync.store.export import Exported
    from regsync.store.selection import Wanted


@click.command("export")
@store_argument
@click.argument("archive")
@click.argument("images", nargs=-1, metavar="[REPOSITORY[:TAG]]...")
@output_option(("text", "json"))
@log_format_option
def command(
    store: str, paths: tuple[Path, ...], archive: str, images: tuple[str, ...], output: str, log_format: str
) -> int:
    """Write images of a store into an archive: an OCI image layout in a tar.

    ARCHIVE ends with .tar, or with .tar.zst or .tzst for zstd; - is a tar on stdout. Without images all of
    the store is written. A repository is written whole; REPOSITORY:TAG or REPOSITORY@DIGEST with all
    platforms, referrers and cosign's digest tags. What an earlier archive of the same name has is taken
    over from it; the file is replaced when the new one is whole.

    STORE is a directory, or the name of a Registry of the spec.
    """
    from regsync.cli import streams
    from regsync.cli.archive_file import STREAM, archive_file, is_compressed
    from regsync.cli.signals import Stop, run_until_signal
    from regsync.cli.store_paths import find_store
    from regsync.cli.store_progress import watched
    from regsync.clock import SystemClock
    from regsync.plan.document import API_VERSION, encode
    from regsync.store.builtin import BuiltinStore
    from regsync.store.export import Exported, export
    from regsync.store.selection import select_content

    manner = set_manner(log_format, no_color=False)
    path, clock = find_store(store, paths), SystemClock()
    wanted = [_wanted(text) for text in images]
    is_compressed(archive)  # a name that says nothing is told before any work

    async def work(_: Stop) -> Exported:
        done = Exported()
        async with BuiltinStore.open(path, clock=clock) as opened, watched(done, manner, "exporting"):
            selection = await select_content(opened, wanted)
            with archive_file(archive) as written:
                await export(opened, selection, written, done)
        return done

    done, _ = run_until_signal(work)
    # stdout is the archive then, and what is said of it is the story.
    tell = (lambda pieces: streams.tell("".join(pieces))) if archive == STREAM else streams.answer
    if output == "json":
        head = {"apiVersion": API_VERSION, "kind": "StoreExportReport", "store": str(path)}
        tell(encode({**head, "archive": archive, **_document(done)}))
    else:
        tell(_text(archive, done))
    return 0


def _wanted(text: str) -> "Wanted":
    from regsync.cli.references import BadReferenceError
    from regsync.oci.digest import Digest, InvalidDigestError
    from regsync.oci.reference import InvalidReferenceError, RepositoryName, Tag
    from regsync.store.selection import Wanted

    rest, at, digest = text.partition("@")
    rest, colon, tag = rest.partition(":")
    try:
        name = Digest.parse(digest) if at else Tag.parse(tag) if colon else None
        return Wanted(RepositoryName.parse(rest), name)
    except (InvalidReferenceError, InvalidDigestError) as cause:
        raise BadReferenceError(text, str(cause)) from cause


def _document(done: "Exported") -> dict[str, object]:
    return {
        "images": done.images,
        "manifests": done.manifests,
        "blobs": done.blobs,
        "bytes": {"copied": done.copied, "reused": done.reused},
    }


def _text(archive: str, done: "Exported") -> Iterator[str]:
    from regsync.report.escape import visible
    from regsync.report.units import counted, human_bytes

    yield f"{visible(archive)}: {counted(done.images, 'image')}, {counted(done.blobs, 'blob')}, "
    yield f"{human_bytes(done.copied)} copied"
    yield f", {human_bytes(done.reused)} reused\n" if done.reused else "\n"
