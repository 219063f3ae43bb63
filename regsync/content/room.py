"""How much may be in memory at once, whoever holds it."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio


class Room:
    """So many bytes for all who share it; who finds it full waits, in the order of coming.

    Nobody may wait for more room while holding some: two who did would wait for each other.
    """

    def __init__(self, size: int) -> None:
        self.size, self._held = size, 0
        self._waiting: deque[tuple[int, anyio.Event]] = deque()

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """Have room for `size` bytes; for more than there is at all, have all of it."""
        size = min(size, self.size)
        await self._enter(size)
        try:
            yield
        finally:
            self._leave(size)

    async def _enter(self, size: int) -> None:
        if not self._waiting and self._held + size <= self.size:
            self._held += size
            return
        entry = (size, anyio.Event())
        self._waiting.append(entry)
        try:
            await entry[1].wait()
        except BaseException:
            if entry[1].is_set():  # let in, and cancelled at the same moment
                self._leave(size)
            else:
                self._waiting.remove(entry)
                self._let_in()
            raise

    def _leave(self, size: int) -> None:
        self._held -= size
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._held + self._waiting[0][0] <= self.size:
            size, event = self._waiting.popleft()
            self._held += size
            event.set()
