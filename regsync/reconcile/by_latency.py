"""Asking a place for many things, as many at once as its distance makes sense.

A registry a few milliseconds away is busy with a handful of requests, and only gets slower with more; one
on another continent needs a hundred under way to be as fast. The first answer tells which it is.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from regsync.clock import Clock
from regsync.content.concurrently import for_each

T = TypeVar("T")
RATE = 2_000  # answers a second that are aimed at; by Little's law that many times the latency are under way
LEAST = 16


async def for_each_by_latency(
    function: Callable[[T], Awaitable[None]], items: Sequence[T], *, clock: Clock, most: int
) -> None:
    """Await `function` for every item, the first alone, then at most `most` at once. Raises as `for_each`."""
    if not items:
        return
    began = clock.monotonic()
    await function(items[0])
    fitting = int((clock.monotonic() - began) * RATE)
    await for_each(function, items[1:], at_once=min(most, max(LEAST, fitting)))
