"""Blobs of an upstream: streamed to all who wait while they are verified and stored, once."""

import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from regsync.oci.descriptor import Descriptor
from regsync.oci.reference import RepositoryName
from regsync.server.access import Action
from regsync.server.audit_record import record
from regsync.server.downloads import HELD_BACK, Download
from tests.remote.repositories import blob, stream
from tests.server.asgi import Client, Reply, Served, Users, proxied
from tests.support.clock import FrozenClock
from tests.support.fake_http import Answer, Request
from tests.support.fake_registry import FakeRegistry, Proceed, body, cut_after, error, respond
from tests.support.images import Content, image, noise, sha256

pytestmark = pytest.mark.anyio
BLOBS = r"/v2/.*/blobs/.*"
MIB = 1024 * 1024
LAYER = noise("layer", 5 * MIB)
APP = image("app", layers=[LAYER])
URL = f"/v2/hub/team/app/blobs/{sha256(LAYER)}"


class Gate:
    """An upstream that gives the first half of a blob, and the rest when it is opened."""

    def __init__(self, registry: FakeRegistry, at: int = len(LAYER) // 2) -> None:
        self._open, self._at = threading.Event(), at
        registry.on("GET", BLOBS, self._behave)

    def open(self) -> None:
        self._open.set()

    def _behave(self, request: Request, proceed: Proceed) -> Answer:
        answer = proceed()
        assert isinstance(answer.body, bytes)
        whole = answer.body

        def pieces() -> Iterator[bytes]:
            yield whole[: self._at]
            self._open.wait(20)
            yield whole[self._at :]

        return Answer(answer.status, (*answer.headers, ("content-length", str(len(whole)))), pieces())


async def pulled(server: Served, registry: FakeRegistry, content: Content = APP) -> None:
    """A registry in which a client has pulled the manifest, and nothing below it."""
    registry.add("team/app", content, "v1")
    assert (await server.get("/v2/hub/team/app/manifests/v1")).status == 200
    registry.forget()


async def all_of(clients: Sequence[Client]) -> Sequence[Reply]:
    async with anyio.create_task_group() as group:
        for client in clients:
            group.start_soon(client.run)
    return [client.reply for client in clients]


async def settled(server: Served) -> None:
    """Wait until nothing is being fetched: a client has its bytes before they are durable."""
    with anyio.fail_after(10):
        while server.app.pull_through.downloads:
            await checkpoint()


def stored(path: Path) -> set[str]:
    """The digests of the blobs that lie in a store, and what is left of those that do not."""
    blobs = {f"sha256:{file.name}" for file in (path / "blobs" / "sha256").glob("??/*")}
    return blobs | {file.name for file in (path / "parts").glob("*")}


async def test_a_blob_is_fetched_once_for_twenty_clients_that_wait(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    async with proxied(tmp_path, clock, fake_registry) as server:
        await pulled(server, fake_registry)
        replies = await all_of([server.client("GET", URL) for _ in range(20)])
        later = await server.get(URL)
        await settled(server)
    assert {reply.body for reply in (*replies, later)} == {LAYER}
    assert all(reply.is_whole for reply in replies)
    assert fake_registry.count("GET", BLOBS) == 1
    assert stored(tmp_path) == {sha256(LAYER)}


async def test_a_client_has_the_first_bytes_before_the_upstream_gave_the_last(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    async with proxied(tmp_path, clock, fake_registry) as server:
        await pulled(server, fake_registry)
        gate = Gate(fake_registry)
        first, second = server.client("GET", URL), server.client("GET", URL)
        async with anyio.create_task_group() as group:
            group.start_soon(first.run)
            with anyio.fail_after(10):
                await first.some.wait()
            group.start_soon(second.run)
            with anyio.fail_after(10):
                await second.some.wait()  # who comes later has them too
            assert not first.reply.ended
            gate.open()
    assert (first.reply.body, second.reply.body) == (LAYER, LAYER)
    assert fake_registry.count("GET", BLOBS) == 1


async def test_a_client_that_goes_away_ends_nothing_for_others_nor_for_the_store(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    async with proxied(tmp_path, clock, fake_registry) as server:
        await pulled(server, fake_registry)
        gate = Gate(fake_registry)
        leaves, stays = server.client("GET", URL), server.client("GET", URL)
        async with anyio.create_task_group() as group:
            group.start_soon(stays.run)
            async with anyio.create_task_group() as leaving:
                leaving.start_soon(leaves.run)
                await leaves.some.wait()
                leaves.go_away()
            gate.open()
        await settled(server)
    assert not leaves.reply.ended
    assert stays.reply.body == LAYER
    assert stored(tmp_path) == {sha256(LAYER)}


async def test_a_blob_is_stored_although_all_clients_went_away(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    async with proxied(tmp_path, clock, fake_registry) as server:
        await pulled(server, fake_registry)
        gate = Gate(fake_registry)
        client = server.client("GET", URL)
        async with anyio.create_task_group() as group:
            group.start_soon(client.run)
            await client.some.wait()
            client.go_away()
        gate.open()
        assert (await server.get(URL)).body == LAYER
    assert fake_registry.count("GET", BLOBS) == 1


async def test_a_client_that_does_not_read_holds_back_no_other(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    async with proxied(tmp_path, clock, fake_registry) as server:
        await pulled(server, fake_registry)
        slow, quick = server.client("GET", URL), server.client("GET", URL)
        slow.reads = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(slow.run)
            await slow.some.wait()
            assert (await quick.run()).body == LAYER
            assert len(slow.reply.body) <= MIB  # what it was given; the rest waits in the file
            slow.reads.set()
    assert slow.reply.body == LAYER  # from the file that has a name now
    assert fake_registry.count("GET", BLOBS) == 1


async def test_a_blob_of_which_an_upstream_lies_is_never_whole_at_a_client_and_not_stored(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    async with proxied(tmp_path, clock, fake_registry) as server:
        await pulled(server, fake_registry)
        fake_registry.on("GET", BLOBS, body(lambda good: good[:-1] + b"!"))
        replies = await all_of([server.client("GET", URL) for _ in range(3)])
        assert not any(reply.is_whole for reply in replies)
        assert all(len(reply.body) < len(LAYER) for reply in replies)
        told = [record(one) for one in server.exchanges[-3:]]
        assert [(one["event"], one["outcome"]) for one in told if one] == [("fetch", "failed")] * 3
        await settled(server)
        assert stored(tmp_path) == set()
        fake_registry.behave()
        assert (await server.get(URL)).body == LAYER


@pytest.mark.parametrize(
    ("lie", "status"),
    [
        pytest.param(body(b"{}"), 502, id="other bytes"),
        pytest.param(respond(503), 503, id="503"),
        pytest.param(error(429, "TOOMANYREQUESTS"), 503, id="429"),
        pytest.param(error(404, "BLOB_UNKNOWN"), 404, id="404"),
        pytest.param(error(403, "DENIED"), 404, id="403"),
    ],
)
async def test_before_a_byte_was_sent_an_error_is_told_as_one(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry, lie: Any, status: int
) -> None:
    async with proxied(tmp_path, clock, fake_registry) as server:
        await pulled(server, fake_registry)
        fake_registry.on("GET", BLOBS, lie)
        config = sha256(APP.blobs[0])
        reply = await server.get(f"/v2/hub/team/app/blobs/{config}")
        await settled(server)
    assert (reply.status, b"errors" in reply.body) == (status, True)
    assert stored(tmp_path) == set()


async def test_a_cut_at_the_upstream_is_gone_on_from(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    async with proxied(tmp_path, clock, fake_registry) as server:
        await pulled(server, fake_registry)
        fake_registry.on("GET", BLOBS, cut_after(2 * MIB), times=1)
        assert (await server.get(URL)).body == LAYER


async def test_a_part_of_a_blob_is_given_while_all_of_it_is_fetched(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    async with proxied(tmp_path, clock, fake_registry) as server:
        await pulled(server, fake_registry)
        reply = await server.get(URL, range="bytes=100-199")
        assert (reply.status, reply.body) == (206, LAYER[100:200])
        assert reply.headers["content-range"] == f"bytes 100-199/{len(LAYER)}"
        assert (await server.get(URL)).body == LAYER
    assert fake_registry.count("GET", BLOBS) == 1


async def test_a_head_asks_and_does_not_fetch(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    async with proxied(tmp_path, clock, fake_registry) as server:
        await pulled(server, fake_registry)
        reply = await server.head(URL)
        assert (reply.status, reply.headers["content-length"]) == (200, str(len(LAYER)))
        fake_registry.on("HEAD", BLOBS, error(404, "BLOB_UNKNOWN"))
        assert (await server.head(URL)).status == 404
    assert fake_registry.count("GET", BLOBS) == 0


async def test_what_no_manifest_names_is_not_fetched(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    async with proxied(tmp_path, clock, fake_registry) as server:
        await pulled(server, fake_registry)
        secret = b"of another image"
        fake_registry.repositories["team/app"].blobs[sha256(secret)] = secret
        assert (await server.get(f"/v2/hub/team/app/blobs/{sha256(secret)}")).status == 404
    assert fake_registry.requests == []


async def test_a_blob_is_taken_from_another_repository_of_the_upstream_by_who_may_pull_it_there(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    access = Users(Action.PUSH, hidden=["hub/team/secret"])
    async with proxied(tmp_path, clock, fake_registry, access=access) as server:
        await pulled(server, fake_registry)
        await server.store.repository(RepositoryName("hub/team/secret")).push(blob(LAYER), stream(LAYER))
        assert (await server.get(URL)).body == LAYER
        assert fake_registry.count("GET", BLOBS) == 1  # that it is elsewhere must not show
        config = APP.blobs[0]
        await server.store.repository(RepositoryName("hub/team/open")).push(blob(config), stream(config))
        assert (await server.get(f"/v2/hub/team/app/blobs/{sha256(config)}")).body == config
        assert fake_registry.count("GET", BLOBS) == 1
        told = record(server.exchanges[-1])
        assert told is not None
        assert (told["event"], told["outcome"], told["digest"]) == ("fetch", "done", sha256(config))


@pytest.mark.parametrize(
    ("secret", "lies"),
    [
        pytest.param("hub/team/secret", False, id="of the upstream, which does not have it there"),
        pytest.param("team/secret", True, id="of our own, which the upstream says to have"),
    ],
)
async def test_naming_a_blob_at_an_upstream_gives_nobody_what_only_others_may_pull(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry, secret: str, lies: bool
) -> None:
    async with proxied(tmp_path, clock, fake_registry, access=Users(Action.PUSH, hidden=[secret])) as server:
        await pulled(server, fake_registry)
        await server.store.repository(RepositoryName(secret)).push(blob(LAYER), stream(LAYER))
        del fake_registry.repositories["team/app"].blobs[sha256(LAYER)]
        if lies:
            fake_registry.on("HEAD", BLOBS, respond(200, content_length=str(len(LAYER))))
        for user in ("alice", ""):
            assert (await server.get(URL, x_user=user)).status == 404


async def test_a_full_disk_ends_the_download_and_leaves_no_part_of_it(
    small_disk: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    async with proxied(small_disk / "store", clock, fake_registry) as server:
        await pulled(server, fake_registry)
        reply = await server.get(URL)
        assert reply.status == 507 or not reply.is_whole
        await settled(server)
        assert stored(small_disk / "store") == set()
        config = APP.blobs[0]
        assert (await server.get(f"/v2/hub/team/app/blobs/{sha256(config)}")).body == config


async def test_a_server_that_ends_drops_what_is_not_whole(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    client: Client | None = None
    async with anyio.create_task_group() as group:
        async with proxied(tmp_path, clock, fake_registry) as server:
            await pulled(server, fake_registry)
            gate = Gate(fake_registry)
            client = server.client("GET", URL)
            group.start_soon(client.run)
            await client.some.wait()
        gate.open()
    assert client is not None
    assert not client.reply.is_whole
    assert stored(tmp_path) == set()


class InOneChunk:
    """A source that gives all but the last bytes at once, and those when it is let go on."""

    name = "elsewhere"

    def __init__(self) -> None:
        self.go_on = anyio.Event()

    @asynccontextmanager
    async def fetch(self, desc: Descriptor) -> AsyncIterator[AsyncIterator[bytes]]:
        async def chunks() -> AsyncIterator[bytes]:
            yield LAYER[:-1]
            await self.go_on.wait()
            yield LAYER[-1:]

        yield chunks()


async def test_however_much_comes_at_once_little_of_it_waits_for_the_check(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    source: Any = InOneChunk()
    async with proxied(tmp_path, clock, fake_registry) as server, anyio.create_task_group() as group:
        download = Download(source, server.store.repository(RepositoryName("hub/app")), blob(LAYER))
        group.start_soon(download.run)
        got = 0
        with anyio.fail_after(10):
            async for chunk in download.read(0, len(LAYER) - HELD_BACK):
                got += len(chunk)
        assert got == len(LAYER) - HELD_BACK
        source.go_on.set()
