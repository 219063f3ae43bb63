"""Uploads of blobs: whole, in pieces, by mount (end-4, end-5, end-6, end-11, end-13, end-14)."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from anyio import CancelScope

from regsync.content.verified import AlreadyVerified, VerifiedChunks
from regsync.errors import RegsyncError, TemporaryError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.media_type import OCTET_STREAM
from regsync.oci.reference import RepositoryName
from regsync.server.failures import ApiError
from regsync.server.message import ClientGoneError, Request, Response
from regsync.server.values import digest_algorithm, parse_digest, parse_name
from regsync.store.builtin import BuiltinStore
from regsync.store.sessions import UploadBusyError, UploadUnknownError

MIB = 1024 * 1024
SMALL = MIB  # bytes; a body up to this goes to the store without a file of its own
_CONTENT_RANGE = re.compile(r"([0-9]{1,19})-([0-9]{1,19})")
MayPull = Callable[[RepositoryName], bool]


class Uploads:
    """The endpoints below `blobs/uploads/`."""

    def __init__(self, store: BuiltinStore) -> None:
        self._store, self._sessions = store, store.sessions

    async def start(self, request: Request, name: RepositoryName, may_pull: MayPull) -> Response:
        """Begin an upload; or mount the blob, or take all of it at once."""
        mount, digest = request.parameter("mount"), request.parameter("digest")
        if mount is not None:
            mounted = await self._mount(request, name, parse_digest(mount), may_pull)
            if mounted is not None:
                return mounted
        digest_algorithm(request)
        if mount is None and digest is not None:
            wanted = parse_digest(digest)
            if (size := request.content_length) is not None and size <= SMALL:
                return await self._whole(request, name, wanted, size)
            session = await self._sessions.start(name)
            try:
                return await self._finish(request, name, session, wanted)
            except BaseException:  # the client does not know the upload's name: it cannot go on with it
                with CancelScope(shield=True):
                    await self._drop(name, session)
                raise
        session = await self._sessions.start(name)
        return _accepted(name, session, 0)

    async def status(self, name: RepositoryName, session: str) -> Response:
        """How far it has come."""
        response = _accepted(name, session, await self._sessions.size(name, session))
        response.status = 204
        return response

    async def append(self, request: Request, name: RepositoryName, session: str) -> Response:
        """Take a chunk."""
        start = _start_of_chunk(request)
        if start is not None and start != await self._sessions.size(name, session):
            raise await self._out_of_order(name, session)
        size = await self._sessions.append(name, session, request.body, at=start)
        return _accepted(name, session, size)

    async def finish(self, request: Request, name: RepositoryName, session: str) -> Response:
        """Take the last bytes, or all, or none, and make it the blob that `digest` names."""
        text = request.parameter("digest")
        if text is None:
            raise ApiError(400, "DIGEST_INVALID", "the query has no digest")
        digest = parse_digest(text)
        had = await self._sessions.size(name, session)
        start = _start_of_chunk(request)
        if start is not None and start != had:
            raise await self._out_of_order(name, session)
        length = request.content_length
        if had == 0 and length is not None and 0 < length <= SMALL:
            try:
                created = await self._whole(request, name, digest, length)
            except (ClientGoneError, TemporaryError):
                raise  # it may come again
            except RegsyncError:
                await self._drop(name, session)
                raise
            await self._drop(name, session)
            return created
        return await self._finish(request, name, session, digest)

    async def cancel(self, name: RepositoryName, session: str) -> Response:
        """Drop it."""
        await self._sessions.cancel(name, session)
        return Response(204)

    async def _finish(self, request: Request, name: RepositoryName, session: str, digest: Digest) -> Response:
        had = await self._sessions.size(name, session)
        await self._sessions.append(name, session, request.body, at=None)
        await self._store.repository(name).finish_upload(session, digest, had=had)
        return _created(name, digest)

    async def _whole(self, request: Request, name: RepositoryName, digest: Digest, length: int) -> Response:
        """A small blob in one body: checked before the store is asked whether it has it already."""
        raw = await request.body.read(length)
        desc = Descriptor(OCTET_STREAM, digest, length)
        checked = VerifiedChunks(_each([raw]), desc, where=name)
        held = [chunk async for chunk in checked]
        await self._store.repository(name).push(desc, AlreadyVerified(_each(held), desc, where=name))
        return _created(name, digest)

    async def _drop(self, name: RepositoryName, session: str) -> None:
        with suppress(UploadUnknownError, UploadBusyError):
            await self._sessions.cancel(name, session)

    async def _mount(
        self, request: Request, name: RepositoryName, digest: Digest, may_pull: MayPull
    ) -> Response | None:
        """The blob, from the repository that is named or any that the client may pull from."""
        source = request.parameter("from")
        repository = self._store.repository(name)
        candidates = (
            [parse_name(source)] if source is not None else await self._store.repositories_with(digest)
        )
        for one in candidates:
            if may_pull(one):
                other = self._store.repository(one)
                desc = await other.blob(digest)
                if desc is not None and await repository.mount(desc, other):
                    return _created(name, digest)
        return None

    async def _out_of_order(self, name: RepositoryName, session: str) -> ApiError:
        size = await self._sessions.size(name, session)
        error = ApiError(416, "BLOB_UPLOAD_INVALID", f"the upload has {size} bytes; go on from there")
        error.headers = {
            "Location": f"/v2/{name}/blobs/uploads/{session}",
            "Range": f"0-{max(size - 1, 0)}",
            "Docker-Upload-UUID": session,
        }
        return error


async def _each(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def _start_of_chunk(request: Request) -> int | None:
    """Where the chunk begins; None when the client does not say. Raises ApiError for nonsense."""
    text = request.header(b"content-range")
    if text is None:
        return None
    found = _CONTENT_RANGE.fullmatch(text)
    if found is None or int(found[2]) < int(found[1]):
        raise ApiError(416, "BLOB_UPLOAD_INVALID", f"Content-Range is {text[:80]!r}, expected START-END")
    start, end = int(found[1]), int(found[2])
    length = request.content_length
    if length is not None and length != end - start + 1:
        raise ApiError(
            400, "SIZE_INVALID", f"Content-Range names {end - start + 1} bytes, the body has {length}"
        )
    return start


def _accepted(name: RepositoryName, session: str, size: int) -> Response:
    response = Response(202)
    response.add(b"location", f"/v2/{name}/blobs/uploads/{session}")
    response.add(b"range", f"0-{max(size - 1, 0)}")
    response.add(b"docker-upload-uuid", session)
    return response


def _created(name: RepositoryName, digest: Digest) -> Response:
    response = Response(201)
    response.add(b"location", f"/v2/{name}/blobs/{digest}")
    response.add(b"docker-content-digest", str(digest))
    return response
