"""Files that the command line names, read whole and bounded."""

import sys
from pathlib import Path

from regsync.errors import UsageError
from regsync.regular_file import NotRegularFileError, read_regular


class UnreadableFileError(UsageError):
    """There is no such file, it may not be read, or it is longer than anything of its kind."""

    def __init__(self, path: Path, cause: str) -> None:
        super().__init__(f"{path}: {cause}")


def read_input(path: Path, limit: int) -> bytes:
    """The file, or stdin for `-`; at most `limit` bytes. Raises UnreadableFileError."""
    try:
        raw = sys.stdin.buffer.read(limit + 1) if str(path) == "-" else read_regular(path, limit + 1)
    except NotRegularFileError as cause:
        raise UnreadableFileError(path, f"{cause.strerror}; `-` stands for stdin") from cause
    except OSError as cause:
        raise UnreadableFileError(path, cause.strerror or str(cause)) from cause
    if len(raw) > limit:
        raise UnreadableFileError(path, f"longer than {limit} bytes, the most that is read")
    return raw
