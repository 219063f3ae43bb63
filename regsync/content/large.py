"""Long streams take turns, so that many large layers at once cost bounded memory.

Each stream holds some megabytes in buffers on both of its sides. One that its destination holds up
gives its place to others: a stalled target must hold back no other (DESIGN.md, section 6, rule 3).
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
from anyio import CancelScope
from anyio.abc import TaskGroup

from regsync.content.turns import Turns

MIB = 1024 * 1024
LARGE = 16 * MIB  # bytes; shorter blobs do not take turns
AT_ONCE = 4  # streams of large blobs; one to several destinations counts as more
PATIENCE = 10.0  # seconds between two looks at a stream
LEAST_PROGRESS = MIB  # bytes in that time


async def _patience() -> None:
    await anyio.sleep(PATIENCE)


class LargeStreams:
    """The places for large blobs of one run."""

    def __init__(
        self, *, at_once: int = AT_ONCE, patience: Callable[[], Awaitable[None]] = _patience
    ) -> None:
        self._places = anyio.CapacityLimiter(at_once)
        self._queue = anyio.Lock()  # one stream takes all of its places before the next takes any
        self._patience = patience

    @asynccontextmanager
    async def place(self, group: TaskGroup, turns: Turns, destinations: int) -> AsyncIterator[None]:
        """Wait for room for a stream to so many destinations, and keep it while the stream moves."""
        held: list[object] = []
        watching = CancelScope()
        try:
            async with self._queue:
                for _ in range(min((destinations + 1) // 2, int(self._places.total_tokens))):
                    place = object()
                    await self._places.acquire_on_behalf_of(place)
                    held.append(place)
            group.start_soon(self._watch, watching, turns, held)
            yield
        finally:
            watching.cancel()
            self._give_back(held)

    async def _watch(self, watching: CancelScope, turns: Turns, held: list[object]) -> None:
        """Give the places back once the stream hardly moves although its origin is not waited for."""
        with watching:
            before = turns.moved
            while True:
                await self._patience()
                if turns.moved - before < LEAST_PROGRESS and not turns.at_origin:
                    self._give_back(held)
                    return
                before = turns.moved

    def _give_back(self, held: list[object]) -> None:
        while held:
            self._places.release_on_behalf_of(held.pop())
