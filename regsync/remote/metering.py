"""Streamed bodies slowed to the bandwidth, in both directions; untouched where none is set."""

from collections.abc import AsyncIterable, AsyncIterator

from regsync.remote.limits import Limiter


def received(chunks: AsyncIterator[bytes], limiter: Limiter) -> AsyncIterator[bytes]:
    """Chunks that arrive."""
    return _Received(chunks, limiter) if limiter.is_bandwidth_limited else chunks


class _Received:
    """A class, since a generator that is left half-way lingers until it is collected."""

    __slots__ = ("_chunks", "_limiter")

    def __init__(self, chunks: AsyncIterator[bytes], limiter: Limiter) -> None:
        self._chunks, self._limiter = chunks, limiter

    def __aiter__(self) -> "_Received":
        return self

    async def __anext__(self) -> bytes:
        chunk = await anext(self._chunks)
        await self._limiter.moved(len(chunk))
        return chunk


def sent(chunks: AsyncIterable[bytes], limiter: Limiter) -> AsyncIterable[bytes]:
    """Chunks that are sent."""
    return _sent(chunks, limiter) if limiter.is_bandwidth_limited else chunks


async def _sent(chunks: AsyncIterable[bytes], limiter: Limiter) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        await limiter.moved(len(chunk))
        yield chunk
