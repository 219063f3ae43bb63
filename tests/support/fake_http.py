"""The HTTP half of the fake registry: requests and answers as values, over real sockets and threads.

One thread per connection, HTTP/1.1 keep-alive, at most one request at a time on a connection. An answer may
be cut after any byte, stalled or reset, which no ordinary server library lets a test do.
"""

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from io import BufferedReader
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

CHUNK = 64 * 1024  # bytes read or written at a time
KEPT_BODY = 1 << 20  # bytes; larger bodies are not kept with their request


class ClientGoneError(Exception):
    """The client closed its side before its request was complete."""


@dataclass
class Request:
    """One request as sent; header names are lower case, repeated headers joined with a comma."""

    method: str
    target: str
    headers: dict[str, str]
    connection: int
    """Which connection it came on; the first is 1."""
    status: int = 0
    """The status it was answered with; 0 while it is being answered or when the connection was cut before."""
    body_size: int = 0
    """Bytes of body that have arrived."""
    body: bytes | None = None
    """The whole body once read; kept for bodies of at most 1 MiB, else None."""
    truncated: bool = False
    """Whether the fake itself stopped reading in mid-body (`cut_upload_after`)."""
    _rest: "BodyReader | None" = field(default=None, repr=False)

    @property
    def path(self) -> str:
        """The target's path, percent-decoded."""
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        """The last value of each query parameter."""
        return {key: values[-1] for key, values in parse_qs(urlsplit(self.target).query, True).items()}

    @property
    def unread(self) -> bool:
        """Whether body bytes may still be on the wire."""
        return self._rest is not None and not self._rest.finished

    def read(self) -> bytes:
        """The rest of the body. Raises ClientGoneError when it ends early."""
        data = b"".join(self.pieces())
        if not self.truncated and len(data) == self.body_size <= KEPT_BODY:
            self.body = data
        return data

    def pieces(self) -> Iterator[bytes]:
        """The rest of the body as it comes. Raises ClientGoneError when it ends early."""
        while self._rest is not None and (piece := self._rest.read(CHUNK)):
            self.body_size = self._rest.count
            yield piece

    def truncate(self, size: int) -> None:
        """Read no more than the next `size` bytes, as if the rest did not come."""
        self.truncated = True
        if self._rest is not None:
            self._rest.stop_after(size)


class BodyReader:
    """Reads a body by Content-Length or chunked coding."""

    def __init__(
        self, source: BufferedReader, headers: dict[str, str], before_reading: Callable[[], None]
    ) -> None:
        self._source = source
        self._before_reading = before_reading
        self._chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        self._left = 0 if self._chunked else int(headers.get("content-length", "0"))
        self.finished = not self._chunked and self._left == 0
        self.count = 0
        self._allowed = 1 << 62

    def stop_after(self, size: int) -> None:
        """Give no more than `size` further bytes."""
        self._allowed = size

    def read(self, limit: int) -> bytes:
        """Up to `limit` bytes; empty at the end. Raises ClientGoneError when the connection ends before."""
        if not self.finished:
            self._before_reading()
            self._before_reading = lambda: None
        if self._chunked and self._left == 0 and not self.finished:
            self._next_chunk()
        size = min(self._left, limit, self._allowed)
        if self.finished or size == 0:
            return b""
        data = self._source.read1(size)
        if not data:
            raise ClientGoneError
        self.count += len(data)
        self._left -= len(data)
        self._allowed -= len(data)
        if self._left == 0:
            if self._chunked:
                self._source.readline()
            self.finished = not self._chunked
        return bytes(data)

    def _next_chunk(self) -> None:
        line = self._source.readline()
        if not line:
            raise ClientGoneError
        self._left = int(line.split(b";")[0], 16)
        if self._left == 0:
            while self._source.readline() not in (b"\r\n", b"\n", b""):
                pass
            self.finished = True


@dataclass(frozen=True)
class Answer:
    """An answer, and how its delivery goes wrong.

    Attributes:
        headers: in the order to send; Content-Length is added unless present or `chunked`.
        cut: close the connection after this many bytes of body.
        reset: with `cut`, end it by TCP reset and not by an orderly close.
        stall: with `cut`, keep the connection open in silence until the server closes.
        chunked: send with chunked coding and no Content-Length.
        delay: seconds of silence before the first byte.
        rate: bytes per second of the body, None for as fast as it goes.
        close: end the connection after this answer.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | Iterable[bytes] = b""
    cut: int | None = None
    reset: bool = False
    stall: bool = False
    chunked: bool = False
    delay: float = 0.0
    rate: int | None = None
    close: bool = False

    def header(self, name: str) -> str | None:
        """The first value of a header, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def with_headers(self, **changes: str | None) -> "Answer":
        """Headers replaced (underscores stand for hyphens) or, with None, removed."""
        names = {key.replace("_", "-").lower(): value for key, value in changes.items()}
        kept = [(key, value) for key, value in self.headers if key.lower() not in names]
        added = [(key, value) for key, value in names.items() if value is not None]
        return replace(self, headers=(*kept, *added))


Handler = Callable[[Request], Answer]


class HttpServer:
    """Serves a handler on a free loopback port from the moment it is made until `close`."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.closing = threading.Event()
        self.failures: list[BaseException] = []
        """What the handler raised; a test's server must not fail silently."""
        self._lock = threading.Lock()
        self._open: dict[int, socket.socket] = {}
        self._threads: list[threading.Thread] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def close(self) -> None:
        """End all connections and wait for every thread."""
        self.closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        self.drop_connections()
        for thread in self._threads:
            thread.join()

    def drop_connections(self) -> None:
        """End every open connection now, as a load balancer's restart would."""
        with self._lock:
            for connection in self._open.values():
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.connections += 1
                number = self.connections
                self._open[number] = connection
            thread = threading.Thread(target=self._serve, args=(connection, number), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            with connection, connection.makefile("rb") as source:
                while not self.closing.is_set() and self._serve_one(connection, source, number):
                    pass
                if not self.closing.is_set():
                    with suppress(OSError):
                        connection.shutdown(socket.SHUT_WR)
        except (OSError, ClientGoneError):
            pass
        except BaseException as error:  # noqa: BLE001 - shown by the fixture
            self.failures.append(error)
        finally:
            with self._lock:
                self._open.pop(number, None)

    def _serve_one(self, connection: socket.socket, source: BufferedReader, number: int) -> bool:
        """Answer one request; False when the connection must end."""
        request = _read_request(connection, source, number)
        if request is None:
            return False
        answer = self._handler(request)
        if answer.delay and self.closing.wait(answer.delay):
            return False
        whole = self._send(connection, request, answer)
        if request.unread and whole and not answer.close:
            request.read()
        wants_close = request.headers.get("connection", "").lower() == "close"
        return whole and not answer.close and not wants_close

    def _send(self, connection: socket.socket, request: Request, answer: Answer) -> bool:
        """Send the answer; False when it was cut."""
        if answer.cut == 0 and answer.status == 0:
            return self._end(connection, answer)
        request.status = answer.status
        connection.sendall(_head(request, answer))
        if request.method == "HEAD":
            return True
        left = answer.cut
        for piece in _pieces(answer.body):
            part = piece if left is None else piece[:left]
            if part:
                connection.sendall(b"%x\r\n%s\r\n" % (len(part), part) if answer.chunked else part)
                if answer.rate and self.closing.wait(len(part) / answer.rate):
                    return False
            if left is not None:
                left -= len(part)
                if left <= 0:
                    return self._end(connection, answer)
        if answer.chunked:
            connection.sendall(b"0\r\n\r\n")
        return True if answer.cut is None else self._end(connection, answer)

    def _end(self, connection: socket.socket, answer: Answer) -> bool:
        if answer.stall:
            self.closing.wait()
        if answer.reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        return False


def _read_request(connection: socket.socket, source: BufferedReader, number: int) -> Request | None:
    line = source.readline(65536)
    if not line.strip():
        return None
    words = line.decode("latin-1").split()
    if len(words) != 3 or not words[2].startswith("HTTP/"):  # a TLS greeting, for one
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        return None
    method, target = words[:2]
    headers: dict[str, str] = {}
    while (line := source.readline(65536)) not in (b"\r\n", b"\n"):
        if not line:
            raise ClientGoneError
        name, _, value = line.decode("latin-1").partition(":")
        name = name.strip().lower()
        headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()

    def invite_body() -> None:
        if headers.get("expect", "").lower() == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    return Request(method, target, headers, number, _rest=BodyReader(source, headers, invite_body))


def _head(request: Request, answer: Answer) -> bytes:
    try:
        phrase = HTTPStatus(answer.status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {answer.status} {phrase}", *(f"{name}: {value}" for name, value in answer.headers)]
    bodiless = answer.status in (204, 304) or answer.status < 200
    if answer.chunked:
        lines.append("transfer-encoding: chunked")
    elif answer.header("content-length") is None and not bodiless:
        size = len(answer.body) if isinstance(answer.body, bytes) else 0
        lines.append(f"content-length: {size}")
    if answer.close:
        lines.append("connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _pieces(body: bytes | Iterable[bytes]) -> Iterator[bytes]:
    if isinstance(body, bytes):
        for start in range(0, len(body), CHUNK):
            yield body[start : start + CHUNK]
    else:
        yield from body


def matches(pattern: str, path: str) -> bool:
    """Whether the regular expression matches the whole path."""
    return re.fullmatch(pattern, path) is not None
