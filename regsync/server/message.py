"""Requests and responses of the distribution API, apart from how a server hands them over (ASGI)."""

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
    MutableMapping,
    Sequence,
)
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from anyio import CancelScope

from regsync.errors import RegsyncError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
RawHeaders = Sequence[tuple[bytes, bytes]]

_LENGTH_DIGITS = 19  # of 2**63
MAX_QUERY_FIELDS = 128  # a push with all the tags that one may set, and others


class ClientGoneError(RegsyncError):
    """The client went away before its request was whole."""

    def __init__(self, received: int) -> None:
        super().__init__(f"the client closed the connection after {received} bytes of its request")


class BodyEndedError(RegsyncError):
    """A body was not waited for any longer."""

    def __init__(self, received: int) -> None:
        super().__init__(
            f"{received} bytes of the body came, then too little for too long; an upload keeps what came"
        )


class BodyTooLargeError(RegsyncError):
    """A body is longer than this request may carry."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is longer than {limit} bytes")
        self.limit = limit


class QueryTooLongError(RegsyncError):
    """A query has more fields than any request of the API needs."""

    def __init__(self) -> None:
        super().__init__(f"the query has more than {MAX_QUERY_FIELDS} fields")


class Body:
    """The bytes of a request, read once, and never more than `limit`.

    `received` is how many came; `waiting`: for the client to send.
    """

    __slots__ = ("_end", "_receive", "is_read", "limit", "received", "waiting")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._end: CancelScope | None = None
        self.limit: int | None = None
        self.received = 0
        self.is_read = self.waiting = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not self.is_read:
            message = await self._next()
            if message["type"] != "http.request":
                raise ClientGoneError(self.received)
            self.is_read = not message.get("more_body", False)
            chunk: bytes = message.get("body", b"")
            if chunk:
                self.received += len(chunk)
                if self.limit is not None and self.received > self.limit:
                    raise BodyTooLargeError(self.limit)
                yield chunk

    async def _next(self) -> MutableMapping[str, Any]:
        with CancelScope() as self._end:
            self.waiting = True
            message = await self._receive()
            self.waiting = False
            return message
        raise BodyEndedError(self.received)

    def end(self) -> None:
        """Wait for no more of it: who reads it gets BodyEndedError, and may keep what came."""
        if self._end is not None:
            self._end.cancel()

    async def gone(self) -> None:
        """Wait until the client goes away; what it still sends is dropped."""
        while (await self._receive())["type"] == "http.request":
            pass

    async def read(self, limit: int) -> bytes:
        """All of it; raises BodyTooLargeError before more than `limit` bytes are kept."""
        parts: list[bytes] = []
        async for chunk in self:
            parts.append(chunk)
            if self.received > limit:
                raise BodyTooLargeError(limit)
        return parts[0] if len(parts) == 1 else b"".join(parts)


class Request:
    """One request. Header names are lower case; of a header sent twice the last one counts."""

    __slots__ = (
        "_headers",
        "_query",
        "_version",
        "body",
        "client",
        "id",
        "method",
        "path",
        "raw_headers",
        "raw_query",
    )

    def __init__(self, scope: Scope, receive: Receive, request_id: str) -> None:
        self.method: str = scope["method"]
        self._version: str = scope.get("http_version", "1.1")
        # `path` is decoded, and `..%2f` in it a traversal: nothing here reads it.
        raw_path: bytes | None = scope.get("raw_path")
        self.path = (raw_path if raw_path is not None else scope["path"].encode()).decode("latin-1")
        self.raw_query: bytes = scope.get("query_string", b"")
        self.raw_headers: RawHeaders = scope["headers"]
        client = scope.get("client")
        # A socket of IPv6 that takes IPv4 too says ::ffff:192.0.2.7.
        self.client: str = client[0].removeprefix("::ffff:") if client else ""
        self.body = Body(receive)
        self.id = request_id
        self._headers: dict[bytes, bytes] | None = None
        self._query: dict[str, list[str]] | None = None

    def header(self, name: bytes) -> str | None:
        """One header's value."""
        if self._headers is None:
            self._headers = {key.lower(): value for key, value in self.raw_headers}
        value = self._headers.get(name)
        return value.decode("latin-1") if value is not None else None

    @property
    def content_length(self) -> int | None:
        """How many bytes the body is said to have; None where that is not said, or is no number."""
        text = self.header(b"content-length")
        if text is None or not text.isascii() or not text.isdigit() or len(text) > _LENGTH_DIGITS:
            return None
        return int(text)

    @property
    def has_one_host(self) -> bool:
        """Whether it says once which host it is for, or need not since it is of HTTP/1.0 or 2.

        An empty name is none (RFC 9110, 4.2.1), and is what granian gives where there is no header.
        """
        if self._version != "1.1":
            return True
        hosts = [value for key, value in self.raw_headers if key.lower() == b"host"]
        return len(hosts) == 1 and bool(hosts[0])

    @property
    def query(self) -> Mapping[str, Sequence[str]]:
        """The query's fields, each with its values in their order. Raises QueryTooLongError."""
        if self._query is None:
            self._query = {}
            if self.raw_query:
                text = self.raw_query.decode("latin-1")
                for key, value in _fields(text):
                    self._query.setdefault(key, []).append(value)
        return self._query

    @property
    def is_unread(self) -> bool:
        """Whether a part of its body, or all of it, was not read."""
        if self.body.is_read:
            return False
        return self.header(b"content-length") not in (None, "0") or bool(self.header(b"transfer-encoding"))

    def parameter(self, name: str) -> str | None:
        """The last value of one field of the query."""
        values = self.query.get(name)
        return values[-1] if values else None


def _fields(query: str) -> Sequence[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:
        raise QueryTooLongError from None


@dataclass(slots=True)
class Response:
    """An answer: bytes, or a file (a part of it, or all), or nothing."""

    status: int
    headers: RawHeaders = ()
    body: bytes = b""
    file: Path | None = None
    chunks: AsyncGenerator[bytes, None] | None = None
    length: int | None = None  # of what `file` or `chunks` give; None: that of `body`

    def add(self, name: bytes, value: str) -> "Response":
        """Itself, with one more header."""
        self.headers = (*self.headers, (name, value.encode("latin-1", "replace")))
        return self
