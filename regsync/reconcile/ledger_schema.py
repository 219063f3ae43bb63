"""The ledger's tables, how an older file becomes a current one, and what is dropped with age.

Rows are keyed by `spot`, a short number for place and repository. Nothing here needs more than
SQLite 3.31, so STRICT tables and RETURNING are out.
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from regsync.reconcile.ledger_rows import microseconds, pack_time

APPLICATION_ID: Final = 0x72736C67  # "rslg", so that another program's database is told apart

_FIRST: Final = (
    """CREATE TABLE spot (
        id INTEGER PRIMARY KEY,
        place TEXT NOT NULL,
        repository TEXT NOT NULL,
        UNIQUE (place, repository))""",
    """CREATE TABLE sighting (
        spot INTEGER NOT NULL,
        digest BLOB NOT NULL,
        first_seen INTEGER NOT NULL,
        last_seen INTEGER NOT NULL,
        compared INTEGER,
        PRIMARY KEY (spot, digest)) WITHOUT ROWID""",
    """CREATE TABLE tag (
        spot INTEGER NOT NULL,
        tag TEXT NOT NULL,
        digest BLOB NOT NULL,
        written INTEGER NOT NULL,
        PRIMARY KEY (spot, tag)) WITHOUT ROWID""",
    """CREATE TABLE graph (
        digest BLOB NOT NULL,
        platforms TEXT NOT NULL,
        manifests BLOB NOT NULL,
        made INTEGER NOT NULL,
        PRIMARY KEY (digest, platforms)) WITHOUT ROWID""",
    """CREATE TABLE blob (
        spot INTEGER NOT NULL,
        digest BLOB NOT NULL,
        size INTEGER NOT NULL,
        seen INTEGER NOT NULL,
        PRIMARY KEY (spot, digest)) WITHOUT ROWID""",
    """CREATE TABLE upload (
        spot INTEGER NOT NULL,
        digest BLOB NOT NULL,
        location TEXT NOT NULL,
        offset INTEGER NOT NULL,
        opened INTEGER NOT NULL,
        PRIMARY KEY (spot, digest)) WITHOUT ROWID""",
    """CREATE TABLE run (
        id TEXT PRIMARY KEY,
        command TEXT NOT NULL,
        started INTEGER NOT NULL,
        ended INTEGER NOT NULL,
        summary TEXT NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE lease (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        fencing INTEGER NOT NULL,
        owner TEXT NOT NULL,
        command TEXT NOT NULL,
        host TEXT NOT NULL,
        machine TEXT NOT NULL,
        pid INTEGER NOT NULL,
        started TEXT NOT NULL,
        since INTEGER NOT NULL,
        expires INTEGER NOT NULL)""",
    "CREATE TABLE upkeep (id INTEGER PRIMARY KEY CHECK (id = 1), pruned INTEGER NOT NULL)",
    f"PRAGMA application_id = {APPLICATION_ID}",
)
_VERDICTS: Final = (
    """CREATE TABLE verdict (
        key BLOB PRIMARY KEY,
        until INTEGER NOT NULL,
        signers TEXT NOT NULL) WITHOUT ROWID""",
)
_DELETIONS: Final = (
    "ALTER TABLE tag ADD COLUMN origin INTEGER",
    """CREATE TABLE absence (
        spot INTEGER NOT NULL,
        tag TEXT NOT NULL,
        since INTEGER NOT NULL,
        last INTEGER NOT NULL,
        runs INTEGER NOT NULL,
        PRIMARY KEY (spot, tag)) WITHOUT ROWID""",
    """CREATE TABLE deletion (
        run TEXT NOT NULL,
        spot INTEGER NOT NULL,
        tag TEXT NOT NULL,
        digest BLOB NOT NULL,
        begun INTEGER NOT NULL,
        done INTEGER,
        PRIMARY KEY (run, spot, tag)) WITHOUT ROWID""",
    "CREATE INDEX open_deletion ON deletion (spot) WHERE done IS NULL",
)
_TASKS: Final = (
    """CREATE TABLE task (
        name TEXT PRIMARY KEY,
        schedule TEXT NOT NULL,
        handled INTEGER NOT NULL,
        succeeded INTEGER,
        told TEXT NOT NULL) WITHOUT ROWID""",
)
_DELETED_FROM: Final = ("ALTER TABLE deletion ADD COLUMN origin INTEGER",)
# The n-th makes version n of version n - 1.
MIGRATIONS: Final[Sequence[Sequence[str]]] = (_FIRST, _VERDICTS, _DELETIONS, _TASKS, _DELETED_FROM)
VERSION: Final = len(MIGRATIONS)

PRUNE_EVERY: Final = timedelta(hours=1)
BLOBS_KEPT: Final = timedelta(hours=12)  # since they were last seen; older words are not taken anyway
UPLOADS_KEPT: Final = timedelta(days=7)  # registries drop sessions after that long, most sooner
SIGHTINGS_KEPT: Final = timedelta(days=400)  # since they were last seen, not first
GRAPHS_KEPT: Final = timedelta(days=400)  # made again at the price of one manifest
RUNS_KEPT: Final = timedelta(days=400)
DELETIONS_KEPT: Final = timedelta(days=400)
ABSENCES_KEPT: Final = timedelta(days=400)  # since they were last seen
RUNS_AT_MOST: Final = 10_000
IDLE_RUNS_AT_MOST: Final = 2_000  # which found nothing to do; of many mirrors nearly all are such
_CLOCKS_DIFFER: Final = timedelta(days=1)  # a blob seen later than that from now was seen by a wrong clock


def version_of(connection: sqlite3.Connection) -> int:
    """The schema version a file was left at; 0 is an empty file."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def is_foreign(connection: sqlite3.Connection) -> bool:
    """Whether the file is a database of something else."""
    connection.execute("BEGIN")  # mark and tables as of one moment: another process may be making them
    try:
        mark = connection.execute("PRAGMA application_id").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    finally:
        connection.execute("ROLLBACK")
    return bool(mark != APPLICATION_ID and tables > 0)


def migrate(connection: sqlite3.Connection, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Bring an older file to the current version in one transaction: wholly, or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been faster, so the version counts that holds under the lock.
        for statements in migrations[version_of(connection) :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {max(len(migrations), version_of(connection))}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def prune(connection: sqlite3.Connection, now: datetime) -> None:
    """Drop what has aged, at most once an hour, within the caller's transaction.

    Only what can be learned again goes by age. Tags that are ours stay for good: they are what
    pruning a registry is allowed by, and there are never more than regsync wrote.
    """
    row = connection.execute("SELECT pruned FROM upkeep").fetchone()
    if row is not None and abs(pack_time(now) - row[0]) < microseconds(PRUNE_EVERY):
        return
    delete = connection.execute
    delete("DELETE FROM blob WHERE seen <= ?", (pack_time(now - BLOBS_KEPT),))
    delete("DELETE FROM blob WHERE seen > ?", (pack_time(now + _CLOCKS_DIFFER),))
    delete("DELETE FROM upload WHERE opened <= ?", (pack_time(now - UPLOADS_KEPT),))
    delete("DELETE FROM sighting WHERE last_seen <= ?", (pack_time(now - SIGHTINGS_KEPT),))
    delete("DELETE FROM graph WHERE made <= ?", (pack_time(now - GRAPHS_KEPT),))
    delete("DELETE FROM verdict WHERE until <= ?", (pack_time(now),))
    delete("DELETE FROM deletion WHERE begun <= ?", (pack_time(now - DELETIONS_KEPT),))
    delete("DELETE FROM absence WHERE last <= ?", (pack_time(now - ABSENCES_KEPT),))
    delete("DELETE FROM run WHERE ended <= ?", (pack_time(now - RUNS_KEPT),))
    idle = """summary NOT LIKE '%"report"%'"""
    newest = f"SELECT id FROM run WHERE {idle} ORDER BY started DESC, id LIMIT ?"  # noqa: S608  # constant
    delete(f"DELETE FROM run WHERE {idle} AND id NOT IN ({newest})", (IDLE_RUNS_AT_MOST,))  # noqa: S608
    newest = "SELECT id FROM run ORDER BY started DESC, id LIMIT ?"
    delete(f"DELETE FROM run WHERE id NOT IN ({newest})", (RUNS_AT_MOST,))  # noqa: S608  # both constant
    delete(
        """DELETE FROM spot WHERE id NOT IN (
            SELECT spot FROM sighting UNION SELECT spot FROM tag
            UNION SELECT origin FROM tag WHERE origin IS NOT NULL
            UNION SELECT origin FROM deletion WHERE origin IS NOT NULL
            UNION SELECT spot FROM absence UNION SELECT spot FROM deletion
            UNION SELECT spot FROM blob UNION SELECT spot FROM upload)"""
    )
    delete("INSERT OR REPLACE INTO upkeep (id, pruned) VALUES (1, ?)", (pack_time(now),))
