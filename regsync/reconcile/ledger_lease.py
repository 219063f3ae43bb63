"""The lease's row in the ledger file. A power cut must not bring back what was swapped away."""

import sqlite3
from collections.abc import Iterable
from functools import partial
from typing import Final

from regsync.reconcile.lease import LeaseRow
from regsync.reconcile.lease_owner import Owner, Process
from regsync.reconcile.ledger_file import Durability, LedgerFile, Row
from regsync.reconcile.ledger_rows import pack_time, plain, unpack_time

_READ: Final = "SELECT fencing, owner, command, host, machine, pid, started, since, expires FROM lease"
_FIRST: Final = """
    INSERT OR IGNORE INTO lease (id, fencing, owner, command, host, machine, pid, started, since, expires)
    VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_SWAP: Final = """
    UPDATE lease SET fencing = ?, owner = ?, command = ?, host = ?, machine = ?, pid = ?, started = ?,
        since = ?, expires = ?
    WHERE fencing = ? AND owner = ? AND expires = ?"""


def read_lease(file: LedgerFile) -> LeaseRow | None:
    """The row; None when nobody ever held the lease. Raises LedgerError."""
    return file.read(_READ, (), _row)


def swap_lease(file: LedgerFile, old: LeaseRow | None, new: LeaseRow) -> bool:
    """Replace `old` by `new` unless the row changed; raises LedgerError, after which it did not."""
    return file.write(partial(_swap, old=old, new=new), Durability.POWER_CUT)


def _swap(connection: sqlite3.Connection, *, old: LeaseRow | None, new: LeaseRow) -> bool:
    if old is None:
        return connection.execute(_FIRST, _values(new)).rowcount == 1
    expected = (old.fencing, old.owner.id, pack_time(old.expires))
    return connection.execute(_SWAP, _values(new) + expected).rowcount == 1


def _values(row: LeaseRow) -> Row:
    owner, process = row.owner, row.owner.process
    return (
        row.fencing,
        owner.id,
        plain(owner.command),
        plain(owner.host),
        process.machine,
        process.pid,
        process.started,
        pack_time(row.since),
        pack_time(row.expires),
    )


def _row(rows: Iterable[Row]) -> LeaseRow | None:
    for fencing, owner, command, host, machine, pid, started, since, expires in rows:
        process = Process(machine, pid, started)
        return LeaseRow(
            fencing, Owner(owner, command, host, process), unpack_time(since), unpack_time(expires)
        )
    return None
