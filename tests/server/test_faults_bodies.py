"""Bodies that lie, break off or never end, and documents that nest: refused or kept, in bounded memory."""

import hashlib
import json
import re
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import anyio
import httpx
import pytest

from tests.server.asgi import Client, Message, served
from tests.server.raw_client import RawClient
from tests.support.clock import FrozenClock
from tests.support.images import (
    OCI_INDEX,
    OCI_MANIFEST,
    Content,
    artifact,
    as_json,
    image,
    index,
    noise,
    push_blob,
    sha256,
)
from tests.support.processes import wait_until
from tests.support.regsync_server import RegsyncServer

MIB = 1024 * 1024


def code_of(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/json"
    return str(answer.json()["errors"][0]["code"])


def exchange(server: RegsyncServer, head: Sequence[str], body: bytes) -> bytes:
    """What comes back for exactly these bytes, after which no more come."""
    with socket.create_connection(("127.0.0.1", server.process.port), timeout=20) as link:
        link.sendall("\r\n".join([*head, "Host: x", "", ""]).encode() + body)
        link.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while more := link.recv(65536):
                answer += more
        except ConnectionResetError:
            pass
        return answer


def begun(http: httpx.Client, server: RegsyncServer, repository: str) -> str:
    answer = http.post(f"{server.url}/v2/{repository}/blobs/uploads/")
    assert answer.status_code == 202
    return str(answer.headers["location"])


def received(http: httpx.Client, server: RegsyncServer, path: str) -> int:
    answer = http.get(f"{server.url}{path}")
    assert answer.status_code == 204
    last = int(answer.headers["range"].removeprefix("0-"))
    return last + 1 if last else 0


def uploads(server: RegsyncServer, repository: str) -> list[str]:
    directory = server.store / "uploads" / hashlib.sha256(repository.encode()).hexdigest()[:32]
    return [one.name for one in directory.glob("*")]


@pytest.mark.parametrize(
    ("headers", "body", "kept"),
    [
        pytest.param(["Content-Length: 9"], b"abcd", 4, id="fewer bytes than its length"),
        pytest.param(["Transfer-Encoding: chunked"], b"4\r\nabcd\r\n", 4, id="no last chunk"),
        pytest.param(
            ["Transfer-Encoding: chunked"], b"4\r\nabcd\r\nzz\r\n", 4, id="a chunk without a length"
        ),
        pytest.param(
            ["Transfer-Encoding: chunked"], b"4\r\nabcdX\r\n0\r\n\r\n", 4, id="a chunk without its end"
        ),
        pytest.param(["Content-Length: 4", "Content-Length: 5"], b"abcde", 0, id="two lengths"),
        pytest.param(["Content-Length: -1"], b"abcd", 0, id="a negative length"),
        pytest.param(["Content-Length: 99999999999999999999999"], b"abcd", 0, id="a length beyond counting"),
        pytest.param(["Content-Length: 4 "], b"", 0, id="nothing at all"),
    ],
)
def test_of_a_chunk_that_lies_about_its_length_what_came_is_kept(
    server: RegsyncServer, http: httpx.Client, space: str, headers: Sequence[str], body: bytes, kept: int
) -> None:
    path = begun(http, server, space)
    answer = exchange(server, [f"PATCH {path} HTTP/1.1", *headers], body)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert received(http, server, path) == kept
    whole = b"abcd and more"
    rest = whole[kept:]
    assert http.put(f"{server.url}{path}?digest={sha256(whole)}", content=rest).status_code == 201


def test_what_follows_a_body_is_another_request(
    server: RegsyncServer, http: httpx.Client, space: str
) -> None:
    path = begun(http, server, space)
    answer = exchange(
        server, [f"PATCH {path} HTTP/1.1", "Content-Length: 4"], b"abcdDELETE / HTTP/1.1\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 202 ")
    assert received(http, server, path) == 4


@pytest.mark.parametrize("size", [5000, 3 * MIB], ids=["small", "large"])
@pytest.mark.parametrize("way", ["POST", "PUT"])
def test_a_blob_whose_body_breaks_off_is_none(
    server: RegsyncServer, http: httpx.Client, space: str, way: str, size: int
) -> None:
    data = noise(space, size)
    path = begun(http, server, space) if way == "PUT" else f"/v2/{space}/blobs/uploads/"
    head = [f"{way} {path}?digest={sha256(data)} HTTP/1.1", f"Content-Length: {size}"]
    answer = exchange(server, head, data[: size - 1000])
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["errors"][0]["code"] == "SIZE_INVALID"
    assert http.head(f"{server.url}/v2/{space}/blobs/{sha256(data)}").status_code == 404
    assert uploads(server, space) == ([path.rpartition("/")[2]] if way == "PUT" else [])
    assert push_blob(server.url, space, data, http) == sha256(data)


class Stalls(Client):
    """A client that sends a part of its body, says so, and then nothing more."""

    stalled: anyio.Event

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked, self.stalled = True, anyio.Event()
            return {"type": "http.request", "body": b"a part", "more_body": True}
        self.stalled.set()
        await anyio.sleep_forever()
        raise AssertionError


@pytest.mark.anyio
async def test_a_blob_of_one_request_that_is_cancelled_leaves_no_upload(
    tmp_path: Path, clock: FrozenClock
) -> None:
    async with served(tmp_path / "store", clock) as running:
        target = f"/v2/app/blobs/uploads/?digest={sha256(b'all of it')}"
        client = Stalls(running.app, "POST", target, {"Content-Length": f"{2 * MIB}"})
        async with anyio.create_task_group() as group:
            group.start_soon(client.run)
            while not files(tmp_path / "store" / "uploads") or not client.stalled.is_set():
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        assert files(tmp_path / "store" / "uploads") == []


def files(directory: Path) -> list[str]:
    return [one.name for one in directory.rglob("*") if one.is_file()]


def test_a_manifest_whose_body_breaks_off_is_none(server: RegsyncServer, space: str) -> None:
    old = server.push(space, image(space), "v1")
    new = as_json({**old.document, "annotations": {"new": "yes"}})
    head = [f"PUT /v2/{space}/manifests/v1 HTTP/1.1", f"Content-Type: {OCI_MANIFEST}"]
    answer = exchange(server, [*head, f"Content-Length: {len(new) + 1}"], new)
    assert answer.startswith(b"HTTP/1.1 400 ")
    with server.client() as http:
        assert http.get(f"{server.url}/v2/{space}/manifests/v1").content == old.data
        assert http.get(f"{server.url}/v2/{space}/manifests/{sha256(new)}").status_code == 404


def memory(server: RegsyncServer) -> float:
    """MiB that the process holds."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+([0-9]+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


def requests_seen(server: RegsyncServer) -> int:
    return server.log().count("/blobs/uploads/")


@pytest.mark.parametrize("part", ["", "Range: bytes=1-"], ids=["whole", "a range"])
def test_clients_that_do_not_read_cost_little_memory_and_hold_nobody_up(
    server: RegsyncServer, http: httpx.Client, space: str, part: str
) -> None:
    layer = noise(space, 32 * MIB)
    push_blob(server.url, space, layer, http)
    before = memory(server)
    with ExitStack() as stack:
        for _ in range(30):
            slow = stack.enter_context(RawClient(server.process.port))
            slow.request("GET", f"/v2/{space}/blobs/{sha256(layer)}", *([part] if part else []))
            assert slow.head().startswith("HTTP/1.1 20")
        for _ in range(3):
            assert http.get(f"{server.url}/v2/{space}/blobs/{sha256(layer)}").content == layer
        grown = memory(server) - before
    assert grown < 30 * 4


def test_clients_that_send_slowly_cost_little_memory_and_lose_nothing(
    server: RegsyncServer, http: httpx.Client, space: str
) -> None:
    data = noise(space, 3 * MIB)
    before = memory(server)
    paths = [begun(http, server, space) for _ in range(30)]
    with ExitStack() as stack:
        for path in paths:
            slow = stack.enter_context(RawClient(server.process.port))
            slow.request("PATCH", path, f"Content-Length: {len(data)}")
            slow.send(data[: MIB + 500_000])
        grown = memory(server) - before
        push_blob(server.url, space, noise(f"quick {space}", 1000), http)
    assert grown < 30 * 4
    for path in paths:
        wait_until(lambda path=path: received(http, server, path) == MIB + 500_000, what="all is kept")  # type: ignore[misc]
    url = f"{server.url}{paths[0]}?digest={sha256(data)}"
    assert http.put(url, content=data[MIB + 500_000 :]).status_code == 201


def put(
    http: httpx.Client, server: RegsyncServer, repository: str, document: object, tag: str
) -> httpx.Response:
    raw = document if isinstance(document, bytes) else as_json(document)  # type: ignore[arg-type]
    headers = {"Content-Type": OCI_INDEX}
    return http.put(f"{server.url}/v2/{repository}/manifests/{tag}", content=raw, headers=headers)


def index_of(*entries: object) -> dict[str, object]:
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries)}


def test_an_index_may_nest_a_hundred_deep(server: RegsyncServer, http: httpx.Client, space: str) -> None:
    levels: list[Content] = [server.push(space, image(space))]
    for _ in range(100):
        levels.append(index(levels[-1]))
        assert put(http, server, space, levels[-1].data, "deep").status_code == 201
    base = f"{server.url}/v2/{space}/manifests"
    assert http.get(f"{base}/deep").content == levels[-1].data
    assert http.delete(f"{base}/{levels[0].digest}").status_code == 405
    for one in reversed(levels):
        assert http.delete(f"{base}/{one.digest}").status_code == 202


def test_an_index_of_ten_thousand_is_answered_soon(
    server: RegsyncServer, http: httpx.Client, space: str
) -> None:
    children = [artifact("application/x", name=f"{number}") for number in range(10_000)]
    answer = put(http, server, space, index_of(*(one.descriptor() for one in children)), "v1")
    assert (answer.status_code, code_of(answer)) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert len(answer.json()["errors"][0]["detail"]) == 10_000
    assert answer.elapsed.total_seconds() < 10
    one_more = index_of(*([children[0].descriptor()] * 10_001))
    answer = put(http, server, space, one_more, "v1")
    assert (answer.status_code, code_of(answer)) == (400, "MANIFEST_INVALID")


def test_an_index_that_says_something_else_of_its_child_is_refused(
    server: RegsyncServer, http: httpx.Client, space: str
) -> None:
    child = server.push(space, image(space))
    answer = put(http, server, space, index_of(child.descriptor() | {"mediaType": OCI_INDEX}), "v1")
    assert (answer.status_code, code_of(answer)) == (400, "MANIFEST_INVALID")
    assert child.digest in answer.text
    wrong = index_of(child.descriptor() | {"mediaType": "application/octet-stream"})
    answer = put(http, server, space, wrong, "v1")
    assert (answer.status_code, code_of(answer)) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert http.get(f"{server.url}/v2/{space}/manifests/v1").status_code == 404


def test_no_answer_names_a_path_of_the_server(server: RegsyncServer, http: httpx.Client, space: str) -> None:
    child = server.push(space, image(space), "v1")
    missing = index_of({"mediaType": OCI_MANIFEST, "digest": sha256(b"none"), "size": 4})
    location = f"{server.url}{begun(http, server, space)}"
    answers = [
        put(http, server, space, missing, "v2"),
        put(http, server, space, index_of(child.descriptor() | {"mediaType": OCI_INDEX}), "v2"),
        http.delete(f"{server.url}/v2/{space}/blobs/{sha256(child.blobs[0])}"),
        http.put(f"{location}?digest={sha256(b'right')}", content=b"wrong"),
    ]
    for answer in answers:
        assert 400 <= answer.status_code < 500
        assert str(server.directory) not in answer.text
