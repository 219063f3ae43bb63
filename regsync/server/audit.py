"""The audit log: a line of JSON for every change and every denial, appended to a file.

A line is on disk within a second. While the file cannot be written, lines are kept, changes are
refused (503) and the failure is told of: no change goes unrecorded for longer than that second, and
pulls go on. Several processes may append to one file. Tools that rotate it may rename it: the next
line then goes to a new file of the old name.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from json import dumps
from pathlib import Path

from regsync.clock import Clock
from regsync.errors import RegsyncError
from regsync.server.audit_record import CHANGED_NOTHING, record
from regsync.server.failures import RETRY_AFTER, ApiError
from regsync.server.gathered import Gathered
from regsync.server.watch import Exchange

EVERY = 0.5  # seconds from an event to its line on disk, at most, besides what the disk takes
MOST = 1_000_000  # lines that wait for the next write
MOST_OF_NOTHING = 50_000  # lines in memory above which what changed nothing is only counted


class AuditFileError(RegsyncError):
    """The audit file cannot be written."""

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(f"audit file {path}: {cause.strerror or cause}")

    @property
    def hint(self) -> str:
        """What to do next."""
        return "make it writable, or free space: until then changes are refused and records kept in memory"


class UnrecordedChangeError(ApiError):
    """A change is refused since the audit file cannot be written."""

    def __init__(self) -> None:
        super().__init__(
            503,
            "UNAVAILABLE",
            "changes are refused while they cannot be recorded; try again",
            headers={"Retry-After": str(RETRY_AFTER)},
        )


class AuditLog:
    """Watches. `tell` is given the failure when the file begins to fail, and None when it works again."""

    def __init__(self, path: Path, clock: Clock, tell: Callable[[AuditFileError | None], object]) -> None:
        self._path, self._clock, self._tell = path, clock, tell
        self._file: int | None = None
        self._waiting = bytearray()  # lines that could not be written; touched by the writing thread alone
        self._lines_waiting = 0
        self._cut = False  # the file ends within a line
        self._gathered = Gathered(self._write, every=EVERY, most=MOST)
        self._left_out = Counter[str]()  # by outcome, since the start
        self._told_left_out = Counter[str]()
        self.failure: AuditFileError | None = None

    def open(self) -> None:
        """Make sure that the file can be written. Blocking. Raises AuditFileError."""
        try:
            self._reopen()
        except OSError as cause:
            raise AuditFileError(self._path, cause) from cause

    async def run(self) -> None:
        """Write for ever."""
        await self._gathered.run()

    def answered(self, exchange: Exchange) -> None:
        """Note a request if it changed something, or was denied."""
        if isinstance(exchange.failure, UnrecordedChangeError):
            return  # whoever is refused may try as often as he likes, and memory has an end
        found = record(exchange)
        if found is None:
            return
        outcome = str(found["outcome"])
        if outcome in CHANGED_NOTHING and self._lines_waiting + len(self._gathered) >= MOST_OF_NOTHING:
            self._left_out[outcome] += 1
        else:
            self.note(found)

    def note(self, fields: Mapping[str, object]) -> None:
        """Note an event."""
        self._gathered.add(self._line(fields))

    def _line(self, fields: Mapping[str, object]) -> str:
        time = self._clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return f"{dumps({'time': time, **fields})}\n"

    def require(self) -> None:
        """Raise UnrecordedChangeError while the file cannot be written."""
        if self.failure is not None:
            raise UnrecordedChangeError

    def _write(self, lines: Sequence[str]) -> bool:
        self._wait(lines)
        try:
            if self._waiting:
                self._append()
            if self._left_out != self._told_left_out:
                self._tell_what_was_left_out()
        except OSError as cause:
            first = self.failure is None
            self.failure = AuditFileError(self._path, cause)
            if first:
                self._tell(self.failure)
            return False
        if self.failure is not None:
            self.failure = None
            self._tell(None)
        return True

    def _wait(self, lines: Sequence[str]) -> None:
        self._waiting += "".join(lines).encode()
        self._lines_waiting += len(lines)

    def _tell_what_was_left_out(self) -> None:
        total = self._left_out.copy()
        more = total - self._told_left_out
        self._told_left_out = total
        lines = [{"event": "left-out", "outcome": outcome, "count": count} for outcome, count in more.items()]
        self._wait([self._line(one) for one in lines])
        self._append()

    def _append(self) -> None:
        file = self._reopen()
        # After a line that was cut off, what another process has appended and what follows stay readable.
        start = b"\n" if self._cut else b""
        written = max(os.writev(file, [start, self._waiting]) - len(start), 0)
        whole = self._waiting.rfind(b"\n", 0, written) + 1
        self._cut = whole < written
        self._lines_waiting -= self._waiting.count(b"\n", 0, whole)
        del self._waiting[:whole]
        if self._waiting:
            self._append()  # raises what stood in the way
            return
        os.fdatasync(file)

    def _reopen(self) -> int:
        """The file that has the name now."""
        if self._file is not None:
            if _is_at(self._file, self._path):
                return self._file
            os.close(self._file)
            self._file, self._cut = None, False
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        return self._file


def _is_at(file: int, path: Path) -> bool:
    there = os.fstat(file)
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return False
    return (found.st_dev, found.st_ino) == (there.st_dev, there.st_ino)
