"""Long streams take turns, and one that stalls holds back no other."""

import anyio
import pytest

from regsync.content.large import LEAST_PROGRESS, LargeStreams
from regsync.content.turns import Turns
from regsync.errors import RegsyncError

pytestmark = pytest.mark.anyio


class Looks:
    """A patience that ends when the test says so."""

    def __init__(self) -> None:
        self._next = anyio.Event()

    async def wait(self) -> None:
        await self._next.wait()

    async def pass_by(self) -> None:
        over, self._next = self._next, anyio.Event()
        over.set()
        await anyio.wait_all_tasks_blocked()


async def test_no_more_streams_than_there_are_places() -> None:
    streams = LargeStreams(at_once=2)
    release = anyio.Event()
    under_way: list[int] = []

    async def stream(group: anyio.abc.TaskGroup, number: int) -> None:
        async with streams.place(group, Turns(), 1):
            under_way.append(number)
            await release.wait()

    async with anyio.create_task_group() as group:
        for number in range(7):
            group.start_soon(stream, group, number)
        await anyio.wait_all_tasks_blocked()
        assert len(under_way) == 2
        release.set()
    assert len(under_way) == 7


async def test_a_stream_to_more_destinations_than_there_are_places_takes_them_all() -> None:
    streams = LargeStreams(at_once=2)
    async with anyio.create_task_group() as group:
        async with streams.place(group, Turns(), 5):
            pass
        async with streams.place(group, Turns(), 5):
            pass


async def test_a_stream_that_its_destination_holds_up_gives_its_place_to_others() -> None:
    looks = Looks()
    streams = LargeStreams(at_once=1, patience=looks.wait)
    arrived = anyio.Event()

    async def stalls() -> None:
        async with streams.place(group, Turns(), 1):
            await anyio.sleep_forever()

    async def follows() -> None:
        async with streams.place(group, Turns(), 1):
            arrived.set()

    async with anyio.create_task_group() as group:
        group.start_soon(stalls)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(follows)
        await anyio.wait_all_tasks_blocked()
        assert not arrived.is_set()
        await looks.pass_by()
        assert arrived.is_set()
        group.cancel_scope.cancel()


@pytest.mark.parametrize("waits_for_origin", [True, False], ids=["for its origin", "not at all"])
async def test_a_stream_keeps_its_place_while_it_moves_or_waits(*, waits_for_origin: bool) -> None:
    looks, turns = Looks(), Turns()
    streams = LargeStreams(at_once=1, patience=looks.wait)
    entered = anyio.Event()

    async def moves() -> None:
        async with streams.place(group, turns, 1):
            await anyio.sleep_forever()

    async def follows() -> None:
        async with streams.place(group, Turns(), 1):
            entered.set()

    async with anyio.create_task_group() as group:
        group.start_soon(moves)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(follows)
        turns.at_origin = int(waits_for_origin)
        turns.moved += 0 if waits_for_origin else LEAST_PROGRESS
        await looks.pass_by()
        assert not entered.is_set()
        group.cancel_scope.cancel()


async def test_an_error_of_the_stream_comes_out_as_it_is_and_frees_the_place() -> None:
    streams = LargeStreams(at_once=1)
    async with anyio.create_task_group() as group:
        with pytest.raises(RegsyncError, match="broke"):
            async with streams.place(group, Turns(), 1):
                raise RegsyncError("it broke")
        async with streams.place(group, Turns(), 1):
            pass
