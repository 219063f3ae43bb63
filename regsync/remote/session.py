"""A registry over HTTP: requests go in, answers or the matching error come out.

One session per registry (host and credentials), shared by all its repositories.
"""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Self

from regsync.remote.answers import MAX_ERROR_BODY, Complaint, error_for
from regsync.remote.errors import TooLargeError, shown_url
from regsync.remote.request import Kind, Request, Response, StreamedResponse
from regsync.remote.transport import Answer, Transport, build_transport

OK = frozenset({200})


class Session:
    """Talks to one registry."""

    def __init__(self, name: str, base_url: str, *, transport: Transport | None = None) -> None:
        self.name, self.base_url = name, base_url.rstrip("/")
        self._transport = transport or build_transport()
        self._counts: Counter[Kind] = Counter()
        self.bytes_in = self.bytes_out = 0  # of streamed bodies
        self.warnings: dict[str, None] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.close()

    @property
    def counters(self) -> Mapping[Kind, int]:
        """Requests sent so far, by kind."""
        return dict(self._counts)

    async def send(self, request: Request, *, expect: Collection[int] = OK) -> Response:
        """Send, and read the answer whole.

        Raises the error of `errors` that fits a status not in `expect`, TooLargeError beyond
        `request.limit`, RegistryUnreachableError, RegistryTimeoutError, CutShortError.
        """
        async with self._exchange(request, expect) as (answer, url):
            body = await self._read(answer, request.limit, shown_url(url))
            return Response(answer.status, answer.headers, body, url)

    def stream(
        self, request: Request, *, expect: Collection[int] = OK
    ) -> AbstractAsyncContextManager[StreamedResponse]:
        """Send, and give the answer's body while it comes. Raises on entering what `send` raises."""
        return self._stream(request, expect)

    @asynccontextmanager
    async def _stream(self, request: Request, expect: Collection[int]) -> AsyncIterator[StreamedResponse]:
        async with self._exchange(request, expect) as (answer, url):
            yield StreamedResponse(answer.status, answer.headers, url, answer.chunks())

    @asynccontextmanager
    async def _exchange(self, request: Request, expect: Collection[int]) -> AsyncIterator[tuple[Answer, str]]:
        url = self.base_url + request.url if request.url.startswith("/") else request.url
        headers = dict(request.headers)
        if request.length is not None:
            headers["Content-Length"] = str(request.length)
        self._counts[request.kind] += 1
        async with self._transport.open(request.method, url, headers, request.content) as answer:
            if answer.status not in expect:
                body = await self._read(answer, MAX_ERROR_BODY, shown_url(url))
                complaint = Complaint.read(body, answer.headers.get("content-type"))
                raise error_for(f"{self.name}: {request.method} {shown_url(url)}", answer.status, complaint)
            yield answer, url

    async def _read(self, answer: Answer, limit: int, where: str) -> bytes:
        pieces = []
        size = 0
        async for piece in answer.chunks():
            size += len(piece)
            if size > limit:
                raise TooLargeError(where, limit)
            pieces.append(piece)
        return b"".join(pieces)
