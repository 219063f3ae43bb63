"""The archive that an export writes: a file that is whole or the earlier one, or stdout."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from regsync.content.archive import ArchiveFile
from regsync.content.archive_output import Output, PlainOutput, ZstdOutput, read_spans
from regsync.content.durable import PartFile, storage_errors, sweep
from regsync.content.tar_reading import InvalidArchiveError
from regsync.errors import UsageError

STREAM = "-"
_CHUNK = 1024 * 1024  # bytes


class ArchiveSuffixError(UsageError):
    """The name of an archive does not say how it is written."""

    usual_hint = "name it *.tar, *.tar.zst or *.tzst, or - for a tar on stdout"

    def __init__(self, name: str) -> None:
        super().__init__(f"archive {name[:300]!r}: expected .tar, .tar.zst, .tzst or -")


def is_compressed(name: str) -> bool:
    """Whether an archive of this name is zstd; raises ArchiveSuffixError for a name that does not say."""
    if name.endswith((".tar.zst", ".tzst")):
        return True
    if name != STREAM and not name.endswith(".tar"):
        raise ArchiveSuffixError(name)
    return False


@contextmanager
def archive_file(name: str) -> Iterator[Output]:
    """Write an archive; the file gets its name when it is whole and on the medium. Blocking.

    What is in an earlier file of the name is reused. Raises ArchiveSuffixError, StorageError.
    """
    compressed = is_compressed(name)
    if name == STREAM:
        yield PlainOutput(_to_stdout)
        return
    path = Path(name).absolute()
    parts = path.parent / f".{path.name}.parts"  # of its own: what lies in it is nobody else's
    sweep(parts)  # what an export that was killed has left
    part = PartFile(parts)
    try:
        with ExitStack() as stack:
            yield _compressed(path, part, stack) if compressed else _plain(path, part, stack)
            part.keep(path)
    finally:
        part.discard()
        with suppress(OSError):  # another export of the same name has its file there
            parts.rmdir()


def _plain(path: Path, part: PartFile, stack: ExitStack) -> Output:
    old: ArchiveFile | None = None
    with suppress(InvalidArchiveError):  # it is replaced
        if path.is_file():
            old = ArchiveFile.open(path)
            stack.callback(old.close)

    def copy(archive: ArchiveFile, offset: int, size: int) -> None:
        _copy(archive.fd, offset, size, part, path)

    return PlainOutput(lambda data: part.write([data]), old, copy)


def _compressed(path: Path, part: PartFile, stack: ExitStack) -> Output:
    if not path.is_file():
        return ZstdOutput(lambda data: part.write([data]))
    spans = read_spans(path)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, fd)
    return ZstdOutput(
        lambda data: part.write([data]), spans, lambda start, size: _copy(fd, start, size, part, path)
    )


def _copy(fd: int, offset: int, size: int, part: PartFile, path: Path) -> None:
    with storage_errors(path):
        while size:
            chunk = os.pread(fd, min(size, _CHUNK), offset)
            if not chunk:
                raise InvalidArchiveError("it ends in the middle of a member", where=str(path))
            part.write([chunk])
            offset, size = offset + len(chunk), size - len(chunk)


def _to_stdout(data: bytes) -> None:
    with storage_errors("stdout"):
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(sys.stdout.fileno(), rest) :]
