"""What is to be done when, and how far everything has come: the daemon's memory, without any I/O."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from enum import Enum
from typing import Final

from regsync.clock import Clock
from regsync.reconcile.ledger_tasks import TaskState
from regsync.reconcile.notifying import Message, messages, troubles_of
from regsync.reconcile.schedule import Agenda
from regsync.reconcile.scheduled import MIRROR, RETENTION, Scheduled
from regsync.reconcile.standing import Ended, Ending, Standing
from regsync.spec.notifications import Occasion

LOOK_EVERY: Final = 30.0  # seconds; a clock that was put forward is noticed within them
PUT_BACK: Final = 1.0  # seconds by which a clock that was put back is noticed
ASKED_PAUSE: Final = 5.0  # seconds between two runs of one mirror that were asked for


class Asked(Enum):
    """What becomes of a mirror that was asked for."""

    STARTED = "started"  # or about to be
    AGAIN = "again"  # it runs, and will once more afterwards
    WAITING = "waiting"  # somebody asked for it already
    UNKNOWN = "unknown"


class Timetable:
    """Tasks of the spec in force. `running` are those under way, with what must not run beside them."""

    def __init__(self, scheduled: Scheduled, clock: Clock) -> None:
        self._clock = clock
        self._agenda = Agenda()
        self._states: dict[str, TaskState] = {}  # as the ledger has them
        self._failures: Counter[str] = Counter()  # in a row
        self._asked: dict[str, float] = {}  # when it may begin, on the monotonic clock
        self._asked_last: dict[str, float] = {}
        self._asked_for: set[str] = set()  # of those under way
        self._moment = (clock.now(), clock.monotonic())
        self.running: dict[str, str] = {}
        self.standings: dict[str, Standing] = {}
        self.scheduled = scheduled
        self.take(scheduled)

    def take(self, scheduled: Scheduled) -> None:
        """Go by another spec. What is under way stays."""
        self.scheduled = scheduled
        now, names = self._clock.now(), scheduled.names
        self.standings = {name: self.standings.get(name) or Standing(now) for name in names}
        self._asked = {name: when for name, when in self._asked.items() if name in self.standings}
        self._asked_last = {name: when for name, when in self._asked_last.items() if name in self.standings}
        self._failures = Counter({name: n for name, n in self._failures.items() if name in self.standings})
        self._plan(now)

    def ask(self, mirror: str) -> Asked:
        """Have a mirror run at once, or once more if it runs: however often it is asked for meanwhile."""
        task = f"{MIRROR}{mirror}"
        if task not in self.standings:
            return Asked.UNKNOWN
        if task in self._asked:
            return Asked.WAITING
        now = self._clock.monotonic()
        self._asked[task] = max(now, self._asked_last.get(task, now - ASKED_PAUSE) + ASKED_PAUSE)
        return Asked.AGAIN if task in self.running else Asked.STARTED

    def ready(self) -> list[list[str]]:
        """What may begin now: tasks of one company together, and none beside a running one of its company.

        Retention runs one policy at a time, and goes before mirrors that it must not run beside.
        """
        monotonic, busy = self._clock.monotonic(), set(self.running.values())
        found = dict.fromkeys(task for task, when in self._asked.items() if when <= monotonic)
        found.update(dict.fromkeys(task.name for task in self._agenda.due(self._clock.now())))
        retention = [task for task in (*self.running, *found) if task.startswith(RETENTION)][:1]
        disturbed = {one for task in retention for one in self.scheduled.disturbed.get(task, ())}
        parted: dict[str, list[str]] = {}
        for task in found:
            company = self.scheduled.company(task)
            if task.startswith(MIRROR) and company not in busy | disturbed:
                parted.setdefault(company, []).append(task)
        begins = [task for task in retention if task not in self.running and not disturbed & busy]
        return [*([task] for task in begins), *parted.values()]

    def begin(self, tasks: Iterable[str]) -> None:
        """They are under way; whoever asks for one from now on has it run once more."""
        for task in tasks:
            self.running[task] = self.scheduled.company(task)
            if self._asked.pop(task, None) is not None:
                self._asked_last[task] = self._clock.monotonic()
                self._asked_for.add(task)

    def end(self, tasks: Iterable[str]) -> None:
        """They are no longer under way."""
        for task in tasks:
            del self.running[task]
            self._asked_for.discard(task)

    def settle(self, task: str, ended: Ended, began: datetime) -> tuple[TaskState | None, Sequence[Message]]:
        """Count a run of a task: what the ledger is to remember (None: nothing), and what people are to know.

        A run that was interrupted does not count for its schedule.
        """
        if task not in self.standings:  # it was taken out of the spec meanwhile
            return None, ()
        self.standings[task].add(ended)
        if ended.ending is Ending.INTERRUPTED:
            if task in self._asked_for:
                self._asked.setdefault(task, self._clock.monotonic())
            return None, ()
        scheduled, before = self.scheduled.tasks.get(task), self._states.get(task)
        handled = scheduled.handled_by(began) if scheduled is not None else began
        self._agenda.handle(task, handled)
        if ended.ending is Ending.DONE:
            del self._failures[task]
            self._agenda.succeed(task)
        else:
            self._failures[task] += 1
            self._agenda.fail(task, ended.ended, retried=ended.ending is Ending.TEMPORARY)
        told = frozenset(map(Occasion, before.told)) if before is not None else frozenset()
        troubles = troubles_of(ended, told, failures=self._failures[task])
        state = self._states[task] = TaskState(
            self.scheduled.schedule_of(task),
            handled,
            self.standings[task].last_success,
            tuple(sorted(one.value for one in troubles)),
        )
        return state, messages(task.partition(":")[2], ended, told, troubles)

    def learn(self, states: Mapping[str, TaskState]) -> None:
        """What other processes have done."""
        now = self._clock.now()
        for name, state in states.items():
            if state == self._states.get(name) or name not in self.standings:
                continue
            self._states[name] = state
            self.standings[name].last_success = state.succeeded
            if state.schedule == self.scheduled.schedule_of(name):
                self._agenda.handle(name, Agenda.sane(state.handled, now))

    def new_tasks(self) -> dict[str, TaskState]:
        """Scheduled tasks that the ledger does not know, or with another schedule: they begin now."""
        now, new = self._clock.now(), {}
        for name, task in self.scheduled.tasks.items():
            before = self._states.get(name)
            if before is None:
                new[name] = TaskState(str(task.schedule), now)
            elif before.schedule != str(task.schedule):
                new[name] = replace(before, schedule=str(task.schedule), handled=now)
        self._states.update(new)
        for name in new:
            self._agenda.handle(name, now)
        return new

    def pause(self) -> float:
        """Seconds until something new can be ready, or it is time to look at the clock."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        pauses = [LOOK_EVERY, *(when - monotonic for when in self._asked.values() if when > monotonic)]
        due = self._agenda.next_after(now)
        if due is not None:
            pauses.append((due - now).total_seconds())
        return min(pauses)

    def look_at_clock(self) -> float:
        """Seconds by which the clock was put back since the last look, which is taken in; 0: it was not."""
        before, self._moment = self._moment, (self._clock.now(), self._clock.monotonic())
        moved = (self._moment[0] - before[0]).total_seconds() - (self._moment[1] - before[1])
        if moved >= -PUT_BACK:
            return 0.0
        self._agenda.clock_was_set(self._moment[0])
        return -moved

    def due_of(self, task: str) -> datetime | None:
        """When a task is due by its schedule; None: never."""
        return self._agenda.due_of(task)

    def _plan(self, now: datetime) -> None:
        tasks = self.scheduled.tasks
        handled = {
            name: state.handled
            for name, state in self._states.items()
            if name in tasks and state.schedule == str(tasks[name].schedule)
        }
        self._agenda.plan(tasks.values(), handled, now)
