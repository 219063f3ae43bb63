"""Whether catalogue and journal belong together: a write to one that is not the other's cuts history off.

A process that dies leaves at most one group of records that the catalogue does not have, since the next
writer removes them first; all records of a group bear one time. More than that was acknowledged. Lines that
cannot be read are none: of a group that a power loss cut short any page may be missing.
"""

from pathlib import Path

from regsync.store.catalogue import journal_end
from regsync.store.database import Database, database_errors
from regsync.store.errors import CatalogueLostError, CatalogueOlderError
from regsync.store.journal import Position
from regsync.store.journal_reading import read
from regsync.store.place import CATALOGUE, JOURNAL, has_journal


def refuse_lost(path: Path) -> None:
    """Raise CatalogueLostError when there is a journal and no catalogue."""
    if not (path / CATALOGUE).is_file() and has_journal(path):
        raise CatalogueLostError(str(path))


def refuse_older(path: Path, database: Database) -> None:
    """Raise CatalogueOlderError when the journal goes on behind what a crash may have left.

    To be asked while no other process has the store open.
    """
    with database_errors(database.name), database.reading() as connection:
        end = journal_end(connection)
    if not is_left_by_a_crash(path, end):
        raise CatalogueOlderError(str(path))


def is_left_by_a_crash(path: Path, end: Position) -> bool:
    """Whether what stands in the journal behind `end` is of one group at most, so never acknowledged."""
    times = set()
    for entry in read(path / JOURNAL, end):
        at = entry.record.get("at") if entry.record is not None else None
        if isinstance(at, int):
            times.add(at)
        if len(times) > 1:
            return False
    return True
