"""Long blobs sent so that a later process can go on where this one was killed.

What a registry has confirmed is remembered outside of it (`UploadSessions`, which the ledger implements);
the next run asks the registry how far it really got and reads the source from there on. On distribution
this is as fast as one PUT, measured with pieces of 32 MiB and more.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from regsync.content.protocol import Chunks
from regsync.content.resuming import RESUMABLE_FROM
from regsync.errors import RegsyncError, TemporaryError
from regsync.oci.descriptor import Descriptor
from regsync.remote.chunks import Slices, is_about_offset
from regsync.remote.endpoint import Endpoint
from regsync.remote.errors import (
    AnswerError,
    NotFoundError,
    RejectedError,
    UnauthorizedError,
    UnexpectedAnswerError,
)
from regsync.remote.running_check import RunningCheck
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
        return desc.size > RESUMABLE_FROM and self._endpoint.learned.chunked

    async def push(self, desc: Descriptor, open_at: OpenAt) -> None:
        """Put a blob whose bytes `open_at(offset)` gives from any offset on.

        The whole is hashed here before it is completed, unless it began in another process: a hash's
        state cannot be kept, and the first bytes are not read again. Then the registry's own check of
        the digest at the last PUT, and its word for the length afterwards, are what there is.
        A registry that turns out to take no chunks gets the blob in one body.
        Raises DigestMismatchError, SizeMismatchError, UploadLostError, or what the registry refuses with.
        """
        found = await self._reopen(desc)
        if found is None:
            return
        upload, offset = found
        pieces = _Pieces(upload, desc, open_at, self._sessions, offset)
        try:
            await pieces.send()
            await self._complete(pieces)
        except RejectedError as error:
            self._sessions.drop(desc)
            await upload.abandon()
            if not pieces.show_no_chunks(error):
                raise
        else:
            return
        self._endpoint.learned.chunked = False
        async with open_at(0) as chunks:
            await self._uploads.push(desc, chunks)

    async def _reopen(self, desc: Descriptor) -> tuple[Upload, int] | None:
        """The session to go on with, and from where; None where the blob turns out to be there."""
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
            if await self._exists(desc):
                return None  # only the answer to its last PUT was lost
        upload = await self._uploads.begin(desc)
        await self._sessions.put(desc, SavedUpload(upload.location, 0))
        return upload, 0

    async def _complete(self, pieces: "_Pieces") -> None:
        """The last PUT. After a failure that may pass, the session stays for another try."""
        desc = pieces.desc
        await self._uploads.complete(pieces.upload, desc)
        self._sessions.drop(desc)
        if not pieces.check.is_whole and not await self._exists(desc):
            raise UnexpectedAnswerError(f"{self._endpoint.name}: took {desc.digest} and does not have it")


class _Pieces:
    """One blob on its way, a piece at a time."""

    def __init__(
        self, upload: Upload, desc: Descriptor, open_at: OpenAt, sessions: UploadSessions, offset: int
    ) -> None:
        self.upload, self.desc = upload, desc
        self._open_at, self._sessions = open_at, sessions
        self._where = upload.endpoint.name
        self._began_at = self._offset = offset  # bytes the registry confirmed
        self.check = RunningCheck(desc, began_at=offset, where=self._where)

    def show_no_chunks(self, error: RejectedError) -> bool:
        """Whether the refusal means that this registry takes no chunks: the first was refused, or bytes
        that were right when they left are not what it put together (29).
        """
        return self._began_at == 0 and (
            self._offset == 0 or (self.check.is_whole and "DIGEST_INVALID" in error.codes)
        )

    async def send(self) -> None:
        """Send to the end, going on after failures from where the registry is."""
        failures = 0
        while self._offset < self.desc.size:
            before = self._offset
            try:
                await self._send_on()
            except RegsyncError as error:
                await self._after(error)
                failures = failures + 1 if self._offset <= before else 0
                if failures >= MAX_FAILURES:
                    raise
                clock = self.upload.endpoint.clock
                await self.upload.endpoint.pause(clock.jitter(0.25 * 2**failures))
        self.check.finish()

    async def _send_on(self) -> None:
        """Send from here; each offset that is confirmed is remembered."""
        async with self._open_at(self._offset) as chunks:
            slices = Slices(self.check.watched(chunks, self._offset))
            while self._offset < self.desc.size:
                length = min(max(PIECE, self.upload.min_chunk), self.desc.size - self._offset)
                end = self._offset + length
                reported = await self.upload.patch(slices.stream(length), length, start=self._offset)
                if reported is not None and reported != end:
                    raise UploadLostError(self.desc, f"the registry is at byte {reported}", where=self._where)
                await self._confirmed(end)
            await slices.end()

    async def _after(self, error: RegsyncError) -> None:
        """Find out where to go on; raises when there is no going on."""
        if self.check.failure is not None:
            self._sessions.drop(self.desc)
            await self.upload.abandon()
            raise self.check.failure
        if not isinstance(error, TemporaryError | AnswerError):
            raise error  # the source's; another one may go on with this session
        if isinstance(error, AnswerError) and not _may_pass(error):
            raise error
        offset = await self.upload.committed()
        if offset is None or offset > self.desc.size:
            self._sessions.drop(self.desc)
            raise UploadLostError(self.desc, "its session is gone", where=self._where) from error
        await self._confirmed(offset)

    async def _confirmed(self, offset: int) -> None:
        self._offset = offset
        await self._sessions.put(self.desc, SavedUpload(self.upload.location, offset))


def _may_pass(error: AnswerError) -> bool:
    """Whether asking for the offset helps: it is about that or the session, or a token ran out meanwhile."""
    return is_about_offset(error) or isinstance(error, UnauthorizedError | NotFoundError)
