"""The hash of a blob whose bytes may come twice in parts, since its upload went back a little."""

from collections.abc import AsyncIterable, AsyncIterator

from regsync.content.errors import DigestMismatchError, InterruptedStreamError, SizeMismatchError
from regsync.errors import RegsyncError, TemporaryError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest


class RunningCheck:
    """Hashes each byte of a blob once, in order, however often parts of it are read.

    `failure` is what was found wrong with the bytes, as opposed to with the upload.
    """

    def __init__(self, desc: Descriptor, *, began_at: int, where: str) -> None:
        self._desc, self._where = desc, where
        self._hasher = desc.digest.hasher()
        self.is_whole = began_at == 0  # every byte went through here
        self.hashed = began_at  # bytes, those before `began_at` included
        self.failure: RegsyncError | None = None

    async def watched(self, chunks: AsyncIterable[bytes], offset: int) -> AsyncIterator[bytes]:
        """`chunks`, which begin at `offset`, hashed as far as they were not yet.

        The last is given only after the check of the whole, as `verified` does.
        """
        try:
            async for chunk in chunks:
                self._take(chunk, offset)
                offset += len(chunk)
                if self.hashed == self._desc.size:
                    self.finish()
                yield chunk
            if offset < self._desc.size:
                raise InterruptedStreamError(self._desc, offset, where=self._where)
        except RegsyncError as error:
            if not isinstance(error, TemporaryError):
                self.failure = error
            raise

    def finish(self) -> None:
        """Raise DigestMismatchError unless the bytes were what the descriptor names, where all were seen."""
        if not self.is_whole:
            return
        actual = Digest.from_hasher(self._hasher, self._desc.digest.algorithm)
        if actual != self._desc.digest:
            raise DigestMismatchError(self._desc.digest, actual, where=self._where)

    def _take(self, chunk: bytes, offset: int) -> None:
        if offset + len(chunk) > self._desc.size:
            raise SizeMismatchError(self._desc, offset + len(chunk), where=self._where)
        if offset > self.hashed:
            self.is_whole = False  # bytes between were confirmed without passing here
        if offset + len(chunk) > self.hashed:
            self._hasher.update(memoryview(chunk)[max(0, self.hashed - offset) :])
            self.hashed = offset + len(chunk)
