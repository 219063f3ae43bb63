"""Blobs into a repository, each in the way its registry takes best (REGISTRIES.md, "Upload strategy").

* up to SMALL bytes: gathered, so that one request carries all and can be sent again; a single POST
  where the registry is known to take it;
* up to what one request may carry: one streamed PUT, or one PATCH and an empty PUT;
* beyond: chunks.

Whatever the way, the stream is verified before its last bytes leave, so a wrong blob is never complete.
"""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from urllib.parse import quote

from regsync.content.verified import VerifiedChunks, verified
from regsync.errors import RegsyncError, TemporaryError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.remote.chunks import CHUNK, send_chunks
from regsync.remote.endpoint import Endpoint
from regsync.remote.errors import NotFoundError, RegistryError, RejectedError
from regsync.remote.providers.provider import Known, UploadWay
from regsync.remote.request import Kind, Request
from regsync.remote.upload import OCTETS, Upload, UploadLostError, check_stored

MIB = 1024 * 1024
SMALL = MIB  # bytes that are gathered and sent as one body
ASKED_WITH = 64 * 1024  # bytes of the blob that finds out whether a single POST is taken
KEPT_SESSIONS = 1000  # opened by a mount that was not made, for the upload that follows
_TOO_LARGE = 413
_SINGLE_POST = frozenset({201, 202})

Exists = Callable[[Descriptor], Awaitable[bool]]


class BodyTooLongError(RegistryError):
    """The registry, or a proxy before it, takes no body that long."""

    def __init__(self, desc: Descriptor, *, where: str) -> None:
        super().__init__(
            f"{where}: a body of {desc.size} bytes is too long for the registry (413)",
            hint="raise the limit of the proxy before it (nginx: client_max_body_size)",
        )


class ChunksNeededError(RegistryError, TemporaryError):
    """One body was too long for the registry; the next try sends chunks."""

    def __init__(self, desc: Descriptor, *, where: str) -> None:
        super().__init__(f"{where}: a body of {desc.size} bytes is too long (413); chunks are tried next")


class Counted:
    """Chunks, and how many bytes of them went through."""

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._chunks, self.count = chunks, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._chunks:
            self.count += len(chunk)
            yield chunk


class Uploads:
    """Uploads into one repository. `exists` asks whether a blob is there."""

    def __init__(self, endpoint: Endpoint, exists: Exists) -> None:
        self._endpoint, self._exists = endpoint, exists
        self._begun: dict[Digest, Upload] = {}

    def keep(self, desc: Descriptor, upload: Upload) -> None:
        """An open session that the upload of `desc`, soon to follow, can have."""
        if len(self._begun) < KEPT_SESSIONS:
            self._begun[desc.digest] = upload

    async def begin(self, desc: Descriptor) -> Upload:
        """The session kept for this blob, or a new one."""
        return self._begun.pop(desc.digest, None) or await Upload.begin(self._endpoint)

    async def push(self, desc: Descriptor, chunks: AsyncIterable[bytes]) -> None:
        """Put a blob. Raises DigestMismatchError, SizeMismatchError, or what the registry refuses with."""
        stream = verified(chunks, desc, where=self._endpoint.name)
        if desc.size <= SMALL:
            await self._push_small(desc, b"".join([chunk async for chunk in stream]))
            return
        most = self._endpoint.learned.max_body
        upload = await self.begin(desc)
        try:
            if most is not None and desc.size > most:
                await self._in_chunks(upload, desc, stream)
            else:
                await self._in_one_body(upload, desc, stream)
        except RegsyncError as error:
            await upload.abandon()
            if stream.failure is not None and stream.failure is not error:
                raise stream.failure from error
            raise
        except BaseException:
            await upload.abandon()
            raise

    async def _in_one_body(self, upload: Upload, desc: Descriptor, stream: VerifiedChunks) -> None:
        try:
            if self._endpoint.provider.upload is UploadWay.PATCH:
                await upload.patch(stream, desc.size)
                await self.complete(upload, desc)
            else:
                await self._put(upload, desc, stream)
        except RejectedError as error:
            if error.status != _TOO_LARGE:
                raise
            raise self._too_long(desc) from error

    async def _put(self, upload: Upload, desc: Descriptor, stream: VerifiedChunks) -> None:
        """One PUT with everything. A registry that takes long to store it may lose only its answer, most
        often to a proxy's 504: then the blob is there, and need not be sent again.
        """
        counted = Counted(stream)
        try:
            await upload.finish(desc, counted, desc.size)
        except TemporaryError:
            if counted.count < desc.size or not await self._exists(desc):
                raise

    def _too_long(self, desc: Descriptor) -> RegistryError:
        """From now on in chunks, where the registry takes them; this stream is spent either way."""
        learned = self._endpoint.learned
        if not learned.chunked or learned.max_body is not None:
            return BodyTooLongError(desc, where=self._endpoint.name)
        learned.max_body = CHUNK
        return ChunksNeededError(desc, where=self._endpoint.name)

    async def _in_chunks(self, upload: Upload, desc: Descriptor, stream: VerifiedChunks) -> None:
        await send_chunks(upload, desc, stream)
        await self.complete(upload, desc)

    async def complete(self, upload: Upload, desc: Descriptor) -> None:
        """The PUT after the last PATCH, unless that was answered 201 and the blob is there (23).

        A session that is gone by then may be one whose first PUT was answered to nobody.
        """
        if upload.finished_early and await self._exists(desc):
            return
        try:
            await upload.finish(desc)
        except NotFoundError as error:
            if not await self._exists(desc):
                raise UploadLostError(desc, "its session is gone", where=self._endpoint.name) from error

    async def _push_small(self, desc: Descriptor, body: bytes) -> None:
        """In one body; once more from the beginning where the registry lost its session."""
        upload = self._begun.pop(desc.digest, None) or await self._single_post(desc, body)
        if upload is None:
            return
        try:
            await self._send_small(upload, desc, body)
        except NotFoundError:
            await self._send_small(await Upload.begin(self._endpoint), desc, body)

    async def _send_small(self, upload: Upload, desc: Descriptor, body: bytes) -> None:
        try:
            if self._endpoint.provider.upload is UploadWay.PATCH and body:
                await upload.patch(body, len(body))
                await self.complete(upload, desc)
            else:
                await upload.finish(desc, body, len(body))
        except NotFoundError:
            raise
        except BaseException:
            await upload.abandon()
            raise

    async def _single_post(self, desc: Descriptor, body: bytes) -> Upload | None:
        """POST with the blob in it; None when that was all. A 202 opened an ordinary session.

        Source: distribution-spec 1.1, "Single POST".
        """
        endpoint, learned = self._endpoint, self._endpoint.learned
        asking = learned.single_post is Known.ASK
        if learned.single_post is Known.NO or (asking and len(body) > ASKED_WITH):
            return await Upload.begin(endpoint)
        request = Request(
            Kind.UPLOAD,
            "POST",
            f"{endpoint.uploads}?digest={quote(str(desc.digest), safe='')}",
            endpoint.push,
            OCTETS,
            content=body,
        )
        try:
            response = await endpoint.session.send(request, expect=_SINGLE_POST)
        except (RejectedError, NotFoundError):
            if not asking:
                raise
            learned.single_post = Known.NO
            return await Upload.begin(endpoint)
        if response.status == 202:
            learned.single_post = Known.NO
            return Upload.begun(endpoint, response)
        check_stored(desc, response.headers, where=endpoint.name)
        if asking:
            learned.single_post = Known.YES if await self._exists(desc) else Known.NO
            if learned.single_post is Known.NO:
                return await Upload.begin(endpoint)
        return None
