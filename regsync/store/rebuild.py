"""Restoring the catalogue: a new one is made of the journal beside the old one, and takes its place.

Nothing is destroyed: the old database is moved to `replaced/`, with its log. Where the journal does not
go back to the first day, a sound database is the beginning and the journal what came after it. A run that
died after it had moved the old one away is finished by the next: the new one may know what no other does.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from sqlalchemy import Connection, delete

from regsync.clock import Clock
from regsync.content.durable import make_directory, storage_errors, sync, sync_directory, write_durably
from regsync.errors import RegsyncError
from regsync.store import schema
from regsync.store.blobs import DirectoryBlobs
from regsync.store.catalogue import journal_end, set_journal_end
from regsync.store.database import SQLiteDatabase, Use, database_errors
from regsync.store.errors import NothingToRebuildError
from regsync.store.file_system import refuse_network
from regsync.store.history import is_left_by_a_crash
from regsync.store.inventory import Lost, Orphan, looked_for, orphans, recorded
from regsync.store.journal import Position
from regsync.store.journal_reading import Entry, is_whole, read
from regsync.store.migrate import upgrade
from regsync.store.place import BLOBS, CATALOGUE, JOURNAL, PARTS, has_journal, is_store
from regsync.store.presence import alone
from regsync.store.queries import StoreStats, stats
from regsync.store.replay import Replayed, replay

REPLACED = "replaced"
_NEW = "rebuilding"
_MADE = "made.json"  # beside the new database, when that is whole and on the medium
_AT_ONCE = 1000  # digests in one IN (…)
_LOG = ("-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild made, and what it could not."""

    records: int  # of the journal, done again
    unusable: Sequence[str]  # where in the journal records stand that could not be done again
    whole: bool  # the history goes back to the first day, or to a sound database
    stats: StoreStats
    lost: Sequence[Lost]  # of repositories
    orphans: Sequence[Orphan]
    replaced: Path | None  # where the old catalogue is now

    @property
    def is_sound(self) -> bool:
        """Whether everything that was ever acknowledged is there again."""
        return self.whole and not self.unusable and not self.lost


def rebuild(path: Path, clock: Clock) -> Rebuilt:
    """Make the catalogue anew of journal and blobs. Blocking.

    Raises StoreInUseError while any process has the store open, NothingToRebuildError, other
    StoreErrors, StorageError.
    """
    refuse_network(path)
    if not is_store(path):
        raise NothingToRebuildError(str(path), "there is no built-in store in this directory")
    with alone(path):
        return _rebuild(path, clock)


@dataclass(frozen=True, slots=True)
class _Made:
    """How the new database came to be."""

    whole: bool
    aside: str  # the directory in `replaced/` for the old one
    records: int = 0
    unusable: Sequence[str] = ()


def _rebuild(path: Path, clock: Clock) -> Rebuilt:
    new = path / _NEW
    made = _made_before(path, new) or _begin_anew(path, new, clock)
    with closing(SQLiteDatabase(new / CATALOGUE, name=str(path))) as database:
        upgrade(database)
        with database_errors(database.name):
            with closing(database.writing()) as connection:
                done = _replay(path, connection)
            with closing(database.reading()) as connection:
                found = _compare(path, connection)
                held = stats(connection)
    records, unusable = made.records + done.records, [*made.unusable, *done.unusable]
    _settle(new / CATALOGUE)
    note = {"whole": made.whole, "aside": made.aside, "records": records, "unusable": unusable}
    write_durably(new / _MADE, json.dumps(note).encode(), parts=new)
    replaced = _put_aside(path, path / REPLACED / made.aside)
    _move(new / CATALOGUE, path / CATALOGUE)
    shutil.rmtree(new, ignore_errors=True)
    return Rebuilt(records, tuple(unusable), made.whole, held, *found, replaced)


def _made_before(path: Path, new: Path) -> _Made | None:
    """What a run made that died before it moved the new database to where the old one was."""
    if (path / CATALOGUE).exists() or not (new / CATALOGUE).exists():
        return None
    with storage_errors(new / _MADE):
        try:
            return _Made(**json.loads((new / _MADE).read_bytes()))
        except FileNotFoundError:
            return None


def _begin_anew(path: Path, new: Path, clock: Clock) -> _Made:
    with storage_errors(new):
        if new.exists():
            shutil.rmtree(new)
        make_directory(new)
    stamp = clock.now().strftime("%Y%m%dT%H%M%SZ")
    return _Made(_begin(path, new), f"{stamp}-{clock.new_id()[:6]}")


def _begin(path: Path, new: Path) -> bool:
    """Lay the old database down to begin with, where the journal alone does not do; whether all is there."""
    if is_whole(path / JOURNAL):
        return True
    if (path / CATALOGUE).is_file():
        for end in ("", *_LOG[:1]):
            _copy(path / f"{CATALOGUE}{end}", new)
        if _is_sound(new / CATALOGUE, str(path)):
            return True
        for one in new.iterdir():
            one.unlink()
    if not has_journal(path):
        raise NothingToRebuildError(str(path), "it has no journal, and its database is damaged")
    return False


def _is_sound(file: Path, name: str) -> bool:
    with closing(SQLiteDatabase(file, name=name)) as database:
        try:
            return not database.damage()
        except RegsyncError:
            return False


def _replay(path: Path, connection: Connection) -> Replayed:
    start = journal_end(connection)
    connection.rollback()  # the look began a transaction
    entries: Iterator[Entry] = read(path / JOURNAL, start)
    committed = _committed(path)
    if committed is not None and is_left_by_a_crash(path, committed):
        entries = takewhile(lambda one: one.end <= committed, entries)
    done = replay(connection, entries, store=str(path))
    with connection.begin():
        if done.end is not None:
            set_journal_end(connection, done.end)
        _forget_collected(path, connection)
    return done


def _committed(path: Path) -> Position | None:
    """How far the journal was acknowledged, where the old database can still tell."""
    if not (path / CATALOGUE).is_file():
        return None
    with closing(SQLiteDatabase(path / CATALOGUE, name=str(path), use=Use.LOOK)) as database:
        try:
            if database.damage():
                return None
            with database_errors(database.name), closing(database.reading()) as connection:
                return journal_end(connection)
        except RegsyncError:
            return None


def _forget_collected(path: Path, connection: Connection) -> None:
    """Blobs of no repository whose bytes are gone: garbage collection removes those without a record."""
    blobs = _blobs(path)
    gone = [
        str(one.desc.digest)
        for one in recorded(connection)
        if not one.linked and blobs.size_now(one.desc.digest) is None
    ]
    for start in range(0, len(gone), _AT_ONCE):
        connection.execute(
            delete(schema.blobs).where(schema.blobs.c.digest.in_(gone[start : start + _AT_ONCE]))
        )


def _compare(path: Path, connection: Connection) -> tuple[Sequence[Lost], Sequence[Orphan]]:
    blobs = _blobs(path)
    lost = []
    for one in recorded(connection):
        problem = looked_for(one, blobs.size_now(one.desc.digest)) if one.linked else None
        if problem is not None:
            lost.append(problem)
    return tuple(lost), tuple(orphans(blobs.files(), connection))


def _blobs(path: Path) -> DirectoryBlobs:
    return DirectoryBlobs(path / BLOBS, parts=path / PARTS)


def _settle(file: Path) -> None:
    """All of the database is in its one file, on the medium."""
    with storage_errors(file), file.open("rb") as opened:
        sync(opened.fileno())


def _put_aside(path: Path, aside: Path) -> Path | None:
    """Move the old database and its log away: the database first, since a log alone says nothing wrong."""
    names = [f"{CATALOGUE}{end}" for end in ("", *_LOG) if (path / f"{CATALOGUE}{end}").exists()]
    with storage_errors(aside):
        if names:
            make_directory(aside)
        for name in names:
            _move(path / name, aside / name)
        return aside if aside.is_dir() else None


def _move(old: Path, new: Path) -> None:
    with storage_errors(new):
        os.rename(old, new)
        sync_directory(new.parent)
        sync_directory(old.parent)


def _copy(file: Path, directory: Path) -> None:
    with storage_errors(file):
        if file.is_file():
            shutil.copy(file, directory)
