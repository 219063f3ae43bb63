"""One stream to several consumers, none of which holds back another.

The reader goes at the pace of the fastest consumer, but for a share of its time in which it lets the
others catch up. One that falls too far behind all the same leaves the stream, and takes the blob later
from where it has been committed (DESIGN.md, section 6, rule 3).
"""

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Sequence

import anyio

from regsync.content.errors import ContentError

MIB = 1024 * 1024
MAX_LAG = 64 * MIB  # bytes that one consumer may be behind
WINDOW = MIB  # bytes that the fastest may be behind before the reader waits
NEAR = 4 * MIB  # bytes that one may be behind the fastest before the reader waits for it
SHARE = 0.25  # of a stream's time that the reader waits so
MAX_BUFFERED = 48 * MIB  # bytes that all streams of a run may hold
LEAST_LAG = MIB  # bytes that a consumer may be behind however much is held


class FellBehindError(ContentError):
    """This consumer was too slow for the stream and has to take the blob from elsewhere."""


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
        self.gone = False  # it left before it had everything
        self.fork: Fork | None = None  # of which stream
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
        self._ended = True
        if error is not None:
            self.give_up(error)
        self._ready.set()

    def give_up(self, error: BaseException) -> None:
        """The consumer gets `error` instead of what waits here."""
        self._error, self.gone = error, True
        self.drop()
        self._ready.set()

    def drop(self) -> None:
        """The consumer takes nothing more."""
        self.gone = self.gone or not self._ended or self.lag > 0
        self._ended = True
        self._chunks.clear()
        self._took(self.lag)

    def _took(self, count: int) -> None:
        self.lag -= count
        if self.fork is not None:
            self.fork.settle()
            self.fork.taken.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            if self._chunks:
                chunk = self._chunks.popleft()
                self._took(len(chunk))
                yield chunk
            elif self._error is not None:
                raise self._error
            elif self._ended:
                return
            else:
                await self._ready.wait()


class Fork:
    """The branches of one stream. A chunk is held once, until the last of them took it."""

    def __init__(self, branches: Sequence[Branch], budget: "Budget", *, where: str) -> None:
        self.branches, self.where = branches, where
        self.taken = Signal()  # a consumer took something, or stopped
        self._budget, self._held = budget, 0
        self._began, self._waited = anyio.current_time(), 0.0
        for branch in branches:
            branch.fork = self

    @property
    def is_wanted(self) -> bool:
        """Whether any branch is open."""
        return any(branch.is_open for branch in self.branches)

    @property
    def lead(self) -> int:
        """Bytes that wait for the fastest."""
        return min((one.lag for one in self.branches if not one.gone), default=0)

    def settle(self) -> None:
        """Tell the budget what is held now."""
        held = max(branch.lag for branch in self.branches)
        self._budget.change(self, held - self._held)
        self._held = held

    def slowest(self) -> tuple[int, Branch]:
        """The branch that is furthest behind, and by how many bytes behind the fastest."""
        slowest = max(self.branches, key=lambda branch: branch.lag)
        return slowest.lag - self.lead, slowest

    def shed(self, branch: Branch) -> None:
        """A branch leaves the stream."""
        branch.give_up(FellBehindError(f"{self.where}: {branch.lag} bytes behind the fastest target"))

    async def has_room(self) -> bool:
        """Wait until the fastest open branch has room; False when none is open."""
        while self.is_wanted:
            # When too much is held already, a stream holds one chunk.
            if self.lead < (1 if self._budget.is_spent else WINDOW):
                await self._wait_for_slowest()
                return True
            await self.taken.wait()
        return False

    async def _wait_for_slowest(self) -> None:
        """Keep the branches together while that costs little: it spares memory, and reading again."""
        while self.slowest()[0] > NEAR:
            now = anyio.current_time()
            left = SHARE * (now - self._began) - self._waited
            if left <= 0:
                return
            with anyio.move_on_after(left):
                await self.taken.wait()
            self._waited += anyio.current_time() - now


class Budget:
    """Bytes that are held for slow consumers, over all streams of a run, ended ones included."""

    def __init__(self, limit: int = MAX_BUFFERED) -> None:
        self.limit, self.held = limit, 0
        self._forks: dict[Fork, int] = {}  # those that hold anything, and how much

    @property
    def is_spent(self) -> bool:
        """Whether the furthest behind has to leave."""
        return self.held > self.limit

    def change(self, fork: Fork, by: int) -> None:
        """A stream holds more, or less."""
        self.held += by
        self._forks[fork] = self._forks.get(fork, 0) + by
        if self._forks[fork] == 0:
            del self._forks[fork]

    def enforce(self) -> None:
        """Let those furthest behind leave, of whichever stream, until enough is free."""
        while self.is_spent:
            behind, fork, branch = self._furthest()
            if behind < LEAST_LAG:
                return
            fork.shed(branch)

    def _furthest(self) -> tuple[int, Fork, Branch]:
        found = [(behind, fork, branch) for fork in self._forks for behind, branch in (fork.slowest(),)]
        return max(found, key=lambda entry: entry[0])


async def fan_out(
    chunks: AsyncIterable[bytes], branches: Sequence[Branch], *, budget: Budget, where: str
) -> None:
    """Feed every branch from `chunks`, to its end or until no branch wants more.

    Returns when the last chunk was given, not when it was taken. An error of `chunks` is given to
    every branch and not raised.
    """
    fork = Fork(branches, budget, where=where)
    try:
        async for chunk in chunks:
            if not await fork.has_room():
                return
            for branch in branches:
                if branch.is_open:
                    branch.put(chunk)
            fork.settle()
            behind, slowest = fork.slowest()
            if behind > MAX_LAG:
                fork.shed(slowest)
            budget.enforce()
        for branch in branches:
            branch.end()
    except Exception as error:  # noqa: BLE001 - each consumer raises it
        for branch in branches:
            branch.end(error)
    finally:
        for branch in branches:
            branch.end(FellBehindError(f"{where}: the stream was given up"))
