"""One stream to several consumers, none of which holds back another.

The reader goes at the pace of the fastest consumer. One that falls too far behind leaves the stream,
and takes the blob later from where it has been committed (DESIGN.md, section 6, rule 3).
"""

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Sequence

import anyio

from regsync.content.errors import ContentError

MIB = 1024 * 1024
MAX_LAG = 64 * MIB  # bytes that one consumer may be behind
WINDOW = 4 * MIB  # bytes that the fastest may be behind before the reader waits
MAX_BUFFERED = 48 * MIB  # bytes that all streams of a run may hold


class FellBehindError(ContentError):
    """This consumer was too slow for the stream and has to take the blob from elsewhere."""


class Budget:
    """Bytes that are held for slow consumers, over all streams of a run."""

    def __init__(self, limit: int = MAX_BUFFERED) -> None:
        self.limit, self.held = limit, 0

    @property
    def is_spent(self) -> bool:
        """Whether the furthest behind has to leave."""
        return self.held > self.limit


class Signal:
    """Wakes who waits, however often it is set before that."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def set(self) -> None:
        """Wake the waiter, or let the next wait return at once."""
        self._event.set()

    async def wait(self) -> None:
        """Wait until it was set since the last wait."""
        await self._event.wait()
        self._event = anyio.Event()


class Branch:
    """One consumer's end of the stream."""

    def __init__(self) -> None:
        self.lag = 0  # bytes that wait here
        self.taken = Signal()  # the consumer took something, or stopped; shared within one stream
        self._chunks: deque[bytes] = deque()
        self._ready = Signal()
        self._ended = False
        self._error: BaseException | None = None

    @property
    def is_open(self) -> bool:
        """Whether chunks are still wanted."""
        return not self._ended and self._error is None

    def put(self, chunk: bytes) -> None:
        """Give a chunk."""
        self._chunks.append(chunk)
        self.lag += len(chunk)
        self._ready.set()

    def end(self, error: BaseException | None = None) -> None:
        """No more chunks; after an error those that wait are dropped."""
        if not self.is_open:
            return
        self._error, self._ended = error, True
        if error is not None:
            self.drop()
        self._ready.set()

    def drop(self) -> None:
        """The consumer takes nothing more."""
        self._ended = True
        self._chunks.clear()
        self.lag = 0
        self.taken.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            if self._chunks:
                chunk = self._chunks.popleft()
                self.lag -= len(chunk)
                self.taken.set()
                yield chunk
            elif self._error is not None:
                raise self._error
            elif self._ended:
                return
            else:
                await self._ready.wait()


async def fan_out(
    chunks: AsyncIterable[bytes], branches: Sequence[Branch], *, budget: Budget, where: str
) -> None:
    """Feed every branch from `chunks`, to its end or until no branch wants more.

    An error of `chunks` is given to every branch and not raised.
    """
    held = 0
    taken = Signal()
    for branch in branches:
        branch.taken = taken
    try:
        async for chunk in chunks:
            if not await _has_room(branches, taken):
                return
            for branch in branches:
                if branch.is_open:
                    branch.put(chunk)
            lag = max(branch.lag for branch in branches)
            budget.held += lag - held
            held = lag
            _shed(branches, budget, where)
        for branch in branches:
            branch.end()
    except Exception as error:  # noqa: BLE001 - each consumer raises it
        for branch in branches:
            branch.end(error)
    finally:
        budget.held -= held
        for branch in branches:
            branch.end(FellBehindError(f"{where}: the stream was given up"))


async def _has_room(branches: Sequence[Branch], taken: Signal) -> bool:
    """Wait until the fastest open branch has room; False when none is open."""
    while live := [branch for branch in branches if branch.is_open]:
        if min(branch.lag for branch in live) < WINDOW:
            return True
        await taken.wait()
    return False


def _shed(branches: Sequence[Branch], budget: Budget, where: str) -> None:
    live = [branch for branch in branches if branch.is_open]
    if len(live) < 2:
        return
    slowest = max(live, key=lambda branch: branch.lag)
    if slowest.lag > MAX_LAG or (budget.is_spent and slowest.lag > 2 * WINDOW):
        slowest.end(FellBehindError(f"{where}: {slowest.lag} bytes behind the fastest target"))
