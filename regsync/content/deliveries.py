"""What to do next for one blob that several destinations want: decided here, without I/O.

Source: DESIGN.md, section 6, rules 3 and 4.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import anyio

from regsync.content.destination import Destination
from regsync.content.protocol import Source
from regsync.content.turns import Turns
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor

KEPT_HOLDERS = 8  # repositories of one place that are remembered to hold a blob, to mount from


@dataclass(eq=False, slots=True)
class Delivery:
    """One blob on its way to one destination."""

    desc: Descriptor
    sources: Sequence[Source]
    to: Destination
    attempts: int = 0
    impatient: bool = False  # what it waited for hardly moves: it reads for itself
    unmountable: set[Destination] = field(default_factory=set)
    failed_origins: dict[int, RegsyncError] = field(default_factory=dict)  # by id of the source
    copied: bool = False  # its bytes were sent; else they were there, or mounted
    _error: RegsyncError | None = None
    _done: anyio.Event = field(default_factory=anyio.Event)

    async def arrived(self) -> None:
        """Wait for the outcome; raises what kept the blob from arriving."""
        await self._done.wait()
        if self._error is not None:
            raise self._error

    def finish(self, error: RegsyncError | None = None) -> None:
        """Tell who waits."""
        if error is None and not self.copied:
            self.to.on_reused(self.desc.size)
        self._error = error
        self._done.set()


@dataclass(frozen=True, slots=True)
class Check:
    """Ask the destination whether it has the blob."""

    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Mount:
    """Take it from another repository of the same place."""

    delivery: Delivery
    holder: Destination


@dataclass(frozen=True, slots=True, eq=False)
class Flight:
    """One reading of the blob, for these deliveries; who has landed is no longer `aboard`."""

    origin: Source
    deliveries: tuple[Delivery, ...]
    aboard: set[Delivery]


Step = Check | Mount | Flight


class Blob:
    """What is known and under way of one digest of one size."""

    __slots__ = ("busy", "flying", "holders", "lacking", "scheduled", "turns", "waiting")

    def __init__(self) -> None:
        self.waiting: list[Delivery] = []
        self.scheduled = False  # a decision is about to be made
        self.busy: set[Destination] = set()  # one step at a time for each destination
        self.lacking: set[Destination] = set()  # they were asked, and do not have it
        self.flying: list[Destination] = []
        self.holders: list[Destination] = []
        self.turns = Turns()

    def held_by(self, destination: Destination) -> None:
        """It is there now."""
        peers = [one for one in self.holders if destination.can_mount_from(one)]
        if destination in self.holders or len(peers) >= KEPT_HOLDERS:
            return
        if peers or len(self.holders) < KEPT_HOLDERS or destination.can_mount:
            self.holders.append(destination)

    def landed(self, flight: Flight, delivery: Delivery) -> None:
        """Its stream is over, for better or worse."""
        flight.aboard.discard(delivery)
        self.flying.remove(delivery.to)
        self.busy.discard(delivery.to)

    def refused(self, delivery: Delivery, error: RegsyncError) -> None:
        """The destination does not take it: whoever waits to try the same there need not."""
        same = [one for one in self.waiting if one.to is delivery.to]
        self.waiting = [one for one in self.waiting if one.to is not delivery.to]
        for one in (delivery, *same):
            one.finish(error)

    @property
    def is_idle(self) -> bool:
        """Whether somebody waits although nothing is under way that could wake them."""
        return bool(self.waiting) and not self.busy and not self.flying

    def decide(self) -> list[Step]:
        """What can begin now; what is decided leaves `waiting`."""
        steps: list[Step] = []
        undecided: dict[Destination, Delivery] = {}
        waiting, self.waiting = self.waiting, []
        for delivery in waiting:
            if delivery.to.has(delivery.desc):
                delivery.finish()
            elif delivery.to in self.busy or delivery.to in undecided:
                self.waiting.append(delivery)
            elif delivery.to.may_have_content and delivery.to not in self.lacking:
                self.busy.add(delivery.to)
                steps.append(Check(delivery))
            elif (holder := _mountable(delivery, self.holders)) is not None:
                self.busy.add(delivery.to)
                steps.append(Mount(delivery, holder))
            else:
                undecided[delivery.to] = delivery
        flight = self._board(list(undecided.values()))
        if flight is not None:
            steps.append(flight)
        return steps

    def _board(self, deliveries: list[Delivery]) -> Flight | None:
        """The next stream. Who can mount from one that is flying waits for it, and so does everyone
        while the only stream comes from the source.
        """
        boarding: list[Delivery] = []
        origin: Source | None = None
        for delivery in deliveries:
            wanted = self._origin(delivery)
            if wanted is None and (delivery.impatient or not self.flying):
                self._nowhere(delivery)
                continue
            busy = [*self.flying, *(one.to for one in boarding)]
            must_wait = (self.flying and not self.holders) or _mountable(delivery, busy) is not None
            if wanted is None or (must_wait and not delivery.impatient):
                self.waiting.append(delivery)
            elif origin is None or id(origin) not in delivery.failed_origins:
                origin = origin or wanted
                boarding.append(delivery)
            else:
                self.waiting.append(delivery)
        if origin is None:
            return None
        self.flying.extend(delivery.to for delivery in boarding)
        self.busy.update(self.flying)
        return Flight(origin, tuple(boarding), set(boarding))

    def _nowhere(self, delivery: Delivery) -> None:
        """No source is left for it, nor for whoever waits for the same from the same sources."""
        error = list(delivery.failed_origins.values())[-1]
        wanted = [id(source) for source in delivery.sources]
        alike = [
            one
            for one in self.waiting
            if one.to is delivery.to and [id(source) for source in one.sources] == wanted
        ]
        self.waiting = [one for one in self.waiting if one not in alike]
        for one in (delivery, *alike):
            one.finish(error)

    def _origin(self, delivery: Delivery) -> Source | None:
        """Where to read it: from a target that has it, else from the sources in their order."""
        candidates: list[Source] = [holder.store for holder in self.holders if holder is not delivery.to]
        candidates.extend(delivery.sources)
        return next((one for one in candidates if id(one) not in delivery.failed_origins), None)


def _mountable(delivery: Delivery, holders: Iterable[Destination]) -> Destination | None:
    for holder in holders:
        if (
            holder is not delivery.to
            and holder not in delivery.unmountable
            and delivery.to.can_mount_from(holder)
        ):
            return holder
    return None
