"""What the daemon and `regsync history` have of the ledger file: scheduled tasks, and runs.

Tasks are keyed by name: a schedule belongs to a mirror, not to a place, and one that is renamed
begins anew, as one does whose schedule is another now.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple

from regsync.reconcile.ledger_file import Durability, LedgerFile, Row
from regsync.reconcile.ledger_rows import pack_time, plain, unpack_time

_WRITE: Final = (
    "INSERT OR REPLACE INTO task (name, schedule, handled, succeeded, told) VALUES (?, ?, ?, ?, ?)"
)
_RUNS: Final = "SELECT id, command, started, ended, summary FROM run"


@dataclass(frozen=True, slots=True)
class TaskState:
    """How far a task has come."""

    schedule: str  # for which that holds
    handled: datetime  # times of the schedule up to here have had their run
    succeeded: datetime | None = None  # when a run of it last went well
    told: tuple[str, ...] = ()  # the troubles that people know of


class RunRow(NamedTuple):
    """A run as it was recorded; `plan.record` reads the summary."""

    id: str
    command: str
    started: datetime
    ended: datetime
    summary: str


def read_tasks(file: LedgerFile) -> Mapping[str, TaskState]:
    """Every task by its name. Raises LedgerError."""
    return file.read("SELECT name, schedule, handled, succeeded, told FROM task", (), _tasks)


def write_tasks(file: LedgerFile, tasks: Mapping[str, TaskState]) -> None:
    """Remember these, and leave others as they are. Raises LedgerError."""
    file.write(partial(_write, tasks=tasks), Durability.KILL)


def read_runs(file: LedgerFile, limit: int, offset: int) -> Sequence[RunRow]:
    """Runs, the newest first. Raises LedgerError."""
    return file.read(f"{_RUNS} ORDER BY started DESC, id LIMIT ? OFFSET ?", (limit, offset), _runs)


def find_runs(file: LedgerFile, prefix: str) -> Sequence[RunRow]:
    """The runs whose id begins with `prefix`, at most two. Raises LedgerError."""
    sql = f"{_RUNS} WHERE substr(id, 1, ?) = ? LIMIT 2"
    return file.read(sql, (len(prefix), plain(prefix)), _runs)


def _write(connection: sqlite3.Connection, *, tasks: Mapping[str, TaskState]) -> None:
    connection.executemany(
        _WRITE,
        (
            (
                plain(name),
                plain(one.schedule),
                pack_time(one.handled),
                pack_time(one.succeeded) if one.succeeded is not None else None,
                " ".join(one.told),
            )
            for name, one in tasks.items()
        ),
    )


def _tasks(rows: Iterable[Row]) -> dict[str, TaskState]:
    return {
        str(name): TaskState(
            str(schedule),
            unpack_time(handled),
            unpack_time(succeeded) if succeeded is not None else None,
            tuple(str(told).split()),
        )
        for name, schedule, handled, succeeded, told in rows
    }


def _runs(rows: Iterable[Row]) -> list[RunRow]:
    return [
        RunRow(str(id_), str(command), unpack_time(started), unpack_time(ended), str(summary))
        for id_, command, started, ended, summary in rows
    ]
