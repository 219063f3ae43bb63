"""The daemon in this process: a run that crashes or cannot begin is an outcome, not the end."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from regsync.errors import RegsyncError, TemporaryError
from regsync.plan.record import record_of, report_of
from regsync.reconcile.daemon import Daemon
from regsync.reconcile.daemon_run import DaemonLedger
from regsync.reconcile.engine import Engine
from regsync.reconcile.events import Emit, Event, RunFinished
from regsync.reconcile.lease import Lease, Terms
from regsync.reconcile.ledger_sqlite import SqliteLedger, open_ledger
from regsync.reconcile.notifying import Notifier
from regsync.reconcile.scheduled import Scheduled
from regsync.reconcile.standing import Ending
from regsync.spec.model import Spec
from tests.reconcile.world import World
from tests.support.clock import FrozenClock
from tests.support.images import image

pytestmark = pytest.mark.anyio


class ClosedError(TemporaryError):
    """The place of a test cannot be opened."""


class Story:
    """Keeps what it is told, and lets a test wait for it."""

    def __init__(self) -> None:
        self.runs: list[RunFinished] = []
        self.errors: list[RegsyncError] = []
        self.notes: list[str] = []
        self.defects: list[Exception] = []
        self._told = anyio.Event()

    def emit(self, event: Event) -> None:
        if isinstance(event, RunFinished):
            self.runs.append(event)
            self._told.set()

    def show(self, error: RegsyncError) -> None:
        self.errors.append(error)

    def note(self, word: str, text: str) -> None:
        self.notes.append(text)

    def defect(self, error: Exception) -> None:
        self.defects.append(error)

    async def run(self, count: int) -> RunFinished:
        """Wait for the `count`-th run."""
        with anyio.fail_after(30):
            while len(self.runs) < count:
                self._told = anyio.Event()
                await self._told.wait()
        return self.runs[count - 1]


class Outside:
    """Places in memory, of which some cannot be opened, or not without a defect."""

    def __init__(self, world: World, path: Path) -> None:
        self.world, self.path = world, path
        self.failures: dict[str, Exception] = {}  # by mirror

    @asynccontextmanager
    async def open_ledger(self, spec: Spec) -> AsyncIterator[SqliteLedger]:
        with open_ledger(self.path, self.world.clock) as ledger:
            yield ledger

    @asynccontextmanager
    async def engine(
        self, spec: Spec, ledger: DaemonLedger, lease: Lease, emit: Emit
    ) -> AsyncIterator[Engine]:
        for mirror in spec.mirrors:
            if mirror.name in self.failures:
                raise self.failures[mirror.name]
        yield Engine(
            self.world, ledger, self.world.clock, emit, check_lease=lease.check, lease_lost=lease.lost
        )


async def no_post(url: str, body: bytes) -> int:
    raise AssertionError("nobody is to be told")


async def with_daemon(outside: Outside, story: Story, body: Callable[[Daemon], Awaitable[None]]) -> None:
    """A daemon while `body` goes on."""
    clock = outside.world.clock
    notifier = Notifier(no_post, clock, story.show)
    scheduled = Scheduled.of(outside.world.spec(), 0.0)
    daemon = Daemon(scheduled, outside, story, notifier, clock, at_once=4, terms=Terms())
    await daemon.prepare()
    stop = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(daemon.run, stop)
        await body(daemon)
        stop.set()


@pytest.fixture
async def outside(tmp_path: Path, clock: FrozenClock) -> Outside:
    world = World(clock=clock)
    await world.put("hub/app", image("app"), "v1")
    world.mirror("bad", "hub/app", ["edge/bad"], tags=["v1"])
    world.mirror("good", "hub/app", ["edge/good"], tags=["v1"])
    return Outside(world, tmp_path / "ledger.db")


async def test_a_run_that_crashes_is_an_outcome_and_others_go_on(outside: Outside) -> None:
    story = Story()
    outside.failures["bad"] = ExceptionGroup("defects", [KeyError("a defect")])

    async def body(daemon: Daemon) -> None:
        daemon.ask("bad")
        assert (await story.run(1)).outcome == "crashed"
        daemon.ask("good")
        assert (await story.run(2)).outcome == "done"
        assert daemon.timetable.standings["mirror:bad"].runs[Ending.CRASHED] == 1

    await with_daemon(outside, story, body)
    assert [type(one) for one in story.defects] == [ExceptionGroup]


async def test_a_place_that_cannot_be_opened_is_a_failure_in_the_history(outside: Outside) -> None:
    story = Story()
    outside.failures["bad"] = ClosedError("the disk is away")

    async def body(daemon: Daemon) -> None:
        daemon.ask("bad")
        assert (await story.run(1)).outcome == "temporary"

    await with_daemon(outside, story, body)
    assert story.defects == []
    with open_ledger(outside.path, outside.world.clock) as ledger:
        (row,) = ledger.read_runs(10)
    record = record_of(*row)
    assert (record.command, record.mirrors, record.exit_code) == ("run", ("bad",), 75)
    problem = report_of(record, row.summary).ended
    assert problem is not None
    assert problem.message == "the disk is away"


async def test_the_lease_is_held_while_it_works_and_not_longer(outside: Outside) -> None:
    story = Story()

    async def body(daemon: Daemon) -> None:
        daemon.ask("good")
        await story.run(1)

    await with_daemon(outside, story, body)
    with open_ledger(outside.path, outside.world.clock) as ledger:
        row = ledger.read_lease()
    assert row is not None
    assert row.expires < outside.world.clock.now()
    assert row.owner.command == "run"
