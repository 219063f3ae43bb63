"""A blob that is read by others while it is being written: a file without a name until it is whole.

Whoever reads has the bytes from the file, not from memory: so any number of readers, each at its own
pace, costs no more than the pages that the system caches anyway.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from anyio import CancelScope, CapacityLimiter
from anyio.to_thread import run_sync

from regsync.content.durable import PartFile, storage_errors

MIB = 1024 * 1024
HOP_SIZE = MIB  # bytes read per hop to a worker thread


class Reading:
    """One reader's own handle on the file; good also after the file got its name, or was given up."""

    def __init__(self, fd: int, limiter: CapacityLimiter) -> None:
        self._fd, self._limiter = fd, limiter

    async def read(self, offset: int, size: int) -> bytes:
        """At most HOP_SIZE of `size` bytes from `offset` on; raises StorageError."""
        with storage_errors("parts"):
            count = min(size, HOP_SIZE)
            return await run_sync(os.pread, self._fd, count, offset, limiter=self._limiter)

    def close(self) -> None:
        """Nothing more is read."""
        os.close(self._fd)


class Incoming:
    """The file. Its writer calls `close` at the end, whatever happened."""

    def __init__(self, part: PartFile, final: Path, limiter: CapacityLimiter) -> None:
        self._part, self._final, self._limiter = part, final, limiter
        self._reading: int | None = None

    async def append(self, buffers: Sequence[bytes]) -> None:
        """Write behind what is there; raises StorageError."""
        await self._run(self._part.write, buffers)
        if self._reading is None:
            with storage_errors(self._final.parent):
                self._reading = self._part.duplicate()

    def reading(self) -> Reading:
        """A handle for one more reader, once something was written; raises StorageError."""
        assert self._reading is not None  # noqa: S101 - nobody is told of bytes before there are any
        with storage_errors(self._final.parent):
            return Reading(os.dup(self._reading), self._limiter)

    async def keep(self) -> None:
        """Make it the blob, durably; raises StorageError."""
        await self._run(self._part.keep, self._final)

    async def close(self) -> None:
        """Leave no trace of it, unless it was kept."""
        fd, self._reading = self._reading, None
        if fd is not None:
            with suppress(OSError):
                os.close(fd)
        with CancelScope(shield=True):
            await self._run(self._part.discard)

    async def _run(self, function: Callable[..., None], *arguments: object) -> None:
        await run_sync(function, *arguments, limiter=self._limiter)
