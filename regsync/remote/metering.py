"""Streamed bodies, counted and slowed to the bandwidth, in both directions."""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

from regsync.remote.limits import Limiter


@dataclass(slots=True)
class Traffic:
    """Bytes of streamed bodies so far."""

    received: int = 0
    sent: int = 0


class Received:
    """Chunks that arrive. A class, since a generator that is left half-way lingers until it is collected."""

    __slots__ = ("_chunks", "_limiter", "_traffic")

    def __init__(self, chunks: AsyncIterator[bytes], limiter: Limiter, traffic: Traffic) -> None:
        self._chunks, self._limiter, self._traffic = chunks, limiter, traffic

    def __aiter__(self) -> "Received":
        return self

    async def __anext__(self) -> bytes:
        chunk = await anext(self._chunks)
        self._traffic.received += len(chunk)
        if self._limiter.is_bandwidth_limited:
            await self._limiter.moved(len(chunk))
        return chunk


async def sent(chunks: AsyncIterable[bytes], limiter: Limiter, traffic: Traffic) -> AsyncIterator[bytes]:
    """Chunks that are sent."""
    async for chunk in chunks:
        await limiter.moved(len(chunk))
        traffic.sent += len(chunk)
        yield chunk
