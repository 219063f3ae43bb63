"""The catalogue's own history beside it, from which `rebuild` restores it when the database is lost.

One JSON object a line, in the order of the commits. A batch is written and synced before its SQL
transaction commits, which also records how long the file then is: what stands behind that length was
never acknowledged. Who could not commit takes it back at once; after a crash the next writer cuts it off.
Only the holder of the write lock appends or cuts.
"""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from regsync.content.durable import make_directory, storage_errors, sync, sync_directory

MIB = 1024 * 1024
SEGMENT_SIZE = 64 * MIB  # bytes after which the next file is begun

# The file before was shorter than what was committed: history is missing.
GAP: dict[str, object] = {"op": "gap"}


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where the journal ends."""

    segment: int
    length: int  # bytes of that segment


START = Position(1, 0)


class Journal(Protocol):
    """Where the history is written. Blocking."""

    def append(self, end: Position, records: Sequence[dict[str, object]]) -> Position:
        """Write `records` behind `end`, durably; returns the new end. Raises StorageError."""
        ...

    def cut(self, end: Position) -> None:
        """Take away what stands behind `end`, durably. Raises StorageError."""
        ...


class FileJournal:
    """Segments of the history as files in one directory."""

    def __init__(self, directory: Path, *, segment_size: int = SEGMENT_SIZE) -> None:
        self._directory, self._segment_size = directory, segment_size

    def path(self, segment: int) -> Path:
        """The file of one segment."""
        return self._directory / f"{segment:06}.jsonl"

    def append(self, end: Position, records: Sequence[dict[str, object]]) -> Position:
        """Write `records` behind `end`, durably; returns the new end. Raises StorageError."""
        if end.length >= self._segment_size:
            end = Position(end.segment + 1, 0)
        with storage_errors(self.path(end.segment)):
            written = self._append(end, _lines(records))
            if written is None:
                end = Position(end.segment + 1, 0)
                written = self._append(end, _lines([GAP, *records])) or 0
        return Position(end.segment, end.length + written)

    def cut(self, end: Position) -> None:
        """Take away what stands behind `end`, durably. Raises StorageError."""
        for number, length in ((end.segment, end.length), (end.segment + 1, 0)):
            with storage_errors(self.path(number)), suppress(FileNotFoundError):
                fd = os.open(self.path(number), os.O_RDWR | os.O_CLOEXEC)
                try:
                    if os.fstat(fd).st_size > length:
                        os.ftruncate(fd, length)
                        sync(fd)
                finally:
                    os.close(fd)

    def _append(self, end: Position, data: bytes) -> int | None:
        """Bytes written; None when the file is shorter than `end`, so that it cannot go on there."""
        path = self.path(end.segment)
        fd = self._open(path)
        try:
            size = os.fstat(fd).st_size
            if size < end.length:
                return None
            if size > end.length:
                os.ftruncate(fd, end.length)
            rest, offset = memoryview(data), end.length
            while rest:
                count = os.pwrite(fd, rest, offset)
                rest, offset = rest[count:], offset + count
            sync(fd)
        finally:
            os.close(fd)
        if size == 0:
            sync_directory(self._directory)
        return len(data)

    def _open(self, path: Path) -> int:
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            make_directory(self._directory)
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)


def _lines(records: Sequence[dict[str, object]]) -> bytes:
    text = (json.dumps(one, ensure_ascii=False, separators=(",", ":")) + "\n" for one in records)
    return "".join(text).encode()
