"""What a run is made of: the outside it talks to, and what it keeps while it goes on."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import anyio
from anyio import CapacityLimiter
from anyio.abc import TaskGroup

from regsync.clock import Clock
from regsync.content.destination import Destination
from regsync.content.manifests import Manifests
from regsync.content.protocol import KnowsItself
from regsync.content.transfers import Transfers
from regsync.errors import RegsyncError
from regsync.oci.digest import Digest
from regsync.reconcile.connect import Places
from regsync.reconcile.events import Emit, Reused, Transferred, ignore
from regsync.reconcile.ledger import Ledger, LedgerError, Spot
from regsync.reconcile.verification import Verification
from regsync.spec.model import Location, Spec, Unit

if TYPE_CHECKING:
    from regsync.reconcile.pruning import Pruning
    from regsync.trust.policy import CompiledPolicy

BLOB_MEMORY = timedelta(hours=12)  # how long the ledger's word for a blob holds
BEGUN = Digest.of(b"")  # among the blobs of a spot: a run began to write there
FLUSH_AT = 2_000  # gathered facts
FLUSH_EVERY = 1.0  # seconds


def _unheld() -> None:
    """No lease is needed by who writes nothing, or for a single copy."""


async def _never_lost() -> RegsyncError:
    """What is not held is not lost."""
    await anyio.sleep_forever()
    raise AssertionError  # pragma: no cover - it sleeps for ever


@dataclass(frozen=True, slots=True)
class Engine:
    """The outside of a run, built by whoever starts it."""

    places: Places
    ledger: Ledger
    clock: Clock
    emit: Emit = ignore
    concurrency: int = 128  # tags that are worked on at once
    check_lease: Callable[[], None] = _unheld  # called before every write; raises when the lease is lost
    lease_lost: Callable[[], Awaitable[RegsyncError]] = _never_lost  # returns when it is, with the reason
    policies: "Mapping[str, CompiledPolicy]" = field(default_factory=dict)  # of the spec, understood
    grace: float = 2.0  # seconds that targets which answered wait for the others of the same repository


@dataclass(slots=True)
class _LedgerBlobs:
    """What the ledger knows of the content at one spot.

    Where the place would take a manifest with missing blobs, its word for single blobs is neither kept
    nor taken. That a run began to write there is remembered of every place, before the first tag shows it.
    """

    ledger: Ledger
    spot: Spot
    now: datetime
    believed: bool
    was_begun: bool = field(init=False)  # by an earlier run
    _known: Mapping[Digest, int] = field(init=False)
    _is_begun: bool = False  # by this one

    def __post_init__(self) -> None:
        self._known = self.ledger.known_blobs(self.spot, self.now - BLOB_MEMORY)
        self.was_begun = bool(self._known)

    def known(self) -> Mapping[Digest, int]:
        if not self.believed:
            return {}
        return {digest: size for digest, size in self._known.items() if digest != BEGUN}

    def begin(self) -> None:
        """Something is about to be written, and may arrive even if nobody hears of it any more."""
        if not self._is_begun:
            self.ledger.knows_blob(self.spot, BEGUN, 0, self.now)
            self._is_begun = True

    def put(self, digest: Digest, size: int) -> None:
        if self.believed:
            self.ledger.knows_blob(self.spot, digest, size, self.now)

    def lost(self) -> None:
        self.ledger.forget_blobs(self.spot)
        self._is_begun = False


@dataclass(slots=True)
class Run:
    """One run while it goes on. `now` is read once, so that the run cannot disagree with itself."""

    engine: Engine
    spec: Spec
    now: datetime
    group: TaskGroup
    manifests: Manifests = field(default_factory=Manifests)
    warnings: list[str] = field(default_factory=list)
    transfers: Transfers = field(init=False)
    verification: Verification = field(init=False)
    ended: RegsyncError | None = None  # why the run ended before its time
    id: str = ""  # under which the ledger remembers it; empty: it does not
    pruning: "Pruning | None" = None  # what it may delete; None: nothing
    slots: CapacityLimiter = field(init=False)  # tags that are looked at, over all repositories
    _limiters: dict[str | frozenset[str], CapacityLimiter] = field(default_factory=dict)
    _destinations: dict[Location, Destination] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.transfers = Transfers(self.group)
        self.verification = Verification(self)
        self.slots = CapacityLimiter(self.engine.concurrency)

    def slots_for(self, unit: Unit) -> CapacityLimiter:
        """Tags in work, over all repositories with these targets: one that stalls stops no others."""
        return self._limiter(frozenset(target.registry for target in unit.targets))

    def writing(self, registry: str) -> CapacityLimiter:
        """Tags that are brought to one registry."""
        return self._limiter(registry)

    def _limiter(self, of: str | frozenset[str]) -> CapacityLimiter:
        found = self._limiters.get(of)
        if found is None:
            found = self._limiters[of] = CapacityLimiter(self.engine.concurrency)
        return found

    def spot(self, location: Location) -> Spot:
        """The ledger's key of a location."""
        return Spot(self.spec.place(location).key, location.repository)

    def destination(self, location: Location, *, may_have_content: bool) -> Destination:
        """The target at `location`, one for the whole run."""
        found = self._destinations.get(location)
        if found is None:
            found = self._destinations[location] = self._new_destination(location, may_have_content)
        return found

    def _new_destination(self, location: Location, may_have_content: bool) -> Destination:  # noqa: FBT001
        store, spot, ledger = self.engine.places.connect(location), self.spot(location), self.engine.ledger
        name, emit = str(location), self.engine.emit
        believed = isinstance(store, KnowsItself) and store.checks_references
        memory = _LedgerBlobs(ledger, spot, self.now, believed)

        def guard() -> None:
            self.engine.check_lease()
            memory.begin()

        return Destination(
            store,
            may_have_content=may_have_content or memory.was_begun,
            memory=memory,
            on_sent=lambda count: emit(Transferred(name, count)),
            on_reused=lambda count: emit(Reused(name, count)),
            guard=guard,
        )

    async def end_when_lost(self) -> None:
        """End with the lease, also while every step waits for an answer or sits out a pause."""
        self.end(await self.engine.lease_lost())

    def end(self, cause: RegsyncError) -> None:
        """End the run here: it may not write any more. What it did so far is reported."""
        self.ended = self.ended or cause
        self.transfers.in_hand.abandon()
        self.group.cancel_scope.cancel()

    async def remember_as_it_goes(self) -> None:
        """Lose little of what was learned, should the process be killed; goes on until it is cancelled."""
        while True:
            await anyio.sleep(FLUSH_EVERY)
            await self.remember(at_least=1)

    async def remember(self, *, at_least: int = FLUSH_AT) -> None:
        """Bring the ledger's facts to disk once there are many; a ledger that fails is only a warning."""
        if self.engine.ledger.pending < at_least:
            return
        try:
            await self.engine.ledger.flush()
        except LedgerError as error:
            self.warn(str(error))

    def warn(self, message: str) -> None:
        """Tell people, once."""
        if message not in self.warnings:
            self.warnings.append(message)
