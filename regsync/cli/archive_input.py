"""The archive that an import reads: a plain tar at any place, anything else as it goes by."""

import io
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from anyio.to_thread import run_sync

from regsync.cli.archive_file import STREAM
from regsync.content.archive import ArchiveFile, Content
from regsync.content.archive_stream import ZSTD_MAGIC, ArchiveStream, Decompressed
from regsync.content.durable import storage_errors
from regsync.content.layout_index import LayoutIndex


@asynccontextmanager
async def opened_archive(name: str) -> AsyncIterator[tuple[Content, LayoutIndex]]:
    """The archive with its index. Its first bytes say whether it is zstd, not its name.

    Raises InvalidArchiveError, UnorderedArchiveError, InvalidLayoutError or StorageError.
    """
    with ExitStack() as stack:
        yield await run_sync(_open, name, stack)


def _open(name: str, stack: ExitStack) -> tuple[Content, LayoutIndex]:
    if name == STREAM:
        return _stream(open(sys.stdin.fileno(), "rb", closefd=False), "stdin")
    path = Path(name)
    with storage_errors(path):
        file = stack.enter_context(path.open("rb"))
        plain = file.seekable() and file.peek(len(ZSTD_MAGIC))[: len(ZSTD_MAGIC)] != ZSTD_MAGIC
    if not plain:
        return _stream(file, name)
    archive = ArchiveFile.open(path)
    stack.callback(archive.close)
    return archive, archive.index()


def _stream(file: io.BufferedReader, where: str) -> tuple[Content, LayoutIndex]:
    is_zstd = file.peek(len(ZSTD_MAGIC))[: len(ZSTD_MAGIC)] == ZSTD_MAGIC
    stream = ArchiveStream(Decompressed(file, where) if is_zstd else file, where)
    return stream, stream.begin()
