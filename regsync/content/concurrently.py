"""Doing one thing for many items at once, and failing with an error rather than a group of them."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import anyio

T = TypeVar("T")
R = TypeVar("R")


async def for_each(function: Callable[[T], Awaitable[R]], items: Iterable[T]) -> list[R]:
    """Await `function` for every item at once; the results stand in the order of the items.

    The first failure cancels the rest and is raised as it is.
    """
    todo = list(items)
    if len(todo) == 1:
        return [await function(todo[0])]
    results: dict[int, R] = {}
    failures: list[Exception] = []

    async def one(number: int, item: T) -> None:
        try:
            results[number] = await function(item)
        except Exception as error:  # noqa: BLE001 - kept to be raised below, outside the group
            failures.append(error)
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for number, item in enumerate(todo):
            group.start_soon(one, number, item)
    if failures:
        raise failures[0]
    return [results[number] for number in range(len(todo))]
