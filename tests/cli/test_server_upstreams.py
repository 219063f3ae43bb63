"""Connections to upstreams, while the spec is edited."""

import gc
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from regsync.cli.server_upstreams import UpstreamRegistries
from regsync.content.errors import ContentNotFoundError
from regsync.content.protocol import Source
from regsync.oci.reference import RepositoryName, Tag
from regsync.reconcile.events import ignore
from regsync.server.upstreams import Upstream, Upstreams
from regsync.spec.load import load
from tests.support.clock import FrozenClock

pytestmark = pytest.mark.anyio
NAME = RepositoryName("hub/team/app")


class Slow:
    """A registry that has nothing, and says so only when `answer` is set."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked, self.answer, self.left = anyio.Event(), anyio.Event(), anyio.Event()

    async def serve(self, stream: SocketStream) -> None:
        async with stream:
            async for _ in stream:
                self.asked.set()
                await self.answer.wait()
                await stream.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            self.left.set()


@pytest.fixture
async def slow() -> AsyncIterator[Slow]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    async with listener, anyio.create_task_group() as tasks:
        one = Slow(listener.extra(SocketAttribute.local_port))
        tasks.start_soon(listener.serve, one.serve)
        yield one
        tasks.cancel_scope.cancel()


class Edited:
    """A spec that is edited, and what is made of it each time."""

    def __init__(self, path: Path, port: int) -> None:
        self.registries, self._path, self._port = UpstreamRegistries(FrozenClock(), ignore), path, port

    def upstreams(self, concurrency: int) -> Upstreams:
        self._path.write_text(
            "apiVersion: regsync.dev/v1\nkind: Registry\nmetadata: {name: hub}\n"
            f"spec: {{url: 'http://127.0.0.1:{self._port}', limits: {{concurrency: {concurrency}}}}}\n---\n"
            "apiVersion: regsync.dev/v1\nkind: Server\nspec: {upstreams: [{prefix: hub, registry: hub}]}\n"
        )
        return self.registries.upstreams(load([self._path]), self._path.parent / "data")


def upstream_of(upstreams: Upstreams) -> Upstream:
    found = upstreams.locate(NAME, None, None).upstream
    assert found is not None
    return found


async def missed(source: Source) -> None:
    with pytest.raises(ContentNotFoundError):
        await source.resolve(Tag("v1"))


@pytest.fixture
async def edited(tmp_path: Path, slow: Slow) -> AsyncIterator[Edited]:
    one = Edited(tmp_path / "server.yaml", slow.port)
    yield one
    await one.registries.close()


async def test_connections_that_an_edit_replaces_are_closed_when_their_requests_are_over(
    edited: Edited, slow: Slow
) -> None:
    upstreams = edited.upstreams(1)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(missed, upstream_of(upstreams).source(NAME))
            await slow.asked.wait()
            upstreams = edited.upstreams(2)
            gc.collect()
            slow.answer.set()
        gc.collect()
        await slow.left.wait()


async def test_an_edit_of_something_else_leaves_connections_as_they_are(edited: Edited) -> None:
    edited.upstreams(1)
    before = edited.registries._remotes
    edited.upstreams(1)
    assert edited.registries._remotes is before
