"""Leases: who relies on content of a repository that nothing leads to yet.

A push puts blobs first and the manifest that leads to them last; an index comes after its manifests.
Each open store holds one lease for each repository that it pushes to, renewed by what is done there and
not by a clock of its own: it ends LENGTH after the last step, or when the store is closed. What garbage
collection saw unused only after a lease began is not deleted while the lease lasts.
"""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection, bindparam, case, delete, func, select

from regsync.clock import Clock
from regsync.store.catalogue import Catalogue, Transaction
from regsync.store.schema import leases

MINUTE = 60_000_000  # microseconds
LENGTH = 15 * MINUTE  # after the last step of a push
LONGEST = 24 * 60 * MINUTE  # a repository that never rests is not kept from being cleaned for longer
_RENEWED = MINUTE  # after which a step renews

_MINE = select(leases.c.since, leases.c.until).where(
    leases.c.repository == bindparam("repository"), leases.c.owner == bindparam("owner")
)
_longest = case((leases.c.since > bindparam("longest"), leases.c.since), else_=bindparam("longest"))
_EARLIEST = select(func.min(_longest)).where(
    leases.c.repository == bindparam("repository"), leases.c.until >= bindparam("now")
)
_ANY = select(leases.c.owner).where(leases.c.until >= bindparam("now")).limit(1)


class Leases:
    """The leases of one open store."""

    def __init__(self, catalogue: Catalogue, clock: Clock) -> None:
        self._catalogue, self._clock = catalogue, clock
        self._owner = clock.new_id()
        self._renewed: dict[str, int] = {}

    async def hold(self, repository: str) -> None:
        """Before relying on anything there. Costs a transaction a minute; raises StoreError."""
        # By the clock that leases end by: it goes on while the machine sleeps, and may be set back.
        now = int(self._clock.now().timestamp() * 1_000_000)
        renewed = self._renewed.get(repository)
        if renewed is not None and 0 <= now - renewed < _RENEWED:
            return
        await self._catalogue.change(partial(_renew, repository=repository, owner=self._owner))
        self._renewed[repository] = now

    async def held_while(self, repository: str, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """`chunks`; the lease is held for as long as they come."""
        async for chunk in chunks:
            yield chunk
            await self.hold(repository)

    async def release(self) -> None:
        """Nothing is relied on any more; raises StoreError."""
        if self._renewed:
            await self._catalogue.change(partial(_release, owner=self._owner))
            self._renewed.clear()


def _renew(transaction: Transaction, repository: str, owner: str) -> None:
    now = transaction.now
    mine = transaction.connection.execute(_MINE, {"repository": repository, "owner": owner}).first()
    since = min(mine.since, now) if mine is not None and mine.until >= now else now
    row = {"repository": repository, "owner": owner, "since": since, "until": now + LENGTH}
    transaction.upsert(leases, row, "since", "until")


def _release(transaction: Transaction, owner: str) -> None:
    transaction.flush()
    transaction.connection.execute(delete(leases).where(leases.c.owner == owner))


def forget_ended(transaction: Transaction) -> None:
    """Delete what dead processes left."""
    transaction.connection.execute(delete(leases).where(leases.c.until < transaction.now))


@dataclass(frozen=True, slots=True)
class Moment:
    """A time, and how old something must be then. Microseconds."""

    now: int

    def unused_before(self, connection: Connection, repository: str, grace: int) -> int:
        """What was unused then already may go: no push that is under way can have come to rely on it."""
        asked = {"repository": repository, "now": self.now, "longest": self.now - LONGEST}
        earliest = connection.execute(_EARLIEST, asked).scalar()
        oldest = self.now - grace
        return oldest if earliest is None else min(oldest, earliest - 1)

    def unlinked_before(self, connection: Connection) -> int:
        """Bytes that no repository had then already may go: whoever was writing them has long linked them."""
        pushing = connection.execute(_ANY, {"now": self.now}).first() is not None
        return self.now - LENGTH if pushing else self.now
