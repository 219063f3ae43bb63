"""Not going faster than told: requests per second, bytes per second."""

from regsync.clock import Clock

_BURST = 0.25  # seconds' worth of requests that may go at once after a pause
_MAX_CREDIT = 0.25  # seconds' worth of bytes that may go at once after a pause


class RequestPace:
    """A token bucket for requests: each takes a turn, and is told how long to wait for it."""

    def __init__(self, per_second: float, clock: Clock) -> None:
        self._clock = clock
        self._interval = 1.0 / per_second
        self._slack = max(0.0, _BURST - self._interval)
        self._next = clock.monotonic()

    def take(self) -> float:
        """Take the next turn; seconds to wait for it."""
        now = self._clock.monotonic()
        self._next = max(self._next, now)
        wait = max(0.0, self._next - self._slack - now)
        self._next += self._interval
        return wait


class Bandwidth:
    """Bytes per second, both directions together: who moved some is told how long to pause."""

    def __init__(self, per_second: int, clock: Clock) -> None:
        self._clock, self._per_second = clock, per_second
        self._free_at = clock.monotonic()

    def spend(self, count: int) -> float:
        """Account for `count` bytes; seconds to pause before moving more."""
        now = self._clock.monotonic()
        self._free_at = max(self._free_at, now - _MAX_CREDIT) + count / self._per_second
        return max(0.0, self._free_at - now)
