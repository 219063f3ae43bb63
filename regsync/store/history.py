"""Whether catalogue and journal belong together: a write to one that is not the other's cuts history off.

A process that dies leaves at most one group of records that the catalogue does not have, since the next
writer removes them first; all records of a group bear one time. More than that was acknowledged.
"""

from pathlib import Path

from regsync.store.catalogue import journal_end
from regsync.store.database import Database, database_errors
from regsync.store.errors import CatalogueLostError, CatalogueOlderError
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
    times = set()
    for entry in read(path / JOURNAL, end):
        times.add(entry.record.get("at") if entry.record is not None else None)
        if len(times) > 1:
            raise CatalogueOlderError(str(path))
