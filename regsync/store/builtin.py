"""The built-in store: a directory with a catalogue, its journal, and blobs.

`catalogue.db` is SQLite's, with -wal and -shm beside it while it is open; `journal/` is what `rebuild`
restores the catalogue from, with the blobs; `blobs/` has each blob under its digest; `parts/` the files
that are being written; `uploads/` what clients of the server have sent of blobs so far.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from anyio import CancelScope
from anyio.to_thread import run_sync
from sqlalchemy import Connection

from regsync.clock import Clock, SystemClock
from regsync.content.durable import StorageError, make_directory, storage_errors
from regsync.content.protocol import Source
from regsync.content.references import Children
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.media_type import OCTET_STREAM
from regsync.oci.reference import RepositoryName
from regsync.store import migrate, queries
from regsync.store.blobs import BlobStore, DirectoryBlobs
from regsync.store.catalogue import Catalogue
from regsync.store.database import Database, SQLiteDatabase, Use
from regsync.store.errors import StoreError
from regsync.store.file_system import refuse_network
from regsync.store.history import refuse_lost, refuse_older
from regsync.store.journal import FileJournal
from regsync.store.leases import Leases
from regsync.store.place import BLOBS, CATALOGUE, JOURNAL, PARTS
from regsync.store.presence import Company, Presence, opening
from regsync.store.pulls import Pulls
from regsync.store.repository import BuiltinRepository
from regsync.store.sessions import DirectorySessions, Sessions

if TYPE_CHECKING:
    from regsync.store.gc_report import Explain, GarbageReport, Rules, Run

Result = TypeVar("Result")
MAX_NAMES = 4096  # repositories that are remembered, there or not, since anybody may ask for any


class BuiltinStore:
    """An open store. Several processes of one host may have it open at once."""

    def __init__(
        self,
        path: Path,
        presence: Presence,
        *,
        catalogue: Catalogue,
        blobs: DirectoryBlobs,
        leases: Leases,
        clock: Clock,
    ) -> None:
        self.path, self.name = path, str(path)
        self._presence, self._clock = presence, clock
        self._catalogue, self._leases = catalogue, leases
        self.blobs: BlobStore = blobs
        self.sessions: Sessions = DirectorySessions(path / "uploads", blobs, leases, clock)
        self.pulls = Pulls(catalogue)
        self._repositories: dict[tuple[str, Children], BuiltinRepository] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path | str, *, clock: Clock | None = None) -> AsyncIterator[Self]:
        """Open the store at `path`, made if it is not there, brought to today's schema if it is older.

        Raises NetworkFileSystemError, StoreTooNewError, CatalogueLostError and CatalogueOlderError, which
        `rebuild` repairs, other StoreErrors, or StorageError.
        """
        store = await run_sync(cls._open, Path(path), clock or SystemClock())
        async with store._closing():
            yield store

    @classmethod
    @asynccontextmanager
    async def look(cls, path: Path, *, clock: Clock | None = None) -> AsyncIterator[Self]:
        """Open the store only to look: not a byte of it changes, and who tries to write gets an error.

        Raises what `open` raises, and StoreOlderError.
        """
        store = await run_sync(cls._open_to_look, path, clock or SystemClock())
        async with store._closing():
            yield store

    @asynccontextmanager
    async def _closing(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            with CancelScope(shield=True):
                await self._leave()
                await run_sync(self._catalogue.close)
                self._presence.leave()

    async def _leave(self) -> None:
        """A full disk is no reason not to close: leases end by themselves, and a pull may be forgotten."""
        with suppress(StorageError, StoreError):
            await self.pulls.write()
            await self._leases.release()

    @classmethod
    def _open(cls, path: Path, clock: Clock) -> Self:
        refuse_network(path)
        with storage_errors(path):
            make_directory(path)
        with opening(path):
            presence = Presence(path)
            try:
                return cls._prepare(path, clock, presence)
            except BaseException:
                presence.leave()
                raise

    @classmethod
    def _prepare(cls, path: Path, clock: Clock, presence: Presence) -> Self:
        refuse_lost(path)
        database = SQLiteDatabase(path / CATALOGUE, name=str(path))
        blobs = DirectoryBlobs(path / BLOBS, parts=path / PARTS)
        try:
            migrate.upgrade(database)
            blobs.prepare()
            if presence.company is Company.ALONE:  # else somebody may be writing both at this moment
                refuse_older(path, database)
        except BaseException:
            database.close()
            raise
        return cls._of(path, clock, presence, database, blobs)

    @classmethod
    def _open_to_look(cls, path: Path, clock: Clock) -> Self:
        refuse_network(path)
        refuse_lost(path)
        with opening(path):
            presence = Presence(path)
        database = SQLiteDatabase(path / CATALOGUE, name=str(path), use=Use.LOOK)
        try:
            migrate.refuse_older(database)
        except BaseException:
            database.close()
            presence.leave()
            raise
        blobs = DirectoryBlobs(path / BLOBS, parts=path / PARTS)
        return cls._of(path, clock, presence, database, blobs)

    @classmethod
    def _of(
        cls, path: Path, clock: Clock, presence: Presence, database: Database, blobs: DirectoryBlobs
    ) -> Self:
        catalogue = Catalogue(database, FileJournal(path / JOURNAL), clock)
        return cls(
            path, presence, catalogue=catalogue, blobs=blobs, leases=Leases(catalogue, clock), clock=clock
        )

    def repository(
        self, name: RepositoryName, *, children: Children = Children.REQUIRED
    ) -> BuiltinRepository:
        """The repository of that name; it need not be there yet.

        `children` says whether an index may be put of which not all manifests are there.
        """
        key = (str(name), children)
        found = self._repositories.get(key)
        if found is None:
            if len(self._repositories) >= MAX_NAMES:
                self._repositories.clear()
            found = self._repositories[key] = BuiltinRepository(
                name,
                store=self.name,
                catalogue=self._catalogue,
                blobs=self.blobs,
                sessions=self.sessions,
                leases=self._leases,
                children=children,
            )
        return found

    async def repositories(self) -> Sequence[RepositoryName]:
        """Every repository, sorted."""
        return await self._catalogue.scan(queries.repository_names)

    async def repository_page(self, after: str, limit: int) -> Sequence[RepositoryName]:
        """At most `limit` repositories that come after `after`, sorted."""
        return await self._catalogue.scan(lambda one: queries.repository_page(one, after, limit))

    async def repositories_with(self, digest: Digest) -> Sequence[RepositoryName]:
        """Every repository that has a blob, sorted."""
        return await self._catalogue.scan(lambda one: queries.repositories_with(one, digest))

    def version(self) -> int | None:
        """A number that changes with each change of the catalogue; None where there is no telling."""
        return self._catalogue.version()

    async def scan(self, query: Callable[[Connection], Result]) -> Result:
        """Run a query over the whole store; raises StoreError."""
        return await self._catalogue.scan(query)

    async def damage(self) -> Sequence[str]:
        """What is wrong with the database in itself; raises StoreError where it cannot be read."""
        return await self._catalogue.damage()

    async def set_aside(self, digest: Digest) -> bool:
        """Move wrong bytes out of the way, and have nobody remember images that need them.

        False if they are right after all. Raises StoreError, StorageError.
        """
        if not await self.blobs.set_aside(digest):
            return False
        await self._catalogue.touch()
        return True

    async def restore_blob(self, digest: Digest, size: int, source: Source) -> None:
        """Take bytes of a known blob, which were lost, from `source`.

        Raises what reading there raises, DigestMismatchError, SizeMismatchError, StorageError.
        """
        desc = Descriptor(OCTET_STREAM, digest, size)
        async with source.fetch(desc) as chunks:
            await self.blobs.write(desc, chunks, where=source.name)

    async def collect_garbage(
        self, rules: "Rules", run: "Run", explain: "Explain | None" = None
    ) -> "GarbageReport":
        """Delete what nothing leads to, while the store is in use; may be cancelled at any moment.

        `explain` is told what becomes of everything, and why. Raises StoreError or StorageError.
        """
        from regsync.store.gc import collect  # few runs need it

        parts = (self._catalogue, self.blobs, self.sessions, self._clock)
        return await collect(*parts, rules=rules, run=run, explain=explain)

    async def stats(self) -> queries.StoreStats:
        """How much the store holds."""
        return await self._catalogue.scan(queries.stats)
