"""Blobs of upstreams: the first pull streams to every client that waits, while it is verified and stored.

A download writes to a file, at the upstream's pace, and clients read from that file, each at its own:
so one that is slow holds back nobody and costs no memory, and one that goes away ends nothing. The last
bytes are readable only after the digest was checked, so that no client holds all of a wrong blob.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress

import anyio
from anyio import CancelScope

from regsync.content.protocol import Source
from regsync.content.verified import VerifiedChunks
from regsync.errors import RegsyncError, TemporaryError
from regsync.oci.descriptor import Descriptor
from regsync.server.blobs import stored_bytes
from regsync.store.incoming import HOP_SIZE, Reading
from regsync.store.repository import BuiltinRepository

_log = logging.getLogger(__name__)

READ_SIZE = 512 * 1024  # bytes that are held for each client
HELD_BACK = 128 * 1024  # bytes that wait for the check of all, at most
LATENCY = 0.1  # seconds that bytes of a slow upstream may wait in memory for more to come


class DownloadEndedError(TemporaryError):
    """The server stopped while it fetched a blob, or failed for a reason that its log has."""

    def __init__(self, desc: Descriptor, *, where: str) -> None:
        super().__init__(f"{where}: {desc.digest} was not fetched to its end; pull it again")


class Download:
    """One blob on its way from an upstream into a repository."""

    def __init__(self, source: Source, repository: BuiltinRepository, desc: Descriptor) -> None:
        self.desc = desc
        self._source, self._repository = source, repository
        self._incoming = repository.incoming(desc)
        self._pending: list[bytes] = []  # in memory
        self._writing = anyio.Lock()
        self._broken: RegsyncError | None = None  # the file lacks bytes
        self._arrived = 0  # bytes in the file
        self._is_stored = False
        self._failure: RegsyncError | None = None  # once it is over without being stored
        self._moved = anyio.Event()  # replaced at each step

    async def run(self) -> None:
        """Fetch, check and store it. Raises nothing but cancellation: those who read are told."""
        failure: RegsyncError = DownloadEndedError(self.desc, where=self._source.name)
        try:
            async with self._source.fetch(self.desc) as chunks:
                await self._receive(VerifiedChunks(_small(chunks), self.desc, where=self._source.name))
            await self._repository.keep(self._incoming, self.desc)
            self._is_stored = True
        except RegsyncError as error:
            _log.warning("%s: blob %s is not stored: %s", self._repository.name, self.desc.digest, error)
            failure = error
        except Exception:  # noqa: BLE001 - a defect in one download must not end those of others
            _log.exception("%s: blob %s is not stored", self._repository.name, self.desc.digest)
        finally:
            self._failure = None if self._is_stored else failure
            self._step()
            await self._incoming.close()

    async def _receive(self, chunks: VerifiedChunks) -> None:
        failure: RegsyncError | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._write_in_time)
            try:
                await self._take(chunks)
            except RegsyncError as error:
                failure = error
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure
        await self._write()

    async def _take(self, chunks: VerifiedChunks) -> None:
        async for chunk in chunks:
            self._pending.append(chunk)
            if sum(map(len, self._pending)) >= HOP_SIZE:
                await self._write()

    async def _write_in_time(self) -> None:
        """An upstream that stalls holds back the little that it gave from nobody."""
        while True:
            await anyio.sleep(LATENCY)
            with suppress(RegsyncError), CancelScope(shield=True):
                await self._write()  # if it fails so does every one that comes

    async def _write(self) -> None:
        async with self._writing:
            if self._broken is not None:
                raise self._broken
            pending, self._pending = self._pending, []
            if not pending:
                return
            try:
                await self._incoming.append(pending)
            except RegsyncError as error:
                self._broken = error
                raise
            self._arrived += sum(map(len, pending))
            self._step()

    def _step(self) -> None:
        self._moved.set()
        self._moved = anyio.Event()

    async def begun(self) -> None:
        """Wait until there is something to read; raises why there will be nothing."""
        await self._beyond(0)

    async def read(self, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` up to `end`, as they come; raises why they do not."""
        await self._beyond(start)
        if self._is_stored:
            async with aclosing(stored_bytes(self._repository, self.desc, start, end)) as chunks:
                async for chunk in chunks:
                    yield chunk
        elif self._failure is not None:  # its file is gone
            raise self._failure
        else:
            async with aclosing(self._read(self._incoming.reading(), start, end)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _read(self, reading: Reading, position: int, end: int) -> AsyncGenerator[bytes, None]:
        try:
            while position < end:
                await self._beyond(position)
                chunk = await reading.read(position, min(self._arrived, end, position + READ_SIZE) - position)
                position += len(chunk)
                yield chunk
        finally:
            reading.close()

    async def _beyond(self, position: int) -> None:
        """Wait for bytes behind `position`; raises why there are none, after all that came was read."""
        while self._arrived <= position and not self._is_stored:
            if self._failure is not None:
                raise self._failure
            await self._moved.wait()


async def _small(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same in pieces: the last one waits for its check, and with it all that came in one chunk."""
    async for chunk in chunks:
        for start in range(0, len(chunk), HELD_BACK):
            yield chunk[start : start + HELD_BACK]
