"""Blobs of a whole run on their way: each is read from its source once, whoever wants it where.

A blob that several repositories of one registry want is streamed to one of them and mounted into the
others; one that several registries want is read once and fanned out. What to do next for a blob is
decided in one place without I/O (`_Blob.decide`); tasks carry it out and report back.
Source: DESIGN.md, section 6, rules 3 and 4.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from regsync.content.destination import Destination
from regsync.content.errors import SizeMismatchError
from regsync.content.fanout import Branch, Budget, FellBehindError, fan_out
from regsync.content.protocol import Mounts, ResumesFetch, ResumesPush, Source
from regsync.content.resuming import RESUMABLE_FROM, Reading
from regsync.content.verified import AlreadyVerified, VerifiedChunks, verified
from regsync.errors import RegsyncError, TemporaryError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest

MAX_ATTEMPTS = 3  # of one blob at one destination, where the failure may pass
Watch = Callable[[int], None]  # told the length of each chunk, in bytes

KEPT_HOLDERS = 8  # repositories remembered to hold a blob, to mount from


@dataclass(eq=False, slots=True)
class Delivery:
    """One blob on its way to one destination."""

    desc: Descriptor
    sources: Sequence[Source]
    to: Destination
    checked: bool = False  # the destination was asked whether it has the blob
    attempts: int = 0
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
class _Check:
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class _Mount:
    delivery: Delivery
    holder: Destination


@dataclass(frozen=True, slots=True)
class _Flight:
    origin: Source
    deliveries: tuple[Delivery, ...]


_Step = _Check | _Mount | _Flight


class _Blob:
    """What is known and under way of one digest."""

    __slots__ = ("busy", "flying", "holders", "scheduled", "size", "waiting")

    def __init__(self, size: int) -> None:
        self.size = size
        self.waiting: list[Delivery] = []
        self.scheduled = False  # a decision is about to be made
        self.busy: set[Destination] = set()  # one step at a time for each destination
        self.flying: list[Destination] = []
        self.holders: list[Destination] = []

    def held_by(self, destination: Destination) -> None:
        """It is there now."""
        if len(self.holders) < KEPT_HOLDERS and destination not in self.holders:
            self.holders.append(destination)

    def landed(self, destination: Destination) -> None:
        """Its stream is over, for better or worse."""
        self.flying.remove(destination)
        self.busy.discard(destination)

    def decide(self) -> list[_Step]:
        """What can begin now; what is decided leaves `waiting`."""
        steps: list[_Step] = []
        undecided: dict[Destination, Delivery] = {}
        waiting, self.waiting = self.waiting, []
        for delivery in waiting:
            if delivery.to.has(delivery.desc.digest):
                delivery.finish()
            elif delivery.to in self.busy or delivery.to in undecided:
                self.waiting.append(delivery)
            elif delivery.to.may_have_content and not delivery.checked:
                self.busy.add(delivery.to)
                steps.append(_Check(delivery))
            elif (holder := _mountable(delivery, self.holders)) is not None:
                self.busy.add(delivery.to)
                steps.append(_Mount(delivery, holder))
            else:
                undecided[delivery.to] = delivery
        flight = self._board(list(undecided.values()))
        if flight is not None:
            steps.append(flight)
        return steps

    def _board(self, deliveries: list[Delivery]) -> _Flight | None:
        """The next stream. Who can mount from one that is flying waits for it, and so does everyone
        while the only stream comes from the source.
        """
        boarding: list[Delivery] = []
        origin: Source | None = None
        for delivery in deliveries:
            wanted = self._origin(delivery)
            if wanted is None:
                delivery.finish(list(delivery.failed_origins.values())[-1])
                continue
            busy = [*self.flying, *(one.to for one in boarding)]
            if (self.flying and not self.holders) or _mountable(delivery, busy) is not None:
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
        return _Flight(origin, tuple(boarding))

    def _origin(self, delivery: Delivery) -> Source | None:
        """Where to read it: from a target that has it, else from the sources in their order."""
        candidates: list[Source] = [holder.store for holder in self.holders if holder is not delivery.to]
        candidates.extend(delivery.sources)
        return next((one for one in candidates if id(one) not in delivery.failed_origins), None)


def _mountable(delivery: Delivery, holders: Iterable[Destination]) -> Destination | None:
    for holder in holders:
        if holder not in delivery.unmountable and delivery.to.can_mount_from(holder):
            return holder
    return None


async def _pause(attempt: int) -> None:
    await anyio.sleep(0.25 * 2**attempt)


class Transfers:
    """All blob copies of one run. Its task group outlives every delivery that is waited for."""

    def __init__(self, group: TaskGroup, *, pause: Callable[[int], Awaitable[None]] = _pause) -> None:
        self._group, self._pause = group, pause
        self._blobs: dict[Digest, _Blob] = {}
        self._budget = Budget()
        self.bytes_read = 0  # from sources, not from targets that had the blob already

    def want(self, desc: Descriptor, sources: Sequence[Source], to: Destination) -> Delivery:
        """Order a blob; begins at once. Await `Delivery.arrived` for the outcome."""
        delivery = Delivery(desc, sources, to)
        blob = self._blobs.get(desc.digest)
        if blob is None:
            blob = self._blobs[desc.digest] = _Blob(desc.size)
        if blob.size != desc.size:
            delivery.finish(SizeMismatchError(desc, blob.size, where=sources[0].name))
        elif to.has(desc.digest):
            delivery.finish()
        else:
            blob.waiting.append(delivery)
            if not blob.scheduled:
                # Decided a turn later, so that who wants it at the same time gets on the same stream.
                blob.scheduled = True
                self._group.start_soon(self._begin, blob)
        return delivery

    async def _begin(self, blob: _Blob) -> None:
        blob.scheduled = False
        for step in blob.decide():
            match step:
                case _Check(delivery):
                    self._group.start_soon(self._check, blob, delivery)
                case _Mount(delivery, holder):
                    self._group.start_soon(self._mount, blob, delivery, holder)
                case _Flight(origin, deliveries):
                    self._group.start_soon(self._fly, blob, origin, deliveries)

    async def _check(self, blob: _Blob, delivery: Delivery) -> None:
        try:
            there = await delivery.to.store.exists(delivery.desc)
        except RegsyncError as error:
            delivery.finish(error)
        else:
            delivery.checked = True
            if there:
                delivery.to.holds(delivery.desc.digest)
                blob.held_by(delivery.to)
            blob.waiting.append(delivery)
        blob.busy.discard(delivery.to)
        await self._begin(blob)

    async def _mount(self, blob: _Blob, delivery: Delivery, holder: Destination) -> None:
        store = delivery.to.store
        try:
            delivery.to.guard()
            mounted = isinstance(store, Mounts) and await store.mount(delivery.desc, holder.store)
        except RegsyncError:
            mounted = False  # whatever the reason, the bytes are the way out
        if mounted:
            delivery.to.holds(delivery.desc.digest)
            blob.held_by(delivery.to)
        else:
            delivery.unmountable.update(blob.holders, [holder])
        blob.waiting.append(delivery)
        blob.busy.discard(delivery.to)
        await self._begin(blob)

    async def _fly(self, blob: _Blob, origin: Source, deliveries: tuple[Delivery, ...]) -> None:
        desc = deliveries[0].desc
        from_source = any(origin is source for source in deliveries[0].sources)
        read = self._read if from_source else _ignored
        try:
            if len(deliveries) > 1:
                async with origin.fetch(desc) as chunks:
                    stream = verified(chunks, desc, where=origin.name, watch=read)
                    await self._fork(blob, origin, deliveries, stream)
            else:
                watch = _both(read, deliveries[0].to.on_sent)
                await self._send(blob, origin, deliveries[0], watch)
        except RegsyncError as error:
            for delivery in deliveries:
                if delivery.to in blob.flying:
                    blob.landed(delivery.to)
                    self._origin_failed(blob, origin, delivery, error)
        await self._begin(blob)

    async def _send(self, blob: _Blob, origin: Source, delivery: Delivery, watch: Watch) -> None:
        """To one destination: in pieces that a later process can go on with, if it is worth it."""
        desc, store = delivery.desc, delivery.to.store
        if desc.size > RESUMABLE_FROM and isinstance(store, ResumesPush) and isinstance(origin, ResumesFetch):
            reading = Reading(origin, desc, watch)
            await self._push(blob, origin, delivery, reading, store.push_resumable(desc, reading.open_at))
        else:
            async with origin.fetch(desc) as chunks:
                stream = verified(chunks, desc, where=origin.name, watch=watch)
                await self._push(blob, origin, delivery, stream, store.push(desc, stream))

    async def _fork(
        self, blob: _Blob, origin: Source, deliveries: Sequence[Delivery], stream: VerifiedChunks
    ) -> None:
        branches = [Branch() for _ in deliveries]

        async def consume(delivery: Delivery, branch: Branch) -> None:
            try:
                part = AlreadyVerified(branch, stream.desc, where=origin.name, watch=delivery.to.on_sent)
                push = delivery.to.store.push(stream.desc, part)
                await self._push(blob, origin, delivery, part, push)
            finally:
                branch.drop()
            await self._begin(blob)

        async with anyio.create_task_group() as group:
            for delivery, branch in zip(deliveries, branches, strict=True):
                group.start_soon(consume, delivery, branch)
            await fan_out(stream, branches, budget=self._budget, where=origin.name)

    async def _push(
        self,
        blob: _Blob,
        origin: Source,
        delivery: Delivery,
        reading: VerifiedChunks | Reading,
        push: Coroutine[None, None, None],
    ) -> None:
        try:
            with closing(push):
                delivery.to.guard()
                await push
        except RegsyncError as error:
            blob.landed(delivery.to)
            if reading.failure is not None:
                self._origin_failed(blob, origin, delivery, reading.failure)
            elif isinstance(error, TemporaryError) and delivery.attempts < MAX_ATTEMPTS:
                delivery.attempts += 1
                self._group.start_soon(self._again, blob, delivery)
            else:
                delivery.finish(error)
            return
        blob.landed(delivery.to)
        delivery.copied = True
        delivery.to.holds(delivery.desc.digest)
        blob.held_by(delivery.to)
        delivery.finish()

    async def _again(self, blob: _Blob, delivery: Delivery) -> None:
        await self._pause(delivery.attempts)
        blob.waiting.append(delivery)
        await self._begin(blob)

    def _origin_failed(self, blob: _Blob, origin: Source, delivery: Delivery, error: RegsyncError) -> None:
        if not isinstance(error, FellBehindError):
            delivery.failed_origins[id(origin)] = error
        blob.waiting.append(delivery)

    def _read(self, count: int) -> None:
        self.bytes_read += count


def _ignored(count: int) -> None:
    """Bytes that come from a target are not read from a source."""


def _both(first: Watch, second: Watch) -> Watch:
    def call(count: int) -> None:
        first(count)
        second(count)

    return call
