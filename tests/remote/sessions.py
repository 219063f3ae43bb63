"""Sessions to test with: time stands still, nobody sleeps, and what was asked for is at hand."""

import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol

from regsync.remote.credentials import Credentials, Given
from regsync.remote.limits import Limiter, LimitSettings
from regsync.remote.request import Kind, Request, Scope
from regsync.remote.session import Session
from regsync.remote.troubles import Tell, tell_nobody
from tests.support.clock import FrozenClock

NAME = "team/app"
PULL = Scope.pull(NAME)
PUSH = Scope.push(NAME)


class Registry(Protocol):
    """Whatever serves."""

    @property
    def host(self) -> str: ...

    @property
    def url(self) -> str: ...


class Naps:
    """Sleeping that takes no time and moves the clock on; `taken` are the durations."""

    def __init__(self, clock: FrozenClock) -> None:
        self.clock = clock
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        self.clock.advance(seconds)


@asynccontextmanager
async def session_at(
    registry: Registry,
    clock: FrozenClock | None = None,
    *,
    naps: Naps | None = None,
    limits: LimitSettings | None = None,
    tell: Tell = tell_nobody,
    user: tuple[str, str] | None = None,
    name: str | None = None,
    **options: Any,
) -> AsyncIterator[Session]:
    """A session of its own with `registry`."""
    clock = clock or FrozenClock()
    naps = naps or Naps(clock)
    if user is not None:
        options["credentials"] = Given(lambda: Credentials(*user))
    name = name or registry.host
    limiter = Limiter(name, clock, limits, sleep=naps, tell=tell)
    async with Session(name, registry.url, limiter=limiter, clock=clock, sleep=naps, **options) as session:
        yield session


def ping() -> Request:
    """GET /v2/."""
    return Request(Kind.PING, "GET", "/v2/", Scope.none())


def get_manifest(reference: str = "v1", name: str = NAME, **changes: Any) -> Request:
    """GET of a manifest."""
    path = f"/v2/{name}/manifests/{reference}"
    return Request(Kind.MANIFEST_GET, "GET", path, Scope.pull(name), {"Accept": "*/*"}, **changes)


def get_blob(digest: str, name: str = NAME) -> Request:
    """GET of a blob."""
    return Request(Kind.BLOB_GET, "GET", f"/v2/{name}/blobs/{digest}", Scope.pull(name))


def begin_upload(name: str = NAME) -> Request:
    """POST that begins an upload."""
    return Request(Kind.UPLOAD, "POST", f"/v2/{name}/blobs/uploads/", Scope.push(name))


async def in_pieces(data: bytes, size: int = 64 * 1024) -> AsyncIterator[bytes]:
    """The bytes as a stream."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


@contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does to each connection what `serve` says; yields its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connections.append(connection)
            threading.Thread(target=handle, args=(connection,), daemon=True).start()

    def handle(connection: socket.socket) -> None:
        try:
            serve(connection)
        except OSError:
            pass
        finally:
            connection.close()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in connections:
            connection.close()
