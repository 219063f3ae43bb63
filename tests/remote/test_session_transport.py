"""The traps of the HTTP library, each over a real socket."""

import gzip
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest

from regsync.errors import TemporaryError
from regsync.remote import outgoing, transport
from regsync.remote.errors import (
    CutShortError,
    RegistryError,
    RegistryTimeoutError,
    RegistryUnreachableError,
    RejectedError,
    TlsError,
    UnknownHostError,
    shown_url,
)
from regsync.remote.failures import unconnected
from regsync.remote.request import Kind, Request
from regsync.remote.transport import NativeTransport
from tests.remote.sessions import (
    PUSH,
    begin_upload,
    get_blob,
    get_manifest,
    in_pieces,
    ping,
    raw_server,
    session_at,
)
from tests.support.fake_registry import (
    FakeRegistry,
    cut_after,
    headers,
    redirect,
    respond,
    respond_early,
    stall_after,
)
from tests.support.images import image, sha256

pytestmark = pytest.mark.anyio

DATA = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture
def registry(fake_registry: FakeRegistry) -> Iterator[FakeRegistry]:
    fake_registry.add("team/app", image("app"), "v1")
    fake_registry.repositories["team/app"].blobs[sha256(DATA)] = DATA
    yield fake_registry
    assert not fake_registry._server.failures


@pytest.fixture
async def native() -> AsyncIterator[NativeTransport]:
    made = NativeTransport()
    yield made
    await made.close()


async def test_every_request_says_who_asks_and_wants_no_compression(registry: FakeRegistry) -> None:
    async with session_at(registry) as session:
        await session.send(ping())
    assert registry.requests[0].headers["user-agent"].startswith("regsync/")
    assert registry.requests[0].headers["accept-encoding"] == "identity"
    assert "cookie" not in registry.requests[0].headers
    assert "referer" not in registry.requests[0].headers


async def test_cookies_are_not_kept(registry: FakeRegistry) -> None:
    registry.on("GET", "/v2/", headers(set_cookie="session=1; Path=/"))
    async with session_at(registry) as session:
        await session.send(ping())
        await session.send(ping())
    assert all("cookie" not in request.headers for request in registry.requests)


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "deflate"])
async def test_a_body_is_given_as_sent_whatever_its_encoding(registry: FakeRegistry, encoding: str) -> None:
    packed = gzip.compress(b"layer")
    registry.on(
        "GET", ".*/blobs/.*", respond(200, packed, "application/octet-stream", content_encoding=encoding)
    )
    async with session_at(registry) as session, session.stream(get_blob(sha256(packed))) as answer:
        assert b"".join([chunk async for chunk in answer.chunks]) == packed


async def test_the_transport_follows_no_redirects(registry: FakeRegistry, native: NativeTransport) -> None:
    registry.on("GET", "/v2/", redirect("http://127.0.0.1:1/"))
    answer = await native.start("GET", registry.url + "/v2/", {})
    assert answer.status == 307
    await answer.close()


@pytest.mark.parametrize("size", [0, 10, 300_000])
async def test_a_body_that_ends_early_is_cut_short_and_what_came_is_given(
    registry: FakeRegistry, size: int
) -> None:
    registry.on("GET", ".*/blobs/.*", cut_after(size))
    received = b""
    async with session_at(registry) as session, session.stream(get_blob(sha256(DATA))) as answer:
        with pytest.raises(CutShortError, match="cut short"):  # noqa: PT012 - what came before it counts
            async for chunk in answer.chunks:
                received += chunk
    assert received == DATA[:size]


async def test_a_body_comes_in_chunks_of_one_length_whatever_the_socket_gave(registry: FakeRegistry) -> None:
    odd = DATA + b"end"
    registry.on("GET", ".*/blobs/.*", respond(200, odd, "application/octet-stream"))
    async with session_at(registry) as session, session.stream(get_blob(sha256(odd))) as answer:
        chunks = [chunk async for chunk in answer.chunks]
    assert b"".join(chunks) == odd
    assert [len(chunk) for chunk in chunks] == [transport.CHUNK] * (len(DATA) // transport.CHUNK) + [3]


async def test_a_connection_reset_in_a_body_is_our_error(registry: FakeRegistry) -> None:
    registry.on("GET", ".*/blobs/.*", cut_after(300_000, reset=True))
    async with session_at(registry) as session, session.stream(get_blob(sha256(DATA))) as answer:
        with pytest.raises((CutShortError, RegistryUnreachableError)):
            async for _ in answer.chunks:
                pass


async def test_the_head_of_a_streamed_answer_comes_before_its_body(registry: FakeRegistry) -> None:
    registry.on("GET", ".*/blobs/.*", stall_after(10))
    with anyio.fail_after(5):
        async with session_at(registry) as session, session.stream(get_blob(sha256(DATA))) as answer:
            assert answer.headers["content-length"] == str(len(DATA))


async def test_an_answer_while_the_body_is_sent_is_that_answer(registry: FakeRegistry) -> None:
    registry.on("PUT", ".*", respond_early(413, "<html>too large</html>"))
    async with session_at(registry) as session:
        location = (await session.send(begin_upload(), expect={202})).headers["location"]
        request = Request(
            Kind.UPLOAD, "PUT", location, PUSH, content=in_pieces(DATA * 8), length=len(DATA) * 8
        )
        with pytest.raises((RejectedError, RegistryUnreachableError)) as raised:
            await session.send(request, expect={201})
    error = raised.value
    if isinstance(error, RejectedError):  # else the reset overtook the answer, and the hint has to do
        assert error.status == 413
    assert error.hint is not None
    assert "limit" in error.hint


async def test_a_streamed_body_arrives_with_its_length(registry: FakeRegistry) -> None:
    async with session_at(registry) as session:
        location = (await session.send(begin_upload(), expect={202})).headers["location"]
        url = f"{location}{'&' if '?' in location else '?'}digest={sha256(DATA)}"
        put = Request(Kind.UPLOAD, "PUT", url, PUSH, content=in_pieces(DATA), length=len(DATA))
        await session.send(put, expect={201})
    assert registry.requests[-1].headers["content-length"] == str(len(DATA))
    assert registry.requests[-1].body_size == len(DATA)


async def test_an_error_of_the_source_is_raised_as_it_is_and_ends_the_request(registry: FakeRegistry) -> None:
    class SourceError(Exception):
        pass

    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise SourceError

    async with session_at(registry) as session:
        location = (await session.send(begin_upload(), expect={202})).headers["location"]
        with pytest.raises(SourceError):
            await session.send(Request(Kind.UPLOAD, "PUT", location, PUSH, content=broken(), length=100))


async def test_a_cancelled_download_closes_its_connection(native: NativeTransport) -> None:
    closed = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegin")
        assert connection.recv(1) == b""
        closed.set()

    with raw_server(serve) as url:
        with anyio.move_on_after(0.1) as scope:
            answer = await native.start("GET", url, {}, ahead=1)
            try:
                async for _ in answer.chunks():
                    pass
            finally:
                await answer.close()
        assert scope.cancelled_caught
        assert await anyio.to_thread.run_sync(closed.wait, 5)


async def test_a_cancelled_wait_for_an_answer_ends_at_once(native: NativeTransport) -> None:
    def serve(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    with raw_server(serve) as url, anyio.fail_after(5):
        with anyio.move_on_after(0.05) as scope:
            await native.start("GET", url, {})
        assert scope.cancelled_caught


async def test_a_cancelled_upload_closes_its_connection_and_lets_its_source_go(
    native: NativeTransport,
) -> None:
    closed = threading.Event()
    let_go = anyio.Event()

    def serve(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass
        closed.set()

    async def stalls() -> AsyncIterator[bytes]:
        yield b"begin"
        try:
            await anyio.sleep_forever()
        finally:
            let_go.set()

    with raw_server(serve) as url:
        with anyio.move_on_after(0.1) as scope:
            await native.start("PUT", url, {"Content-Length": "1000"}, stalls())
        assert scope.cancelled_caught
        assert let_go.is_set()
        assert await anyio.to_thread.run_sync(closed.wait, 5)


async def test_a_slow_but_steady_upload_is_not_timed_out(
    native: NativeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "READ_TIMEOUT", 0.2)
    monkeypatch.setattr(outgoing, "TAKE_TIMEOUT", 5.0)

    def serve(connection: socket.socket) -> None:
        received = b""
        while not received.endswith(b"end"):
            received += connection.recv(65536)
        connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        connection.recv(1)

    async def steady() -> AsyncIterator[bytes]:
        for _ in range(8):
            await anyio.sleep(0.05)
            yield b"piece"
        yield b"end"

    with raw_server(serve) as url:
        answer = await native.start("PUT", url, {"Content-Length": "43"}, steady())
        assert answer.status == 201
        await answer.close()


async def test_a_silent_registry_is_timed_out(
    native: NativeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "READ_TIMEOUT", 0.05)

    def serve(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    with raw_server(serve) as url, pytest.raises(RegistryTimeoutError, match="timed out"):
        await native.start("GET", url, {})


async def test_a_registry_that_never_answers_an_upload_is_timed_out(
    native: NativeTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "ANSWER_TIMEOUT", 0.05)

    def serve(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    with raw_server(serve) as url, pytest.raises(RegistryTimeoutError, match="nothing came"):
        await native.start("PUT", url, {"Content-Length": "4"}, in_pieces(b"data"))


async def test_a_refused_connection_and_an_unknown_host_are_told_apart(native: NativeTransport) -> None:
    with pytest.raises(RegistryUnreachableError, match="refused"):
        await native.start("GET", "http://127.0.0.1:1/", {})
    with pytest.raises(UnknownHostError, match="not known"):
        await native.start("GET", "http://registry.invalid/", {})


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("failed to lookup address information: Name or service not known", UnknownHostError),
        ("failed to lookup address information: No address associated with hostname", UnknownHostError),
        (
            "failed to lookup address information: Temporary failure in name resolution",
            RegistryUnreachableError,
        ),
    ],
)
def test_a_name_that_does_not_exist_is_not_a_name_server_that_does_not_answer(
    words: str, kind: type[RegistryError]
) -> None:
    causes = ["error sending request", "client error (Connect)", "dns error", "error resolving DNS", words]
    error = unconnected(causes, "GET https://registry.example.com/v2/")
    assert type(error) is kind
    assert isinstance(error, TemporaryError) is (kind is RegistryUnreachableError)


def test_a_connection_that_ends_in_the_handshake_may_come_about_later() -> None:
    causes = ["error sending request", "client error (Connect)", "tls handshake eof"]
    assert type(unconnected(causes, "GET https://registry.example.com/v2/")) is RegistryUnreachableError
    causes[-1] = "received fatal alert: HandshakeFailure"
    assert type(unconnected(causes, "GET https://registry.example.com/v2/")) is TlsError


def test_only_behind_a_proxy_the_hint_speaks_of_proxies() -> None:
    causes = ["Connection refused"]
    where = "GET http://registry.example.com/v2/, through the proxy of some path/manifests/v1"
    assert "NO_PROXY" not in str(unconnected(causes, where).hint)
    assert "NO_PROXY" in str(unconnected(causes, where, proxy="http://proxy.example.com").hint)


async def test_a_host_that_does_not_exist_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def answer(*told: object) -> None:
        asked.append(told)
        raise unconnected(["error resolving DNS", "Name or service not known"], "GET somewhere")

    monkeypatch.setattr("regsync.remote.transport._answer", answer)
    native = NativeTransport()
    for name in ("a", "b", "c"):
        with pytest.raises(UnknownHostError, match=f"/v2/{name}/.*: Name or service not known|somewhere"):
            await native.start("GET", f"http://registry.invalid/v2/{name}/tags/list", {})
    assert len(asked) == 1
    with pytest.raises(UnknownHostError):
        await native.start("GET", "http://another.invalid/v2/", {})
    assert len(asked) == 2
    await native.close()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://bob:S3cr#et@cdn.example.com/x", "(a malformed URL)"),
        ("https://bob:12#et@cdn.example.com/x", "(a malformed URL)"),
        ("https://bob:12/et@cdn.example.com/x", "(a malformed URL)"),
        ("https://bob:12?et@cdn.example.com/x", "(a malformed URL)"),
        ("https://bob:p@ss@cdn.example.com/x", "https://cdn.example.com/x"),
        ("https://auth.example.com/token?account=me@example.com", "https://auth.example.com/token"),
    ],
)
def test_a_url_in_a_message_holds_no_part_of_a_password(url: str, shown: str) -> None:
    assert shown_url(url) == shown


async def test_connections_are_used_again_also_after_errors_and_redirects(registry: FakeRegistry) -> None:
    registry.on("GET", ".*/blobs/.*", redirect(registry.url + "/v2/"))
    async with session_at(registry) as session:
        await session.send(ping())
        await session.send(get_manifest("absent"), expect={404})
        async with session.stream(get_blob(sha256(DATA))) as answer:
            async for _ in answer.chunks:
                pass
        await session.send(get_manifest())
    assert registry.connections == 1


async def test_proxies_of_the_environment_are_used_except_where_no_proxy_says_so(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", registry.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    made = NativeTransport()
    try:
        through = await made.start("GET", "http://registry.invalid/v2/", {})
        await through.close()
        direct = await made.start("GET", registry.url + "/v2/", {})
        await direct.close()
    finally:
        await made.close()
    assert [request.target for request in registry.requests] == ["http://registry.invalid/v2/", "/v2/"]


def test_importing_a_session_imports_nothing_heavy(tmp_path: Path) -> None:
    import subprocess
    import sys

    heavy = "pydantic,httpx,sqlalchemy,rich,tenacity,email.utils,yaml"
    code = (
        "import sys, regsync.remote.session, regsync.remote.auth_files;"
        f"sys.exit(' '.join(name for name in '{heavy}'.split(',') if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
