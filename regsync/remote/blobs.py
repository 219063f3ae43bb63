"""Blobs out of a repository: whether one is there, and its bytes, going on after a cut.

Sources: distribution-spec 1.1, "Pulling blobs"; RFC 9110, section 14; REGISTRIES.md, 20, 37, 39 and 40.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from regsync.content.errors import ContentNotFoundError, InterruptedStreamError, SizeMismatchError
from regsync.errors import TemporaryError
from regsync.oci.descriptor import Descriptor
from regsync.remote.endpoint import Endpoint
from regsync.remote.errors import NotFoundError
from regsync.remote.request import Headers, Kind, Request

MIB = 1024 * 1024
MAX_RESUMES = 5  # in a row, each without PROGRESS
PROGRESS = MIB  # bytes after which a download counts as moving
IDENTITY = {"accept-encoding": "identity"}  # so that no proxy compresses what has to be hashed
_HEAD_ANSWERS = frozenset({200, 404, 405, 501})
_WHOLE = frozenset({200})
_WHOLE_OR_PART = frozenset({200, 206})


class Blobs:
    """What is under `/blobs/` of one repository, for reading."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def exists(self, desc: Descriptor) -> bool:
        """Whether the blob is there; raises SizeMismatchError if with another length."""
        endpoint = self._endpoint
        request = Request(Kind.BLOB_HEAD, "HEAD", f"{endpoint.blobs}{desc.digest}", endpoint.pull, IDENTITY)
        response = await endpoint.session.send(request, expect=_HEAD_ANSWERS)
        if response.status == 404:
            return False
        if response.status != 200:
            return await self._can_be_read(desc)
        check_length(desc, response.headers, where=endpoint.name)
        return True

    async def _can_be_read(self, desc: Descriptor) -> bool:
        """Where HEAD is not allowed: begin to read."""
        try:
            async with self.fetch(desc):
                return True
        except ContentNotFoundError:
            return False

    @asynccontextmanager
    async def fetch(self, desc: Descriptor, offset: int = 0) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream the blob from `offset` on, unverified. Raises ContentNotFoundError on entering."""
        async with AsyncExitStack() as stack:
            download = Download(self._endpoint, desc, offset, stack)
            await download.open()
            yield download


class Download:
    """A blob's bytes, asked for again from where they ended when the connection is cut.

    Raises SizeMismatchError at the first byte too many, and the error of the last cut when the registry
    gives no more.
    """

    def __init__(self, endpoint: Endpoint, desc: Descriptor, offset: int, stack: AsyncExitStack) -> None:
        self._endpoint, self._desc, self._stack = endpoint, desc, stack
        self._position = offset  # bytes given, and those the caller had before
        self._skip = 0  # bytes of this answer that were given before
        self._resumes = 0
        self._resumed_at = offset
        self._ranges = True  # until the registry is seen not to mean them
        self._chunks: AsyncIterator[bytes]

    async def open(self) -> None:
        """Ask for the bytes from here on."""
        endpoint, desc = self._endpoint, self._desc
        if self._position and self._position >= desc.size:
            self._chunks = _nothing()
            return
        headers = dict(IDENTITY)
        if self._position and self._ranges:
            headers["range"] = f"bytes={self._position}-"
        request = Request(Kind.BLOB_GET, "GET", f"{endpoint.blobs}{desc.digest}", endpoint.pull, headers)
        try:
            expect = _WHOLE_OR_PART if "range" in headers else _WHOLE
            answer = await self._stack.enter_async_context(endpoint.session.stream(request, expect=expect))
        except NotFoundError as cause:
            raise ContentNotFoundError(f"blob {desc.digest}", where=endpoint.name) from cause
        if answer.status == 200:
            check_length(desc, answer.headers, where=endpoint.name)
            self._skip = self._position
        elif self._begins_here(answer.headers):
            self._skip = 0
        else:
            self._ranges = False
            await self._stack.aclose()
            await self.open()
            return
        self._chunks = answer.chunks

    def _begins_here(self, headers: Headers) -> bool:
        """Whether a 206 is the part that was asked for; one that does not say so is not believed."""
        first, total = content_range(headers)
        if total is not None and total != self._desc.size:
            raise SizeMismatchError(self._desc, total, where=self._endpoint.name)
        return first == self._position

    def __aiter__(self) -> "Download":
        return self

    async def __anext__(self) -> bytes:
        while True:
            try:
                chunk = await anext(self._chunks)
            except StopAsyncIteration:
                if self._position >= self._desc.size:
                    raise
                cut = InterruptedStreamError(self._desc, self._position, where=self._endpoint.name)
                await self._resume(cut)
                continue
            except TemporaryError as error:
                await self._resume(error)
                continue
            if self._skip:
                chunk, self._skip = chunk[self._skip :], max(0, self._skip - len(chunk))
            if chunk:
                self._position += len(chunk)
                if self._position > self._desc.size:
                    raise SizeMismatchError(self._desc, self._position, where=self._endpoint.name)
                return chunk

    async def _resume(self, error: TemporaryError) -> None:
        """Ask again from here on; raises the last error when that has not helped often enough."""
        if self._position - self._resumed_at >= PROGRESS:
            self._resumes = 0
        while self._resumes < MAX_RESUMES:
            await self._stack.aclose()
            if self._resumes:
                jitter = self._endpoint.clock.jitter(0.1)
                await self._endpoint.pause(0.1 * 2**self._resumes + jitter)
            self._resumes += 1
            self._resumed_at = self._position
            try:
                return await self.open()
            except TemporaryError as failure:
                error = failure
        raise error


async def _nothing() -> AsyncIterator[bytes]:
    none: tuple[bytes, ...] = ()
    for chunk in none:
        yield chunk


def check_length(desc: Descriptor, headers: Headers, *, where: str) -> None:
    """Raise SizeMismatchError where a Content-Length contradicts the descriptor; 0 says nothing (40)."""
    text = headers.get("content-length", "")
    if text.isascii() and text.isdigit() and len(text) <= 18 and int(text) not in (0, desc.size):
        raise SizeMismatchError(desc, int(text), where=where)


def content_range(headers: Headers) -> tuple[int | None, int | None]:
    """First byte and total length of `Content-Range: bytes first-last/total`, each None where not stated."""
    unit, _, rest = headers.get("content-range", "").partition(" ")
    span, _, total = rest.partition("/")
    first = span.partition("-")[0]
    if unit != "bytes" or not _is_number(first):
        return None, None
    return int(first), int(total) if _is_number(total) else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
