"""HTTP itself: the one module that knows which client library there is.

Traps of the library (pyreqwest 0.15), each with a test over a real socket. It follows redirects,
decodes bodies and names itself unless told not to. `read_timeout` bounds the time until an answer's
head from the request's start, also while a body is steadily being sent: streamed bodies go through a
client without it. The head of a streamed answer is held back until `streamed_read_buffer_limit` bytes
of its body are there. A cancelled call ends with a cancellation error that is not the scope's own; one
that waited for an answer's head ends at once, but its connection only when that comes or times out. A
body cut short is a decoding error, or a request error.
"""

import os
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Protocol
from urllib.parse import urlsplit

import anyio.lowlevel
from pyreqwest.bytes import Bytes
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import DecodeError, PyreqwestError, RequestTimeoutError
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response as NativeResponse

from regsync import __version__
from regsync.remote.errors import (
    CutShortError,
    RegistryError,
    RegistryTimeoutError,
    TlsError,
    UnknownHostError,
    shown,
    shown_url,
)
from regsync.remote.failures import unconnected
from regsync.remote.outgoing import ANSWER_TIMEOUT, Feed, send_while
from regsync.remote.proxies import Proxies
from regsync.remote.request import Content, Headers
from regsync.remote.tls import TlsFiles, TlsMaterial

USER_AGENT = f"regsync/{__version__}"
CONNECT_TIMEOUT = 15.0  # seconds
READ_TIMEOUT = 90.0  # seconds without a byte; there is no limit for a whole request, since blobs are large
IDLE_TIMEOUT = 30.0  # seconds that a connection is kept; less than servers keep theirs
CHUNK = 256 * 1024  # bytes; what comes from the socket is cut and joined to this
WHOLE = 64 * 1024  # bytes; an answer up to this comes with its head
STREAMED = 0  # bytes; the head of an answer comes as soon as it is there
_SENDING = "it ended the connection while a body was being sent; it, or a proxy, may limit a body's size"


class Answer(Protocol):
    """An answer whose head has come."""

    @property
    def status(self) -> int:
        """The status code."""
        ...

    @property
    def headers(self) -> Headers:
        """The headers."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as sent, never decoded; raises CutShortError, RegistryTimeoutError."""
        ...

    async def close(self) -> None:
        """End the exchange. The connection ends with it, unless all of the body was read."""
        ...


class Transport(Protocol):
    """Sends one request and gives its answer; follows nothing, retries nothing, adds no credentials."""

    async def start(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: Content = None,
        *,
        ahead: int = WHOLE,
    ) -> Answer:
        """Send, and wait for the head of the answer and at most `ahead` bytes of its body.

        Raises RegistryUnreachableError, RegistryTimeoutError, TlsError, and what iterating `content`
        raises.
        """
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class NativeTransport:
    """The transport that ships: pyreqwest's own client, made when it is first needed.

    HTTP/1.1 with as many connections as there are requests: one HTTP/2 connection would cap what a
    stream can carry (REGISTRIES.md, 46). Proxies are those of the environment.
    """

    def __init__(self, tls: TlsFiles | TlsMaterial | None = None) -> None:
        self._tls = tls or TlsFiles()
        self._proxies = Proxies.of(os.environ)
        self._unknown: dict[str, UnknownHostError] = {}  # by host of a URL: each is looked up once a run
        self._client: Client | None = None
        self._sender: Client | None = None

    async def start(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: Content = None,
        *,
        ahead: int = WHOLE,
    ) -> Answer:
        """Send one request."""
        proxy = self._proxies.on_the_way_to(url)
        where = f"{method} {shown_url(url)}{f', through the proxy {proxy}' if proxy else ''}"
        if self._unknown and (known := self._unknown.get(urlsplit(url).netloc)) is not None:
            raise UnknownHostError(where, known.reason, hint=known.hint)
        try:
            return await self._send(method, url, headers, content, (where, proxy, ahead))
        except UnknownHostError as error:
            self._unknown[urlsplit(url).netloc] = error.with_traceback(None)
            raise

    async def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: Content,
        told: tuple[str, str | None, int],
    ) -> Answer:
        where, proxy, ahead = told
        if content is None or isinstance(content, bytes):
            if self._client is None:
                self._client = _build(self._tls, READ_TIMEOUT)
            builder = self._client.request(method, url).headers(headers).streamed_read_buffer_limit(ahead)
            if content is not None:
                builder = builder.body_bytes(content)
            return await _answer(builder.build_streamed(), where, proxy)
        if self._sender is None:
            self._sender = _build(self._tls, None)
        builder = self._sender.request(method, url).headers(headers).streamed_read_buffer_limit(ahead)

        async def start(feed: Feed) -> NativeAnswer:
            return await _answer(builder.body_stream(feed).build_streamed(), where, proxy, ANSWER_TIMEOUT)

        return await send_while(content, start, is_final=_ends_sending, where=where)

    async def close(self) -> None:
        """Close all connections."""
        for client in (self._client, self._sender):
            if client is not None:
                await client.close()
        self._client = self._sender = None
        self._unknown.clear()


class NativeAnswer:
    """An answer of pyreqwest's."""

    __slots__ = ("_native", "_request", "_time_limit", "_where", "headers", "status")

    def __init__(
        self, request: StreamRequest, native: NativeResponse, where: str, time_limit: float | None
    ) -> None:
        self._request, self._native, self._where = request, native, where
        self._time_limit = time_limit  # seconds for reading on; None: the client has one
        self.status = native.status
        self.headers = Headers(native.headers.items())

    def chunks(self) -> AsyncIterator[bytes]:
        """The body, in pieces of CHUNK bytes except the last."""
        return _Chunks(self._native, self._where, self._time_limit)

    async def close(self) -> None:
        """End the exchange."""
        with anyio.CancelScope(shield=True):
            await self._request.__aexit__(None, None, None)


class _Chunks:
    """Iterates a body. A class, since a generator that is left half-way lingers until it is collected."""

    __slots__ = ("_ended", "_error", "_left", "_read", "_time_limit", "_where")

    def __init__(self, native: NativeResponse, where: str, time_limit: float | None) -> None:
        self._read, self._where, self._time_limit = native.body_reader.read_chunk, where, time_limit
        self._left = memoryview(b"")
        self._ended = False
        self._error: RegistryError | None = None

    def __aiter__(self) -> "_Chunks":
        return self

    async def __anext__(self) -> bytes:
        # All of one length: the library's allocator keeps memory apart for each length that it sees.
        held = [self._left[:CHUNK]]
        self._left = self._left[CHUNK:]
        size = len(held[0])
        while size < CHUNK and not self._ended:
            piece = await self._piece()
            if piece is None:
                self._ended = True
            else:
                view = memoryview(piece)
                held.append(view[: CHUNK - size])
                self._left = view[CHUNK - size :]
                size += len(held[-1])
        if size:
            return b"".join(held)  # copies what has to be copied anyway, and joins
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration

    async def _piece(self) -> Bytes | None:
        try:
            if self._time_limit is None:
                return await self._read()
            with anyio.fail_after(self._time_limit):
                return await self._read()
        except PyreqwestError as cause:
            # Kept until what came before it is given.
            self._error = _broken_body(cause, self._where)
            self._error.__cause__ = cause
        except TimeoutError:
            self._error = RegistryTimeoutError(f"{self._where}: timed out while its answer was read")
        except anyio.get_cancelled_exc_class():
            await _own_cancellation()
            raise
        return None


async def _answer(
    request: StreamRequest, where: str, proxy: str | None, time_limit: float | None = None
) -> NativeAnswer:
    try:
        native = await request.__aenter__()
    except PyreqwestError as cause:
        hint = _SENDING if time_limit is not None else None
        raise _translated(cause, where, proxy, hint=hint) from cause
    except anyio.get_cancelled_exc_class():
        await _own_cancellation()
        raise
    return NativeAnswer(request, native, where, time_limit)


async def _own_cancellation() -> None:
    """Raise the cancellation that a scope knows as its own; the library's says something else.

    Returns where no scope was cancelled: the task was, from outside anyio.
    """
    await anyio.lowlevel.checkpoint()


def _ends_sending(answer: NativeAnswer) -> bool:
    """Whether an answer that comes while a body is being sent makes the rest of it useless."""
    return answer.status >= 300  # a 2xx may come early (REGISTRIES.md, 23)


def _build(tls: TlsFiles | TlsMaterial, read_timeout: float | None) -> Client:
    off = False
    builder = (
        ClientBuilder()
        .follow_redirects(off)
        .gzip(off)
        .brotli(off)
        .zstd(off)
        .deflate(off)
        .referer(off)
        .default_cookie_store(off)
        .http1_only()
        .user_agent(USER_AGENT)
        .default_headers({"Accept-Encoding": "identity"})  # proxies exist that compress blobs
        .connect_timeout(timedelta(seconds=CONNECT_TIMEOUT))
        .pool_idle_timeout(timedelta(seconds=IDLE_TIMEOUT))
    )
    if read_timeout is not None:
        builder = builder.read_timeout(timedelta(seconds=read_timeout))
    material = tls.read()
    try:
        if material.authority is not None:
            builder = builder.add_root_certificate_pem(material.authority)
        if material.identity is not None:
            builder = builder.identity_pem(material.identity)
        return builder.build()
    except (PyreqwestError, ValueError) as cause:
        files = ", ".join(map(str, tls.files))
        raise TlsError(
            f"TLS cannot be set up{' with ' + files if files else ''}: {shown(_causes(cause)[-1])}"
        ) from cause


def _translated(cause: PyreqwestError, where: str, proxy: str | None, *, hint: str | None) -> RegistryError:
    """The library's error as ours."""
    if isinstance(cause, DecodeError | RequestTimeoutError):
        return _broken_body(cause, where)
    return unconnected(_causes(cause), where, proxy=proxy, hint=hint)


def _broken_body(cause: PyreqwestError, where: str) -> RegistryError:
    if isinstance(cause, RequestTimeoutError):
        return RegistryTimeoutError(f"{where}: timed out")
    return CutShortError(f"{where}: the answer was cut short: {shown(_causes(cause)[-1])}")


def _causes(cause: Exception) -> list[str]:
    """What went wrong, the innermost last; never empty."""
    details = getattr(cause, "details", None) or {}
    causes = [found["message"] for found in details.get("causes") or ()]
    return causes or [str(cause.args[0] if cause.args else cause)]


class Transports:
    """The transports of a run: one for all registries whose TLS is the same."""

    def __init__(self) -> None:
        self._transports: dict[TlsFiles, Transport] = {}

    def for_tls(self, tls: TlsFiles) -> Transport:
        """The transport for these files; nothing is read until it is first used."""
        if tls not in self._transports:
            self._transports[tls] = NativeTransport(tls)
        return self._transports[tls]

    async def close(self) -> None:
        """Close all."""
        for transport in self._transports.values():
            await transport.close()
