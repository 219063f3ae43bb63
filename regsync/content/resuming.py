"""A long blob whose reader opens it at the offsets it needs, so that it need not begin anew."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from regsync.content.errors import DigestMismatchError, InterruptedStreamError, SizeMismatchError
from regsync.content.protocol import ResumesFetch
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor

MIB = 1024 * 1024
RESUMABLE_FROM = 64 * MIB  # bytes; shorter blobs are sent anew


class Reading:
    """The source's side of such a blob. `failure` is what went wrong on this side, if that was last.

    Whoever sends the bytes hashes them. What it finds wrong with them while it reads them is the source's
    fault as well, under the source's name.
    """

    def __init__(
        self, origin: ResumesFetch, desc: Descriptor, watch: Callable[[int], None], *, where: str
    ) -> None:
        self._origin, self._desc, self._watch, self._where = origin, desc, watch, where
        self.failure: RegsyncError | None = None

    @asynccontextmanager
    async def open_at(self, offset: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes from `offset` on, not verified."""
        self.failure = None
        async with AsyncExitStack() as stack:
            try:
                chunks = await stack.enter_async_context(self._origin.fetch_from(self._desc, offset))
            except RegsyncError as error:
                self.failure = error
                raise
            try:
                yield self._watched(chunks)
            except (DigestMismatchError, SizeMismatchError, InterruptedStreamError) as error:
                self.failure = self._of_origin(error)
                raise

    def _of_origin(
        self, error: DigestMismatchError | SizeMismatchError | InterruptedStreamError
    ) -> RegsyncError:
        match error:
            case DigestMismatchError():
                return DigestMismatchError(error.expected, error.actual, where=self._where)
            case SizeMismatchError():
                return SizeMismatchError(self._desc, error.actual, where=self._where)
        return InterruptedStreamError(self._desc, error.received, where=self._where)

    async def _watched(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for chunk in chunks:
                yield chunk
                self._watch(len(chunk))
        except RegsyncError as error:
            self.failure = error
            raise
