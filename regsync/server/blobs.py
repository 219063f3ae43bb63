"""Blobs: get, and take out of a repository (end-2, end-10)."""

from collections.abc import AsyncIterator

from regsync.content.errors import ContentNotFoundError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.media_type import OCTET_STREAM
from regsync.oci.reference import RepositoryName
from regsync.server.conditions import Part, UnsatisfiableError, etag, is_unchanged, wanted_part
from regsync.server.failures import ApiError
from regsync.server.message import Request, Response
from regsync.server.values import parse_digest
from regsync.store.builtin import BuiltinStore
from regsync.store.repository import BuiltinRepository


class Blobs:
    """The endpoints of blobs that are there."""

    def __init__(self, store: BuiltinStore) -> None:
        self._store = store

    async def get(self, request: Request, name: RepositoryName, reference: str) -> Response:
        """All of it, or the one range that is asked for."""
        digest = parse_digest(reference)
        repository = self._store.repository(name)
        desc = await repository.blob(digest)
        if desc is None:
            raise _unknown(name, digest)
        tag = etag(digest)
        headers = [
            (b"docker-content-digest", str(digest).encode()),
            (b"etag", tag),
            (b"content-type", OCTET_STREAM.encode()),
            (b"accept-ranges", b"bytes"),
        ]
        if is_unchanged(request, tag):
            return Response(304, headers)
        try:
            part = wanted_part(request, desc.size, tag)
        except UnsatisfiableError:
            wrong = ApiError(416, "RANGE_INVALID", f"the blob has {desc.size} bytes")
            wrong.headers = {"Content-Range": f"bytes */{desc.size}"}
            raise wrong from None
        if request.method == "HEAD":
            return _partial(Response(200, headers, length=desc.size), part, desc)
        if part is not None:
            chunks = _bytes(repository, desc, part)
            return _partial(Response(200, headers, chunks=chunks), part, desc)
        if desc.size == 0:
            return Response(200, headers)
        return Response(200, headers, file=repository.blob_path(digest), length=desc.size)

    async def delete(self, request: Request, name: RepositoryName, reference: str) -> Response:
        """Take it out of this repository; refused while a manifest there leads to it."""
        digest = parse_digest(reference)
        try:
            await self._store.repository(name).delete(Descriptor(OCTET_STREAM, digest, 0))
        except ContentNotFoundError:
            raise _unknown(name, digest) from None
        return Response(202)


def _partial(response: Response, part: Part | None, desc: Descriptor) -> Response:
    if part is not None:
        response.status = 206
        response.length = part.end - part.start + 1
        response.add(b"content-range", f"bytes {part.start}-{part.end}/{desc.size}")
    return response


async def _bytes(repository: BuiltinRepository, desc: Descriptor, part: Part) -> AsyncIterator[bytes]:
    left = part.end - part.start + 1
    async with repository.fetch_from(desc, part.start) as chunks:
        async for chunk in chunks:
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                return


def _unknown(name: RepositoryName, digest: Digest) -> ApiError:
    return ApiError(404, "BLOB_UNKNOWN", f"{name} has no blob {digest}")
