"""Clients that stop sending: their requests end, so that nothing is held for them for ever."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from anyio import CancelScope, sleep

from regsync.clock import Clock
from regsync.server.failures import ApiError
from regsync.server.message import Body

PATIENCE = 60.0  # seconds in which a body has to bring PROGRESS, unless a spec says otherwise
PROGRESS = 16 * 1024  # bytes
LOOK_EVERY = 5.0  # seconds


@dataclass(eq=False, slots=True)
class _Open:
    body: Body
    since: float  # seconds, on the clock's monotonic
    received: int = 0  # bytes by then
    scope: CancelScope = field(default_factory=CancelScope)


class Bodies:
    """The requests whose bodies are being read.

    They are looked at every few seconds: a timeout for each chunk of a blob would cost more than its
    way from the socket to the file.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.patience = PATIENCE
        self._open: set[_Open] = set()

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def reading(self, body: Body) -> Iterator[None]:
        """While inside, a body that stalls ends the work, which then raises ApiError (408)."""
        one = _Open(body, self._clock.monotonic())
        self._open.add(one)
        try:
            with one.scope:
                yield
        finally:
            self._open.discard(one)
        if one.scope.cancelled_caught:
            raise ApiError(
                408,
                "BLOB_UPLOAD_INVALID",
                f"{body.received} bytes of the body came, then too little for {self.patience:.0f} s; "
                "what came is kept where an upload can go on",
            )

    async def watch(self) -> None:
        """Look for stalled bodies for ever."""
        while True:
            await sleep(LOOK_EVERY)
            self.look()

    def look(self) -> None:
        """End what has stalled. A body that waits for us, not for its client, has not."""
        now = self._clock.monotonic()
        for one in self._open:
            if not one.body.waiting or one.body.received - one.received >= PROGRESS:
                one.since, one.received = now, one.body.received
            elif now - one.since >= self.patience:
                one.scope.cancel()
