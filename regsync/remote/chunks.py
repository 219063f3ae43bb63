"""A blob sent in chunks, each with its `Content-Range`, going on at the offset that the registry reports.

A chunk is gathered in memory, so that what the registry did not get of it can be sent again; how many
are held at once is bounded per registry. Where the registry asks for chunks too long for that, they are
streamed and a failure ends the upload.
Sources: distribution-spec 1.1, "Pushing a blob in chunks"; REGISTRIES.md, 23, 29 and 30.
"""

from collections.abc import AsyncIterable, AsyncIterator

from regsync.errors import TemporaryError
from regsync.oci.descriptor import Descriptor
from regsync.remote.errors import AnswerError, RejectedError
from regsync.remote.upload import Upload, UploadLostError

MIB = 1024 * 1024
CHUNK = 8 * MIB  # bytes
MAX_GATHERED = 16 * MIB  # bytes of one chunk held in memory
MAX_ATTEMPTS = 5  # at one chunk
_RANGE_NOT_SATISFIABLE = 416


class Slices:
    """A stream cut into pieces of given lengths, whatever the lengths of its chunks."""

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._chunks = aiter(chunks)
        self._left = memoryview(b"")

    async def gather(self, length: int) -> bytes:
        """The next `length` bytes; fewer at the end of the stream."""
        return b"".join([piece async for piece in self.stream(length)])

    async def stream(self, length: int) -> AsyncIterator[bytes]:
        """The next `length` bytes as they come."""
        while length > 0:
            if not self._left:
                try:
                    self._left = memoryview(await anext(self._chunks))
                except StopAsyncIteration:
                    return
            piece, self._left = self._left[:length], self._left[length:]
            length -= len(piece)
            yield bytes(piece)

    async def end(self) -> None:
        """Read to the end, so that whoever checks the stream has checked all of it."""
        async for _ in self._chunks:
            pass


async def send_chunks(upload: Upload, desc: Descriptor, chunks: AsyncIterable[bytes]) -> None:
    """Send all of the blob; the caller finishes. Raises UploadLostError where it has to begin anew."""
    slices = Slices(chunks)
    length = chunk_length(upload)
    offset = 0
    while offset < desc.size:
        wanted = min(length, desc.size - offset)
        if length > MAX_GATHERED:
            await upload.patch(slices.stream(wanted), wanted, start=offset)
        else:
            async with upload.endpoint.learned.gathering:
                await _send(upload, desc, await slices.gather(wanted), offset)
        offset += wanted
    await slices.end()


def chunk_length(upload: Upload) -> int:
    """Bytes of a chunk: ours, or the least the registry takes, if that is longer."""
    return max(CHUNK, upload.min_chunk)


async def _send(upload: Upload, desc: Descriptor, body: bytes, start: int) -> None:
    """Send one chunk, what the registry lacks of it again after a failure."""
    sent = 0
    for attempt in range(MAX_ATTEMPTS):
        rest = body[sent:] if sent else body
        try:
            reported = await upload.patch(rest, len(rest), start=start + sent)
        except (TemporaryError, RejectedError) as error:
            if attempt + 1 == MAX_ATTEMPTS or not is_about_offset(error):
                raise
            await upload.endpoint.pause(upload.endpoint.clock.jitter(0.25 * 2**attempt))
            reported = await upload.committed()
            if reported is None:
                raise UploadLostError(desc, "its session is gone", where=upload.endpoint.name) from error
        sent = len(body) if reported is None else reported - start
        if sent == len(body):
            return
        if not 0 <= sent < len(body):
            cause = f"the registry is at byte {start + sent}, not between {start} and {start + len(body)}"
            raise UploadLostError(desc, cause, where=upload.endpoint.name)
    raise UploadLostError(desc, "the registry takes only parts of a chunk", where=upload.endpoint.name)


def is_about_offset(error: Exception) -> bool:
    """Whether the registry may have kept part of the chunk, so that asking it for its offset helps."""
    return (
        not isinstance(error, AnswerError)
        or isinstance(error, TemporaryError)
        or error.status
        in (
            _RANGE_NOT_SATISFIABLE,
            400,  # BLOB_UPLOAD_INVALID: the session is at another offset than the chunk (distribution 2.x)
        )
    )
