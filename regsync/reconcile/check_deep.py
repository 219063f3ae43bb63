"""`check --deep`: everything that is equal is read again at its place, and every byte hashed.

An equal digest says that a place names the right thing; this says that it has it: each child of an index,
each manifest, config and layer, complete and of the size that is promised. It writes nothing but how far
it has come.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import anyio

from regsync.clock import Clock
from regsync.content.concurrently import for_each
from regsync.content.errors import ContentError, ContentNotFoundError, InterruptedStreamError
from regsync.content.graph import Shape, Sparse, read_graph
from regsync.content.manifests import Manifests
from regsync.content.protocol import Store
from regsync.content.verified import verified
from regsync.errors import RegsyncError, UnsupportedError
from regsync.oci.descriptor import UNKNOWN_SIZE, Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import InvalidManifestError
from regsync.oci.reference import Tag
from regsync.plan.check import Drift, Reread, Row, State, unread
from regsync.plan.model import Problem
from regsync.reconcile.check_progress import Progress
from regsync.reconcile.check_unit import Equal, UnitChecked
from regsync.reconcile.ledger import Spot
from regsync.spec.model import Location

BLOBS_AT_ONCE = 4  # of one repository
GRAPHS_AT_ONCE = 8
PLACES_AT_ONCE = 16
READS = 2  # of one blob, where it ends too early


class Throttle:
    """Bytes of all places together, so many a second; None: as they come."""

    def __init__(
        self, rate: int | None, clock: Clock, sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    ) -> None:
        self._rate, self._clock, self._sleep, self._free_at = rate, clock, sleep, 0.0

    async def moved(self, count: int) -> None:
        """Wait until so many bytes more fit."""
        if self._rate is None:
            return
        now = self._clock.monotonic()
        self._free_at = max(self._free_at, now) + count / self._rate
        if (wait := self._free_at - now) > 0:
            await self._sleep(wait)


@dataclass(slots=True)
class _Place:
    """What is to be read again of one repository."""

    spot: Spot
    location: Location
    store: Store
    shape: Shape
    tags: dict[Digest, list[tuple[UnitChecked, Tag | None]]] = field(default_factory=dict)  # by what is equal
    blobs: dict[Digest, tuple[Descriptor, list[Digest]]] = field(
        default_factory=dict
    )  # with what leads there
    ended: RegsyncError | None = None  # why it is read no further


@dataclass(slots=True)
class Deep:
    """One pass over everything that is equal."""

    progress: Progress
    throttle: Throttle
    percent: float = 100.0  # of the blobs
    blobs: int = 0
    bytes: int = 0
    skipped: int = 0
    unsampled: int = 0

    async def __call__(self, done: Sequence[UnitChecked], spot_of: Callable[[Location], Spot]) -> Reread:
        """Read; what is not well becomes a row of its unit. Raises UnwritableProgressError."""
        places: dict[tuple[Spot, bool], _Place] = {}
        for unit in done:
            for equal in unit.equal:
                _add(places, unit, equal, spot_of(equal.view.location))
        await for_each(self._place, places.values(), at_once=PLACES_AT_ONCE)
        if all(place.ended is None for place in places.values()):
            self.progress.finish()
        return Reread(self.blobs, self.bytes, self.skipped, self.unsampled)

    async def _place(self, place: _Place) -> None:
        manifests = Manifests()
        await for_each(lambda root: self._graph(place, manifests, root), place.tags, at_once=GRAPHS_AT_ONCE)
        await for_each(lambda blob: self._blob(place, *blob), place.blobs.values(), at_once=BLOBS_AT_ONCE)
        if place.ended is not None:
            for unit in {id(unit): unit for some in place.tags.values() for unit, _ in some}.values():
                problem, mirror, source = Problem.of(place.ended), unit.unit.mirror, unit.unit.source
                unit.rows.append(unread(mirror, source, place.location, problem, "not all was read again"))

    async def _graph(self, place: _Place, manifests: Manifests, root: Digest) -> None:
        """The manifests below `root`, from this place alone."""
        if place.ended is not None:
            return
        try:
            desc = Descriptor("", root, UNKNOWN_SIZE)
            graph = await read_graph(manifests, (place.store,), desc, shape=place.shape)
        except RegsyncError as error:
            self._failed(place, [root], error)
            return
        for blob in graph.blobs:
            place.blobs.setdefault(blob.digest, (blob, []))[1].append(root)

    async def _blob(self, place: _Place, desc: Descriptor, roots: list[Digest]) -> None:
        if place.ended is not None:
            return
        if self.progress.is_done(place.spot, desc.digest):
            self.skipped += 1
            return
        if not self._is_sampled(desc.digest):
            self.unsampled += 1
            return
        try:
            await self._read(place.store, desc)
        except RegsyncError as error:
            self._failed(place, roots, error)
            return
        self.blobs += 1
        self.progress.note(place.spot, desc.digest)

    async def _read(self, store: Store, desc: Descriptor) -> None:
        """Every byte; twice where it ended too early, since a connection that broke looks the same."""
        for attempt in range(READS):
            try:
                async with store.fetch(desc) as chunks:
                    async for chunk in verified(chunks, desc, where=store.name):
                        self.bytes += len(chunk)
                        await self.throttle.moved(len(chunk))
            except InterruptedStreamError:
                if attempt == READS - 1:
                    raise
            else:
                return

    def _is_sampled(self, digest: Digest) -> bool:
        """By chance, the same in every part of a pass that was interrupted."""
        share = int.from_bytes(sha256(f"{self.progress.seed}{digest}".encode()).digest()[:4], "big")
        return share < self.percent / 100 * 2**32

    def _failed(self, place: _Place, roots: Sequence[Digest], error: RegsyncError) -> None:
        drift: Drift | None = None
        problem: Problem | None = None
        match error:
            case ContentNotFoundError():
                state, drift = State.DRIFTED, Drift.INCOMPLETE
            case UnsupportedError():  # content that regsync does not carry, and cannot judge
                state, problem = State.UNREACHABLE, Problem.of(error)
            case ContentError() | InvalidManifestError():
                state, drift = State.DRIFTED, Drift.DAMAGED
            case _:
                place.ended = place.ended or error
                return
        for root in roots:
            for unit, tag in place.tags[root]:
                named = (unit.unit.mirror, unit.unit.source, place.location, tag)
                unit.demote(Row(*named, state, root, root, str(error), drift, problem=problem))


def _add(places: dict[tuple[Spot, bool], _Place], unit: UnitChecked, equal: Equal, spot: Spot) -> None:
    shape = equal.shape if isinstance(equal.shape, Sparse) else None
    key = (spot, shape is not None)
    location, store = equal.view.location, equal.view.destination.store
    place = places.setdefault(key, _Place(spot, location, store, shape))
    place.tags.setdefault(equal.digest, []).append((unit, equal.tag))
