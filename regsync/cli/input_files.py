"""Files that the command line names, read whole and bounded."""

from pathlib import Path

from regsync.errors import UsageError
from regsync.regular_file import read_named


class UnreadableFileError(UsageError):
    """There is no such file, it may not be read, or it is longer than anything of its kind."""

    def __init__(self, path: Path, cause: str) -> None:
        super().__init__(f"{path}: {cause}")


def read_input(path: Path, limit: int) -> bytes:
    """The file, or stdin for `-`; at most `limit` bytes. Raises UnreadableFileError."""
    try:
        raw = read_named(path, limit + 1)
    except OSError as cause:
        raise UnreadableFileError(path, cause.strerror or str(cause)) from cause
    if len(raw) > limit:
        raise UnreadableFileError(path, f"longer than {limit} bytes, the most that is read")
    return raw
