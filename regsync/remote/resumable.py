"""Long blobs sent so that a later process can go on where this one was killed.

What a registry has confirmed is remembered outside of it (`UploadSessions`, which the ledger implements);
the next run asks the registry how far it really got and reads the source from there on.
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Protocol

from regsync.content.errors import DigestMismatchError, InterruptedStreamError, SizeMismatchError
from regsync.content.protocol import Chunks
from regsync.content.resuming import RESUMABLE_FROM
from regsync.errors import RegsyncError, TemporaryError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.remote.chunks import Slices, is_about_offset
from regsync.remote.endpoint import Endpoint
from regsync.remote.errors import AnswerError, UnexpectedAnswerError
from regsync.remote.upload import Upload, UploadLostError
from regsync.remote.uploads import Exists, Uploads

MIB = 1024 * 1024
PIECE = 64 * MIB  # bytes of one PATCH; streamed, so its length costs no memory
MAX_FAILURES = 5  # in a row without a byte confirmed

OpenAt = Callable[[int], Chunks]  # the source's bytes from an offset on


@dataclass(frozen=True, slots=True)
class SavedUpload:
    """An upload session as it is remembered."""

    location: str = field(repr=False)  # URL; registries sign it, so whoever has it may write
    offset: int  # bytes that the registry had confirmed


class UploadSessions(Protocol):
    """Open sessions of one repository, remembered between processes."""

    def get(self, desc: Descriptor) -> SavedUpload | None:
        """The session in which the blob was being sent, if one was left open."""
        ...

    async def put(self, desc: Descriptor, saved: SavedUpload) -> None:
        """Remember; on disk when this returns, since the next thing may be kill -9.

        A failure to do so is the implementation's to report: the upload goes on.
        """
        ...

    def drop(self, desc: Descriptor) -> None:
        """The session is finished or gone."""
        ...


class Resumable:
    """Uploads of one repository that survive the process."""

    def __init__(
        self, endpoint: Endpoint, uploads: Uploads, sessions: UploadSessions, exists: Exists
    ) -> None:
        self._endpoint, self._uploads = endpoint, uploads
        self._sessions, self._exists = sessions, exists

    def takes(self, desc: Descriptor) -> bool:
        """Whether this blob is worth it, and this registry goes on at an offset."""
        return desc.size > RESUMABLE_FROM and self._endpoint.provider.chunked

    async def push(self, desc: Descriptor, open_at: OpenAt) -> None:
        """Put a blob whose bytes `open_at(offset)` gives from any offset on.

        The whole is hashed here before it is completed, unless it began in another process: a hash's
        state cannot be kept, and the first bytes are not read again. Then the registry's own check of
        the digest at the last PUT, and its word for the length afterwards, are what there is.
        Raises DigestMismatchError, SizeMismatchError, UploadLostError, or what the registry refuses with.
        """
        upload, offset = await self._reopen(desc)
        check = RunningCheck(desc, began_at=offset, where=self._endpoint.name)
        failures = 0
        while offset < desc.size:
            before = offset
            try:
                offset = await self._send_from(upload, desc, open_at, offset, check)
                failures = 0
            except RegsyncError as error:
                offset = await self._after_failure(upload, desc, error, check)
                failures = failures + 1 if offset <= before else 0
                if failures >= MAX_FAILURES:
                    raise
                await self._endpoint.pause(self._endpoint.clock.jitter(0.25 * 2**failures))
        await self._complete(upload, desc, check)

    async def _reopen(self, desc: Descriptor) -> tuple[Upload, int]:
        saved = self._sessions.get(desc)
        if saved is not None:
            upload = Upload(self._endpoint, saved.location)
            try:
                offset = await upload.committed()
            except TemporaryError:
                raise
            except RegsyncError:
                offset = None  # whatever it was, it cannot be gone on with
            if offset is not None and offset <= desc.size:
                return upload, offset
            self._sessions.drop(desc)
        upload = await self._uploads.begin(desc)
        await self._sessions.put(desc, SavedUpload(upload.location, 0))
        return upload, 0

    async def _send_from(
        self, upload: Upload, desc: Descriptor, open_at: OpenAt, offset: int, check: "RunningCheck"
    ) -> int:
        """Send from `offset` to the end, a piece at a time; each confirmed offset is remembered."""
        async with open_at(offset) as chunks:
            slices = Slices(check.watched(chunks, offset))
            while offset < desc.size:
                length = min(max(PIECE, upload.min_chunk), desc.size - offset)
                reported = await upload.patch(slices.stream(length), length, start=offset)
                if reported is not None and reported != offset + length:
                    raise UploadLostError(
                        desc, f"the registry is at byte {reported}", where=self._endpoint.name
                    )
                offset += length
                if offset < desc.size:
                    await self._sessions.put(desc, SavedUpload(upload.location, offset))
            await slices.end()
        return offset

    async def _after_failure(
        self, upload: Upload, desc: Descriptor, error: RegsyncError, check: "RunningCheck"
    ) -> int:
        """Where to go on; raises when there is no going on. The session stays for the next run, if it can."""
        if check.failure is not None or (isinstance(error, AnswerError) and not is_about_offset(error)):
            await self._give_up(upload, desc)
            raise check.failure or error
        if not isinstance(error, TemporaryError | AnswerError):
            raise error  # the source's; another one may go on with this session
        offset = await upload.committed()
        if offset is None or offset > desc.size:
            self._sessions.drop(desc)
            raise UploadLostError(desc, "its session is gone", where=self._endpoint.name) from error
        await self._sessions.put(desc, SavedUpload(upload.location, offset))
        return offset

    async def _complete(self, upload: Upload, desc: Descriptor, check: "RunningCheck") -> None:
        try:
            check.finish()
            await self._uploads.complete(upload, desc)
        except BaseException:
            await self._give_up(upload, desc)
            raise
        self._sessions.drop(desc)
        if not check.is_whole and not await self._exists(desc):
            raise UnexpectedAnswerError(f"{self._endpoint.name}: took {desc.digest} and does not have it")

    async def _give_up(self, upload: Upload, desc: Descriptor) -> None:
        self._sessions.drop(desc)
        await upload.abandon()


class RunningCheck:
    """The hash of a blob whose bytes may be read twice in parts, since an upload went back a little."""

    def __init__(self, desc: Descriptor, *, began_at: int, where: str) -> None:
        self._desc, self._where = desc, where
        self._hasher = desc.digest.hasher()
        self.is_whole = began_at == 0  # every byte went through here
        self._hashed = began_at
        self.failure: RegsyncError | None = None

    async def watched(self, chunks: AsyncIterable[bytes], offset: int) -> AsyncIterator[bytes]:
        """`chunks`, which begin at `offset`, hashed as far as they were not yet.

        The last is given only after the check of the whole, as `verified` does.
        """
        try:
            async for chunk in chunks:
                self._take(chunk, offset)
                offset += len(chunk)
                if self._hashed == self._desc.size:
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
        if offset > self._hashed:
            self.is_whole = False  # bytes between were confirmed without passing here
        if offset + len(chunk) > self._hashed:
            self._hasher.update(memoryview(chunk)[max(0, self._hashed - offset) :])
            self._hashed = offset + len(chunk)
