"""Long blobs sent so that a later process can go on where this one was killed.

What a registry has confirmed is remembered outside of it (`UploadSessions`, which the ledger implements);
the next run asks the registry how far it really got and reads the source from there on. On distribution
this is as fast as one PUT, measured with pieces of 32 MiB and more.
"""

from regsync.content.resuming import RESUMABLE_FROM
from regsync.errors import RegsyncError, TemporaryError
from regsync.oci.descriptor import Descriptor
from regsync.remote.endpoint import Endpoint
from regsync.remote.errors import RejectedError, UnexpectedAnswerError
from regsync.remote.pieces import OpenAt, Pieces, SavedUpload, UploadSessions
from regsync.remote.upload import Upload
from regsync.remote.uploads import Exists, Uploads

__all__ = ["OpenAt", "Resumable", "SavedUpload", "UploadSessions"]


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
        the digest at the last PUT, and its word for the length afterwards, are what there is; where it
        says no, the blob is sent once more from the beginning.
        A registry that turns out to take no chunks gets the blob in one body.
        Raises DigestMismatchError, SizeMismatchError, UploadLostError, or what the registry refuses with.
        """
        found = await self._reopen(desc)
        if found is None:
            return
        upload, offset = found
        pieces = Pieces(upload, desc, open_at, self._sessions, offset)
        try:
            await pieces.send()
            await self._complete(pieces)
        except RejectedError as error:
            self._sessions.drop(desc)
            await upload.abandon()
            if not pieces.check.is_whole and "DIGEST_INVALID" in error.codes:
                await self.push(desc, open_at)  # what the other process sent was wrong: this one sends all
                return
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

    async def _complete(self, pieces: "Pieces") -> None:
        """The last PUT. After a failure that may pass, the session stays for another try."""
        desc = pieces.desc
        await self._uploads.complete(pieces.upload, desc)
        self._sessions.drop(desc)
        if not pieces.check.is_whole and not await self._exists(desc):
            raise UnexpectedAnswerError(f"{self._endpoint.name}: took {desc.digest} and does not have it")
