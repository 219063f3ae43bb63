"""Bodies that stop coming: when their request ends, and when it does not."""

from collections.abc import MutableMapping
from typing import Any

import anyio
import pytest

from regsync.server.message import BodyEndedError, BodyTooLargeError, Request
from regsync.server.stalled import PATIENCE, PROGRESS, Bodies
from tests.server.exchanges import request
from tests.support.clock import FrozenClock

pytestmark = pytest.mark.anyio


class Dripping:
    """A request whose body comes when the test lets it."""

    def __init__(self, **headers: str) -> None:
        self._send, self._come = anyio.create_memory_object_stream[bytes](10)
        self.request: Request = request("PATCH", "/v2/a/blobs/uploads/x", headers=headers)
        self.request.body._receive = self._next
        self.taken = 0
        self.failure: Exception | None = None

    def drip(self, size: int) -> None:
        self._send.send_nowait(b"x" * size)

    async def read(self, bodies: Bodies) -> None:
        try:
            with bodies.reading(self.request):
                async for chunk in self.request.body:
                    self.taken += len(chunk)
        except (BodyEndedError, BodyTooLargeError) as error:
            self.failure = error
        finally:
            self._send.close()
            self._come.close()

    async def _next(self) -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": await self._come.receive(), "more_body": True}


async def settled() -> None:
    for _ in range(10):
        await anyio.lowlevel.checkpoint()


async def test_a_body_that_brings_too_little_ends_its_request_with_what_came() -> None:
    clock, dripping = FrozenClock(), Dripping()
    bodies = Bodies(clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(dripping.read, bodies)
        await settled()
        for _ in range(3):
            dripping.drip(PROGRESS)
            await settled()
            clock.advance(PATIENCE - 1)
            bodies.look()
            await settled()
            assert dripping.failure is None
        dripping.drip(10)
        await settled()
        clock.advance(PATIENCE)
        bodies.look()
    assert isinstance(dripping.failure, BodyEndedError)
    assert dripping.taken == 3 * PROGRESS + 10
    assert len(bodies) == 0


async def test_a_body_that_nobody_reads_now_has_not_stalled() -> None:
    clock, dripping = FrozenClock(), Dripping()
    bodies = Bodies(clock)
    with bodies.reading(dripping.request):
        clock.advance(10 * PATIENCE)
        bodies.look()
        dripping.drip(1)
        chunks = aiter(dripping.request.body)
        assert await anext(chunks) == b"x"
    dripping._send.close()
    dripping._come.close()


@pytest.mark.parametrize("headers", [{"content-length": "11"}, {}], ids=["as it says", "as it comes"])
async def test_a_body_that_is_too_long_is_refused(headers: dict[str, str]) -> None:
    dripping = Dripping(**headers)
    bodies = Bodies(FrozenClock())
    bodies.limit = 10
    dripping.drip(11)
    await dripping.read(bodies)
    assert isinstance(dripping.failure, BodyTooLargeError)
    assert dripping.taken == 0
