"""Whose turn it is: a stream that waits for its origin is told apart from one that its reader holds up."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from regsync.content.protocol import Chunks, ResumesFetch
from regsync.oci.descriptor import Descriptor


class Turns:
    """What streams of one blob do at the moment."""

    __slots__ = ("at_origin", "moved")

    def __init__(self) -> None:
        self.moved = 0  # bytes that came, from any origin
        self.at_origin = 0  # streams that wait for their origin, not for their reader

    @contextmanager
    def of_origin(self) -> Iterator[None]:
        """While this lasts it is the origin that is waited for."""
        self.at_origin += 1
        try:
            yield
        finally:
            self.at_origin -= 1


class _TimedChunks:
    def __init__(self, chunks: AsyncIterator[bytes], turns: Turns) -> None:
        self._chunks, self._turns = chunks, turns

    def __aiter__(self) -> "_TimedChunks":
        return self

    async def __anext__(self) -> bytes:
        turns = self._turns
        turns.at_origin += 1
        try:
            chunk = await anext(self._chunks)
        finally:
            turns.at_origin -= 1
        turns.moved += len(chunk)
        return chunk


@asynccontextmanager
async def timed(chunks: Chunks, turns: Turns) -> AsyncIterator[AsyncIterator[bytes]]:
    """`chunks`, noted in `turns` while they are opened and flow."""
    async with AsyncExitStack() as stack:
        with turns.of_origin():
            inner = await stack.enter_async_context(chunks)
        yield _TimedChunks(inner, turns)


class Timed:
    """An origin that is read from an offset, noted in `turns`."""

    def __init__(self, origin: ResumesFetch, turns: Turns) -> None:
        self._origin, self._turns = origin, turns

    def fetch_from(self, desc: Descriptor, offset: int) -> Chunks:
        """As the origin's own."""
        return timed(self._origin.fetch_from(desc, offset), self._turns)
