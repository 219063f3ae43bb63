"""Blobs: get, and take out of a repository (end-2, end-10)."""

from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path

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

Read = Callable[[int, int], AsyncGenerator[bytes, None]]  # from where, up to where


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
        read = partial(stored_bytes, repository, desc)
        return shown(request, desc, read=read, file=repository.blob_path(digest))

    async def delete(self, request: Request, name: RepositoryName, reference: str) -> Response:
        """Take it out of this repository; refused while a manifest there leads to it."""
        digest = parse_digest(reference)
        try:
            await self._store.repository(name).delete(Descriptor(OCTET_STREAM, digest, 0))
        except ContentNotFoundError:
            raise _unknown(name, digest) from None
        return Response(202)


def shown(
    request: Request, desc: Descriptor, *, read: Read | None = None, file: Path | None = None
) -> Response:
    """The answer with a blob, or the range of it that is asked for, or 304.

    `read` gives its bytes, except to a HEAD, for which a range means nothing (RFC 9110, 14.2); `file` holds
    exactly these where there is one. Raises RANGE_INVALID.
    """
    tag = etag(desc.digest)
    headers = [
        (b"docker-content-digest", str(desc.digest).encode()),
        (b"etag", tag),
        (b"content-type", OCTET_STREAM.encode()),
        (b"accept-ranges", b"bytes"),
    ]
    if is_unchanged(request, tag):
        return Response(304, headers)
    if request.method == "HEAD" or read is None:
        return Response(200, headers, length=desc.size)
    try:
        part = wanted_part(request, desc.size, tag)
    except UnsatisfiableError:
        wrong = ApiError(416, "RANGE_INVALID", f"the blob has {desc.size} bytes")
        wrong.headers = {"Content-Range": f"bytes */{desc.size}"}
        raise wrong from None
    if part is not None:
        return _partial(Response(200, headers, chunks=read(part.start, part.end + 1)), part, desc)
    if desc.size == 0:
        return Response(200, headers)
    if file is not None:
        return Response(200, headers, file=file, length=desc.size)
    return Response(200, headers, chunks=read(0, desc.size), length=desc.size)


def _partial(response: Response, part: Part, desc: Descriptor) -> Response:
    response.status = 206
    response.length = part.end - part.start + 1
    return response.add(b"content-range", f"bytes {part.start}-{part.end}/{desc.size}")


async def stored_bytes(
    repository: BuiltinRepository, desc: Descriptor, start: int, end: int
) -> AsyncGenerator[bytes, None]:
    """The bytes of a blob of the store from `start` up to `end`."""
    left = end - start
    async with repository.fetch_from(desc, start) as chunks:
        async for chunk in chunks:
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                return


def _unknown(name: RepositoryName, digest: Digest) -> ApiError:
    return ApiError(404, "BLOB_UNKNOWN", f"{name} has no blob {digest}")
