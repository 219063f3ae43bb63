"""Finding earlier runs in the ledger, without making or changing one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from regsync.clock import SystemClock
from regsync.errors import RegsyncError, UsageError
from regsync.plan.record import DamagedRecordError, Record, record_of
from regsync.reconcile.ledger_sqlite import SqliteLedger, open_ledger
from regsync.reconcile.ledger_tasks import RunRow
from regsync.spec.load import load

PAGE = 500  # rows that are read at once


class NoLedgerError(RegsyncError):
    """There is no ledger, so no run is remembered."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: there is no ledger: no run over this spec was made here")

    @property
    def hint(self) -> str:
        """Where it may be."""
        return "name it with --state, or the paths that the runs were given"


class NoSuchRunError(UsageError):
    """No run, or more than one, has an id that begins so."""

    def __init__(self, run: str, *, several: bool) -> None:
        problem = "more than one run has an id that begins so" if several else "no run has that id"
        super().__init__(f"{run[:80]!r}: {problem}")

    @property
    def hint(self) -> str:
        """Where ids are."""
        return "`regsync history` lists the runs"


@contextmanager
def earlier_runs(paths: Sequence[Path], state: Path | None) -> Iterator[SqliteLedger]:
    """The ledger of a spec. Raises NoLedgerError, LedgerError, SpecError."""
    path = state.absolute() if state is not None else load(paths).settings.state
    if not path.exists():
        raise NoLedgerError(path)
    with open_ledger(path, SystemClock()) as ledger:
        yield ledger


def newest(ledger: SqliteLedger, count: int, mirrors: Sequence[str]) -> list[Record]:
    """The newest runs, over one of `mirrors` if any are given. A damaged row is passed over."""
    found: list[Record] = []
    offset = 0
    while len(found) < count:
        rows = ledger.read_runs(PAGE, offset)
        found += [one for row in rows if (one := _readable(row)) is not None and _is_over(one, mirrors)]
        offset += PAGE
        if len(rows) < PAGE:
            break
    return found[:count]


def one_run(ledger: SqliteLedger, run: str) -> RunRow:
    """The run whose id is `run`, or begins so. Raises NoSuchRunError."""
    rows = ledger.find_runs(run)
    exact = [row for row in rows if row.id == run] or rows
    if len(exact) != 1:
        raise NoSuchRunError(run, several=len(exact) > 1)
    return exact[0]


def _readable(row: RunRow) -> Record | None:
    try:
        return record_of(*row)
    except DamagedRecordError:
        return None


def _is_over(record: Record, mirrors: Sequence[str]) -> bool:
    # Of a run over very many mirrors not all names are kept: it may have been over this one too.
    return not mirrors or record.more_mirrors > 0 or not set(mirrors).isdisjoint(record.mirrors)
