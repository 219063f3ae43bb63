"""Changes that are made durable together."""

from collections.abc import Sequence
from threading import Event

import anyio
import pytest
from anyio import from_thread

from regsync.content.group_commit import GroupCommit

pytestmark = pytest.mark.anyio


class Recorder:
    """Notes each group; holds the first back until it is told to go on."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.started = anyio.Event()
        self.go_on = Event()

    def commit(self, changes: Sequence[str]) -> Sequence[str | Exception]:
        self.groups.append(list(changes))
        from_thread.run_sync(self.started.set)
        assert self.go_on.wait(10)
        return [ValueError(one) if one.startswith("bad") else one.upper() for one in changes]


async def test_what_waits_meanwhile_is_committed_together() -> None:
    recorder = Recorder()
    group = GroupCommit(recorder.commit)
    results: dict[str, str] = {}

    async def submit(change: str) -> None:
        results[change] = await group.submit(change)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(submit, "first")
        await recorder.started.wait()
        for number in range(5):
            tasks.start_soon(submit, f"later {number}")
        await anyio.wait_all_tasks_blocked()
        recorder.go_on.set()
    assert recorder.groups == [["first"], [f"later {number}" for number in range(5)]]
    assert results == {change: change.upper() for change in ["first", *(f"later {n}" for n in range(5))]}


async def test_a_failing_change_fails_nobody_else() -> None:
    recorder = Recorder()
    recorder.go_on.set()
    group = GroupCommit(recorder.commit)
    outcomes: list[str] = []

    async def submit(change: str) -> None:
        try:
            outcomes.append(await group.submit(change))
        except ValueError as error:
            outcomes.append(str(error))

    async with anyio.create_task_group() as tasks:
        for change in ("good", "bad", "better"):
            tasks.start_soon(submit, change)
    assert sorted(outcomes) == ["BETTER", "GOOD", "bad"]


async def test_when_the_whole_group_fails_everyone_in_it_hears_of_it() -> None:
    def commit(_: Sequence[str]) -> Sequence[str]:
        raise OSError("disk")

    group = GroupCommit(commit)
    failed = 0

    async def submit() -> None:
        nonlocal failed
        with pytest.raises(OSError, match="disk"):
            await group.submit("x")
        failed += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(submit)
    assert failed == 3


async def test_who_is_cancelled_while_waiting_leaves_nothing() -> None:
    recorder = Recorder()
    group = GroupCommit(recorder.commit)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(group.submit, "first")
        await recorder.started.wait()
        async with anyio.create_task_group() as impatient:
            impatient.start_soon(group.submit, "never mind")
            await anyio.wait_all_tasks_blocked()
            impatient.cancel_scope.cancel()
        tasks.start_soon(group.submit, "second")
        recorder.go_on.set()
    assert recorder.groups == [["first"], ["second"]]


async def test_who_is_cancelled_while_being_committed_learns_of_it_when_it_is_done() -> None:
    recorder = Recorder()
    group = GroupCommit(recorder.commit)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(group.submit, "first")
        await recorder.started.wait()
        tasks.cancel_scope.cancel()
        recorder.go_on.set()
    assert recorder.groups == [["first"]]
    assert await group.submit("next") == "NEXT"


async def test_a_crowd_is_committed_in_groups_of_the_size_that_was_asked_for() -> None:
    groups: list[int] = []

    def commit(changes: Sequence[int]) -> Sequence[int]:
        groups.append(len(changes))
        return changes

    group = GroupCommit(commit, at_most=4)
    results: list[int] = []

    async def submit(number: int) -> None:
        results.append(await group.submit(number))

    async with anyio.create_task_group() as tasks:
        for number in range(30):
            tasks.start_soon(submit, number)
    assert sorted(results) == list(range(30))
    assert max(groups) == 4
    assert len(groups) < 12
