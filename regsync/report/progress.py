"""How far a run is, reckoned from its events. What draws it is `progress_bar`.

The total grows while a run finds more to do, so a plain quotient would jump back: the fraction shown
is the highest so far, and bytes count only up to what was announced.
"""

from collections import deque
from dataclasses import dataclass, replace

from regsync.reconcile.events import ActionFinished, ActionStarted, Event, Reused, Transferred

RATE_WINDOW = 10.0  # seconds over which the rate is taken
_MIN_SPAN = 1.0  # seconds that must have been seen before a rate is shown


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a bar shows."""

    copied: int = 0  # bytes
    reused: int = 0  # bytes
    total: int = 0  # bytes, of all actions that have started
    tags_started: int = 0
    tags_finished: int = 0
    fraction: float = 0.0  # 0 to 1, never less than before
    rate: float | None = None  # bytes copied a second; None: too early to say
    seconds_left: float | None = None


class Progress:
    """Adds up events; `at` says where things stand."""

    def __init__(self) -> None:
        self._now = Snapshot()
        self._sizes: dict[tuple[str, ...], int] = {}  # of actions under way
        self._settled = 0  # bytes of finished actions, however they came there
        self._fraction = 0.0
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, event: Event) -> None:
        """Take one event into account."""
        now = self._now
        match event:
            case Transferred(_, count):
                self._now = replace(now, copied=now.copied + count)
            case Reused(_, count):
                self._now = replace(now, reused=now.reused + count)
            case ActionStarted(action, size):
                self._sizes[action.order] = size
                self._now = replace(now, total=now.total + size, tags_started=now.tags_started + 1)
            case ActionFinished(result):
                self._settled += self._sizes.pop(result.action.order, 0)
                self._now = replace(now, tags_finished=now.tags_finished + 1)
            case _:
                pass

    def at(self, moment: float) -> Snapshot:
        """Where the run stands at `moment`, seconds of the monotonic clock, which never goes back.

        Only one thread may call it; it may be another one than that which adds events.
        """
        now = self._now
        reached = min(max(now.copied + now.reused, self._settled), now.total)
        self._fraction = max(self._fraction, reached / now.total if now.total else 0.0)
        rate = self._rate(moment, now.copied)
        left = max(0, now.total - reached) / rate if rate else None
        return replace(now, fraction=self._fraction, rate=rate, seconds_left=left)

    def _rate(self, moment: float, copied: int) -> float | None:
        samples = self._samples
        samples.append((moment, copied))
        while len(samples) > 2 and moment - samples[1][0] >= RATE_WINDOW:
            samples.popleft()
        span = moment - samples[0][0]
        return (copied - samples[0][1]) / span if span >= _MIN_SPAN else None
