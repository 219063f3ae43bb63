"""When scheduled work is due; pure, all times aware and in UTC.

croniter does the arithmetic of cron in local times without a zone; what a change to or from daylight
saving time makes of them is decided here, as cron(8) does. A schedule that names hours runs once for
each: at a local time that there is not, as soon as the clock was put forward; at one that there is
twice, the first time. One that runs in every hour follows the hours as they pass, the repeated one too.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Final
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter

from regsync.spec.schedules import Schedule

DEFAULT_SPREAD: Final = 30.0  # seconds over which tasks of one minute are spread
BACK_SET: Final = timedelta(minutes=10)  # a clock put back by less is waited for, by more is believed
FIRST_PAUSE: Final = 60.0  # seconds after a failure; doubled with each further one in a row
LONGEST_PAUSE: Final = 3600.0  # seconds
_DAY: Final = timedelta(days=1)
_HOURS: Final = 24
_KEPT: Final = 4096  # schedules whose fields are known


def next_time(schedule: Schedule, after: datetime) -> datetime | None:
    """The first time of `schedule` that is later than `after`; None when there never is one."""
    zone = ZoneInfo(schedule.timezone)
    try:
        if _runs_every_hour(schedule.cron):
            return _next_of_every_hour(schedule.cron, zone, after)
        return _next_of_named_hours(schedule.cron, zone, after)
    except (CroniterBadDateError, OverflowError):
        return None  # the 30th of February


def _next_of_named_hours(cron: str, zone: ZoneInfo, after: datetime) -> datetime:
    steps = croniter(cron, _local(after, zone))
    while True:
        wall: datetime = steps.get_next(datetime)
        found = _instant(wall, zone)
        if _local(found, zone) != wall:
            found = _change(zone, _instant(wall, zone, second=True), found)
        if found > after:
            return found


def _next_of_every_hour(cron: str, zone: ZoneInfo, after: datetime) -> datetime:
    steps = croniter(cron, _local(after, zone))
    while True:
        wall: datetime = steps.get_next(datetime)
        both = (_instant(wall, zone), _instant(wall, zone, second=True))
        real = [one for one in both if one > after and _local(one, zone) == wall]
        if real:
            break
    found = min(real)
    tomorrow = after + _DAY
    if zone.utcoffset(tomorrow.astimezone(zone)) == zone.utcoffset(after.astimezone(zone)):
        return found
    change = _change(zone, after, tomorrow)
    # Where the clock goes back, times that are over by the wall come once more.
    again: datetime = croniter(cron, _local(change, zone) - timedelta(microseconds=1)).get_next(datetime)
    repeated = _instant(again, zone, second=True)
    return min(found, repeated) if repeated > after and repeated >= change else found


def _change(zone: ZoneInfo, before: datetime, behind: datetime) -> datetime:
    """The second at which the zone's offset changes, between two times with different ones."""
    low, high = int(before.timestamp()), int(behind.timestamp())
    offset = before.astimezone(zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)


def _local(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def _instant(wall: datetime, zone: ZoneInfo, *, second: bool = False) -> datetime:
    """The instant of a local time: of one that there is twice the first, or the second."""
    return wall.replace(tzinfo=zone, fold=int(second)).astimezone(UTC)


@lru_cache(maxsize=_KEPT)
def _runs_every_hour(cron: str) -> bool:
    hours = croniter(cron, datetime(2000, 1, 1)).expanded[1]  # noqa: DTZ001 - a wall clock has no zone
    return hours == ["*"] or len(set(hours)) == _HOURS


@dataclass(frozen=True, slots=True)
class Task:
    """What is done by a schedule. `name` is unique: `mirror:base-images`."""

    name: str
    schedule: Schedule
    delay: float = 0.0  # seconds behind each time of the schedule

    def due(self, handled: datetime) -> datetime | None:
        """When it is due next, once all times up to `handled` have had their run."""
        found = next_time(self.schedule, handled)
        return found + timedelta(seconds=self.delay) if found is not None else None

    def handled_by(self, begun: datetime) -> datetime:
        """Up to which time a run that begins at `begun` has handled the schedule, missed times included."""
        return begun - timedelta(seconds=self.delay)


def delay_of(name: str, spread: float) -> float:
    """Seconds below `spread`, always the same for a name, evenly spread over many names."""
    return int.from_bytes(sha256(name.encode()).digest()[:4]) / 2**32 * spread


@dataclass(frozen=True, slots=True)
class Pause:
    """How often a task has failed in a row, and what that means for the next run."""

    failures: int
    until: datetime
    retried: bool  # at `until`, since the failure was temporary; else not before it

    @classmethod
    def after(cls, failures: int, ended: datetime, *, retried: bool) -> "Pause":
        """The pause behind the `failures`-th failure in a row, which ended at `ended`."""
        seconds = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 10))
        return cls(failures, ended + timedelta(seconds=seconds), retried)

    def applied(self, due: datetime | None) -> datetime | None:
        """When a task that its schedule has due then runs."""
        if self.retried:
            return self.until
        return max(due, self.until) if due is not None else None


class Agenda:
    """What is due when. Changes cost little, and asking what is due costs what is due."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}
        self._handled: dict[str, datetime] = {}
        self._pauses: dict[str, Pause] = {}
        self._due: dict[str, datetime] = {}
        self._queue: list[tuple[datetime, str]] = []  # sorted; entries that `_due` contradicts are void

    def plan(self, tasks: Iterable[Task], handled: Mapping[str, datetime], now: datetime) -> None:
        """Take these tasks instead of those before.

        `handled` says up to when the schedule of each has had its runs. A task that it does not name is
        new and has missed nothing. A time that lies far ahead was written by a clock that was wrong.
        """
        self._tasks = {task.name: task for task in tasks}
        self._handled = {name: self.sane(handled.get(name, now), now) for name in self._tasks}
        self._pauses = {name: one for name, one in self._pauses.items() if name in self._tasks}
        self._due.clear()
        self._queue.clear()
        for name in self._tasks:
            self._enter(name)

    def handle(self, name: str, handled: datetime) -> None:
        """All times of a task's schedule up to `handled` have had their run."""
        if name in self._tasks:
            self._handled[name] = handled
            self._enter(name)

    def succeed(self, name: str) -> None:
        """A run of it went well."""
        if self._pauses.pop(name, None) is not None and name in self._tasks:
            self._enter(name)

    def fail(self, name: str, ended: datetime, *, retried: bool) -> None:
        """A run of it failed, so that the next one has to wait."""
        if name in self._tasks:
            before = self._pauses[name].failures if name in self._pauses else 0
            self._pauses[name] = Pause.after(before + 1, ended, retried=retried)
            self._enter(name)

    def clock_was_set(self, now: datetime) -> None:
        """Work out again what is due: times that were believed may lie far ahead of the clock now."""
        pauses = self._pauses
        self._pauses = {
            name: one
            for name, one in pauses.items()
            if (one.until - now).total_seconds() <= LONGEST_PAUSE + BACK_SET.total_seconds()
        }
        self.plan(tuple(self._tasks.values()), dict(self._handled), now)

    def due(self, now: datetime) -> list[Task]:
        """What is due now, the longest due first."""
        found: dict[str, Task] = {}
        for moment, name in self._queue:
            if moment > now:
                break
            if self._due.get(name) == moment:
                found[name] = self._tasks[name]
        return list(found.values())

    def next_due(self) -> datetime | None:
        """When something is due next; None: never."""
        while self._queue and self._due.get(self._queue[0][1]) != self._queue[0][0]:
            self._queue.pop(0)
        return self._queue[0][0] if self._queue else None

    def next_after(self, now: datetime) -> datetime | None:
        """When something becomes due that is not due now; None: never."""
        for moment, name in self._queue[bisect_right(self._queue, now, key=lambda entry: entry[0]) :]:
            if self._due.get(name) == moment:
                return moment
        return None

    def due_of(self, name: str) -> datetime | None:
        """When a task is due; None: never."""
        return self._due.get(name)

    def _enter(self, name: str) -> None:
        due = self._tasks[name].due(self._handled[name])
        pause = self._pauses.get(name)
        if pause is not None:
            due = pause.applied(due)
        self._due.pop(name, None)
        if due is not None:
            self._due[name] = due
            insort(self._queue, (due, name))

    @staticmethod
    def sane(handled: datetime, now: datetime) -> datetime:
        """What is believed of a time that was written down, perhaps by a clock that was wrong."""
        return handled if handled <= now + BACK_SET else now
