"""The daemon: mirrors by their schedules and on demand, one run at a time for each.

Of several daemons over one ledger one works: who has something to do takes the lease, does it, and gives
the lease back, so that a run by hand gets its turn too. How far each schedule has come stands in the
ledger, so whoever takes over, after a death or a pause, does what was not done and nothing twice.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, Protocol

from anyio import CancelScope, Event, create_task_group, move_on_after
from anyio.abc import TaskGroup
from anyio.to_thread import run_sync

from regsync.clock import Clock
from regsync.errors import RegsyncError, SpecError
from regsync.plan.model import Report
from regsync.reconcile.daemon_run import COMMAND, Carried, DaemonLedger, Outside, Work, carry_out, work_for
from regsync.reconcile.events import Event as StoryEvent
from regsync.reconcile.events import RunFinished
from regsync.reconcile.lease import Lease, LeaseLostError, Terms, hold_lease
from regsync.reconcile.ledger import LedgerError
from regsync.reconcile.ledger_tasks import TaskState
from regsync.reconcile.notifying import Notifier
from regsync.reconcile.scheduled import Scheduled
from regsync.reconcile.standing import Ended, Ending
from regsync.reconcile.timetable import Asked, Timetable

LEDGER_PAUSE: Final = 5.0  # seconds until a ledger that failed is tried again; doubled up to
LONGEST_LEDGER_PAUSE: Final = 60.0
LAST_WORDS: Final = 5.0  # seconds for notifications that still wait at the end
_WORST_FIRST: Final = (
    *(Ending.CRASHED, Ending.INTERRUPTED, Ending.REFUSED, Ending.FAILED, Ending.TEMPORARY),
)


class Story(Protocol):
    """Who is told what happens."""

    def emit(self, event: StoryEvent) -> None:
        """Something that a run does."""
        ...

    def show(self, error: RegsyncError) -> None:
        """Something went wrong."""
        ...

    def note(self, word: str, text: str) -> None:
        """Something that is to be known."""
        ...

    def defect(self, error: Exception) -> None:
        """A run met a defect."""
        ...


class Daemon:
    """Runs what is due until it is told to stop. What is public and no method is for metrics."""

    def __init__(
        self,
        scheduled: Scheduled,
        outside: Outside,
        story: Story,
        notifier: Notifier,
        clock: Clock,
        *,
        at_once: int,
        terms: Terms,
    ) -> None:
        self._outside, self._story, self._notifier, self._clock = outside, story, notifier, clock
        self._at_once, self._terms = at_once, terms
        self._changed, self._stop = Event(), Event()
        self._turning: CancelScope | None = None
        self._lost = False  # the lease
        self._pause = LEDGER_PAUSE
        self.timetable = Timetable(scheduled, clock)
        self.holds_lease = False
        self.ledger_trouble: RegsyncError | None = None
        self.requests: Counter[tuple[str, str]] = Counter()  # by registry and kind

    def ask(self, mirror: str) -> Asked:
        """Have a mirror run at once, or once more if it runs."""
        asked = self.timetable.ask(mirror)
        self._changed.set()
        return asked

    async def replace(self, scheduled: Scheduled) -> None:
        """Go on with another spec; runs under way end with theirs."""
        self.timetable.take(scheduled)
        try:
            await self.prepare()
        except (LedgerError, SpecError) as error:
            self._in_trouble(error)
        self._changed.set()

    async def run(self, stop: Event) -> None:
        """Work until `stop`, and then until the steps in hand are finished or undone; after `prepare`.

        A ledger that cannot be opened any more is told of, and tried again.
        """
        self._stop = stop
        async with create_task_group() as group:
            group.start_soon(self._notifier.run)
            group.start_soon(self._end_turn)
            while not stop.is_set():
                with CancelScope() as self._turning:
                    await self._turn()
            group.cancel_scope.cancel()
        with move_on_after(LAST_WORDS):
            await self._notifier.drain()

    async def _end_turn(self) -> None:
        await self._stop.wait()
        self._changed.set()
        if not self.holds_lease and self._turning is not None:
            self._turning.cancel()  # it waits for something to do, or for the lease

    async def _turn(self) -> None:
        if not self.timetable.ready():
            await self._sleep()
            return
        try:
            await self._session()
        except (LedgerError, SpecError) as error:
            self._in_trouble(error)
            with move_on_after(self._pause):
                await self._stop.wait()
            self._pause = min(2 * self._pause, LONGEST_LEDGER_PAUSE)
        else:
            self.ledger_trouble, self._pause = None, LEDGER_PAUSE

    async def _session(self) -> None:
        """Do all that is to be done, with the ledger open and the lease held."""
        async with self._outside.open_ledger(self.timetable.scheduled.spec) as ledger:
            self.timetable.learn(await run_sync(ledger.read_tasks))
            if not self.timetable.ready():
                return
            async with hold_lease(
                ledger,
                self._clock,
                command=COMMAND,
                wait=float("inf"),
                terms=self._terms,
                told=lambda held: self._story.note("waiting", str(held)),
            ) as lease:
                # Another daemon may have done it while this one waited.
                self.timetable.learn(await run_sync(ledger.read_tasks))
                self.holds_lease = True
                try:
                    await self._work(ledger, lease)
                finally:
                    self.holds_lease = False

    async def _work(self, ledger: DaemonLedger, lease: Lease) -> None:
        self._lost = False
        async with create_task_group() as group:
            group.start_soon(self._hear_of_loss, lease)
            while not self._stop.is_set() and not self._lost:
                self._begin_ready(group, ledger, lease)
                if not self.timetable.running:
                    break
                await self._sleep()
            while self.timetable.running:
                await self._changed.wait()
                self._changed = Event()
            group.cancel_scope.cancel()

    async def _hear_of_loss(self, lease: Lease) -> None:
        self._story.show(await lease.lost())
        self._lost = True
        self._changed.set()

    def _begin_ready(self, group: TaskGroup, ledger: DaemonLedger, lease: Lease) -> None:
        for tasks in self.timetable.ready():
            if len(set(self.timetable.running.values())) >= self._at_once:
                return
            self.timetable.begin(tasks)
            work = work_for(self.timetable.scheduled.spec, tasks)
            group.start_soon(self._one, work, ledger, lease)

    async def _one(self, work: Work, ledger: DaemonLedger, lease: Lease) -> None:
        began, emit = self._clock.now(), self._story.emit
        try:
            carried = await carry_out(
                work, self._outside, ledger, lease, self._clock, emit=emit, stop=self._stop
            )
            self._tell(work, carried)
            await self._settle(carried, began, ledger, lease)
        finally:
            self.timetable.end(work.tasks)
            self._changed.set()

    def _tell(self, work: Work, carried: Carried) -> None:
        self._count(carried.report)
        self._story.emit(_finished(work, carried.report, carried.by_task.values()))
        if carried.defect is not None:
            self._story.defect(carried.defect)

    def _count(self, report: Report) -> None:
        for registry, kinds in report.run.requests.items():
            self.requests.update({(registry, kind): count for kind, count in kinds.items()})

    async def _settle(self, carried: Carried, began: datetime, ledger: DaemonLedger, lease: Lease) -> None:
        states: dict[str, TaskState] = {}
        for task, ended in carried.by_task.items():
            state, messages = self.timetable.settle(task, ended, began)
            if state is not None:
                states[task] = state
            for message in messages:
                self._notifier.say(self.timetable.scheduled.spec.settings.notifications, message)
        try:
            lease.check()
            await run_sync(ledger.write_tasks, states)
        except LeaseLostError:
            pass  # told of elsewhere; whoever has the lease now does the work again, which changes nothing
        except LedgerError as error:
            self._in_trouble(error)

    async def _sleep(self) -> None:
        with move_on_after(self.timetable.pause()):
            await self._changed.wait()
        self._changed = Event()
        if (back := self.timetable.look_at_clock()) > 0:
            self._story.note("clock", f"it was put back by {back:.0f} s; schedules go by what it says now")

    async def prepare(self) -> None:
        """Learn how far tasks have come; a new one, or one with another schedule, begins now.

        Raises LedgerError or SpecError where the ledger cannot be opened.
        """
        async with self._outside.open_ledger(self.timetable.scheduled.spec) as ledger:
            self.timetable.learn(await run_sync(ledger.read_tasks))
            if new := self.timetable.new_tasks():
                await run_sync(ledger.write_tasks, new)

    def _in_trouble(self, error: RegsyncError) -> None:
        if self.ledger_trouble is None or str(error) != str(self.ledger_trouble):
            self._story.show(error)
        self.ledger_trouble = error


def _finished(work: Work, report: Report, ended: Iterable[Ended]) -> RunFinished:
    endings: Mapping[Ending, None] = dict.fromkeys(one.ending for one in ended)
    return RunFinished(
        report.run.id,
        work.names,
        next((one for one in _WORST_FIRST if one in endings), Ending.DONE).value,
        report.summary,
        report.run.seconds,
        report.copied,
        report.ended.message if report.ended is not None else None,
    )
