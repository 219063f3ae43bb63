"""The catalogue: what is where. Point look-ups at once, changes together with whoever else has one.

A change is a function of a `Transaction`. Changes that wait at the same time share one SQL
transaction, one entry in the journal and so one sync each; every caller returns after the commit.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from sqlalchemy import Connection, Insert, Table, bindparam, select

from regsync.clock import Clock
from regsync.content.durable import StorageDeniedError, StorageDeviceError, StorageError
from regsync.content.group_commit import GroupCommit
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor
from regsync.store.database import READERS, Database, database_errors, insert_missing, upsert
from regsync.store.errors import StoreBusyError, StoreDamagedError, StoreError
from regsync.store.journal import START, Journal, Position
from regsync.store.recent import Recent
from regsync.store.schema import journal_position, metadata, repositories

Result = TypeVar("Result")

_REPOSITORY = select(repositories.c.id).where(repositories.c.name == bindparam("name"))
_POSITION = select(journal_position.c.segment, journal_position.c.length)
# After these there is no use in trying each change of a group alone.
_HOPELESS = (StorageDeviceError, StorageDeniedError, StoreBusyError, StoreDamagedError)


class Transaction:
    """What a change works with: a connection that holds the write lock, and the journal's records."""

    def __init__(self, connection: Connection, now: int) -> None:
        self.connection = connection
        self.dialect = connection.dialect.name
        self.now = now  # microseconds since 1970
        self.records: list[dict[str, object]] = []
        self._repositories: dict[str, int] = {}
        self._later: dict[Insert, list[Mapping[str, object]]] = {}

    def repository(self, name: str) -> int | None:
        """The key of a repository, None if there is none."""
        found = self._repositories.get(name)
        if found is None:
            found = self.connection.execute(_REPOSITORY, {"name": name}).scalar()
            if found is not None:
                self._repositories[name] = found
        return found

    def created_repository(self, name: str) -> int:
        """The key of a repository, made if there is none."""
        found = self.repository(name)
        if found is None:
            self.connection.execute(insert_missing(self.dialect, repositories), {"name": name})
            found = self.repository(name)
            assert found is not None  # noqa: S101 - it was inserted under the write lock
        return found

    def insert_missing(self, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
        """Insert what is not there, together with the rows of neighbours: `flush` shows it to queries."""
        if rows:
            self._later.setdefault(insert_missing(self.dialect, table), []).extend(rows)

    def upsert(self, table: Table, row: Mapping[str, object], *columns: str) -> None:
        """Insert a row, or overwrite `columns` of it, together with the rows of neighbours."""
        self._later.setdefault(upsert(self.dialect, table, *columns), []).append(row)

    def flush(self) -> None:
        """Run the inserts that were put off, parents before what refers to them."""
        for table in metadata.sorted_tables:
            for statement in [one for one in self._later if one.table is table]:
                self.connection.execute(statement, self._later.pop(statement))

    def record(self, operation: str, **fields: object) -> None:
        """Note for the journal what was done."""
        self.records.append({"op": operation, "at": self.now, **fields})


Change = Callable[[Transaction], Any]


class Catalogue:
    """The catalogue of one store, in any Database, with its Journal."""

    def __init__(self, database: Database, journal: Journal, clock: Clock) -> None:
        self._database, self._journal, self._clock = database, journal, clock
        self._group = GroupCommit[Change, Any](self._commit)
        self._scans = CapacityLimiter(READERS - 1)
        self.recent: Recent[tuple[Descriptor, bytes]] = Recent()  # manifests, checked
        self._points: Connection | None = None
        self._writing: Connection | None = None
        self._is_ahead = False  # the journal may have what was not committed

    async def look_up(self, query: Callable[[Connection], Result]) -> Result:
        """Run a query that finds a few rows by their key.

        On this thread: such a query takes 15 µs and no reader of a write-ahead log waits for a
        writer, while a hop to a worker takes 70 µs.
        """
        with database_errors(self._database.name):
            return query(self._point())

    def version(self) -> int | None:
        """A number that changes with each commit; None where looking up is as cheap as asking for it."""
        with database_errors(self._database.name):
            return self._database.version(self._point())

    def _point(self) -> Connection:
        if self._points is None:
            self._points = self._database.reading()
        return self._points

    async def scan(self, query: Callable[[Connection], Result]) -> Result:
        """Run a query that may read many rows, in a worker thread."""

        def run() -> Result:
            with database_errors(self._database.name), self._database.reading() as connection:
                return query(connection)

        return await run_sync(run, limiter=self._scans)

    async def touch(self) -> None:
        """Have every process look things up again that it remembers; raises StoreError, StorageError."""
        await self.change(lambda one: set_journal_end(one.connection, journal_end(one.connection)))

    async def damage(self) -> Sequence[str]:
        """What the database finds wrong with itself; raises StoreError where it cannot be read."""
        return await run_sync(self._database.damage, limiter=self._scans)

    async def change(self, change: Callable[[Transaction], Result]) -> Result:
        """Make a change; returns when it is durable, raises what it raises, StoreError or StorageError.

        `change` runs in a worker thread, perhaps twice. It checks first and writes then: a
        RegsyncError that it raises must find nothing written. What it inserts may be put off to the end
        of the group, so a change that reads what others may just have written flushes first.
        """
        result: Result = await self._group.submit(change)
        return result

    def close(self) -> None:
        """Close every connection."""
        for connection in (self._points, self._writing):
            if connection is not None:
                connection.close()
        self._points = self._writing = None
        self._database.close()

    def _commit(self, changes: Sequence[Change]) -> Sequence[Any]:
        try:
            return self._together(changes)
        except _HOPELESS:
            self._start_afresh()
            raise
        except Exception as cause:  # noqa: BLE001 - given to the one whose change it is
            self._start_afresh()
            if len(changes) == 1:
                return [cause]
        return [self._commit([change])[0] for change in changes]

    def _together(self, changes: Sequence[Change]) -> Sequence[Any]:
        with database_errors(self._database.name):
            if self._writing is None:
                self._writing = self._database.writing()
            with self._writing.begin():
                transaction = Transaction(self._writing, int(self._clock.now().timestamp() * 1_000_000))
                outcomes = [_outcome(change, transaction) for change in changes]
                transaction.flush()
                if transaction.records:
                    self._write_journal(transaction)
        if transaction.records:
            self._is_ahead = False
        return outcomes

    def _write_journal(self, transaction: Transaction) -> None:
        before = journal_end(transaction.connection)
        self._is_ahead = True
        end = self._journal.append(before, transaction.records)
        set_journal_end(transaction.connection, end)

    def _start_afresh(self) -> None:
        """What a connection believes about a file that failed to sync is not to be trusted."""
        connection, self._writing = self._writing, None
        if connection is not None:
            connection.invalidate()
            connection.close()
        if self._is_ahead:
            with suppress(StorageError, StoreError):  # else the next writer does it
                self._take_back()

    def _take_back(self) -> None:
        """Have the journal say nothing of what was refused: a rebuild would do it.

        The failed commit may have given the write lock back, so another's may stand behind it by now. One
        commit more covers what is left of the failed one in the database's own log.
        """
        with (
            database_errors(self._database.name),
            closing(self._database.writing()) as connection,
            connection.begin(),
        ):
            end = journal_end(connection)
            self._journal.cut(end)
            set_journal_end(connection, end)
        self._is_ahead = False


def journal_end(connection: Connection) -> Position:
    """How far the journal is the history of this catalogue."""
    row = connection.execute(_POSITION).first()
    return Position(row.segment, row.length) if row is not None else START


def set_journal_end(connection: Connection, end: Position) -> None:
    """Say so, in the transaction that `connection` has begun."""
    connection.execute(
        upsert(connection.dialect.name, journal_position, "segment", "length"),
        {"id": 1, "segment": end.segment, "length": end.length},
    )


def _outcome(change: Change, transaction: Transaction) -> Any:
    try:
        return change(transaction)
    except (StorageError, StoreError):
        raise
    except RegsyncError as error:
        return error
