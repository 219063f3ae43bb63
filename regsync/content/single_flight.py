"""Doing a thing once for all who want it at the same time."""

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from anyio import Event

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class _Flight(Generic[Value]):
    def __init__(self) -> None:
        self.landed = Event()
        self.result: tuple[Value] | None = None
        self.error: Exception | None = None


class SingleFlight(Generic[Key, Value]):
    """Per key at most one call is under way; those who come meanwhile get its result, or its error.

    Nothing is remembered afterwards. Where the one who makes the call is cancelled, the next does it.
    """

    def __init__(self) -> None:
        self._flights: dict[Key, _Flight[Value]] = {}

    async def run(self, key: Key, work: Callable[[], Awaitable[Value]]) -> Value:
        """The result of `work`, ours or that of who was first."""
        while (flight := self._flights.get(key)) is not None:
            await flight.landed.wait()
            if flight.error is not None:
                raise flight.error
            if flight.result is not None:
                return flight.result[0]
        flight = self._flights[key] = _Flight()
        try:
            value = await work()
            flight.result = (value,)
            return value
        except Exception as error:
            flight.error = error
            raise
        finally:
            del self._flights[key]
            flight.landed.set()
