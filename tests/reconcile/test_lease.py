"""Of all runs over one ledger one writes: who gets the lease, who keeps it, who is told."""

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from anyio import CancelScope, Event, create_task_group, fail_after, from_thread, sleep_forever
from anyio.lowlevel import checkpoint

from regsync.errors import RegsyncError, TemporaryError
from regsync.reconcile.lease import (
    RELEASED,
    Lease,
    LeaseHeldError,
    LeaseLostError,
    LeaseRow,
    Terms,
    hold_lease,
)
from regsync.reconcile.lease_owner import Owner, Process
from regsync.reconcile.ledger import LedgerError
from regsync.reconcile.ledger_memory import MemoryLedger
from regsync.reconcile.ledger_sqlite import SqliteLedger, open_ledger
from tests.support.clock import START, FrozenClock

AnyTable = MemoryLedger | SqliteLedger

QUICK = Terms(renewal=0.001, poll=0.001)
ELSEWHERE = Owner("theirs", "sync teams/web", "node-7", Process("another machine", 4711, "1"))


class StolenError(Exception):
    """Raised by a body, to see that it comes out as it is."""


class RefusingTable(MemoryLedger):
    """A table on a disk that can be told to take no writes, or to be gone."""

    def __init__(self) -> None:
        super().__init__()
        self.writable = self.readable = True

    def read_lease(self) -> LeaseRow | None:
        if not self.readable:
            raise LedgerError(self.name, "cannot be read: disk I/O error")
        return super().read_lease()

    def swap_lease(self, old: LeaseRow | None, new: LeaseRow) -> bool:
        if not self.writable:
            raise LedgerError(self.name, "cannot be written: database or disk is full")
        return super().swap_lease(old, new)


@pytest.fixture(params=["memory", "sqlite"])
def table(request: pytest.FixtureRequest, tmp_path: Path, clock: FrozenClock) -> Iterator[AnyTable]:
    opened: AbstractContextManager[AnyTable]
    opened = (
        nullcontext(MemoryLedger()) if request.param == "memory" else open_ledger(tmp_path / "l.db", clock)
    )
    with opened as table:
        yield table


def held_elsewhere(table: AnyTable, clock: FrozenClock, owner: Owner = ELSEWHERE) -> LeaseRow:
    """Another machine's run took the lease just now."""
    row = LeaseRow(1, owner, clock.now(), clock.now() + timedelta(seconds=30))
    assert table.swap_lease(None, row)
    return row


def steal(table: AnyTable) -> None:
    """Another machine's run takes over from whoever has it."""
    row = table.read_lease()
    assert row is not None
    assert table.swap_lease(row, replace(row, fencing=row.fencing + 1, owner=ELSEWHERE))


async def watch(lease: Lease) -> None:
    """Ask again and again."""
    while True:
        lease.check()
        await checkpoint()


# --- taking it


@pytest.mark.anyio
async def test_the_lease_is_held_in_the_body_and_given_back_after(
    table: AnyTable, clock: FrozenClock
) -> None:
    async with hold_lease(table, clock, command="sync") as lease:
        lease.check()
        row = table.read_lease()
        assert row is not None
        assert (row.fencing, row.since, row.expires) == (1, START, START + timedelta(seconds=30))
        assert row.owner.process == Process.current()
    after = table.read_lease()
    assert after is not None
    assert after.expires == RELEASED


@pytest.mark.anyio
async def test_each_holder_has_a_greater_fencing_number(table: AnyTable, clock: FrozenClock) -> None:
    numbers = []
    for _ in range(3):
        async with hold_lease(table, clock, command="sync") as lease:
            numbers.append(lease.fencing)
    assert numbers == [1, 2, 3]


@pytest.mark.anyio
async def test_who_finds_it_held_is_told_by_whom_and_how_to_wait(table: AnyTable, clock: FrozenClock) -> None:
    held_elsewhere(table, clock)
    with pytest.raises(LeaseHeldError) as refused:
        async with hold_lease(table, clock, command="sync"):
            pytest.fail("two hold the lease")
    assert str(refused.value) == (
        f"ledger {table.name}: another run holds the lease: 'sync teams/web' (process 4711 on node-7), "
        "since 2026-01-01 12:00:00 UTC"
    )
    assert "--wait" in refused.value.hint
    assert isinstance(refused.value, TemporaryError)


@pytest.mark.anyio
async def test_two_runs_of_one_process_exclude_each_other_too(table: AnyTable, clock: FrozenClock) -> None:
    async with hold_lease(table, clock, command="sync"):
        with pytest.raises(LeaseHeldError):
            async with hold_lease(table, clock, command="sync"):
                pytest.fail("two hold the lease")


@pytest.mark.anyio
async def test_a_lease_of_another_machine_ends_when_it_expires_and_not_before(
    table: AnyTable, clock: FrozenClock
) -> None:
    held_elsewhere(table, clock)
    clock.advance(29.9)
    with pytest.raises(LeaseHeldError):
        async with hold_lease(table, clock, command="sync"):
            pytest.fail("two hold the lease")
    clock.advance(0.1)
    async with hold_lease(table, clock, command="sync") as lease:
        assert lease.fencing == 2


@pytest.mark.anyio
async def test_who_waits_gets_it_when_it_is_given_back(table: AnyTable, clock: FrozenClock) -> None:
    row = held_elsewhere(table, clock)
    told: list[LeaseHeldError] = []

    def give_back(error: LeaseHeldError) -> None:
        told.append(error)
        assert table.swap_lease(row, replace(row, expires=RELEASED))

    async with hold_lease(table, clock, command="sync", wait=600, terms=QUICK, told=give_back) as lease:
        assert lease.fencing == 2
    assert len(told) == 1


@pytest.mark.anyio
async def test_waiting_ends(table: AnyTable, clock: FrozenClock) -> None:
    row = held_elsewhere(table, clock)

    def time_passes(error: LeaseHeldError) -> None:
        clock.advance(10)
        assert table.swap_lease(row, replace(row, expires=clock.now() + timedelta(seconds=30)))

    with pytest.raises(LeaseHeldError):
        async with hold_lease(table, clock, command="sync", wait=10, terms=QUICK, told=time_passes):
            pytest.fail("two hold the lease")


@pytest.mark.anyio
async def test_a_dead_machine_whose_clock_was_ahead_holds_it_no_longer_than_an_expiry(
    table: AnyTable, clock: FrozenClock
) -> None:
    row = held_elsewhere(table, clock)
    assert table.swap_lease(row, replace(row, expires=clock.now() + timedelta(days=1)))
    async with hold_lease(
        table, clock, command="sync", wait=30, terms=QUICK, told=lambda _: clock.advance(30)
    ) as lease:
        assert lease.fencing == 2


# --- keeping it


@pytest.mark.anyio
async def test_it_is_renewed_while_the_body_works(table: AnyTable, clock: FrozenClock) -> None:
    async with hold_lease(table, clock, command="sync", terms=QUICK) as lease:
        for _ in range(4):
            clock.advance(10)
            row = table.read_lease()
            while row is None or row.expires < clock.now() + timedelta(seconds=30):
                await checkpoint()
                row = table.read_lease()
            lease.check()


@pytest.mark.anyio
async def test_a_process_that_stood_still_for_too_long_writes_nothing_more(
    table: AnyTable, clock: FrozenClock
) -> None:
    async with hold_lease(table, clock, command="sync") as lease:
        clock.advance(29.9)
        lease.check()
        clock.advance(0.1)
        with pytest.raises(LeaseLostError, match="stood still"):
            lease.check()


@pytest.mark.anyio
async def test_a_machine_that_slept_writes_nothing_more_though_its_monotonic_clock_stood_still(
    table: AnyTable, clock: FrozenClock
) -> None:
    async with hold_lease(table, clock, command="sync") as lease:
        clock.set(START + timedelta(minutes=5))
        with pytest.raises(LeaseLostError):
            lease.check()


@pytest.mark.anyio
async def test_late_is_not_lost_while_nobody_took_it(table: AnyTable, clock: FrozenClock) -> None:
    async with hold_lease(table, clock, command="sync") as lease:
        clock.advance(300)
        assert await lease.renew()
        lease.check()


@pytest.mark.anyio
async def test_a_lease_taken_over_is_lost_for_good_and_its_new_owner_named(
    table: AnyTable, clock: FrozenClock
) -> None:
    async with hold_lease(table, clock, command="sync") as lease:
        steal(table)
        assert not await lease.renew()
        with pytest.raises(LeaseLostError, match=r"'sync teams/web' \(process 4711 on node-7\) took it over"):
            lease.check()
        assert isinstance(LeaseLostError("x", where="y"), TemporaryError)
    row = table.read_lease()
    assert row is not None
    assert (row.owner, row.fencing) == (ELSEWHERE, 2)
    assert row.expires != RELEASED


@pytest.mark.anyio
async def test_the_background_renewal_notices_a_takeover(table: AnyTable, clock: FrozenClock) -> None:
    async with hold_lease(table, clock, command="sync", terms=QUICK) as lease:
        steal(table)
        with pytest.raises(LeaseLostError):
            await watch(lease)


@pytest.mark.anyio
async def test_a_takeover_is_told_to_who_waits_for_the_loss(table: AnyTable, clock: FrozenClock) -> None:
    async with hold_lease(table, clock, command="sync", terms=QUICK) as lease:
        steal(table)
        with fail_after(5):
            assert "took it over" in str(await lease.lost())


@pytest.mark.anyio
async def test_a_lease_that_ran_out_unrenewed_is_told_to_who_waits_for_the_loss(clock: FrozenClock) -> None:
    table = RefusingTable()
    async with hold_lease(table, clock, command="sync", terms=QUICK) as lease:
        table.writable = table.readable = False
        clock.advance(30)
        with fail_after(5):
            assert "stood still" in str(await lease.lost())


@pytest.mark.anyio
async def test_a_full_disk_does_not_end_a_run_while_nobody_else_has_the_lease(clock: FrozenClock) -> None:
    table = RefusingTable()
    async with hold_lease(table, clock, command="sync") as lease:
        table.writable = False
        for _ in range(5):
            clock.advance(10)
            assert not await lease.renew()
            lease.check()
        clock.advance(3)
        with pytest.raises(LeaseLostError):
            lease.check()
        table.writable = True
        steal(table)
        table.writable = False
        assert not await lease.renew()
        with pytest.raises(LeaseLostError, match="took it over"):
            lease.check()


@pytest.mark.anyio
async def test_a_disk_that_is_gone_ends_the_run_when_the_lease_expires(clock: FrozenClock) -> None:
    table = RefusingTable()
    async with hold_lease(table, clock, command="sync") as lease:
        table.writable = table.readable = False
        clock.advance(20)
        assert not await lease.renew()
        lease.check()
        clock.advance(10)
        assert not await lease.renew()
        with pytest.raises(LeaseLostError, match="stood still"):
            lease.check()


@pytest.mark.anyio
async def test_a_renewal_that_was_written_and_reported_as_failed_is_no_loss(clock: FrozenClock) -> None:
    class Liar(MemoryLedger):
        lies = False

        def swap_lease(self, old: LeaseRow | None, new: LeaseRow) -> bool:
            done = super().swap_lease(old, new)
            if self.lies:
                raise LedgerError(self.name, "cannot be written: disk I/O error")
            return done

    table = Liar()
    async with hold_lease(table, clock, command="sync") as lease:
        clock.advance(10)
        table.lies = True
        assert not await lease.renew()
        table.lies = False
        clock.advance(10)
        assert await lease.renew()
        lease.check()


@pytest.mark.anyio
async def test_a_table_deleted_and_made_anew_is_another_lease(clock: FrozenClock) -> None:
    table = MemoryLedger()
    async with hold_lease(table, clock, command="sync") as lease:
        table._lease = None
        assert not await lease.renew()
        with pytest.raises(LeaseLostError, match="its row is gone"):
            lease.check()


# --- leaving it


@pytest.mark.anyio
async def test_an_error_of_the_body_comes_out_as_it_is_and_frees_the_lease(
    table: AnyTable, clock: FrozenClock
) -> None:
    with pytest.raises(StolenError):
        async with hold_lease(table, clock, command="sync"):
            raise StolenError
    async with hold_lease(table, clock, command="sync"):
        pass


@pytest.mark.anyio
async def test_a_group_of_errors_comes_out_as_the_group_it_was(table: AnyTable, clock: FrozenClock) -> None:
    group = ExceptionGroup("two", [StolenError(), StolenError()])
    with pytest.raises(ExceptionGroup) as raised:
        async with hold_lease(table, clock, command="sync"):
            raise group
    assert raised.value is group


@pytest.mark.anyio
async def test_a_cancelled_run_frees_the_lease(table: AnyTable, clock: FrozenClock) -> None:
    holds = Event()

    async def run() -> None:
        async with hold_lease(table, clock, command="sync"):
            holds.set()
            await sleep_forever()

    async with create_task_group() as group:
        group.start_soon(run)
        await holds.wait()
        group.cancel_scope.cancel()
    row = table.read_lease()
    assert row is not None
    assert row.expires == RELEASED


@pytest.mark.anyio
async def test_a_run_cancelled_while_it_takes_the_lease_leaves_it_free(
    table: AnyTable, clock: FrozenClock
) -> None:
    with CancelScope() as scope:
        scope.cancel()
        async with hold_lease(table, clock, command="sync"):
            await checkpoint()
    row = table.read_lease()
    assert row is None or row.expires == RELEASED


@pytest.mark.anyio
async def test_a_run_cancelled_just_when_it_got_the_lease_gives_it_back(clock: FrozenClock) -> None:
    class CancelsMeanwhile(MemoryLedger):
        def swap_lease(self, old: LeaseRow | None, new: LeaseRow) -> bool:
            if old is None:
                from_thread.run_sync(scope.cancel)
            return super().swap_lease(old, new)

    table = CancelsMeanwhile()
    with CancelScope() as scope:
        async with hold_lease(table, clock, command="sync"):
            await checkpoint()
            pytest.fail("goes on though cancelled")
    row = table.read_lease()
    assert row is not None
    assert row.expires == RELEASED


@pytest.mark.anyio
async def test_a_ledger_that_cannot_be_written_gives_no_lease(clock: FrozenClock) -> None:
    table = RefusingTable()
    table.writable = False
    with pytest.raises(LedgerError, match="disk is full"):
        async with hold_lease(table, clock, command="sync"):
            pytest.fail("held without a row")


@pytest.mark.anyio
async def test_a_row_that_makes_no_sense_is_an_error_and_no_traceback(
    tmp_path: Path, clock: FrozenClock
) -> None:
    path = tmp_path / "ledger.db"
    with open_ledger(path, clock) as table:
        held_elsewhere(table, clock)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("UPDATE lease SET expires = 'soon'")
        other.close()
        with pytest.raises(RegsyncError, match="makes no sense"):
            async with hold_lease(table, clock, command="sync"):
                pytest.fail("held without a row")


def test_a_lease_that_was_just_taken_is_valid(clock: FrozenClock) -> None:
    table = MemoryLedger()
    Lease(table, clock, Terms(), held_elsewhere(table, clock)).check()
