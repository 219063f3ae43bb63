"""Blobs of a run: read once, mounted, fanned out, retried; nobody held back, nothing left behind."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from regsync.content.destination import Destination
from regsync.content.durable import StorageFullError
from regsync.content.errors import ContentNotFoundError, DigestMismatchError, SizeMismatchError
from regsync.content.memory import MemoryPlace
from regsync.content.transfers import MAX_RETRIES, Delivery, Transfers
from regsync.errors import RegsyncError, TemporaryError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from tests.content.places import BusyError, NoError, Repository, blob, forever

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024


async def at_once(attempt: int) -> None:
    await checkpoint()


class Impatience:
    """Looks at slow streams when the test says so."""

    def __init__(self) -> None:
        self._turn = anyio.Event()

    async def __call__(self) -> None:
        await self._turn.wait()
        self._turn = anyio.Event()

    async def look(self) -> None:
        """Let one look happen."""
        await settle()
        self._turn.set()
        await settle()


async def settle() -> None:
    for _ in range(100):
        await checkpoint()


@asynccontextmanager
async def running(patience: Callable[[], Awaitable[None]] = forever) -> AsyncIterator[Transfers]:
    async with anyio.create_task_group() as group:
        yield Transfers(group, pause=at_once, patience=patience)
        group.cancel_scope.cancel()


async def arrived(*deliveries: Delivery) -> list[RegsyncError | None]:
    errors: list[RegsyncError | None] = []
    with anyio.fail_after(5):
        for delivery in deliveries:
            try:
                await delivery.arrived()
            except RegsyncError as error:
                errors.append(error)
            else:
                errors.append(None)
    return errors


def exhausted(error: TemporaryError) -> TemporaryError:
    error.is_exhausted = True
    return error


def new(store: Repository) -> Destination:
    return Destination(store, may_have_content=False)


async def test_a_blob_for_three_registries_is_read_once() -> None:
    source, targets = Repository("source"), [Repository(f"target{n}") for n in range(3)]
    desc = source.add(bytes(MIB))

    async with running() as transfers:
        errors = await arrived(*(transfers.want(desc, [source], new(one)) for one in targets))

    assert errors == [None] * 3
    assert source.calls["fetch"] == 1
    assert transfers.bytes_read == MIB
    assert all(one._blobs[desc.digest] == bytes(MIB) for one in targets)


async def test_a_blob_for_many_repositories_of_one_registry_is_sent_once_and_mounted() -> None:
    source, place = Repository("source"), MemoryPlace()
    desc = source.add(b"layer")
    targets = [Repository(f"target{n}", place) for n in range(30)]

    async with running() as transfers:
        errors = await arrived(*(transfers.want(desc, [source], new(one)) for one in targets))

    assert errors == [None] * 30
    assert source.calls["fetch"] == 1
    assert sum(one.calls["push"] for one in targets) == 1
    assert sum(one.calls["mount"] for one in targets) == 29


async def test_one_registry_with_many_holders_does_not_hide_those_of_another() -> None:
    source, eu, us = Repository("source"), MemoryPlace("eu"), MemoryPlace("us")
    desc = source.add(b"layer")
    many = [Repository(f"eu{n}", eu) for n in range(20)]
    first, second = Repository("us1", us), Repository("us2", us)

    async with running() as transfers:
        for one in (*many, first, second):
            assert await arrived(transfers.want(desc, [source], new(one))) == [None]

    assert second.calls["mount"] == 1
    assert second.calls["push"] == 0


async def test_a_refused_mount_is_streamed_and_still_reads_the_source_once() -> None:
    source, place = Repository("source"), MemoryPlace()
    desc = source.add(b"layer")
    targets = [Repository(f"target{n}", place) for n in range(5)]
    for one in targets:
        one.mountable = False

    async with running() as transfers:
        errors = await arrived(*(transfers.want(desc, [source], new(one)) for one in targets))

    assert errors == [None] * 5
    assert source.calls["fetch"] == 1


async def test_many_tags_of_one_repository_send_and_ask_for_a_blob_once() -> None:
    source, target = Repository("source"), Repository("target")
    desc = source.add(b"layer")
    to = Destination(target)

    async with running() as transfers:
        deliveries = [transfers.want(desc, [source], to) for _ in range(20)]
        assert await arrived(*deliveries) == [None] * 20

    assert target.calls == {"exists": 1, "push": 1}
    assert sum(one.copied for one in deliveries) == 1


async def test_a_blob_that_this_run_put_there_is_never_asked_for() -> None:
    source, target = Repository("source"), Repository("target")
    desc = source.add(b"layer")
    to = Destination(target)

    async with running() as transfers:
        await arrived(transfers.want(desc, [source], to))
        await arrived(transfers.want(desc, [source], to))

    assert target.calls["exists"] == 1


async def test_a_target_that_answers_slowly_takes_the_blob_from_one_that_has_it() -> None:
    source, quick, slow = Repository("source"), Repository("quick"), Repository("slow")
    desc = source.add(b"layer")
    gate = anyio.Event()
    slow.hooks["exists"] = gate.wait

    async with running() as transfers:
        late = transfers.want(desc, [source], Destination(slow))
        assert await arrived(transfers.want(desc, [source], Destination(quick))) == [None]
        gate.set()
        assert await arrived(late) == [None]

    assert (source.calls["fetch"], quick.calls["fetch"]) == (1, 1)
    assert transfers.bytes_read == desc.size


async def test_a_stalled_target_holds_back_no_other_that_came_with_it() -> None:
    source, good, bad = Repository("source", chunk=MIB), Repository("good"), Repository("bad")
    bad.hooks["push"] = forever
    descs = [source.add(bytes([number]) * 6 * MIB) for number in range(12)]

    async with running() as transfers:
        for desc in descs:
            transfers.want(desc, [source], new(bad))
        assert await arrived(*(transfers.want(desc, [source], new(good)) for desc in descs)) == [None] * 12
        assert source.open == 0, "what was read keeps no connection to the source"
        assert transfers._budget.held <= transfers._budget.limit + 13 * MIB


async def test_a_stalled_target_holds_back_no_other_that_came_after_it() -> None:
    source, good, bad = Repository("source"), Repository("good"), Repository("bad")
    bad.hooks["push"] = forever
    desc = source.add(b"layer")
    patience = Impatience()

    async with running(patience) as transfers:
        transfers.want(desc, [source], new(bad))
        await settle()
        late = transfers.want(desc, [source], new(good))
        await patience.look()
        assert source.calls["fetch"] == 1, "it waits for the stream that is on its way, for a while"
        await patience.look()
        assert await arrived(late) == [None]


async def test_who_waits_for_a_slow_source_does_not_ask_it_twice() -> None:
    source, one, other = Repository("source"), Repository("one"), Repository("other")
    source.hooks["fetch"] = forever
    desc = source.add(b"layer")
    patience = Impatience()

    async with running(patience) as transfers:
        transfers.want(desc, [source], new(one))
        await settle()
        transfers.want(desc, [source], new(other))
        for _ in range(5):
            await patience.look()

    assert source.calls["fetch"] == 1


async def test_a_target_that_falls_behind_still_gets_the_blob_and_the_source_is_read_once() -> None:
    source, quick, slow = Repository("source", chunk=MIB), Repository("quick"), Repository("slow")
    desc = source.add(bytes(80 * MIB))
    gate = anyio.Event()
    slow.hooks["push"] = gate.wait

    async with running() as transfers:
        late = transfers.want(desc, [source], new(slow))
        assert await arrived(transfers.want(desc, [source], new(quick))) == [None]
        gate.set()
        assert await arrived(late) == [None]

    assert (source.calls["fetch"], quick.calls["fetch"]) == (1, 1)
    assert source.given == 80 * MIB


async def test_a_failure_that_passes_is_retried() -> None:
    source, target = Repository("source"), Repository("target")
    target.fails("push", BusyError("busy"), times=MAX_RETRIES)
    desc = source.add(b"layer")

    async with running() as transfers:
        assert await arrived(transfers.want(desc, [source], new(target))) == [None]

    assert target.calls["push"] == 1 + MAX_RETRIES


@pytest.mark.parametrize(
    ("error", "pushes"),
    [
        pytest.param(BusyError("busy"), 1 + MAX_RETRIES, id="one that may pass is reported in the end"),
        pytest.param(NoError("no"), 1, id="one that will not is not tried again"),
        pytest.param(StorageFullError("/store", "full"), 1, id="a full disk stays full"),
        pytest.param(exhausted(BusyError("busy")), 1, id="what was tried for long is not tried again"),
    ],
)
async def test_who_wants_the_same_of_the_same_target_shares_its_failure(
    error: RegsyncError, pushes: int
) -> None:
    source, bad, good = Repository("source"), Repository("bad"), Repository("good")
    bad.fails("push", error)
    desc = source.add(b"layer")
    to = new(bad)

    async with running() as transfers:
        errors = await arrived(*(transfers.want(desc, [source], to) for _ in range(10)))
        assert await arrived(transfers.want(desc, [source], new(good))) == [None]

    assert errors == [error] * 10
    assert bad.calls["push"] == pushes
    assert source.calls["fetch"] == pushes + 1


async def test_a_failing_source_is_followed_by_the_next() -> None:
    gone, broken, good = Repository("gone"), Repository("broken"), Repository("good")
    desc = good.add(b"the layer")
    broken.add(b"the layer")
    broken.fails("chunk", BusyError("cut"))
    target, other = Repository("target"), Repository("other")

    async with running() as transfers:
        wanted = (transfers.want(desc, [gone, broken, good], new(one)) for one in (target, other))
        assert await arrived(*wanted) == [None, None]

    assert [one.calls["fetch"] for one in (gone, broken, good)] == [1, 1, 1]


async def test_a_blob_that_is_nowhere_fails_for_all_who_want_it() -> None:
    source = Repository("source")
    targets = [Repository(f"target{n}") for n in range(3)]

    async with running() as transfers:
        errors = await arrived(*(transfers.want(blob(b"x"), [source], new(one)) for one in targets))

    assert [type(error) for error in errors] == [ContentNotFoundError] * 3
    assert source.calls["fetch"] == 1


async def test_who_has_no_source_left_takes_it_from_a_target_that_is_getting_it() -> None:
    good, gone = Repository("good"), Repository("gone")
    one, other = Repository("one"), Repository("other")
    desc = good.add(b"layer")
    gate = anyio.Event()
    good.hooks["fetch"] = gate.wait

    async with running() as transfers:
        first = transfers.want(desc, [good], new(one))
        await settle()
        second = transfers.want(desc, [gone], new(other))
        await settle()
        gate.set()
        assert await arrived(first, second) == [None, None]


async def test_a_lie_about_the_content_reaches_no_target() -> None:
    source = Repository("source")
    desc = source.add(b"honest")
    source._blobs[desc.digest] = b"forged"
    targets = [Repository("one"), Repository("two")]

    async with running() as transfers:
        errors = await arrived(*(transfers.want(desc, [source], new(one)) for one in targets))

    assert [type(error) for error in errors] == [DigestMismatchError] * 2
    assert not any(one._blobs for one in targets)


@pytest.mark.parametrize("liar_first", [True, False])
async def test_a_lie_about_the_size_fails_alone(liar_first: bool) -> None:
    source, target = Repository("source"), Repository("target")
    desc = source.add(b"layer")
    lie = Descriptor(desc.media_type, desc.digest, desc.size + 1)
    to = Destination(target)
    order = [lie, desc] if liar_first else [desc, lie]

    async with running() as transfers:
        errors = await arrived(*(transfers.want(one, [source], to) for one in order))
        again = await arrived(*(transfers.want(one, [source], to) for one in order))

    for found in (errors, again):
        outcome = dict(zip(order, found, strict=True))
        assert outcome[desc] is None
        assert isinstance(outcome[lie], SizeMismatchError)


async def test_a_lie_about_the_size_of_what_an_earlier_run_put_there_is_found_out() -> None:
    source, target = Repository("source"), Repository("target")
    desc = source.add(b"layer")
    target.add(b"layer")
    lie = Descriptor(desc.media_type, desc.digest, desc.size + 1)

    class Memory:
        def known(self) -> dict[Digest, int]:
            return {desc.digest: desc.size}

        def put(self, digest: Digest, size: int) -> None: ...

        def lost(self) -> None: ...

    async with running() as transfers:
        to = Destination(target, memory=Memory())
        errors = await arrived(*(transfers.want(one, [source], to) for one in (desc, lie)))

    assert errors[0] is None
    assert isinstance(errors[1], SizeMismatchError)
    assert target.calls["push"] == 0


async def test_a_guard_that_says_no_keeps_every_byte_back() -> None:
    source, target = Repository("source"), Repository("target")
    desc = source.add(b"layer")

    def lost() -> None:
        raise NoError("the lease is lost")

    async with running() as transfers:
        to = Destination(target, may_have_content=False, guard=lost)
        assert [str(one) for one in await arrived(transfers.want(desc, [source], to))] == [
            "the lease is lost"
        ]

    assert target.calls["push"] == 0


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    registries=st.integers(1, 3),
    repositories=st.integers(1, 5),
    refuses_mounts=st.booleans(),
    has_already=st.booleans(),
)
def test_a_blob_is_read_once_from_the_source_whatever_happens_in_between(  # noqa: C901
    seed: int, registries: int, repositories: int, refuses_mounts: bool, has_already: bool
) -> None:
    chance = random.Random(seed)

    async def dawdle() -> None:
        for _ in range(chance.randrange(30)):
            await checkpoint()

    async def scenario() -> None:
        source = Repository("source", chunk=2)
        descs = [source.add(f"layer {n}".encode()) for n in range(3)]
        places = [MemoryPlace(f"place{n}") for n in range(registries)]
        targets = [Repository(f"r{n}", place, chunk=2) for place in places for n in range(repositories)]
        for one in (source, *targets):
            one.hooks = dict.fromkeys(("exists", "fetch", "chunk", "push", "mount"), dawdle)
            one.mountable = not refuses_mounts
        if has_already:
            targets[0].add(b"layer 0")
        destinations = [Destination(one, may_have_content=chance.random() < 0.5) for one in targets]

        async def copy(to: Destination) -> None:
            await dawdle()
            wanted = [transfers.want(desc, [source], to) for desc in descs for _ in range(2)]
            assert await arrived(*wanted) == [None] * 6

        async with running() as transfers, anyio.create_task_group() as group:
            for to in destinations:
                group.start_soon(copy, to)
        for name in {name for call, name in source.log if call == "fetch"}:
            assert source.log.count(("fetch", name)) == 1
        for one in targets:
            assert len(one._blobs) == 3
            assert one.calls["exists"] <= 3
            assert one.calls["push"] <= 3
        if not refuses_mounts and not has_already:
            assert sum(one.calls["push"] for one in targets) <= 3 * registries

    anyio.run(scenario)


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 2**32), cancel_at=st.integers(0, 300), failing=st.floats(0, 0.5))
def test_cancelled_or_failing_anywhere_every_delivery_ends_and_no_task_is_left(  # noqa: C901
    seed: int, cancel_at: int, failing: float
) -> None:
    chance = random.Random(seed)

    async def mishap() -> None:
        for _ in range(chance.randrange(6)):
            await checkpoint()
        if chance.random() < failing:
            raise chance.choice([BusyError("busy"), NoError("no")])

    async def scenario() -> None:
        sources = [Repository("source", chunk=2), Repository("backup", chunk=2)]
        descs = [one.add(f"layer {n}".encode()) for n in range(3) for one in sources][::2]
        place = MemoryPlace()
        targets = [Repository(f"t{n}", place if n % 2 else None, chunk=2) for n in range(4)]
        for one in (*sources, *targets):
            one.hooks = dict.fromkeys(("exists", "fetch", "chunk", "push", "mount"), mishap)
        ended = 0

        async def copy(transfers: Transfers, to: Destination) -> None:
            nonlocal ended
            for desc in descs:
                await arrived(transfers.want(desc, sources, to))
            ended += 1

        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                transfers = Transfers(group, pause=at_once)
                async with anyio.create_task_group() as copies:
                    for one in targets:
                        copies.start_soon(copy, transfers, Destination(one))
                    if cancel_at < 250:
                        for _ in range(cancel_at):
                            await checkpoint()
                        group.cancel_scope.cancel()
                assert ended == 4
                group.cancel_scope.cancel()
        assert transfers._budget.held == 0
        assert all(one.open == 0 for one in (*sources, *targets))

    anyio.run(scenario)


async def test_many_tags_that_want_a_blob_which_is_nowhere_fail_at_once() -> None:
    here, there, target = Repository("here"), Repository("there"), new(Repository("target"))

    async with running() as transfers:
        wanted = [transfers.want(blob(b"x"), [source], target) for source in (here, there) for _ in range(50)]
        errors = await arrived(*wanted)

    assert {type(error) for error in errors} == {ContentNotFoundError}
    assert here.calls["fetch"] + there.calls["fetch"] == 2
