"""A body on its way out: iterated in the task that sends it, whatever the HTTP library does.

pyreqwest iterates a body in tasks of its own, which it forgets when the request is cancelled; a body
that waits for its source would then wait for ever. So the source is iterated by us, and the library
takes chunks from a feed, which ends or breaks as we say.
"""

from collections.abc import AsyncIterable, Awaitable, Callable, Generator
from types import coroutine
from typing import Any, Protocol, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from regsync.remote.errors import RegistryTimeoutError

TAKE_TIMEOUT = 90.0  # seconds in which the registry has to take a chunk
BREAK_TIMEOUT = 5.0  # seconds in which the library has to notice that a body broke off
ANSWER_TIMEOUT = 300.0  # seconds in which it has to answer once it has all; some hash the blob then


class Closes(Protocol):
    """What has to be closed once it is not wanted."""

    async def close(self) -> None:
        """Close it."""
        ...


Result = TypeVar("Result", bound=Closes)


class AbortedError(Exception):
    """Breaks off the request whose body this is; never leaves this module."""


class Feed:
    """What the library iterates: one chunk is ahead of it at most."""

    def __init__(self) -> None:
        self._chunk: bytes | None = None
        self._is_complete = self._is_closed = False
        self._changed = anyio.Event()

    def __aiter__(self) -> "Feed":
        return self

    def __anext__(self) -> Awaitable[bytes]:
        # Called in a thread of the library, and what it gives is not always awaited when a request is
        # given up. A coroutine would complain of that on stderr; one made of a generator does not.
        return self._next()

    @coroutine
    def _next(self) -> Generator[Any, Any, bytes]:
        return (yield from self._take().__await__())

    async def _take(self) -> bytes:
        while self._chunk is None:
            if self._is_complete:
                raise StopAsyncIteration
            if self._is_closed:
                raise AbortedError
            await self._changed.wait()
        chunk, self._chunk = self._chunk, None
        self._change()
        return chunk

    async def put(self, chunk: bytes) -> None:
        """Hand over a chunk once there is room."""
        while self._chunk is not None:
            await self._changed.wait()
        self._chunk = chunk
        self._change()

    def complete(self) -> None:
        """That was all."""
        self._is_complete = True
        self._change()

    def close(self) -> None:
        """Break off, unless it is complete."""
        self._is_closed = True
        self._change()

    def _change(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()


async def send_while(
    content: AsyncIterable[bytes],
    start: Callable[[Feed], Awaitable[Result]],
    *,
    is_final: Callable[[Result], bool],
    where: str,
) -> Result:
    """Call `start` with a feed of `content`, and return its result once that counts.

    A result that `is_final` counts at once, the rest of the body is not sent; another when all is
    sent. Raises what iterating `content` raises, what `start` raises, and RegistryTimeoutError.
    """
    feed = Feed()
    sender = _Sender(content, feed)
    result: Result | None = None
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(sender.run, group.cancel_scope)
            try:
                result = await start(feed)
            except Exception as error:  # noqa: BLE001 - raised below, outside the group, as it is
                sender.failed(error)
                group.cancel_scope.cancel()
            else:
                sender.answered(group.cancel_scope)
                if is_final(result):
                    group.cancel_scope.cancel()
        if sender.error is not None:
            raise sender.error
        if result is None or sender.is_stuck:
            raise RegistryTimeoutError(f"{where}: timed out: nothing came for {sender.patience:.0f} s")
    except BaseException:
        if result is not None:
            with anyio.CancelScope(shield=True):
                await result.close()
        raise
    finally:
        feed.close()
    return result


class _Sender:
    """Moves a body into its feed. Errors are kept, so that they leave the task group as they are."""

    def __init__(self, content: AsyncIterable[bytes], feed: Feed) -> None:
        self._content, self._feed = content, feed
        self._is_answered = False
        self.error: Exception | None = None
        self.is_stuck = False
        self.patience = TAKE_TIMEOUT  # seconds that the registry has for the next thing

    async def run(self, scope: anyio.CancelScope) -> None:
        """Move all of it, then give the registry time to answer."""
        try:
            async for chunk in self._content:
                if chunk:
                    await self._hand_over(chunk, scope)
        except Exception as error:  # noqa: BLE001 - whatever a source raises ends the request
            self.failed(error)
            self._feed.close()
            scope.deadline = anyio.current_time() + BREAK_TIMEOUT
            return
        self._feed.complete()
        self.patience = ANSWER_TIMEOUT
        if not self._is_answered:
            scope.deadline = anyio.current_time() + ANSWER_TIMEOUT

    def failed(self, error: Exception) -> None:
        """The first error counts: others follow from it."""
        if self.error is None and not isinstance(error, AbortedError):
            self.error = error

    def answered(self, scope: anyio.CancelScope) -> None:
        """The registry has answered."""
        self._is_answered = True
        scope.deadline = float("inf")

    async def _hand_over(self, chunk: bytes, scope: anyio.CancelScope) -> None:
        with anyio.move_on_after(TAKE_TIMEOUT) as limit:
            await self._feed.put(chunk)
        if limit.cancelled_caught:
            self.is_stuck = True
            scope.cancel()
            await checkpoint()
