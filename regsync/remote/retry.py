"""When to ask again, and how long to wait first.

What may pass by itself is tried again for half a minute, with waits that double and are spread by
chance, or for `max_wait`, if that is shorter; where the registry says when to come back, its word counts
instead, up to `max_wait` in all.
"""

import re

from regsync.clock import Clock
from regsync.remote.errors import RateLimitedError, RegistryError, RegistryFailedError, WaitTooLongError
from regsync.remote.troubles import LONG, Troubles

TOTAL = 30.0  # seconds from the first attempt on in which another may begin
FIRST_PAUSE = 0.5  # seconds, half of it by chance; doubles each time
MAX_PAUSE = 8.0  # seconds
_SECONDS = re.compile(r"\d{1,9}(?:\.\d{0,9})?")


class Attempts:
    """The attempts at one request."""

    __slots__ = (
        "_asked", "_clock", "_failures", "_limit", "_max_wait", "_next", "_started", "_troubles", "_waited",
        "_where",
    )  # fmt: skip

    def __init__(self, where: str, clock: Clock, started: float, max_wait: float, troubles: Troubles) -> None:
        self._where, self._clock, self._started, self._max_wait = where, clock, started, max_wait
        self._troubles = troubles
        self._limit = min(TOTAL, max_wait)  # seconds in which an attempt may begin
        self._failures = 0
        self._asked = 0.0  # seconds waited because the registry said so
        self._waited = 0.0  # seconds waited without its saying so
        self._next = FIRST_PAUSE

    def pause(self, error: RegistryError, *, asked: float | None = None) -> float | None:
        """Seconds to wait before the next attempt; None when there is to be none.

        `asked` is what the registry asked for. Raises WaitTooLongError where that is more than may be
        waited, from `error`. From the second failure on, and when a wait is long, people are told.
        """
        self._failures += 1
        if asked is not None:
            if self._asked + asked > self._max_wait:
                raise WaitTooLongError(self._where, asked, self._max_wait) from error
            self._asked += asked
            if self._failures > 1 or asked > LONG:
                self._troubles.asked_to_wait(error, asked)
            # A little more, so that all who were told the same do not come at the same moment.
            return asked + self._clock.jitter(min(1.0, 0.1 * asked + 0.05))
        pause = self._next / 2 + self._clock.jitter(self._next / 2)
        self._next = min(MAX_PAUSE, self._next * 2)
        spent = max(self._waited, self._clock.monotonic() - self._started - self._asked)
        if spent + pause > self._limit:
            return None
        self._waited += pause
        if self._failures > 1 or spent > LONG:
            self._troubles.retrying(error, self._limit)
        return pause


def read_retry_after(value: str | None, clock: Clock) -> float | None:
    """Seconds that a Retry-After asks for: a number of seconds or an HTTP date; None where unreadable.

    Source: RFC 9110, section 10.2.3.
    """
    if value is None:
        return None
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    return _until(text, clock)


def asked_pause(error: Exception, quota_wait: float | None) -> float | None:
    """The wait that an error asks for, or that a used up quota implies after a 429; None where neither."""
    if isinstance(error, RegistryFailedError):
        return error.retry_after
    if isinstance(error, RateLimitedError):
        return error.retry_after if error.retry_after is not None else quota_wait
    return None


def _until(text: str, clock: Clock) -> float | None:
    from email.utils import parsedate_to_datetime  # imported here: it costs 8 ms, and is rarely needed

    try:
        moment = parsedate_to_datetime(text[:64])
        seconds = (moment - clock.now()).total_seconds()
    except (TypeError, ValueError, OverflowError):
        return None
    return max(0.0, seconds)
