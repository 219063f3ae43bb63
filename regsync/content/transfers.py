"""Blobs of a whole run on their way: each is read from its source once, whoever wants it where.

A blob that several repositories of one registry want is streamed to one of them and mounted into the
others; one that several registries want is read once and fanned out. What to do next for a blob is
decided in one place without I/O (`deliveries.Blob`); tasks carry it out and report back.
Source: DESIGN.md, section 6, rules 3 and 4.
"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

import anyio
from anyio.abc import TaskGroup

from regsync.content.deliveries import Blob, Check, Delivery, Flight, Mount
from regsync.content.destination import Destination
from regsync.content.fanout import Branch, Budget, FellBehindError, fan_out
from regsync.content.in_hand import STOP_WITHIN, StepsInHand
from regsync.content.large import LARGE, LargeStreams
from regsync.content.protocol import Mounts, ResumesFetch, ResumesPush, Source
from regsync.content.resuming import RESUMABLE_FROM, Reading
from regsync.content.turns import Timed, timed
from regsync.content.verified import AlreadyVerified, VerifiedChunks, verified
from regsync.errors import RegsyncError, TemporaryError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest

MIB = 1024 * 1024
MAX_RETRIES = 3  # of one blob at one destination, where the failure may pass
FIRST_PAUSE = 0.5  # seconds before the first retry; doubled before each other
GATHERING = 0.02  # seconds that a blob of a MiB or more waits for others who want it
PATIENCE = 30.0  # seconds between two looks at streams that somebody waits for
LEAST_PROGRESS = MIB  # bytes in that time, below which a destination holds up those who wait

Watch = Callable[[int], None]  # told the length of each chunk, in bytes


async def _pause(attempt: int) -> None:
    await anyio.sleep(FIRST_PAUSE * 2 ** (attempt - 1))


async def _patience() -> None:
    await anyio.sleep(PATIENCE)


class Transfers:
    """All blob copies of one run. Its task group outlives every delivery that is waited for.

    Cancel the group once nothing is waited for: a look at slow streams may still be ahead.
    """

    def __init__(
        self,
        group: TaskGroup,
        *,
        pause: Callable[[int], Awaitable[None]] = _pause,
        patience: Callable[[], Awaitable[None]] = _patience,
        stop_within: float = STOP_WITHIN,
    ) -> None:
        self._group, self._pause, self._patience = group, pause, patience
        self.in_hand = StepsInHand(group, within=stop_within)
        self._blobs: dict[tuple[Digest, int], Blob] = {}
        self._queued: dict[Blob, int | None] = {}  # whose stream is waited for; bytes moved at the last look
        self._watching = False
        self._budget = Budget()
        self._large = LargeStreams()
        self.bytes_read = 0  # from sources, not from targets that had the blob already

    def want(self, desc: Descriptor, sources: Sequence[Source], to: Destination) -> Delivery:
        """Order a blob; begins at once. Await `Delivery.arrived` for the outcome."""
        delivery = Delivery(desc, sources, to)
        # By size too: a descriptor that lies about it must not spoil the blob for those that do not.
        blob = self._blobs.get((desc.digest, desc.size))
        if blob is None:
            blob = self._blobs[(desc.digest, desc.size)] = Blob()
        if to.has(desc):
            delivery.finish()
        else:
            blob.waiting.append(delivery)
            if not blob.scheduled:
                # Decided later, so that who wants it at the same time gets on the same stream.
                blob.scheduled = True
                self._group.start_soon(self._gather if desc.size >= MIB else self._begin, blob)
        return delivery

    async def _gather(self, blob: Blob) -> None:
        """Wait a moment for other targets of the same image: one reading serves them all."""
        await anyio.sleep(GATHERING)
        await self._begin(blob)

    async def _begin(self, blob: Blob) -> None:
        blob.scheduled = False
        steps = blob.decide()
        while not steps and blob.is_idle:  # a delivery that failed left others behind, and nothing wakes them
            steps = blob.decide()
        for step in steps:
            match step:
                case Check(delivery):
                    self._group.start_soon(self._check, blob, delivery)
                case Mount(delivery, holder):
                    self._group.start_soon(self._mount, blob, delivery, holder)
                case Flight():
                    self._group.start_soon(self._fly, blob, step)
        if blob.waiting and blob.flying:
            self._queued.setdefault(blob, None)
            if not self._watching:
                self._watching = True
                self._group.start_soon(self._watch)

    async def _watch(self) -> None:
        """Let those who wait for a stream that its destination holds up read for themselves."""
        while self._queued:
            await self._patience()
            for blob, before in list(self._queued.items()):
                if not blob.waiting:
                    del self._queued[blob]
                    continue
                moved = self._queued[blob] = blob.turns.moved
                if before is not None and moved - before < LEAST_PROGRESS and not blob.turns.at_origin:
                    for delivery in blob.waiting:
                        delivery.impatient = True
                    await self._begin(blob)
        self._watching = False

    async def _check(self, blob: Blob, delivery: Delivery) -> None:
        try:
            there = await delivery.to.keeps(delivery.desc)
        except RegsyncError as error:
            blob.refused(delivery, error)
        else:
            if there:
                blob.held_by(delivery.to)
            else:
                blob.lacking.add(delivery.to)
            blob.waiting.append(delivery)
        blob.busy.discard(delivery.to)
        await self._begin(blob)

    async def _mount(self, blob: Blob, delivery: Delivery, holder: Destination) -> None:
        store = delivery.to.store
        try:
            delivery.to.guard()
            mounted = isinstance(store, Mounts) and await store.mount(delivery.desc, holder.store)
        except RegsyncError:
            mounted = False  # whatever the reason, the bytes are the way out
        if mounted:
            delivery.to.holds(delivery.desc)
            blob.held_by(delivery.to)
        else:
            delivery.unmountable.update(blob.holders, [holder])
        blob.waiting.append(delivery)
        blob.busy.discard(delivery.to)
        await self._begin(blob)

    async def _fly(self, blob: Blob, flight: Flight) -> None:
        first = flight.deliveries[0]
        from_source = any(flight.origin is source for source in first.sources)
        read = self._read if from_source else _ignored
        room: AbstractAsyncContextManager[None] = nullcontext()
        if first.desc.size >= LARGE:
            room = self._large.place(self._group, blob.turns, len(flight.deliveries))
        try:
            async with room:
                if len(flight.deliveries) > 1:
                    await self._fork(blob, flight, read)
                else:
                    await self._send(blob, flight, first, _both(read, first.to.on_sent))
        except RegsyncError as error:
            for delivery in tuple(flight.aboard):
                blob.landed(flight, delivery)
                self._origin_failed(blob, flight, delivery, error)
        await self._begin(blob)

    async def _send(self, blob: Blob, flight: Flight, delivery: Delivery, watch: Watch) -> None:
        """To one destination: in pieces that a later process can go on with, if it is worth it."""
        desc, store, origin = delivery.desc, delivery.to.store, flight.origin
        if desc.size > RESUMABLE_FROM and isinstance(store, ResumesPush) and isinstance(origin, ResumesFetch):
            reading = Reading(Timed(origin, blob.turns), desc, watch, where=origin.name)
            await self._push(blob, flight, delivery, reading, store.push_resumable(desc, reading.open_at))
        else:
            async with timed(origin.fetch(desc), blob.turns) as chunks:
                stream = verified(chunks, desc, where=origin.name, watch=watch)
                await self._push(blob, flight, delivery, stream, store.push(desc, stream))

    async def _fork(self, blob: Blob, flight: Flight, read: Watch) -> None:
        desc, origin = flight.deliveries[0].desc, flight.origin
        branches = [Branch() for _ in flight.deliveries]
        failure: RegsyncError | None = None

        async def consume(delivery: Delivery, branch: Branch) -> None:
            try:
                part = AlreadyVerified(branch, desc, where=origin.name, watch=delivery.to.on_sent)
                push = delivery.to.store.push(desc, part)
                await self._push(blob, flight, delivery, part, push)
            finally:
                branch.drop()
            await self._begin(blob)

        # The source is let go once it was read: who is slow to take the rest keeps none of its connections.
        async with anyio.create_task_group() as group:
            try:
                async with timed(origin.fetch(desc), blob.turns) as chunks:
                    for delivery, branch in zip(flight.deliveries, branches, strict=True):
                        group.start_soon(consume, delivery, branch)
                    stream = verified(chunks, desc, where=origin.name, watch=read)
                    await fan_out(stream, branches, budget=self._budget, where=origin.name)
            except RegsyncError as error:
                failure = error  # raised outside, where it is not one of a group
        if failure is not None:
            raise failure

    async def _push(
        self,
        blob: Blob,
        flight: Flight,
        delivery: Delivery,
        reading: VerifiedChunks | Reading,
        push: Coroutine[None, None, None],
    ) -> None:
        try:
            delivery.to.guard()
        except RegsyncError as error:
            push.close()
            blob.landed(flight, delivery)
            blob.refused(delivery, error)  # that passes for no retry
            return
        try:
            await push
        except RegsyncError as error:
            blob.landed(flight, delivery)
            if reading.failure is not None:
                self._origin_failed(blob, flight, delivery, reading.failure)
            elif _may_pass(error) and delivery.attempts < MAX_RETRIES:
                delivery.attempts += 1
                blob.busy.add(delivery.to)  # nor does anybody else try there in the meantime
                self._group.start_soon(self._again, blob, delivery)
            else:
                blob.refused(delivery, error)
            return
        blob.landed(flight, delivery)
        delivery.copied = True
        delivery.to.holds(delivery.desc)
        blob.held_by(delivery.to)
        delivery.finish()

    async def _again(self, blob: Blob, delivery: Delivery) -> None:
        await self._pause(delivery.attempts)
        blob.busy.discard(delivery.to)
        blob.waiting.insert(0, delivery)
        await self._begin(blob)

    def _origin_failed(self, blob: Blob, flight: Flight, delivery: Delivery, error: RegsyncError) -> None:
        if not isinstance(error, FellBehindError):
            delivery.failed_origins[id(flight.origin)] = error
        blob.waiting.insert(0, delivery)  # what it learned saves the others the same attempt

    def _read(self, count: int) -> None:
        self.bytes_read += count


def _may_pass(error: RegsyncError) -> bool:
    """Whether the same again soon may work, and was not tried for long already."""
    return isinstance(error, TemporaryError) and not error.is_exhausted


def _ignored(count: int) -> None:
    """Bytes that come from a target are not read from a source."""


def _both(first: Watch, second: Watch) -> Watch:
    def call(count: int) -> None:
        first(count)
        second(count)

    return call
