"""One long blob on its way, a piece at a time, each confirmed offset remembered.

Sources: distribution-spec 1.1, "Pushing a blob in chunks"; REGISTRIES.md, 29 and 30.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from regsync.content.protocol import Chunks
from regsync.errors import RegsyncError, TemporaryError
from regsync.oci.descriptor import Descriptor
from regsync.remote.chunks import Slices, is_about_offset
from regsync.remote.errors import (
    AnswerError,
    CutShortError,
    NotFoundError,
    RejectedError,
    UnauthorizedError,
)
from regsync.remote.running_check import RunningCheck
from regsync.remote.upload import Upload, UploadLostError

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


class Pieces:
    """A blob in an open session, from `offset` on."""

    def __init__(
        self, upload: Upload, desc: Descriptor, open_at: OpenAt, sessions: UploadSessions, offset: int
    ) -> None:
        self.upload, self.desc = upload, desc
        self._open_at, self._sessions = open_at, sessions
        self._where = upload.endpoint.name
        self._offset = offset  # bytes the registry confirmed
        self._is_smooth = offset == 0  # all of it went from here, and nothing failed on the way
        self.check = RunningCheck(desc, began_at=offset, where=self._where)

    def show_no_chunks(self, error: RejectedError) -> bool:
        """Whether the refusal means that this registry takes no chunks.

        It refused the first one; or bytes that were right when they left, without a hitch, are not what
        it put together (29).
        """
        if self._offset == 0:
            return True
        return self._is_smooth and "DIGEST_INVALID" in error.codes

    async def send(self) -> None:
        """Send to the end, going on after failures from where the registry is.

        Raises DigestMismatchError, SizeMismatchError, UploadLostError, what the source raises and what
        the registry refuses with. Whatever may pass leaves the session for another try.
        """
        failures = 0
        while self._offset < self.desc.size:
            before = self._offset
            try:
                await self._send_on()
            except RegsyncError as error:
                await self._after(error, failures)
                failures = failures + 1 if self._offset <= before else 0
                if failures >= MAX_FAILURES:
                    raise
        self.check.finish()

    async def _send_on(self) -> None:
        async with self._open_at(self._offset) as chunks:
            slices = Slices(self.check.watched(chunks, self._offset))
            while self._offset < self.desc.size:
                length = min(max(PIECE, self.upload.min_chunk), self.desc.size - self._offset)
                end = self._offset + length
                reported = await self._patch(slices, length)
                if reported is not None and reported < end:
                    raise CutShortError(f"{self._where}: took a piece to byte {reported}, not {end}")
                await self._confirmed(end if reported is None else reported)
            await slices.end()

    async def _patch(self, slices: Slices, length: int) -> int | None:
        """Send one piece; wrong bytes come out as that, also when it was the request that broke."""
        try:
            return await self.upload.patch(slices.stream(length), length, start=self._offset)
        except RegsyncError as error:
            if self.check.failure is not None and self.check.failure is not error:
                raise self.check.failure from error
            raise

    async def _after(self, error: RegsyncError, failures: int) -> None:
        """Find out where to go on; raises when there is no going on.

        Not at once: a registry that has not yet seen the old connection end may still be writing what
        came on it.
        """
        if error is self.check.failure:
            await self._give_up()
            raise error
        if not isinstance(error, TemporaryError | AnswerError):
            raise error  # the source's; another one may go on with this session
        if isinstance(error, AnswerError) and not _may_pass(error):
            raise error
        if self._offset:
            self._is_smooth = False
        endpoint = self.upload.endpoint
        await endpoint.pause(0.25 * 2**failures + endpoint.clock.jitter(0.25))
        offset = await self.upload.committed()
        if offset is None:
            self._sessions.drop(self.desc)
            raise UploadLostError(self.desc, "its session is gone", where=self._where) from error
        await self._confirmed(offset)

    async def _confirmed(self, offset: int) -> None:
        """The registry is at `offset`. Where that is further than was sent, it wrote something twice."""
        if offset > self.check.hashed:
            await self._give_up()
            cause = f"the registry is at byte {offset}, {self.check.hashed} were sent"
            raise UploadLostError(self.desc, cause, where=self._where)
        self._offset = offset
        await self._sessions.put(self.desc, SavedUpload(self.upload.location, offset))

    async def _give_up(self) -> None:
        self._sessions.drop(self.desc)
        await self.upload.abandon()


def _may_pass(error: AnswerError) -> bool:
    """Whether asking for the offset helps: it is about that or the session, or a token ran out meanwhile."""
    return is_about_offset(error) or isinstance(error, UnauthorizedError | NotFoundError)
