"""One stream to several consumers: pace, lag, memory, failures, cancellation."""

from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from regsync.content.fanout import (
    LEAST_LAG,
    MAX_LAG,
    MIB,
    NEAR,
    WINDOW,
    Branch,
    Budget,
    FellBehindError,
    fan_out,
)
from tests.content.places import NoError, Steps

pytestmark = pytest.mark.anyio


async def many(count: int, size: int, *, given: list[int] | None = None) -> AsyncIterator[bytes]:
    chunk = bytes(size)
    for _ in range(count):
        await checkpoint()
        if given is not None:
            given.append(size)
        yield chunk


async def take_all(branch: Branch) -> int:
    size = 0
    async for chunk in branch:
        size += len(chunk)
        await checkpoint()
    return size


async def settle() -> None:
    for _ in range(200):
        await checkpoint()


async def test_every_branch_gets_every_byte_in_order() -> None:
    async def numbers() -> AsyncIterator[bytes]:
        for number in range(100):
            yield bytes([number])

    branches = [Branch() for _ in range(3)]
    got: list[bytes] = []

    async def consume(branch: Branch) -> None:
        got.append(b"".join([chunk async for chunk in branch]))

    async with anyio.create_task_group() as group:
        for branch in branches:
            group.start_soon(consume, branch)
        await fan_out(numbers(), branches, budget=Budget(), where="source")

    assert got == [bytes(range(100))] * 3


async def test_the_reader_goes_at_the_pace_of_the_fastest_and_the_slow_one_leaves() -> None:
    slow, fast, given = Branch(), Branch(), []
    outcome: list[object] = []

    async def stalled() -> None:
        pace = Steps()
        try:
            async for _ in slow:
                await pace.step()
        except FellBehindError as error:
            outcome.append(error)

    budget = Budget(limit=10 * MAX_LAG)
    async with anyio.create_task_group() as group:
        group.start_soon(stalled)
        group.start_soon(fan_out_of(many(80, MIB, given=given), [slow, fast], budget))
        assert await take_all(fast) == 80 * MIB
        group.cancel_scope.cancel()

    assert sum(given) == 80 * MIB
    assert slow.lag == 0
    assert not slow.is_open
    assert budget.held == 0


def fan_out_of(
    chunks: AsyncIterator[bytes], branches: list[Branch], budget: Budget
) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        await fan_out(chunks, branches, budget=budget, where="source")

    return run


async def test_who_is_a_little_behind_is_waited_for_in_a_share_of_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("regsync.content.fanout.SHARE", 1e9)  # all of the time
    slow, fast, given = Branch(), Branch(), []
    pace = Steps()

    async def take_slowly() -> None:
        async for _ in slow:
            await pace.step()

    async with anyio.create_task_group() as group:
        group.start_soon(take_slowly)
        group.start_soon(take_all, fast)
        group.start_soon(fan_out_of(many(80, MIB, given=given), [slow, fast], Budget()))
        await settle()
        assert sum(given) <= NEAR + 3 * MIB
        pace.allow(80)
        with anyio.fail_after(5):
            while slow.is_open:
                await checkpoint()

    assert sum(given) == 80 * MIB
    assert not slow.gone


async def test_the_reader_waits_when_nobody_takes_anything() -> None:
    branches, given = [Branch(), Branch()], []

    async with anyio.create_task_group() as group:
        group.start_soon(fan_out_of(many(100, MIB, given=given), branches, Budget()))
        await settle()
        assert sum(given) <= WINDOW + 2 * MIB
        group.cancel_scope.cancel()


async def test_the_reader_ends_when_all_branches_are_gone() -> None:
    branches, given = [Branch(), Branch()], []
    for branch in branches:
        branch.drop()

    await fan_out(many(100, MIB, given=given), branches, budget=Budget(), where="source")

    assert len(given) == 1


async def test_an_error_of_the_source_reaches_every_branch() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise NoError("gone")

    branches = [Branch(), Branch()]
    await fan_out(broken(), branches, budget=Budget(), where="source")

    for branch in branches:
        with pytest.raises(NoError):
            await take_all(branch)


async def test_what_slow_branches_hold_after_the_end_of_the_stream_counts_against_the_budget() -> None:
    budget = Budget(limit=8 * MIB)
    streams = [[Branch(), Branch()] for _ in range(10)]

    async with anyio.create_task_group() as group:
        for fast, slow in streams:
            group.start_soon(fan_out_of(many(4, MIB), [fast, slow], budget))
            group.start_soon(take_all, fast)
        for _ in range(20):
            await settle()
            assert budget.held <= budget.limit + MIB
        group.cancel_scope.cancel()

    left = [slow for _, slow in streams if slow.lag]
    assert len(left) <= 2
    with pytest.raises(FellBehindError):
        await take_all(streams[0][1])


async def test_a_stream_gets_on_while_others_hold_all_of_the_budget() -> None:
    budget = Budget(limit=1)
    stuck = [[Branch(), Branch()] for _ in range(5)]
    alone = Branch()

    async with anyio.create_task_group() as group:
        for fast, slow in stuck:
            group.start_soon(fan_out_of(many(3, LEAST_LAG // 4), [fast, slow], budget))
            group.start_soon(take_all, fast)
        await settle()
        group.start_soon(fan_out_of(many(50, MIB), [alone, Branch()], budget))
        assert await take_all(alone) == 50 * MIB
        group.cancel_scope.cancel()


@settings(max_examples=60, deadline=None)
@given(
    paces=st.lists(st.lists(st.integers(0, 3), max_size=6), min_size=1, max_size=4),
    quits=st.lists(st.one_of(st.none(), st.integers(0, 10)), min_size=4, max_size=4),
    fails_at=st.one_of(st.none(), st.integers(0, 20)),
    cancel_at=st.one_of(st.none(), st.integers(0, 60)),
)
def test_any_schedule_ends_with_every_branch_answered_and_nothing_held(  # noqa: C901
    paces: list[list[int]], quits: list[int | None], fails_at: int | None, cancel_at: int | None
) -> None:
    async def scenario() -> None:  # noqa: C901
        budget = Budget(limit=3 * MIB)
        branches = [Branch() for _ in paces]
        ends: list[str] = []

        async def source() -> AsyncIterator[bytes]:
            for number in range(20):
                if number == fails_at:
                    raise NoError("cut")
                await checkpoint()
                yield bytes(MIB)

        async def consume(branch: Branch, pace: list[int], quit_at: int | None) -> None:
            taken = 0
            try:
                async for _ in branch:
                    for _ in range(pace[taken % len(pace)] if pace else 0):
                        await checkpoint()
                    taken += 1
                    if taken == quit_at:
                        break
                ends.append("done")
            except (FellBehindError, NoError):
                ends.append("told")
            finally:
                branch.drop()

        async def cancel_later(group: anyio.abc.TaskGroup) -> None:
            for _ in range(cancel_at or 0):
                await checkpoint()
            if cancel_at is not None:
                group.cancel_scope.cancel()

        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                for branch, pace, quit_at in zip(branches, paces, quits, strict=False):
                    group.start_soon(consume, branch, pace, quit_at)
                group.start_soon(cancel_later, group)
                await fan_out(source(), branches, budget=budget, where="source")
        assert budget.held == 0
        if cancel_at is None:
            assert len(ends) == len(branches)

    anyio.run(scenario)
