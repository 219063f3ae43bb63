"""Quotas that registries announce in their answers' headers, and what of them is left.

`RateLimit-Limit: 100;w=21600` and `RateLimit-Remaining: 76;w=21600` (Docker Hub), the same with
several policies, and `x-ratelimit-…` (GHCR). Source: draft-polli-ratelimit-headers-02; Docker's
"Pull usage and limits"; REGISTRIES.md, 2.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from regsync.clock import Clock
from regsync.remote.request import Headers

_MAX_POLICIES = 16
_MAX_SECONDS = 31 * 24 * 3600.0  # of a window or a reset; more is a date, or nonsense
_ITEM = re.compile(r"\s*(\d{1,12})\s*((?:;[^,]*)?)")
_WINDOW = re.compile(r';\s*w\s*=\s*"?(\d{1,9})')


@dataclass(frozen=True, slots=True)
class Quota:
    """One policy. Times are seconds; None is not said."""

    remaining: int
    limit: int | None = None
    window: float | None = None
    reset: float | None = None

    @property
    def wait(self) -> float | None:
        """How long until there is certainly more, at the latest."""
        return self.reset if self.reset is not None else self.window


def read_quota(headers: Headers, *, now: float) -> Quota | None:
    """The policy of which the least is left; `now` is the time in seconds since 1970.

    What cannot be read is taken as not said; never raises.
    """
    for prefix in ("ratelimit-", "x-ratelimit-"):
        remaining = list(_items(headers.all(prefix + "remaining")))
        if not remaining:
            continue
        limits = list(_items(headers.all(prefix + "limit")))
        reset = _reset(headers.get(prefix + "reset"), now)
        found = [_policy(left, window, limits, reset) for left, window in remaining]
        return min(found, key=lambda quota: quota.remaining / max(quota.limit or quota.remaining or 1, 1))
    return None


class QuotaKeeper:
    """What is left of a quota: as last announced, less what was sent since.

    `reserve` is the percentage that is left to people.
    """

    def __init__(self, reserve: int, clock: Clock) -> None:
        self._reserve, self._clock = reserve, clock
        self._quota: Quota | None = None
        self._left = 0
        self._until = 0.0  # on the monotonic clock; what is known is stale from then on
        self._under_way = 0

    @property
    def known(self) -> Quota | None:
        """The quota as last announced, unless it has run out since."""
        if self._quota is not None and self._until <= self._clock.monotonic():
            self._quota = None
        return self._quota

    @property
    def left(self) -> int:
        """What is left, less what was sent since it was announced; means nothing where none is known."""
        return max(self._left, 0)

    def sent(self) -> None:
        """A request that counts is on its way."""
        self._left -= 1
        self._under_way += 1

    def answered(self) -> None:
        """It is no longer on its way."""
        self._under_way -= 1

    def announced(self, quota: Quota) -> None:
        """An answer said what is left, requests that are on their way not counted."""
        self._quota = quota
        self._left = quota.remaining - self._under_way
        self._until = self._clock.monotonic() + (quota.wait or 60.0)

    def wait(self) -> float:
        """Seconds until a request that counts may go without touching what is reserved; 0: at once."""
        quota = self.known
        if quota is None or not self._reserve or quota.limit is None:
            return 0.0
        # At least one request is always kept back, however small the quota.
        floor = max(1, -(-quota.limit * self._reserve // 100))
        return 0.0 if self._left > floor else self._until - self._clock.monotonic()


def _policy(
    left: int, window: float | None, limits: list[tuple[int, float | None]], reset: float | None
) -> Quota:
    """The limit that belongs to a remainder: that of the same window, else the only or first one."""
    limit = next((number for number, other in limits if other == window and window is not None), None)
    if limit is None and limits:
        limit, other = limits[0]
        window = window if window is not None else other
    return Quota(left, limit, window, reset)


def _items(values: Iterable[str]) -> Iterator[tuple[int, float | None]]:
    """Numbers and their windows, from `100;w=60, 5000;w=3600`."""
    for value in values:
        for part in value[:1024].split(",")[:_MAX_POLICIES]:
            if (item := _ITEM.match(part)) is not None:
                window = _WINDOW.search(item[2])
                yield int(item[1]), _bounded(float(window[1])) if window else None


def _reset(value: str | None, now: float) -> float | None:
    """`RateLimit-Reset` is seconds from now; GitHub's own is a time, in seconds since 1970."""
    if value is None or (item := _ITEM.match(value)) is None:
        return None
    number = float(item[1])
    return _bounded(number - now if number > _MAX_SECONDS else number)


def _bounded(seconds: float) -> float | None:
    return seconds if 0 <= seconds <= _MAX_SECONDS else None
