"""The lease: of all runs over one ledger, one writes (DESIGN.md, section 6, rule 7).

It is a row with an owner, a fencing number that each new owner raises, and an expiry that the owner
puts off while it works. The row only ever changes by comparing and swapping, so two that reach for it
cannot both have it. It is over when its owner gave it back, when the owner's process on this machine
is gone, when it expired, or when whoever waits saw it unchanged for as long as an expiry lasts, which
does not depend on two machines agreeing about the time.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol, TypeVar

from anyio import (
    CancelScope,
    CapacityLimiter,
    Event,
    create_task_group,
    get_cancelled_exc_class,
    sleep,
    to_thread,
)

from regsync.clock import Clock
from regsync.errors import TemporaryError
from regsync.reconcile.lease_owner import Owner
from regsync.reconcile.ledger import LedgerError
from regsync.reconcile.ledger_rows import EPOCH

T = TypeVar("T")

RELEASED: Final = EPOCH  # the expiry of a lease that was given back


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """The lease as it is written down. Times are UTC."""

    fencing: int
    owner: Owner
    since: datetime
    expires: datetime


class LeaseTable(Protocol):
    """Where the row is. Both calls may block, and raise LedgerError."""

    @property
    def name(self) -> str:
        """The place as a person knows it."""
        ...

    def read_lease(self) -> LeaseRow | None:
        """The row; None when nobody ever held the lease."""
        ...

    def swap_lease(self, old: LeaseRow | None, new: LeaseRow) -> bool:
        """Replace `old` by `new`, safe from a power cut; False when the row is not `old` any more."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """How a lease is kept, in seconds. Owners and those who wait must agree on `expiry`."""

    expiry: float = 30.0
    renewal: float = 10.0
    poll: float = 1.0  # between two looks of somebody who waits, or whose renewal failed
    sight: float = 3.0  # how long a look at the row is believed while it cannot be written


class LeaseHeldError(TemporaryError):
    """Another run holds the lease."""

    def __init__(self, row: LeaseRow, *, where: str) -> None:
        since = f"{row.since:%Y-%m-%d %H:%M:%S} UTC"
        super().__init__(f"ledger {where}: another run holds the lease: {row.owner}, since {since}")
        self.row = row

    @property
    def hint(self) -> str:
        """How to wait for it."""
        return "run again later, or wait for it with --wait 10m"


class LeaseLostError(TemporaryError):
    """This run held the lease, and may hold it no longer: it writes nothing more."""

    def __init__(self, cause: str, *, where: str) -> None:
        super().__init__(f"ledger {where}: this run lost its lease: {cause}")

    @property
    def hint(self) -> str:
        """Nothing is broken."""
        return "run again: what was copied is there, the rest goes on from it"


class Lease:
    """A lease that this process holds, or held."""

    def __init__(self, table: LeaseTable, clock: Clock, terms: Terms, row: LeaseRow) -> None:
        self._table, self._clock, self._terms, self._row = table, clock, terms, row
        self._thread = CapacityLimiter(1)  # its own, so that no crowd of other work delays a renewal
        self._taken: str | None = None  # who has it now
        self._is_lost = Event()
        self._expires = row.expires
        self._valid_until = clock.monotonic() + (row.expires - clock.now()).total_seconds()

    @property
    def fencing(self) -> int:
        """Greater than that of every earlier lease of this ledger."""
        return self._row.fencing

    def check(self) -> None:
        """Raise LeaseLostError unless this run may still write. Cheap: ask before every write.

        Both clocks are asked: the monotonic one stands still while a machine sleeps, the other may
        be set.
        """
        if (loss := self._loss()) is not None:
            raise loss

    async def lost(self) -> LeaseLostError:
        """Wait until this run may write no more, and say why; `keep` finds out."""
        await self._is_lost.wait()
        return self._loss() or self._stood_still()

    async def keep(self) -> None:
        """Renew until cancelled, or until the lease is lost: taken over, or not renewed for too long."""
        pause = self._terms.renewal
        while True:
            await sleep(pause)
            if await self.renew():
                pause = self._terms.renewal
            elif self._loss() is None:
                pause = self._terms.poll
            else:
                self._is_lost.set()
                return

    def _loss(self) -> LeaseLostError | None:
        if self._taken is not None:
            return LeaseLostError(self._taken, where=self._table.name)
        monotonic, now = self._moment()
        return self._stood_still() if monotonic >= self._valid_until or now >= self._expires else None

    def _stood_still(self) -> LeaseLostError:
        cause = f"not renewed for {self._terms.expiry:g} s; the process or its disk stood still"
        return LeaseLostError(cause, where=self._table.name)

    async def renew(self) -> bool:
        """Put the expiry off; False when that failed, for now or for good."""
        moment = self._moment()
        row = replace(self._row, expires=moment[1] + timedelta(seconds=self._terms.expiry))
        try:
            if await self._in_thread(partial(self._table.swap_lease, self._row, row)):
                self._row = row
                self._extend(self._terms.expiry, *moment)
                return True
            await self._look()
        except LedgerError:
            # Whoever wants the lease must write the same row, on the disk that refuses us: while it
            # can be read and is ours, nobody took it. So a full disk does not end the run.
            with suppress(LedgerError):
                await self._look()
        return False

    async def release(self) -> None:
        """Give the lease back."""
        with suppress(LedgerError):  # it ends anyway: with this process, or when it expires
            await self._in_thread(
                partial(self._table.swap_lease, self._row, replace(self._row, expires=RELEASED))
            )

    async def _look(self) -> None:
        moment = self._moment()
        row = await self._in_thread(self._table.read_lease)
        if row is None:
            self._taken = "its row is gone"
        elif (row.fencing, row.owner.id) != (self._row.fencing, self._row.owner.id):
            self._taken = f"{row.owner} took it over"
        else:
            self._row = row  # a write that was reported as failed may have happened
            if moment[0] + self._terms.sight > self._valid_until:
                self._extend(self._terms.sight, *moment)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await to_thread.run_sync(call, limiter=self._thread)

    def _moment(self) -> tuple[float, datetime]:
        return self._clock.monotonic(), self._clock.now()

    def _extend(self, seconds: float, monotonic: float, now: datetime) -> None:
        self._valid_until, self._expires = monotonic + seconds, now + timedelta(seconds=seconds)


class _Watch:
    """What somebody who wants the lease has seen of its holder."""

    def __init__(self, clock: Clock, terms: Terms) -> None:
        self._clock, self._terms = clock, terms
        self._seen: LeaseRow | None = None
        self._since = 0.0

    def is_over(self, row: LeaseRow) -> bool:
        """Whether the holder has no claim any more."""
        monotonic = self._clock.monotonic()
        if row != self._seen:
            self._seen, self._since = row, monotonic
        return (
            row.expires <= self._clock.now()
            or row.owner.process.is_gone
            or monotonic - self._since >= self._terms.expiry
        )


def _unheard(error: LeaseHeldError) -> None:
    """Nobody is told."""


@asynccontextmanager
async def hold_lease(
    table: LeaseTable,
    clock: Clock,
    *,
    command: str,
    wait: float = 0.0,
    terms: Terms = Terms(),
    told: Callable[[LeaseHeldError], None] = _unheard,
) -> AsyncIterator[Lease]:
    """Hold the lease for the body, renewing it in the background; at most `wait` seconds late.

    `command` is shown to whoever finds the lease held: a verb and paths, nothing secret. `told` hears
    once that there is something to wait for. Raises LeaseHeldError, or LedgerError where the row
    cannot be written. The body asks `check` before every write.
    """
    lease = await _take(table, clock, command, wait, terms, told)
    failure: BaseException | None = None
    try:
        async with create_task_group() as group:
            group.start_soon(lease.keep)
            try:
                yield lease
            except get_cancelled_exc_class():
                raise
            except BaseException as error:  # noqa: BLE001  # raised again outside, or the group wraps it
                failure = error
            group.cancel_scope.cancel()
    finally:
        with CancelScope(shield=True):
            await lease.release()
    if failure is not None:
        raise failure


async def _take(
    table: LeaseTable,
    clock: Clock,
    command: str,
    wait: float,
    terms: Terms,
    told: Callable[[LeaseHeldError], None],
) -> Lease:
    owner = Owner.current(clock.new_id(), command)
    watch = _Watch(clock, terms)
    deadline = clock.monotonic() + wait
    waiting = False
    while True:
        row = await to_thread.run_sync(table.read_lease)
        if row is None or watch.is_over(row):
            lease = await _claim(table, clock, terms, owner, row)
            if lease is not None:
                return lease
            continue  # another was faster: the next look shows who
        left = deadline - clock.monotonic()
        held = LeaseHeldError(row, where=table.name)
        if left <= 0:
            raise held
        if not waiting:
            waiting = True
            told(held)
        await sleep(min(left, terms.poll))


async def _claim(
    table: LeaseTable, clock: Clock, terms: Terms, owner: Owner, old: LeaseRow | None
) -> Lease | None:
    now = clock.now()
    fencing = 1 if old is None else old.fencing + 1
    row = LeaseRow(fencing, owner, now, now + timedelta(seconds=terms.expiry))
    # A call in a thread is shielded: a cancellation cannot come between the swap and its answer, and
    # leave a lease that nobody knows of.
    taken = await to_thread.run_sync(table.swap_lease, old, row)
    return Lease(table, clock, terms, row) if taken else None
