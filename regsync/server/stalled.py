"""Clients that stop sending: their requests end, so that nothing is held for them for ever."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from anyio import sleep

from regsync.clock import Clock
from regsync.server.message import Body, BodyTooLargeError, Request

PATIENCE = 60.0  # seconds in which a body has to bring PROGRESS, unless a spec says otherwise
PROGRESS = 16 * 1024  # bytes
LOOK_EVERY = 5.0  # seconds


@dataclass(eq=False, slots=True)
class _Open:
    body: Body
    since: float  # seconds, on the clock's monotonic
    received: int = 0  # bytes by then


class Bodies:
    """The requests whose bodies are being read.

    They are looked at every few seconds: a timeout for each chunk of a blob would cost more.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: set[_Open] = set()
        self.patience = PATIENCE
        self.limit: int | None = None  # bytes of one body

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def reading(self, request: Request) -> Iterator[None]:
        """While inside, the request's body is watched. Raises BodyTooLargeError for what it says to be."""
        if self.limit is not None and (request.content_length or 0) > self.limit:
            raise BodyTooLargeError(self.limit)
        request.body.limit = self.limit
        one = _Open(request.body, self._clock.monotonic())
        self._open.add(one)
        try:
            yield
        finally:
            self._open.discard(one)

    async def watch(self) -> None:
        """Look for stalled bodies for ever."""
        while True:
            await sleep(min(LOOK_EVERY, self.patience))
            self.look()

    def look(self) -> None:
        """End what has stalled. A body that waits for us, not for its client, has not."""
        now = self._clock.monotonic()
        for one in self._open:
            if not one.body.waiting or one.body.received - one.received >= PROGRESS:
                one.since, one.received = now, one.body.received
            elif now - one.since >= self.patience:
                one.body.end()

    def end(self) -> None:
        """End all: the process ends, and uploads shall keep what came."""
        for one in self._open:
            one.body.end()
