"""The catalogue's database: SQLite now, PostgreSQL later. What only SQLite knows stands here alone.

Durability: WAL with synchronous=FULL syncs the log before a commit returns, so what was acknowledged
survives a power loss (sqlite.org, "PRAGMA synchronous").
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, QueuePool
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.schema import Table

from regsync.content.durable import (
    FilesExhaustedError,
    StorageDeniedError,
    StorageDeviceError,
    StorageError,
    StorageFullError,
    storage_errors,
)
from regsync.store.errors import StoreBusyError, StoreDamagedError, StoreError

BUSY_TIMEOUT = 30_000  # milliseconds that a writer waits for another process
READERS = 4  # connections
_SHOWN = 100  # rows of one kind that a check tells of
_CACHE = 16_384  # KiB of pages per connection

_KINDS: Mapping[int, type[StoreError] | type[StorageError]] = {
    sqlite3.SQLITE_FULL: StorageFullError,
    sqlite3.SQLITE_BUSY: StoreBusyError,
    sqlite3.SQLITE_LOCKED: StoreBusyError,
    sqlite3.SQLITE_IOERR: StorageDeviceError,
    sqlite3.SQLITE_READONLY: StorageDeniedError,
    sqlite3.SQLITE_CANTOPEN: StorageDeniedError,
    sqlite3.SQLITE_PERM: StorageDeniedError,
    sqlite3.SQLITE_NOTADB: StoreDamagedError,
    sqlite3.SQLITE_CORRUPT: StoreDamagedError,
}


class Database(Protocol):
    """Connections for the one writer and for readers. Blocking."""

    name: str

    def reading(self) -> Connection:
        """A pooled connection on which each SELECT stands alone; close it."""
        ...

    def writing(self) -> Connection:
        """A connection whose `begin()` waits until no other process writes; close it."""
        ...

    def version(self, connection: Connection) -> int | None:
        """A number that any process's commit changes; None where that costs as much as a query."""
        ...

    def damage(self) -> Sequence[str]:
        """What is wrong with the database in itself: pages, indexes, rows that refer to nothing.

        Raises StoreError where it cannot even be read.
        """
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


class Use(Enum):
    """What a database is opened for."""

    WRITE = "write"
    LOOK = "look"  # not a byte of it changes


class SQLiteDatabase:
    """A SQLite file that several processes of one host may have open."""

    def __init__(self, path: Path, *, name: str, use: Use = Use.WRITE) -> None:
        self.path, self.name = path, name
        url = f"sqlite:///{path}" if use is Use.WRITE else _look_only(path)
        self._readers = create_engine(
            url,
            poolclass=QueuePool,
            pool_size=READERS,
            max_overflow=0,
            isolation_level="AUTOCOMMIT",
            connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT / 1000},
        )
        self._writer = create_engine(
            url,
            poolclass=NullPool,
            connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT / 1000},
        )
        event.listen(self._readers, "connect", _prepare)
        event.listen(self._writer, "connect", _prepare)
        if use is Use.LOOK:
            for engine in (self._readers, self._writer):
                event.listen(engine, "connect", _forbid_writing)
        event.listen(self._writer, "connect", _begin_by_hand)
        event.listen(self._writer, "begin", _begin_immediate)

    def reading(self) -> Connection:
        """A pooled connection for reading."""
        return self._readers.connect()

    def writing(self) -> Connection:
        """A connection of its own, whose transactions take the write lock when they begin."""
        return self._writer.connect()

    def version(self, connection: Connection) -> int | None:
        """What SQLite counts for this connection, whose own commits it leaves out: it must only read."""
        driver: Any = connection.connection.driver_connection
        return int(driver.execute("PRAGMA data_version").fetchone()[0])

    def damage(self) -> Sequence[str]:
        """What SQLite's own checks find, at most 100 lines of each."""
        with database_errors(self.name), self.reading() as connection:
            found = connection.exec_driver_sql("PRAGMA integrity_check(100)").scalars().all()
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(_SHOWN)
        lines = [str(line) for line in found if line != "ok"]
        return [*lines, *(f"{row[0]}: row {row[1]} refers to nothing in {row[2]}" for row in broken)]

    def close(self) -> None:
        """Close every connection; the last one of all processes folds the log into the file."""
        self._readers.dispose()
        self._writer.dispose()


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA cache_size=-{_CACHE}")
    cursor.close()


def _look_only(path: Path) -> str:
    """A log that a killed process left would be folded into the file by whoever closes it, unless `mode=ro`.

    Without one that mode is not needed, and would leave an empty log behind.
    """
    log = path.with_name(f"{path.name}-wal")
    left = log.exists() and log.stat().st_size > 0
    return f"sqlite:///{path.absolute().as_uri()}?{'mode=ro&' if left else ''}uri=true"


def _forbid_writing(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA query_only=ON").close()


def _begin_by_hand(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN is DEFERRED, which can fail half-way


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@cache
def insert_missing(dialect: str, table: Table) -> Insert:
    """INSERT that leaves a row alone whose key is there. Made once: making one costs more than running it."""
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql  # 15 ms that a catalogue in SQLite does without

        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


@cache
def upsert(dialect: str, table: Table, *columns: str) -> Insert:
    """INSERT that overwrites `columns` of a row whose key is there."""
    keys = [column.name for column in table.primary_key]
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        theirs = postgresql.insert(table)
        return theirs.on_conflict_do_update(
            index_elements=keys, set_={name: theirs.excluded[name] for name in columns}
        )
    ours = sqlite.insert(table)
    return ours.on_conflict_do_update(
        index_elements=keys, set_={name: ours.excluded[name] for name in columns}
    )


@contextmanager
def one_moment(connection: Connection) -> Iterator[None]:
    """Every SELECT inside sees what the first one sees, on a connection for reading."""
    connection.exec_driver_sql("BEGIN")
    try:
        yield
    finally:
        connection.exec_driver_sql("ROLLBACK")


@contextmanager
def database_errors(name: str) -> Iterator[None]:
    """Turn the driver's error inside into the StoreError or StorageError that says what to do."""
    try:
        yield
    except DBAPIError as cause:
        raise _store_error(name, cause.orig or cause) from cause
    except sqlite3.Error as cause:
        raise _store_error(name, cause) from cause


def _store_error(name: str, cause: BaseException) -> StoreError | StorageError:
    code: Any = getattr(cause, "sqlite_errorcode", None)
    if isinstance(code, int) and code & 0xFF == sqlite3.SQLITE_CANTOPEN:
        try:
            _try_to_open(name)
        except FilesExhaustedError as exhausted:
            return exhausted
    kind = _KINDS.get(code & 0xFF, StoreError) if isinstance(code, int) else StoreError
    return kind(name, f"the catalogue failed: {cause}")


def _try_to_open(name: str) -> None:
    """SQLite does not tell whether it may not open a file, or whether no more can be open."""
    with storage_errors(name), suppress(FileNotFoundError, PermissionError):
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))


__all__ = [
    "Database",
    "Engine",
    "SQLiteDatabase",
    "database_errors",
    "insert_missing",
    "one_moment",
    "upsert",
]
