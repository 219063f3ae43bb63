"""Checking a store while it is served: the catalogue against itself, and every byte against its digest.

Damaged bytes are moved aside, so that nobody is given them, and whoever pushes or syncs the image again
is asked for them. What was lost is taken from sources that have it, where there are any.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import anyio
from sqlalchemy import Connection

from regsync.clock import Clock
from regsync.content.protocol import Source
from regsync.content.verified import verified
from regsync.errors import RegsyncError
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName
from regsync.store import manifest_check
from regsync.store.builtin import BuiltinStore
from regsync.store.inventory import Lost, Orphan, Recorded, known, looked_for, orphans, recorded_page

Sources = Callable[[RepositoryName], Sequence[Source]]


def nowhere(_: RepositoryName) -> Sequence[Source]:
    """Nothing is healed."""
    return ()


@dataclass(slots=True)
class Progress:
    """How far a check has come."""

    manifests: int = 0
    blobs: int = 0
    bytes: int = 0  # read
    total: int = 0  # blobs


@dataclass(frozen=True, slots=True)
class Healed:
    """A blob that was lost, and taken from elsewhere."""

    digest: Digest
    source: str


@dataclass(slots=True)
class Checked:
    """What a check found."""

    progress: Progress = field(default_factory=Progress)
    contradictions: list[str] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)  # of repositories, and not healed
    unlinked: list[Lost] = field(default_factory=list)  # of no repository: nobody misses them
    healed: list[Healed] = field(default_factory=list)
    orphans: Sequence[Orphan] = ()
    last: Digest | None = None  # the last blob that was read
    is_finished: bool = False

    @property
    def is_sound(self) -> bool:
        """Whether nothing that was acknowledged is missing or damaged, as far as was looked."""
        return not self.lost and not self.contradictions


class Check:
    """One run over a store. `rate` is the bytes a second that are read at most."""

    def __init__(
        self,
        store: BuiltinStore,
        clock: Clock,
        *,
        rate: int | None = None,
        after: Digest | None = None,
        sources: Sources = nowhere,
        stop: anyio.Event | None = None,
    ) -> None:
        self._store, self._clock, self._rate, self._after = store, clock, rate, after
        self._sources, self._stop = sources, stop or anyio.Event()
        self.found = Checked()

    async def run(self) -> Checked:
        """Check everything, or until `stop` is set; raises StoreError, StorageError."""
        found = self.found
        found.progress.total = (await self._store.stats()).blobs
        if self._after is None:
            await self._catalogue()
        await self._bytes()
        if not self._stop.is_set():
            found.orphans = await self._orphans()
            found.is_finished = True
        found.lost = [one for one in found.lost if not await self._heal(one)]
        return found

    async def _catalogue(self) -> None:
        self.found.contradictions += await self._store.damage()
        place: manifest_check.Place | None = manifest_check.START
        while place is not None and not self._stop.is_set():
            page = partial(manifest_check.check_page, after=place)
            place, count, wrong = await self._store.scan(page)
            self.found.progress.manifests += count
            self.found.contradictions += wrong

    async def _bytes(self) -> None:
        started = self._clock.monotonic()
        after = str(self._after) if self._after is not None else ""
        while page := await self._store.scan(partial(recorded_page, after=after)):
            for one in page:
                problem = await self._look_at(one, started)
                if self._stop.is_set():
                    return
                if problem is not None:
                    (self.found.lost if one.linked else self.found.unlinked).append(problem)
                self.found.last = one.desc.digest
                self.found.progress.blobs += 1
            after = str(page[-1].desc.digest)

    async def _look_at(self, one: Recorded, started: float) -> Lost | None:
        blobs, digest = self._store.blobs, one.desc.digest
        problem = looked_for(one, await blobs.size(digest)) or await self._read(one, started)
        if problem is None or self._stop.is_set():
            return None
        if not await self._store.scan(lambda each: known(each, [digest])):
            return None  # deleted in the meantime, record and bytes
        if await self._store.set_aside(digest):
            return problem
        self.found.contradictions.append(
            f"{digest} was read wrong once and right once: the disk or the memory fails"
        )
        return None

    async def _read(self, one: Recorded, started: float) -> Lost | None:
        try:
            async with self._store.blobs.read(one.desc, offset=0, where=self._store.name) as chunks:
                async for _ in verified(self._paced(chunks, started), one.desc, where=self._store.name):
                    pass
        except _StoppedError:
            return None
        except RegsyncError as error:
            return Lost(one.desc.digest, one.desc.size, str(error))
        return None

    async def _paced(self, chunks: AsyncIterator[bytes], started: float) -> AsyncIterator[bytes]:
        progress = self.found.progress
        async for chunk in chunks:
            if self._stop.is_set():
                raise _StoppedError
            progress.bytes += len(chunk)
            if self._rate is not None:
                ahead = progress.bytes / self._rate - (self._clock.monotonic() - started)
                with anyio.move_on_after(max(0.0, ahead)):
                    await self._stop.wait()
            yield chunk

    async def _orphans(self) -> Sequence[Orphan]:
        """Files in no record, looked at twice: a push puts the file there first, and then the record."""
        found = await self._store.scan(self._unexplained)
        again = {one.path for one in await self._store.scan(self._unexplained)} if found else ()
        return [one for one in found if one.path in again]

    def _unexplained(self, connection: Connection) -> Sequence[Orphan]:
        return list(orphans(self._store.blobs.files(), connection))

    async def _heal(self, lost: Lost) -> bool:
        for repository in await self._store.repositories_with(lost.digest):
            for source in self._sources(repository):
                try:
                    await self._store.restore_blob(lost.digest, lost.size, source)
                except RegsyncError:
                    continue  # it has it not, or damaged, or does not answer: the next one may
                self.found.healed.append(Healed(lost.digest, source.name))
                return True
        return False


class _StoppedError(Exception):
    """The check was interrupted in the middle of a blob; caught here."""
