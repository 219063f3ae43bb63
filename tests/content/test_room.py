"""Room in memory is shared in the order of coming, and never lost."""

import anyio
import pytest
from anyio.lowlevel import checkpoint

from regsync.content.room import Room

pytestmark = pytest.mark.anyio


async def settled() -> None:
    for _ in range(5):
        await checkpoint()


class Holders:
    """Tasks that each hold some of a room until they are told to go."""

    def __init__(self, room: Room) -> None:
        self.room, self.inside = room, list[str]()
        self._ends: dict[str, anyio.Event] = {}

    async def hold(self, name: str, size: int) -> None:
        self._ends[name] = anyio.Event()
        async with self.room.hold(size):
            self.inside.append(name)
            await self._ends[name].wait()
        self.inside.remove(name)

    async def go(self, name: str) -> None:
        self._ends[name].set()
        await settled()


async def test_who_finds_it_full_waits_in_the_order_of_coming() -> None:
    holders = Holders(Room(10))
    async with anyio.create_task_group() as group:
        for name, size in (("a", 6), ("b", 4), ("large", 8), ("small", 1)):
            group.start_soon(holders.hold, name, size)
            await settled()
        assert holders.inside == ["a", "b"]
        await holders.go("b")
        assert holders.inside == ["a"]  # the small one does not overtake the large one for ever
        await holders.go("a")
        assert holders.inside == ["large", "small"]
        await holders.go("large")
        await holders.go("small")


async def test_more_than_there_is_waits_for_all_of_it() -> None:
    holders = Holders(Room(10))
    async with anyio.create_task_group() as group:
        group.start_soon(holders.hold, "some", 1)
        await settled()
        group.start_soon(holders.hold, "more than all", 11)
        await settled()
        assert holders.inside == ["some"]
        await holders.go("some")
        assert holders.inside == ["more than all"]
        await holders.go("more than all")


async def test_who_gives_up_waiting_holds_up_nobody() -> None:
    holders = Holders(Room(10))
    async with anyio.create_task_group() as group:
        group.start_soon(holders.hold, "first", 6)
        await settled()
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as inner:
                inner.start_soon(holders.hold, "large", 8)
                await settled()
                group.start_soon(holders.hold, "small", 2)
                await settled()
                assert holders.inside == ["first"]
                scope.cancel()
        await settled()
        assert holders.inside == ["first", "small"]
        await holders.go("first")
        group.start_soon(holders.hold, "large", 8)
        await settled()
        assert holders.inside == ["small", "large"]
        await holders.go("small")
        await holders.go("large")
