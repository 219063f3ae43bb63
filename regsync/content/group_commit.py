"""Concurrent changes that are made durable together: one sync for all that wait, not one each."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from anyio import CancelScope, CapacityLimiter, Lock, get_cancelled_exc_class
from anyio.to_thread import run_sync

Change = TypeVar("Change")
Result = TypeVar("Result")


class GroupCommit(Generic[Change, Result]):
    """Runs `commit` in a worker thread, never twice at once, on everything that gathered meanwhile.

    `commit` gives for each change, in order, its result or the exception that it failed with; a
    failing change must not fail its neighbours. When `commit` itself raises, all of them fail. At most
    `at_most` changes are committed at once.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Change]], Sequence[Result | Exception]],
        *,
        at_most: int | None = None,
    ) -> None:
        self._commit, self._at_most = commit, at_most
        self._turn = Lock(fast_acquire=True)
        self._waiting: list[_Entry[Change, Result]] = []
        self._limiter = CapacityLimiter(1)  # its own, so that no reader's thread is waited for

    async def submit(self, change: Change) -> Result:
        """Have `change` made; returns when it is durable.

        A caller that is cancelled before its change was taken up leaves nothing; later, the change is
        first finished.
        """
        entry = _Entry[Change, Result](change)
        self._waiting.append(entry)
        try:
            async with self._turn:
                while not entry.settled:
                    await self._lead()
        except get_cancelled_exc_class():
            if entry in self._waiting:
                self._waiting.remove(entry)
            elif not entry.settled:
                with CancelScope(shield=True):
                    async with self._turn:
                        pass
            raise
        return entry.outcome()

    async def _lead(self) -> None:
        batch = self._waiting[: self._at_most]
        del self._waiting[: self._at_most]
        try:
            with CancelScope(shield=True):
                outcomes = await run_sync(self._commit, [one.change for one in batch], limiter=self._limiter)
        except Exception as cause:  # noqa: BLE001 - handed to everyone in the batch, this caller included
            outcomes = [cause] * len(batch)
        for one, outcome in zip(batch, outcomes, strict=True):
            one.settle(outcome)


class _Entry(Generic[Change, Result]):
    __slots__ = ("_outcome", "change", "settled")

    def __init__(self, change: Change) -> None:
        self.change = change
        self.settled = False
        self._outcome: Result | Exception | None = None

    def settle(self, outcome: Result | Exception) -> None:
        self.settled, self._outcome = True, outcome

    def outcome(self) -> Result:
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome  # type: ignore[return-value]  # settled: it is a Result
