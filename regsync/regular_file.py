"""Reading files that somebody named: whatever stands there, the read ends and is bounded.

Opening a named pipe waits for a writer that may never come, and a terminal or a device may have no end.
"""

import errno
import os
import stat
import sys
from pathlib import Path

STDIN = Path("-")


class NotRegularFileError(OSError):
    """A pipe, a socket or a device stands where a file is to be read."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.EINVAL, "a pipe, a socket or a device; only regular files are read", path)


def read_named(path: Path, limit: int) -> bytes:
    """The first `limit` bytes of a file that the command line names, or of stdin for `-`.

    Raises OSError, whose `strerror` names `-` where something else than a file stands.
    """
    if path == STDIN:
        if sys.stdin is None:
            raise OSError(errno.EBADF, "stdin is closed", str(path))
        return sys.stdin.buffer.read(limit)
    try:
        return read_regular(path, limit)
    except NotRegularFileError as cause:
        raise OSError(errno.EINVAL, f"{cause.strerror}; `-` stands for stdin", str(path)) from cause


def read_regular(path: Path, limit: int) -> bytes:
    """The file's first `limit` bytes; /dev/null is an empty file.

    Raises NotRegularFileError, and OSError as opening and reading do.
    """
    with open(path, "rb", opener=_open) as stream:
        return stream.read(limit)


def _open(path: str, flags: int) -> int:
    # O_NONBLOCK: not to wait for the writer of a pipe; of a regular file it changes nothing.
    fd = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode) and not _is_null(found):
        os.close(fd)
        raise NotRegularFileError(path)
    return fd  # open() itself refuses a directory


def _is_null(found: os.stat_result) -> bool:
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == os.stat(os.devnull).st_rdev
