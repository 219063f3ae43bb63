"""A long blob whose reader opens it at the offsets it needs, so that it need not begin anew."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from regsync.content.protocol import ResumesFetch
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor

MIB = 1024 * 1024
RESUMABLE_FROM = 64 * MIB  # bytes; shorter blobs are sent anew


class Reading:
    """The source's side of such a blob. `failure` is what went wrong on this side, if that was last."""

    def __init__(self, origin: ResumesFetch, desc: Descriptor, watch: Callable[[int], None]) -> None:
        self._origin, self._desc, self._watch = origin, desc, watch
        self.failure: RegsyncError | None = None

    @asynccontextmanager
    async def open_at(self, offset: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes from `offset` on, not verified: whoever sends them hashes the whole."""
        self.failure = None
        async with AsyncExitStack() as stack:
            try:
                chunks = await stack.enter_async_context(self._origin.fetch_from(self._desc, offset))
            except RegsyncError as error:
                self.failure = error
                raise
            yield self._watched(chunks)

    async def _watched(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for chunk in chunks:
                yield chunk
                self._watch(len(chunk))
        except RegsyncError as error:
            self.failure = error
            raise
