"""HTTP itself: the one module that knows which client library there is.

Traps of the library (pyreqwest), each with a test over a real socket: it follows redirects, decodes
bodies and names itself unless told not to; it has one time limit for a whole request unless
`read_timeout` is used in its place; a body cut short is a decoding error to it.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Protocol

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import DecodeError, PyreqwestError, RequestTimeoutError
from pyreqwest.response import Response as NativeResponse

from regsync import __version__
from regsync.remote.errors import (
    CutShortError,
    RegistryError,
    RegistryTimeoutError,
    RegistryUnreachableError,
    shown,
    shown_url,
)
from regsync.remote.request import Content, Headers

USER_AGENT = f"regsync/{__version__}"
CONNECT_TIMEOUT = 15.0  # seconds
READ_TIMEOUT = 60.0  # seconds without a byte; no limit for a whole request, since blobs are large
CHUNK = 256 * 1024  # bytes; smaller pieces from the socket are joined up to this
_READ_AHEAD = 2 * 1024 * 1024  # bytes that one body may be ahead of its reader


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


class Transport(Protocol):
    """Sends one request and gives its answer; follows nothing, retries nothing, adds nothing."""

    def open(
        self, method: str, url: str, headers: Mapping[str, str], content: Content = None
    ) -> AbstractAsyncContextManager[Answer]:
        """Send; leaving the context ends the exchange, whether or not the body was read.

        Raises RegistryUnreachableError, RegistryTimeoutError, TlsError.
        """
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class NativeTransport:
    """The transport that ships: pyreqwest's own client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @asynccontextmanager
    async def open(
        self, method: str, url: str, headers: Mapping[str, str], content: Content = None
    ) -> AsyncIterator[Answer]:
        """Send one request."""
        builder = self._client.request(method, url).headers(headers)
        if isinstance(content, bytes):
            builder = builder.body_bytes(content)
        elif content is not None:
            builder = builder.body_stream(content)
        request = builder.streamed_read_buffer_limit(_READ_AHEAD).build_streamed()
        where = f"{method} {shown_url(url)}"
        try:
            native = await request.__aenter__()
        except PyreqwestError as cause:
            raise translated(cause, where) from cause
        try:
            yield NativeAnswer(native, where)
        finally:
            await request.__aexit__(None, None, None)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()


class NativeAnswer:
    """An answer of pyreqwest's."""

    def __init__(self, native: NativeResponse, where: str) -> None:
        self._native, self._where = native, where
        self.status = native.status
        self.headers = Headers(native.headers.items())

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, in pieces of CHUNK bytes or more except the last."""
        reader = self._native.body_reader
        held = []
        size = 0
        try:
            while (piece := await reader.read_chunk()) is not None:
                held.append(piece)
                size += len(piece)
                if size >= CHUNK:
                    yield b"".join(held)
                    held.clear()
                    size = 0
        except PyreqwestError as cause:
            if held:
                yield b"".join(held)
            raise translated(cause, self._where) from cause
        if held:
            yield b"".join(held)


def build_transport() -> NativeTransport:
    """A transport with the system's roots and the environment's proxies."""
    builder = (
        ClientBuilder()
        .follow_redirects(False)  # noqa: FBT003
        .gzip(False)  # noqa: FBT003
        .brotli(False)  # noqa: FBT003
        .zstd(False)  # noqa: FBT003
        .deflate(False)  # noqa: FBT003
        .referer(False)  # noqa: FBT003
        .default_cookie_store(False)  # noqa: FBT003
        .user_agent(USER_AGENT)
        .connect_timeout(timedelta(seconds=CONNECT_TIMEOUT))
        .read_timeout(timedelta(seconds=READ_TIMEOUT))
    )
    return NativeTransport(builder.build())


def translated(cause: PyreqwestError, where: str) -> RegistryError:
    """The library's error as ours; its causes go into the message, innermost first."""
    details = getattr(cause, "details", None) or {}
    causes = [found["message"] for found in details.get("causes") or ()]
    reason = shown(causes[-1] if causes else str(cause.message))
    if isinstance(cause, DecodeError):
        return CutShortError(f"{where}: the answer was cut short: {reason}")
    if isinstance(cause, RequestTimeoutError):
        return RegistryTimeoutError(f"{where}: timed out: {reason}")
    return RegistryUnreachableError(f"{where}: {reason}")
