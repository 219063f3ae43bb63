"""A clock that moves only when a test moves it."""

from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


class FrozenClock:
    """Follows the Protocol `regsync.clock.Clock`; time stands still until `advance`.

    `jitter` answers the full duration, the worst case, unless `jitter_factor` says another part of it (0 to
    1).
    """

    def __init__(self, start: datetime = START, *, jitter_factor: float = 1.0) -> None:
        self._now = start
        self._monotonic = 0.0
        self._ids = 0
        self.jitter_factor = jitter_factor

    def now(self) -> datetime:
        """The frozen wall clock, aware, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since this clock was made."""
        return self._monotonic

    def jitter(self, seconds: float) -> float:
        """`seconds` times `jitter_factor`: no chance in it."""
        return seconds * self.jitter_factor

    def new_id(self) -> str:
        """id-0001, id-0002 and so on."""
        self._ids += 1
        return f"id-{self._ids:04d}"

    def new_secret(self) -> str:
        """32 hex characters that count up."""
        self._ids += 1
        return f"{self._ids:032x}"

    def advance(self, by: timedelta | float) -> None:
        """Move both clocks on; a bare number is seconds."""
        step = by if isinstance(by, timedelta) else timedelta(seconds=by)
        self._now += step
        self._monotonic += step.total_seconds()

    def set(self, moment: datetime) -> None:
        """Set the wall clock alone, also backwards, as NTP or a person would; `monotonic` stays."""
        self._now = moment
