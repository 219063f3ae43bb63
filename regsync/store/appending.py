"""Writing a stream behind what a file has, while the next bytes come.

A hop to a worker thread costs about 70 µs of CPU, so bytes are gathered before one: the more there are at
once, the fewer streams there are that gather.
"""

import os
from collections.abc import AsyncIterable, AsyncIterator
from functools import partial

from anyio import CancelScope, CapacityLimiter
from anyio.to_thread import run_sync

from regsync.content.concurrently import both
from regsync.content.durable import storage_errors
from regsync.oci.digest import Hasher

MIB = 1024 * 1024
GATHERED = 4 * MIB  # bytes that all streams together gather, each at least _LEAST
_MOST, _LEAST = MIB, 64 * 1024  # bytes that one gathers
_APART = 256 * 1024  # bytes from which on two threads are worth a second hop


class Gathering:
    """How many streams gather bytes, and so how many bytes each may."""

    def __init__(self) -> None:
        self._streams = 0

    def __enter__(self) -> None:
        self._streams += 1

    def __exit__(self, *_: object) -> None:
        self._streams -= 1

    @property
    def share(self) -> int:
        """Bytes that one stream gathers before they are written; it holds twice as many."""
        return max(_LEAST, min(_MOST, GATHERED // max(self._streams, 1)))


class Appending:
    """Writes to one file from `offset` on, and hashes what it writes where there is a hasher."""

    def __init__(self, fd: int, offset: int, hasher: Hasher | None, limiter: CapacityLimiter) -> None:
        self._fd, self.offset, self.hasher, self._limiter = fd, offset, hasher, limiter

    async def take(self, chunks: AsyncIterable[bytes], gathering: Gathering) -> None:
        """Write all of the stream; what came is written also when it breaks off, which is raised then."""
        with gathering:
            batches = _Batches(chunks, gathering)
            batch = await batches.next()
            while batch:
                if batches.is_over:
                    with CancelScope(shield=True):
                        await self._run(batch)
                    break
                batch, _ = await both(batches.next, partial(self._run, batch))
        if batches.failure is not None:
            raise batches.failure

    async def _run(self, batch: list[bytes]) -> None:
        """Write and hash: at the same time where there are so many bytes that it pays."""
        if self.hasher is None or sum(map(len, batch)) < _APART:
            await run_sync(self._write_and_hash, batch, limiter=self._limiter)
            return
        hasher, self.hasher = self.hasher, None  # it knows more than the file holds when writing fails
        await both(
            lambda: run_sync(self._write, batch, limiter=self._limiter),
            lambda: run_sync(_hash, hasher, batch, limiter=self._limiter),
        )
        self.hasher = hasher

    def _write_and_hash(self, batch: list[bytes]) -> None:
        hasher, self.hasher = self.hasher, None
        self._write(batch)
        if hasher is not None:
            _hash(hasher, batch)
        self.hasher = hasher

    def _write(self, batch: list[bytes]) -> None:
        with storage_errors("uploads"):
            for buffer in batch:
                rest = memoryview(buffer)
                while rest:
                    count = os.pwrite(self._fd, rest, self.offset)
                    self.offset += count
                    rest = rest[count:]


def _hash(hasher: Hasher, batch: list[bytes]) -> None:
    for buffer in batch:
        hasher.update(buffer)


class _Batches:
    """The stream's chunks, as many together as there is room for. `failure` is what broke it off."""

    def __init__(self, chunks: AsyncIterable[bytes], gathering: Gathering) -> None:
        self._chunks: AsyncIterator[bytes] = aiter(chunks)
        self._gathering = gathering
        self.failure: Exception | None = None
        self.is_over = False

    async def next(self) -> list[bytes]:
        """What comes next; empty at the end."""
        batch: list[bytes] = []
        size = 0
        try:
            while size < self._gathering.share:
                chunk = await anext(self._chunks)
                batch.append(chunk)
                size += len(chunk)
        except StopAsyncIteration:
            self.is_over = True
        except Exception as error:  # noqa: BLE001 - raised again when what came before it is written
            self.failure, self.is_over = error, True
        return batch
