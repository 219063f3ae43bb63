"""Many clients and several processes at once: each change is one, nothing is lost, nothing is left over."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from tests.server.raw_client import RawClient
from tests.support.images import Content, image, noise, push_blob, put_manifest, sha256
from tests.support.regsync_server import RegsyncServer

MIB = 1024 * 1024
CLIENTS = 16


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RegsyncServer, RegsyncServer]]:
    """Two processes on one store."""
    with ExitStack() as stack:
        one = stack.enter_context(RegsyncServer(tmp_path_factory.mktemp("one")))
        other = RegsyncServer(tmp_path_factory.mktemp("other"), store=one.store)
        yield one, stack.enter_context(other)


@pytest.fixture
def space(request: pytest.FixtureRequest) -> str:
    """What the names of this test's repositories begin with."""
    return "t" + sha256(request.node.nodeid.encode())[7:27]


def at_once(function: Callable[[int], int], count: int = CLIENTS) -> list[int]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(function, range(count)))


def leftovers(store: Path, repository: str) -> list[str]:
    uploads = store / "uploads" / hashlib.sha256(repository.encode()).hexdigest()[:32]
    return [one.name for one in (*store.rglob("part-*"), *uploads.glob("*"))]


@pytest.mark.parametrize("size", [3000, 2 * MIB], ids=["small", "large"])
@pytest.mark.parametrize("repositories", [1, 4], ids=["one repository", "four repositories"])
def test_a_blob_that_many_push_is_stored_once(
    both: tuple[RegsyncServer, RegsyncServer], space: str, size: int, repositories: int
) -> None:
    data = noise(space, size)
    names = [f"{space}/app-{number}" for number in range(repositories)]

    def push(number: int) -> int:
        server, name = both[number % 2], names[number // 2 % repositories]
        with server.client() as http:
            begun = http.post(f"{server.url}/v2/{name}/blobs/uploads/")
            url = urljoin(server.url, begun.headers["location"])
            if number % 3 == 0:
                assert http.patch(url, content=data).status_code == 202
                return http.put(f"{url}?digest={sha256(data)}").status_code
            return http.put(f"{url}?digest={sha256(data)}", content=data).status_code

    assert at_once(push) == [201] * CLIENTS
    stored = [one for one in (both[0].store / "blobs").rglob(f"*{sha256(data)[7:]}*") if one.is_file()]
    assert [one.read_bytes() == data for one in stored] == [True]
    with both[0].client() as http:
        for name in names:
            assert http.get(f"{both[0].url}/v2/{name}/blobs/{sha256(data)}").content == data
            assert leftovers(both[0].store, name) == []


def tags_of(server: RegsyncServer, repository: str, http: httpx.Client) -> list[str]:
    found: list[str] = http.get(f"{server.url}/v2/{repository}/tags/list").json()["tags"]
    return found


def test_no_tag_of_fifty_pushed_at_once_through_two_processes_is_lost(
    both: tuple[RegsyncServer, RegsyncServer], space: str
) -> None:
    shared = image(space)
    both[0].push(space, shared)

    def push(number: int) -> int:
        server = both[number % 2]
        with server.client() as http:
            put_manifest(server.url, space, f"v{number:02}", shared, http)
        return number

    at_once(push, 50)
    for server in both:
        with server.client() as http:
            assert tags_of(server, space, http) == [f"v{number:02}" for number in range(50)]


def test_what_one_process_did_the_other_answers_with_at_once(
    both: tuple[RegsyncServer, RegsyncServer], space: str
) -> None:
    images = [image(f"{space} {number}", layers=1, layer_size=10) for number in range(2)]
    with both[0].client() as first, both[1].client() as second:
        clients = (first, second)
        for content in images:
            both[0].push(space, content)
        for turn in range(20):
            writer, reader = turn % 2, 1 - turn % 2
            content = images[turn // 2 % 2]
            put_manifest(both[writer].url, space, "moves", content, clients[writer])
            url = f"{both[reader].url}/v2/{space}/manifests/moves"
            assert clients[reader].head(url).headers["docker-content-digest"] == content.digest
            assert clients[reader].get(url).content == content.data
            assert clients[reader].delete(url).status_code == 202
            gone = f"{both[writer].url}/v2/{space}/manifests/moves"
            assert clients[writer].get(gone).status_code == 404
        url = f"{both[0].url}/v2/{space}/manifests/{images[0].digest}"
        assert first.delete(url).status_code == 202
        assert second.get(f"{both[1].url}/v2/{space}/manifests/{images[0].digest}").status_code == 404


def test_two_processes_take_the_chunks_of_one_upload_in_turn(
    both: tuple[RegsyncServer, RegsyncServer], space: str
) -> None:
    data, size = noise(space, 9 * 70_000), 70_000
    with both[0].client() as http:
        path = http.post(f"{both[0].url}/v2/{space}/blobs/uploads/").headers["location"]
        for number in range(9):
            start = number * size
            answer = http.patch(
                f"{both[number % 2].url}{path}",
                content=data[start : start + size],
                headers={"Content-Range": f"{start}-{start + size - 1}"},
            )
            assert (answer.status_code, answer.headers["range"]) == (202, f"0-{start + size - 1}")
        assert http.put(f"{both[0].url}{path}?digest={sha256(data)}").status_code == 201
        assert http.get(f"{both[1].url}/v2/{space}/blobs/{sha256(data)}").content == data
        assert http.get(f"{both[1].url}{path}").status_code == 404


def test_an_upload_has_one_writer(both: tuple[RegsyncServer, RegsyncServer], space: str) -> None:
    with both[0].client() as http, RawClient(both[0].process.port) as slow:
        path = http.post(f"{both[0].url}/v2/{space}/blobs/uploads/").headers["location"]
        slow.request("PATCH", path, "Content-Length: 10", "Expect: 100-continue")
        assert slow.head().startswith("HTTP/1.1 100 ")  # so it is at it
        for server in both:
            for method in ("PATCH", "PUT", "DELETE"):
                query = f"?digest={sha256(b'other')}" if method == "PUT" else ""
                body = b"other" if method == "PATCH" else b""
                answer = http.request(method, f"{server.url}{path}{query}", content=body)
                assert (answer.status_code, answer.json()["errors"][0]["code"]) == (
                    409,
                    "BLOB_UPLOAD_INVALID",
                )
        slow.send(b"0123456789")
        assert slow.head().startswith("HTTP/1.1 202 ")
        assert http.put(f"{both[1].url}{path}?digest={sha256(b'0123456789')}").status_code == 201


@pytest.mark.parametrize("part", ["", "Range: bytes=1-"], ids=["whole", "a range"])
def test_a_pull_ends_whole_though_all_is_deleted_meanwhile(
    both: tuple[RegsyncServer, RegsyncServer], space: str, part: str
) -> None:
    server = both[0]
    layer = noise(space, 24 * MIB)  # more than sockets hold
    content = server.push(space, image(space, layers=[layer]), "v1")
    with RawClient(server.process.port) as pull, both[1].client() as http:
        pull.request("GET", f"/v2/{space}/blobs/{sha256(layer)}", *([part] if part else []))
        assert pull.head().startswith("HTTP/1.1 20")
        first = pull.read(1)
        base = f"{both[1].url}/v2/{space}"
        assert http.delete(f"{base}/manifests/{content.digest}").status_code == 202
        assert http.delete(f"{base}/blobs/{sha256(layer)}").status_code == 202
        blob_file(server, layer).unlink()  # as garbage collection does
        assert http.get(f"{base}/manifests/v1").status_code == 404
        assert http.get(f"{base}/blobs/{sha256(layer)}").status_code == 404
        wanted = layer[1:] if part else layer
        rest = b""
        while len(first) + len(rest) < len(wanted) and (more := pull.read(MIB)):
            rest += more
        assert first + rest == wanted
        push_blob(both[1].url, space, layer, http)
        assert http.get(f"{base}/blobs/{sha256(layer)}").content == layer


def blob_file(server: RegsyncServer, data: bytes) -> Path:
    return next(one for one in (server.store / "blobs").rglob(f"*{sha256(data)[7:]}*") if one.is_file())


def test_a_tag_that_moves_while_it_is_pulled_is_one_image_or_the_other(
    both: tuple[RegsyncServer, RegsyncServer], space: str
) -> None:
    images = [image(f"{space} {number}", layers=1, layer_size=10) for number in range(4)]
    for content in images:
        both[0].push(space, content, "v1")

    def move_or_pull(number: int) -> int:
        server = both[number % 2]
        with server.client() as http:
            for turn in range(20):
                if number < 4:
                    put_manifest(server.url, space, "v1", images[(number + turn) % 4], http)
                else:
                    check_one_of(images, http.get(f"{server.url}/v2/{space}/manifests/v1"))
        return number

    at_once(move_or_pull, 8)


def check_one_of(images: list[Content], answer: httpx.Response) -> None:
    assert answer.content in [content.data for content in images]
    assert answer.headers["docker-content-digest"] == sha256(answer.content)
