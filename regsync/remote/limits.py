"""How many requests go to a registry at once, and when: one limiter per host, shared by its sessions.

Each kind of request has a lane with a window that adapts. It doubles each round of good answers until
the registry first complains (429, 503), then grows by one a round; a complaint halves it, once for a
burst of them: what was already under way when it was halved does not halve it again. Nobody waits
here while holding a place in a lane.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from enum import Enum

import anyio

from regsync.clock import Clock
from regsync.remote.errors import WaitTooLongError
from regsync.remote.pacing import Bandwidth, RequestPace
from regsync.remote.quota import QuotaKeeper, read_quota
from regsync.remote.request import Headers, Kind
from regsync.remote.troubles import Tell, Troubles, tell_nobody

FIRST_WINDOW = 32  # requests of one kind; enough to hide 20 ms of latency from the start
LAST_WINDOW = 128
MAX_WAIT = 300.0  # seconds
_EVERY_KIND = frozenset(Kind) - {Kind.TOKEN}
# What counts against the quota that a host announces, where that is not every kind on its own.
_COUNTED = {"docker.io": frozenset({Kind.MANIFEST_GET})}

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What a person set; None is unset."""

    concurrency: int | None = None  # requests under way
    requests_per_second: float | None = None
    bytes_per_second: int | None = None  # both directions
    reserve: int | None = None  # percent of a quota that is left to people
    max_wait: float = MAX_WAIT  # seconds that one request may be put off

    def tightened(self, other: "LimitSettings") -> "LimitSettings":
        """Both together, for one host that two Registry documents name: the tighter of each."""
        chosen: dict[str, float | int | None] = {}
        for key in (field.name for field in fields(self)):
            values = [value for one in (self, other) if (value := getattr(one, key)) is not None]
            choose = max if key == "reserve" else min
            chosen[key] = choose(values) if values else None
        return LimitSettings(**chosen)  # type: ignore[arg-type]


class Verdict(Enum):
    """What an answer says about going on at this pace."""

    GOOD = "good"
    OVERLOADED = "overloaded"  # 429, 503
    NEUTRAL = "neutral"  # no answer, or one that says nothing about load


@dataclass(slots=True, eq=False)
class _Waiter:
    number: int
    event: anyio.Event
    granted: bool = False


class _Lane:
    """One kind of request. Counts, and adapts its window; knows nothing of waiting."""

    def __init__(self) -> None:
        self.window = float(FIRST_WINDOW)
        self.under_way = 0
        self.round = 0  # of halvings
        self.held_until = 0.0  # on the monotonic clock
        self.waiters: deque[_Waiter] = deque()
        self._complained = False

    @property
    def has_room(self) -> bool:
        return self.under_way < int(self.window)

    def judge(self, verdict: Verdict, entered_in: int) -> None:
        """Adapt to an answer whose request entered in the round `entered_in`."""
        if verdict is Verdict.GOOD:
            # A window that is not used says nothing about a larger one.
            if self.under_way >= int(self.window) and self.window < LAST_WINDOW:
                self.window += 1.0 / self.window if self._complained else 1.0
        elif verdict is Verdict.OVERLOADED and entered_in == self.round:
            self.window = max(1.0, self.window / 2)
            self.round += 1
            self._complained = True


class Permit:
    """A place in a lane, given back by `close`."""

    __slots__ = ("_closed", "_limiter", "_round", "kind", "verdict")

    def __init__(self, limiter: "Limiter", kind: Kind, entered_in: int) -> None:
        self._limiter, self.kind, self._round = limiter, kind, entered_in
        self.verdict = Verdict.NEUTRAL
        self._closed = False

    def close(self) -> None:
        """Give the place back; a second time does nothing."""
        if not self._closed:
            self._closed = True
            self._limiter._leave(self.kind, self.verdict, self._round)


class Limiter:
    """Paces all requests to one host."""

    def __init__(
        self,
        host: str,
        clock: Clock,
        settings: LimitSettings | None = None,
        *,
        sleep: Sleep = anyio.sleep,
        tell: Tell = tell_nobody,
    ) -> None:
        self.host, self._clock, self._sleep = host, clock, sleep
        self.troubles = Troubles(host, clock, tell)
        self._lanes = {kind: _Lane() for kind in Kind}
        self._under_way = 0  # of all lanes but that of tokens, which are asked for elsewhere
        self._waiters = 0
        self._counted = _COUNTED.get(host, _EVERY_KIND)
        self.apply(settings or LimitSettings())

    def apply(self, settings: LimitSettings) -> None:
        """Set the limits; what was learnt of the registry is kept, what was paced starts anew."""
        self.settings = settings
        rate, band = settings.requests_per_second, settings.bytes_per_second
        self._pace = RequestPace(rate, self._clock) if rate else None
        self._bandwidth = Bandwidth(band, self._clock) if band else None
        # A quota is for the kinds that it counts together, or for each kind alone.
        shared = QuotaKeeper(settings.reserve or 0, self._clock) if self.host in _COUNTED else None
        self._quotas = {
            kind: shared or QuotaKeeper(settings.reserve or 0, self._clock) for kind in _EVERY_KIND
        }

    async def enter(self, kind: Kind) -> Permit:
        """Wait until a request of this kind may go.

        Raises WaitTooLongError at once where a wait that the registry asked for, or its quota, is longer
        than `max_wait`.
        """
        await self._wait_for_turn(kind)
        lane = self._lanes[kind]
        while True:
            if not (lane.has_room and self._has_room(kind)) or lane.waiters:
                await self._wait_for_place(kind, lane)
            else:
                self._admit(kind, lane)
            if lane.held_until <= self._clock.monotonic():
                break
            # While it waited for a place the registry asked all requests of this kind to wait.
            self._leave(kind, Verdict.NEUTRAL, -1)
            await self._wait_while_held(kind, lane)
        if kind in self._counted:
            self._quotas[kind].sent()
        return Permit(self, kind, lane.round)

    def hold(self, kind: Kind, seconds: float) -> None:
        """Let no request of this kind go for so long: the registry asked for it."""
        lane = self._lanes[kind]
        lane.held_until = max(lane.held_until, self._clock.monotonic() + seconds)

    def announced(self, kind: Kind, headers: Headers) -> None:
        """Note the quota that an answer's headers announce, if they do."""
        if kind is not Kind.TOKEN and (
            "ratelimit-remaining" in headers or "x-ratelimit-remaining" in headers
        ):
            quota = read_quota(headers, now=self._clock.now().timestamp())
            if quota is not None:
                self._quotas[kind].announced(quota)

    @property
    def quota_left(self) -> int | None:
        """What is left of the tightest quota, less what was sent since; None: no answer told of one."""
        known = [one.left for one in self._quotas.values() if one.known is not None]
        return min(known, default=None)

    def quota_wait(self, kind: Kind) -> float | None:
        """Seconds until a quota that is used up is full again, where the registry said so."""
        quota = self._quotas[kind].known if kind in self._quotas else None
        return quota.wait if quota is not None and quota.remaining == 0 else None

    async def moved(self, count: int) -> None:
        """Account for `count` bytes of a streamed body, and pause as the bandwidth asks."""
        if self._bandwidth is not None and (pause := self._bandwidth.spend(count)) > 0:
            await self._sleep(pause)

    @property
    def is_bandwidth_limited(self) -> bool:
        """Whether `moved` ever pauses."""
        return self._bandwidth is not None

    def window(self, kind: Kind) -> int:
        """How many requests of this kind may be under way now."""
        return int(self._lanes[kind].window)

    async def _wait_for_turn(self, kind: Kind) -> None:
        lane = self._lanes[kind]
        if lane.held_until > self._clock.monotonic():
            await self._wait_while_held(kind, lane)
        if kind in self._counted:
            while (pause := self._quotas[kind].wait()) > 0:
                self._check(f"{self.host} (its quota, less the reserve, is used up)", pause)
                self.troubles.held_back(f"{self.host}: its quota, less the reserve, is used up", pause)
                await self._sleep(pause)
        if self._pace is not None and kind is not Kind.TOKEN and (pause := self._pace.take()) > 0:
            await self._sleep(pause)

    async def _wait_while_held(self, kind: Kind, lane: _Lane) -> None:
        while (pause := lane.held_until - self._clock.monotonic()) > 0:
            self._check(f"{self.host} ({kind.value} requests)", pause)
            self.troubles.held_back(f"{self.host}: asked for a pause of {kind.value} requests", pause)
            await self._sleep(pause)

    def _check(self, where: str, pause: float) -> None:
        if pause > self.settings.max_wait:
            raise WaitTooLongError(where, pause, self.settings.max_wait)

    def _has_room(self, kind: Kind) -> bool:
        cap = self.settings.concurrency
        return kind is Kind.TOKEN or cap is None or self._under_way < cap

    def _admit(self, kind: Kind, lane: _Lane) -> None:
        lane.under_way += 1
        if kind is not Kind.TOKEN:
            self._under_way += 1

    async def _wait_for_place(self, kind: Kind, lane: _Lane) -> None:
        self._waiters += 1
        waiter = _Waiter(self._waiters, anyio.Event())
        lane.waiters.append(waiter)
        try:
            await waiter.event.wait()
        except BaseException:
            if waiter.granted:
                self._leave(kind, Verdict.NEUTRAL, -1)
            else:
                lane.waiters.remove(waiter)
            raise

    def _leave(self, kind: Kind, verdict: Verdict, entered_in: int) -> None:
        lane = self._lanes[kind]
        lane.judge(verdict, entered_in)
        lane.under_way -= 1
        if kind is not Kind.TOKEN:
            self._under_way -= 1
        if kind in self._counted and entered_in >= 0:
            self._quotas[kind].answered()
        self._let_in()

    def _let_in(self) -> None:
        """Give free places to those who wait, the longest waiting first."""
        while True:
            ready = [
                (lane.waiters[0].number, kind, lane)
                for kind, lane in self._lanes.items()
                if lane.waiters and lane.has_room and self._has_room(kind)
            ]
            if not ready:
                return
            _, kind, lane = min(ready, key=lambda found: found[0])
            waiter = lane.waiters.popleft()
            waiter.granted = True
            self._admit(kind, lane)
            waiter.event.set()


class Limiters:
    """The limiters of a run, one per host whatever names it has."""

    def __init__(self, clock: Clock, *, sleep: Sleep = anyio.sleep, tell: Tell = tell_nobody) -> None:
        self._clock, self._sleep, self._tell = clock, sleep, tell
        self._limiters: dict[str, Limiter] = {}

    def for_host(self, host: str, settings: LimitSettings) -> Limiter:
        """The limiter of `host`; `settings` are applied on top of those that others gave for it."""
        limiter = self._limiters.get(host)
        if limiter is None:
            limiter = Limiter(host, self._clock, settings, sleep=self._sleep, tell=self._tell)
            self._limiters[host] = limiter
        elif (tighter := limiter.settings.tightened(settings)) != limiter.settings:
            limiter.apply(tighter)
        return limiter

    def quotas(self) -> dict[str, int]:
        """What is left of quotas, by host, where registries told of one."""
        found = {host: limiter.quota_left for host, limiter in self._limiters.items()}
        return {host: left for host, left in found.items() if left is not None}
