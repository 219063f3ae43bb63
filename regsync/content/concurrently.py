"""Doing one thing for many items at once, and failing with an error rather than a group of them."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import anyio

T = TypeVar("T")
R = TypeVar("R")
S = TypeVar("S")


async def for_each(
    function: Callable[[T], Awaitable[R]], items: Iterable[T], *, at_once: int | None = None
) -> list[R]:
    """Await `function` for every item, `at_once` (None: all) at a time; results in the items' order.

    The first failure cancels the rest and is raised as it is.
    """
    todo = list(items)
    if len(todo) == 1:
        return [await function(todo[0])]
    results: dict[int, R] = {}
    failures: list[Exception] = []
    numbered = iter(enumerate(todo))

    async def work() -> None:
        try:
            for number, item in numbered:
                results[number] = await function(item)
        except Exception as error:  # noqa: BLE001 - kept to be raised below, outside the group
            failures.append(error)
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for _ in range(len(todo) if at_once is None else min(at_once, len(todo))):
            group.start_soon(work)
    if failures:
        raise failures[0]
    return [results[number] for number in range(len(todo))]


async def both(first: Callable[[], Awaitable[R]], second: Callable[[], Awaitable[S]]) -> tuple[R, S]:
    """Await two things at once; the first failure cancels the other and is raised as it is."""
    firsts: list[R] = []
    seconds: list[S] = []

    async def left() -> None:
        firsts.append(await first())

    async def right() -> None:
        seconds.append(await second())

    await for_each(lambda step: step(), (left, right))
    return firsts[0], seconds[0]
