"""Files that are whole or absent, also after a power loss. Blocking: called in worker threads.

A file is written under a name that nobody looks for, synced, renamed, and its directory synced.
What a killed process left under such a name is recognised by its lock, which died with it.
"""

import contextlib
import errno
import fcntl
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from regsync.errors import RegsyncError, TemporaryError

_PART_PREFIX = "part-"
_numbers = itertools.count()
_FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: fsync alone stops at the drive's cache


class StorageError(RegsyncError):
    """The file system refused: names the path, the cause and what to do."""

    def __init__(self, path: "str | os.PathLike[str]", cause: object) -> None:
        super().__init__(f"{os.fspath(path)}: {cause}")
        self.path = os.fspath(path)


class StorageFullError(StorageError):
    """No space, or the quota is used up. Nothing was changed, and another try finds no more space."""

    usual_hint = "free space on that file system or raise the quota, then run again: nothing was changed"


class FilesExhaustedError(StorageError, TemporaryError):
    """The process or the system has no more open files to give."""

    usual_hint = "raise the limit of open files (ulimit -n) or lower the concurrency"


class StorageDeniedError(StorageError):
    """The user may not write there, or the file system is read-only."""

    usual_hint = "check the owner and mode of the directory, and that its file system is mounted read-write"


class StorageDeviceError(StorageError):
    """The device failed to read or write."""

    usual_hint = "check the disk and the system log; what was acknowledged before is not touched by it"


_KINDS: dict[int, type[StorageError]] = {
    errno.ENOSPC: StorageFullError,
    errno.EDQUOT: StorageFullError,
    errno.EMFILE: FilesExhaustedError,
    errno.ENFILE: FilesExhaustedError,
    errno.EACCES: StorageDeniedError,
    errno.EPERM: StorageDeniedError,
    errno.EROFS: StorageDeniedError,
    errno.EIO: StorageDeviceError,
}


@contextlib.contextmanager
def storage_errors(path: "str | os.PathLike[str]") -> Iterator[None]:
    """Turn an OSError inside into the StorageError that says what to do."""
    try:
        yield
    except OSError as cause:
        kind = _KINDS.get(cause.errno or 0, StorageError)
        raise kind(path, cause.strerror or cause) from cause


class PartFile:
    """A file being written; `keep` makes it visible, `discard` leaves no trace. Opened at the first write."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._fd: int | None = None
        self._path = ""

    @property
    def is_begun(self) -> bool:
        """Whether there is a file."""
        return self._fd is not None

    def write(self, buffers: Iterable[bytes]) -> None:
        """Append `buffers`; raises StorageError."""
        with storage_errors(self._directory):
            fd = self._opened()
            for buffer in buffers:
                rest = memoryview(buffer)
                while rest:
                    rest = rest[os.write(fd, rest) :]

    def duplicate(self) -> int:
        """One more descriptor of the file, which the caller closes; raises OSError."""
        return os.dup(self._opened())

    def keep(self, final: Path) -> None:
        """Sync, give the file its name, replacing what bears it, and sync that; raises StorageError."""
        self.rename(final)
        _sync_names(final.parent)

    def rename(self, final: Path) -> None:
        """Sync, then give the file its name: it lasts when its directory is synced. Raises StorageError."""
        with storage_errors(final):
            fd = self._opened()
            sync(fd)
            try:
                os.rename(self._path, final)
            except FileNotFoundError:
                make_directory(final.parent)
                os.rename(self._path, final)
            self._fd = None
            os.close(fd)

    def discard(self) -> None:
        """Remove what was written, if anything was."""
        if self._fd is None:
            return
        with contextlib.suppress(OSError):
            os.unlink(self._path)
        os.close(self._fd)
        self._fd = None

    def _opened(self) -> int:
        while self._fd is None:
            self._path = str(self._directory / f"{_PART_PREFIX}{os.getpid()}-{next(_numbers)}")
            self._fd = _create_locked(self._path, self._directory)
        return self._fd


def _create_locked(path: str, directory: Path) -> int | None:
    """A new file of that name, locked while open; None when another name has to be tried."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o666)
    except FileExistsError:
        return None  # another host's or container's process of the same number
    except FileNotFoundError:
        make_directory(directory)
        fd = os.open(path, flags, 0o666)
    if _try_lock(fd) and os.fstat(fd).st_nlink:
        return fd
    os.close(fd)  # a sweep came between creating and locking it
    return None


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sweep(directory: Path) -> int:
    """Remove what dead processes were writing in `directory`; returns how many files that were."""
    removed = 0
    for path in abandoned(directory):
        with contextlib.suppress(OSError):
            path.unlink()
            removed += 1
    return removed


def abandoned(directory: Path) -> Iterator[Path]:
    """What dead processes were writing in `directory`; nobody takes up the one that is given last."""
    try:
        names = os.listdir(directory)
    except OSError:
        return
    for name in names:
        if name.startswith(_PART_PREFIX):
            yield from _if_abandoned(directory / name)


def _if_abandoned(path: Path) -> Iterator[Path]:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return
    try:
        if _try_lock(fd):
            yield path
    finally:
        os.close(fd)


def write_durably(final: Path, raw: bytes, *, parts: Path) -> None:
    """Put `raw` at `final` in one step; raises StorageError and then leaves what was there."""
    part = PartFile(parts)
    try:
        part.write([raw])
        part.keep(final)
    except BaseException:
        part.discard()
        raise


@dataclass(frozen=True, slots=True)
class WholeFile:
    """A file to write: its name, and its bytes in pieces."""

    final: Path
    buffers: Sequence[bytes]


def write_all_durably(files: Sequence[WholeFile], *, parts: Path) -> Sequence[StorageError | None]:
    """Put several files, each in one step; returns for each the error that it failed with.

    All are written before the first is synced, and each directory is synced once: so the file system
    forces its journal out fewer times than for one file after the other.
    """
    group = [_Member(file, PartFile(parts)) for file in files]
    for one in group:
        one.attempt(lambda one: one.part.write(one.file.buffers))
    for one in group:
        one.attempt(lambda one: one.part.rename(one.file.final))
    directories = {one.file.final.parent: one for one in group if one.error is None}
    for directory, first in directories.items():
        first.attempt(lambda one: _sync_names(one.file.final.parent))
        for one in group:
            if one.error is None and one.file.final.parent == directory:
                one.error = first.error
    return [one.error for one in group]


@dataclass(slots=True)
class _Member:
    """One of several files, and what went wrong with it."""

    file: WholeFile
    part: PartFile
    error: StorageError | None = None

    def attempt(self, step: "Callable[[_Member], None]") -> None:
        """Take the next step, unless an earlier one failed."""
        if self.error is None:
            try:
                step(self)
            except StorageError as error:
                self.part.discard()
                self.error = error


def _sync_names(directory: Path) -> None:
    with storage_errors(directory):
        sync_directory(directory)


def make_directory(path: Path) -> None:
    """Create `path` and its parents, each synced into its own parent."""
    missing = list(itertools.takewhile(lambda one: not one.is_dir(), (path, *path.parents)))
    for directory in reversed(missing):
        directory.mkdir(exist_ok=True)
        sync_directory(directory.parent)


def sync(fd: int) -> None:
    """Wait until what was written to `fd` is on the medium."""
    if _FULL_SYNC is None:
        os.fsync(fd)
    else:
        fcntl.fcntl(fd, _FULL_SYNC)


def sync_directory(path: Path) -> None:
    """Wait until the names in `path` are on the medium."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
