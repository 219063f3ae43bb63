"""The lease between real processes: races, kill -9, SIGSTOP, recycled process ids."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from regsync.clock import SystemClock
from regsync.reconcile.lease import LeaseHeldError, LeaseRow, Terms, hold_lease
from regsync.reconcile.lease_owner import Owner, Process
from regsync.reconcile.ledger_sqlite import open_ledger

PROGRAM = """
import anyio, json, sys
from pathlib import Path
from regsync.clock import SystemClock
from regsync.reconcile.lease import LeaseHeldError, LeaseLostError, Terms, hold_lease
from regsync.reconcile.ledger_sqlite import open_ledger

path, terms, wait = Path(sys.argv[1]), Terms(**json.loads(sys.argv[2])), float(sys.argv[3])

def say(word): print(word, flush=True)
def hear(): return sys.stdin.readline().strip()

async def run():
    clock = SystemClock()
    with open_ledger(path, clock) as ledger:
        say("ready")
        hear()
        try:
            async with hold_lease(ledger, clock, command="sync", wait=wait, terms=terms) as lease:
                say("holds")
                while await anyio.to_thread.run_sync(hear) == "check":
                    try:
                        lease.check()
                        say("valid")
                    except LeaseLostError:
                        say("lost")
        except LeaseHeldError:
            say("refused")

anyio.run(run)
"""

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")


class Run:
    """A run in a process of its own, told what to do line by line."""

    def __init__(self, path: Path, terms: Terms, wait: float) -> None:
        values = {name: getattr(terms, name) for name in Terms.__slots__}
        command = [sys.executable, "-c", PROGRAM, str(path), json.dumps(values), str(wait)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self.hears() == "ready"

    def says(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hears(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def asks(self, line: str) -> str:
        self.says(line)
        return self.hears()

    def dies(self) -> None:
        """By kill -9. Its exit code is not fetched: until then it is a zombie, with a process id."""
        self.process.kill()
        os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


Start = Callable[..., Run]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def start(path: Path) -> Iterator[Start]:
    runs: list[Run] = []

    def begin(terms: Terms | None = None, wait: float = 0.0) -> Run:
        runs.append(Run(path, terms or Terms(), wait))
        return runs[-1]

    yield begin
    for run in runs:
        run.end()


def test_of_many_that_reach_for_it_at_once_exactly_one_has_it(start: Start) -> None:
    runs = [start() for _ in range(4)]
    for run in runs:
        run.says("go")
    assert sorted(run.hears() for run in runs) == ["holds", "refused", "refused", "refused"]


@pytest.mark.anyio
async def test_kill_9_of_the_owner_frees_it_at_once(start: Start, path: Path) -> None:
    owner = start()
    assert owner.asks("go") == "holds"
    with open_ledger(path, SystemClock()) as ledger:
        with pytest.raises(LeaseHeldError):
            async with hold_lease(ledger, SystemClock(), command="sync"):
                pytest.fail("two hold the lease")
        owner.dies()
        async with hold_lease(ledger, SystemClock(), command="sync") as lease:
            assert lease.fencing == 2


def test_who_waits_gets_it_when_the_owner_ends(start: Start) -> None:
    owner, waiter = start(), start(Terms(poll=0.01), wait=30)
    assert owner.asks("go") == "holds"
    waiter.says("go")
    owner.says("stop")
    assert waiter.hears() == "holds"


def test_a_frozen_owner_is_succeeded_and_finds_that_out_before_it_writes(start: Start) -> None:
    terms = Terms(expiry=1.0, renewal=0.1, poll=0.02, sight=0.1)  # a busy machine needs that much
    frozen, successor = start(terms), start(terms, wait=30)
    assert frozen.asks("go") == "holds"
    assert frozen.asks("check") == "valid"
    os.kill(frozen.process.pid, signal.SIGSTOP)
    assert successor.asks("go") == "holds"
    os.kill(frozen.process.pid, signal.SIGCONT)
    assert frozen.asks("check") == "lost"
    assert successor.asks("check") == "valid"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("process", "free"),
    [
        pytest.param(Process.current(), False, id="the owner lives"),
        pytest.param(
            replace(Process.current(), started="1"), True, id="its process id is somebody else's now"
        ),
        pytest.param(replace(Process.current(), pid=2**22 + 1), True, id="there is no such process"),
        pytest.param(replace(Process.current(), pid=2**70), False, id="that is no process id"),
        pytest.param(replace(Process.current(), pid=0), False, id="that names no single process"),
        pytest.param(
            replace(Process.current(), machine="another", pid=2**22 + 1),
            False,
            id="another machine's process",
        ),
        pytest.param(
            replace(Process.current(), machine="", pid=2**22 + 1), False, id="a machine that tells nothing"
        ),
        pytest.param(replace(Process.current(), started=""), False, id="an owner without a start time"),
    ],
)
async def test_only_an_owner_that_is_certainly_gone_frees_it_early(process: Process, free: bool) -> None:
    assert process.is_gone is free


def test_two_processes_differ_and_one_is_itself(start: Start, path: Path) -> None:
    run = start()
    assert run.asks("go") == "holds"
    with open_ledger(path, SystemClock()) as ledger:
        row = ledger.read_lease()
    assert row is not None
    assert row.owner.process.pid == run.process.pid
    assert row.owner.process.machine == Process.current().machine
    assert not row.owner.process.is_gone


def test_a_row_is_the_same_after_a_trip_to_the_disk(path: Path) -> None:
    now = SystemClock().now()
    row = LeaseRow(1, Owner.current("id", "sync a/b"), now, now + timedelta(seconds=30))
    with open_ledger(path, SystemClock()) as ledger:
        ledger.swap_lease(None, row)
        assert ledger.read_lease() == row
