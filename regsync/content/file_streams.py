"""Blobs between asynchronous streams and files, with few hops to worker threads.

A hop costs about 70 µs of CPU, as much as writing 100 KB: so a small blob takes one hop in all,
a large one a hop for each MiB.
"""

import os
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from anyio import CancelScope, CapacityLimiter
from anyio.to_thread import run_sync

from regsync.content.durable import PartFile, storage_errors

MIB = 1024 * 1024
HOP_SIZE = MIB  # bytes written or read per hop


async def write_file(
    chunks: AsyncIterable[bytes], final: Path, *, parts: Path, limiter: CapacityLimiter
) -> None:
    """Write the stream to `final`, visible and durable when all of it has come; else leave nothing.

    Raises StorageError, and whatever `chunks` raises.
    """
    part = PartFile(parts)
    pending: list[bytes] = []
    size = 0
    try:
        async for chunk in chunks:
            pending.append(chunk)
            size += len(chunk)
            if size >= HOP_SIZE:
                await run_sync(part.write, pending, limiter=limiter)
                pending, size = [], 0
        await run_sync(_finish, part, pending, final, limiter=limiter)
    except BaseException:
        with CancelScope(shield=True):
            await run_sync(part.discard, limiter=limiter)
        raise


def _finish(part: PartFile, pending: list[bytes], final: Path) -> None:
    part.write(pending)
    part.keep(final)


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
