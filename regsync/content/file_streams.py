"""Blobs between asynchronous streams and files, with few hops to worker threads.

A hop costs about 70 µs of CPU, as much as writing 100 KB. So a large blob takes a hop for each MiB, and
small ones go together: those that wait at the same time are written, synced and renamed in one hop.
"""

import os
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Self

from anyio import CancelScope, CapacityLimiter
from anyio.to_thread import run_sync

from regsync.content.durable import PartFile, WholeFile, storage_errors, write_all_durably
from regsync.content.group_commit import GroupCommit
from regsync.oci.digest import Digest

MIB = 1024 * 1024
HOP_SIZE = MIB  # bytes written or read per hop
_LANES = 4  # groups of small files at once: their syncs overlap, and few threads fight for the interpreter
_TOGETHER = 32  # files of one group


class BlobWriter:
    """Writes blobs below one directory, each visible and durable when all of it has come."""

    def __init__(self, parts: Path, limiter: CapacityLimiter) -> None:
        self._parts, self._limiter = parts, limiter
        together = partial(write_all_durably, parts=parts)
        self._lanes = [GroupCommit[WholeFile, None](together, at_most=_TOGETHER) for _ in range(_LANES)]

    async def write(self, digest: Digest, chunks: AsyncIterable[bytes], final: Path) -> None:
        """Write the stream to `final`; leave nothing when that fails or is cancelled.

        Raises StorageError, and whatever `chunks` raises.
        """
        part = PartFile(self._parts)
        pending: list[bytes] = []
        size = 0
        try:
            async for chunk in chunks:
                pending.append(chunk)
                size += len(chunk)
                if size >= HOP_SIZE:
                    await self._run(part.write, pending)
                    pending, size = [], 0
            if not part.is_begun:
                lane = self._lanes[int(digest.encoded[:4], 16) % _LANES]
                await lane.submit(WholeFile(final, pending))
                return
            await self._run(part.write, pending)
            await self._run(part.keep, final)
        except BaseException:
            with CancelScope(shield=True):
                await self._run(part.discard)
            raise

    async def _run(self, function: Callable[..., None], *arguments: object) -> None:
        await run_sync(function, *arguments, limiter=self._limiter)


@asynccontextmanager
async def read_file(
    opened: Callable[[], int], *, where: str, offset: int, limiter: CapacityLimiter
) -> AsyncIterator[AsyncIterator[bytes]]:
    """Stream a file from `offset` on; `opened` gives its descriptor or raises, on entering.

    `where` names the file in errors.
    """
    stream = _FileChunks(where, offset, limiter)
    await run_sync(stream.start, opened, limiter=limiter)
    try:
        yield stream
    finally:
        stream.close()


class _FileChunks:
    """The file's bytes; all of them at once when they are few."""

    def __init__(self, where: str, offset: int, limiter: CapacityLimiter) -> None:
        self._where, self._offset, self._limiter = where, offset, limiter
        self._fd: int | None = None
        self._first: bytes | None = None

    def start(self, opened: Callable[[], int]) -> None:
        self._fd = opened()
        try:
            self._first = self._read()
        except BaseException:
            self.close()
            raise
        if len(self._first) < HOP_SIZE:
            self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        chunk, self._first = self._first, None
        if chunk is None and self._fd is not None:
            chunk = await run_sync(self._read, limiter=self._limiter)
        if not chunk:
            raise StopAsyncIteration
        return chunk

    def _read(self) -> bytes:
        if self._fd is None:
            return b""
        with storage_errors(self._where):
            chunk = os.pread(self._fd, HOP_SIZE, self._offset)
        self._offset += len(chunk)
        return chunk

    def close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)
