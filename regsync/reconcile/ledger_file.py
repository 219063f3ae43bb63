"""The SQLite file under the ledger: opened, migrated, read on one connection and written on another.

In WAL mode a reader never waits for the writer, so reads may happen on the event loop while a worker
thread commits; ledger_journal says where that has to be different. Foreign exceptions become
LedgerError here and nowhere else.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import Enum
from pathlib import Path
from threading import Lock
from typing import Any, Final, Self, TypeVar

from regsync.errors import SpecError, TemporaryError
from regsync.reconcile.ledger import LedgerError
from regsync.reconcile.ledger_journal import Journal, journal_for
from regsync.reconcile.ledger_schema import VERSION, is_foreign, migrate, version_of

T = TypeVar("T")
Row = tuple[Any, ...]

PATIENCE: Final = 5.0  # seconds that a lock of another process is waited for
_MOVE_AWAY: Final = (
    "move the file away and run again: a new ledger costs requests and history, "
    "and regsync no longer knows which tags it wrote, so it prunes none of them"
)
_HINTS: Final = {
    "SQLITE_FULL": "free space on that file system",
    "SQLITE_READONLY": "make the file and its directory writable, or name another place with --state",
    "SQLITE_CANTOPEN": "make the file and its directory writable, or name another place with --state",
    "SQLITE_PERM": "make the file and its directory writable, or name another place with --state",
    "SQLITE_BUSY": "another program holds the file locked; see which, and run again",
    "SQLITE_CORRUPT": _MOVE_AWAY,
    "SQLITE_NOTADB": _MOVE_AWAY,
    "SQLITE_IOERR": "look at that file system: it refuses to read or write",
}


class UnusableLedgerError(LedgerError):
    """There is no ledger to be had at that path."""


class LedgerLockedError(LedgerError, TemporaryError):
    """Another process did not let go of the file in time."""


class NewerLedgerError(SpecError):
    """A later regsync wrote the ledger; this one would not understand it."""

    def __init__(self, path: Path, version: int) -> None:
        super().__init__(
            f"ledger {path}: written by a later regsync (schema {version}, this one knows {VERSION})"
        )

    @property
    def hint(self) -> str:
        """Which ways are open."""
        return "use that version of regsync, or name another ledger with --state"


class Durability(Enum):
    """What a commit survives."""

    KILL = "NORMAL"  # a dead process; a power cut may take the last commits, never the file
    POWER_CUT = "FULL"


class LedgerFile:
    """One open ledger file. Methods may be called from any thread."""

    def __init__(self, path: Path, reader: sqlite3.Connection, writer: sqlite3.Connection) -> None:
        self.path = path
        self.writer = writer
        self._reader = reader
        self._reading, self._writing = Lock(), Lock()
        self._identity = _identity(path)

    @classmethod
    def open(cls, path: Path, *, patience: float = PATIENCE, journal: Journal | None = None) -> Self:
        """Open `path`, make it and its directory if need be, bring it to this version.

        Raises UnusableLedgerError, or NewerLedgerError.
        """
        path = path.absolute()  # a name such as :memory: means something else to SQLite
        try:
            _make(path)
        except (OSError, ValueError) as cause:
            reason = cause.strerror if isinstance(cause, OSError) else cause
            raise UnusableLedgerError(
                path, f"cannot be created: {reason}", hint=_HINTS["SQLITE_CANTOPEN"]
            ) from cause
        writer: sqlite3.Connection | None = None
        try:
            writer = _connect(path, patience)
            _prepare(path, writer, journal or journal_for(path))
            reader = _connect(path, patience)
            reader.execute("PRAGMA query_only = ON")
            return cls(path, reader, writer)
        except BaseException as cause:
            if writer is not None:
                writer.close()
            if isinstance(cause, sqlite3.Error):
                raise UnusableLedgerError(
                    path, f"cannot be opened: {cause}", hint=_HINTS.get(_name(cause))
                ) from cause
            raise

    def read(self, sql: str, parameters: tuple[Any, ...], collect: Callable[[Iterable[Row]], T]) -> T:
        """What `collect` makes of the rows; raises LedgerError."""
        with self._reading:
            try:
                return collect(self._reader.execute(sql, parameters))
            except sqlite3.Error as cause:
                raise self._translated("read", cause) from cause
            except (KeyError, TypeError, ValueError, OverflowError) as cause:
                raise LedgerError(self.path, "holds a row that makes no sense", hint=_MOVE_AWAY) from cause

    def write(self, work: Callable[[sqlite3.Connection], T], durability: Durability) -> T:
        """Carry out `work` in one transaction; raises LedgerError, after which none of it happened."""
        with self._writing:
            if _identity(self.path) != self._identity:
                # SQLite would go on writing into a file that nobody can find any more.
                raise LedgerError(self.path, "was moved, replaced or deleted while it was in use")
            try:
                self.writer.execute(f"PRAGMA synchronous = {durability.value}")
                self.writer.execute("BEGIN IMMEDIATE")
                result = work(self.writer)
                self.writer.execute("COMMIT")
            except sqlite3.Error as cause:
                raise self._translated("written", cause) from cause
            finally:
                if self.writer.in_transaction:
                    with suppress(sqlite3.Error):
                        self.writer.execute("ROLLBACK")
        return result

    def _translated(self, done: str, cause: sqlite3.Error) -> LedgerError:
        kind = LedgerLockedError if _name(cause) == "SQLITE_BUSY" else LedgerError
        return kind(self.path, f"cannot be {done}: {cause}", hint=_HINTS.get(_name(cause)))

    def close(self) -> None:
        """Close both connections; closing twice is no error."""
        with self._reading:
            self._reader.close()
        with self._writing, suppress(sqlite3.Error):
            self.writer.close()


def _make(path: Path) -> None:
    if not path.parent.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.parent.name == ".regsync":
            # The default place lies in the git tree of the specs, where a ledger has no business.
            (path.parent / ".gitignore").write_text("*\n", encoding="utf-8")
    # Upload sessions are secrets. SQLite gives its other files the mode of this one.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _connect(path: Path, patience: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _prepare(path: Path, connection: sqlite3.Connection, journal: Journal) -> None:
    version = version_of(connection)
    if is_foreign(connection):
        raise UnusableLedgerError(
            path, "is a database of another program", hint="name another place with --state"
        )
    if version > VERSION:
        raise NewerLedgerError(path, version)
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != journal.value:
        connection.execute(f"PRAGMA journal_mode = {journal.value}")
    if version < VERSION:
        migrate(connection)


def _name(cause: sqlite3.Error) -> str:
    """SQLite's primary result code, such as SQLITE_FULL; empty for errors of the Python module's own."""
    name: str = getattr(cause, "sqlite_errorname", "")
    return "_".join(name.split("_")[:2])
