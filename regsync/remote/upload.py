"""One upload session at a registry: where its next bytes go, and the five requests there are.

Sources: distribution-spec 1.1, "Pushing blobs"; REGISTRIES.md, 22, 23, 27, 28, 30 and 31.
"""

from typing import Self
from urllib.parse import quote

import anyio

from regsync.content.errors import ContentNotFoundError
from regsync.errors import RegsyncError, TemporaryError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest, InvalidDigestError
from regsync.remote.endpoint import Endpoint
from regsync.remote.errors import (
    NotFoundError,
    RegistryError,
    RegistryUnreachableError,
    UnexpectedAnswerError,
)
from regsync.remote.listing import tags
from regsync.remote.locations import location_of
from regsync.remote.refusals import RepositoryMissingError
from regsync.remote.request import Content, Headers, Kind, Request, Response

GIB = 1024**3
MAX_MIN_CHUNK = GIB  # bytes; a registry that asks for longer chunks is not believed (30)
ABANDON_WITHIN = 3.0  # seconds
OCTETS = {"content-type": "application/octet-stream"}
STORED = frozenset({201, 204})
_BEGUN = frozenset({202})
_PATCHED = frozenset({201, 202, 204})
_ABANDONED = frozenset({200, 202, 204, 404})


class UploadLostError(RegistryError, TemporaryError):
    """The registry no longer has the session, or lost bytes that it had confirmed: begin anew."""

    def __init__(self, desc: Descriptor, cause: str, *, where: str) -> None:
        super().__init__(f"{where}: the upload of {desc.digest} has to begin anew: {cause}")


class Upload:
    """An open session. Each answer may move it to another URL."""

    def __init__(self, endpoint: Endpoint, location: str, *, min_chunk: int = 0) -> None:
        self.endpoint, self.location = endpoint, location
        self.min_chunk = min_chunk  # bytes
        self.finished_early = False  # a PATCH was answered 201, as if it had been the last request (23)

    @classmethod
    async def begin(cls, endpoint: Endpoint) -> Self:
        """Open a session. Raises RepositoryMissingError where the repository has to be made first."""
        request = Request(Kind.UPLOAD, "POST", endpoint.uploads, endpoint.push, content=b"", length=0)
        try:
            response = await endpoint.session.send(request, expect=_BEGUN)
        except NotFoundError as cause:
            raise RepositoryMissingError(where=endpoint.name) from cause
        except RegistryUnreachableError as cause:
            if endpoint.provider.drops_unknown and await _is_missing(endpoint):
                raise RepositoryMissingError(where=endpoint.name) from cause
            raise
        return cls.begun(endpoint, response)

    @classmethod
    def begun(cls, endpoint: Endpoint, response: Response) -> Self:
        """The session that a 202 answer opened."""
        location = location_of(endpoint, response)
        if location is None:
            raise UnexpectedAnswerError(
                f"{endpoint.name}: opened an upload without a Location to send it to", status=response.status
            )
        return cls(endpoint, location, min_chunk=_min_chunk(response.headers))

    async def patch(self, content: Content, length: int, *, start: int | None = None) -> int | None:
        """Send bytes; with `start` as the chunk that begins there. The offset the registry then reports."""
        headers = dict(OCTETS)
        if start is not None:
            headers["content-range"] = f"{start}-{start + length - 1}"
        request = Request(
            Kind.UPLOAD, "PATCH", self.location, self.endpoint.push, headers, content=content, length=length
        )
        response = await self.endpoint.session.send(request, expect=_PATCHED)
        self.finished_early = response.status == 201
        return self._moved(response)

    async def committed(self) -> int | None:
        """Ask how far the registry has got, in bytes; None where the session is gone."""
        request = Request(Kind.UPLOAD, "GET", self.location, self.endpoint.push)
        try:
            response = await self.endpoint.session.send(request, expect=frozenset({200, 202, 204}))
        except NotFoundError:
            return None
        offset = self._moved(response)
        return 0 if offset is None else offset

    async def finish(self, desc: Descriptor, content: Content = b"", length: int = 0) -> None:
        """Send the last bytes, if any, and have the whole checked and stored under its digest."""
        separator = "&" if "?" in self.location else "?"
        request = Request(
            Kind.UPLOAD,
            "PUT",
            f"{self.location}{separator}digest={quote(str(desc.digest), safe='')}",
            self.endpoint.push,
            OCTETS,
            content=content,
            length=length,
        )
        response = await self.endpoint.session.send(request, expect=STORED)
        check_stored(desc, response.headers, where=self.endpoint.name)

    async def abandon(self) -> None:
        """Tell the registry to drop it. Many refuse that (27), and it drops old ones anyway."""
        request = Request(Kind.UPLOAD, "DELETE", self.location, self.endpoint.push)
        with anyio.move_on_after(ABANDON_WITHIN, shield=True):
            try:
                await self.endpoint.session.send(request, expect=_ABANDONED)
            except RegsyncError:
                return

    def _moved(self, response: Response) -> int | None:
        self.location = location_of(self.endpoint, response) or self.location
        return committed_offset(response.headers)


async def _is_missing(endpoint: Endpoint) -> bool:
    """Whether the registry says that the repository is not there, where its silence left that open."""
    try:
        async with tags(endpoint):
            return False
    except ContentNotFoundError:
        return True


def committed_offset(headers: Headers) -> int | None:
    """`Range: 0-N` is N + 1 bytes; `0-0` is none, as servers write it for an empty session too (30)."""
    text = headers.get("range", "").removeprefix("bytes=").removeprefix("bytes ")
    first, dash, last = text.partition("-")
    if not dash or first != "0" or not last.isascii() or not last.isdigit() or len(last) > 18:
        return None
    return int(last) + 1 if int(last) else 0


def check_stored(desc: Descriptor, headers: Headers, *, where: str) -> None:
    """Compare the digest in the answer, if there is one; raises UnexpectedAnswerError.

    Not DigestMismatchError: the bytes were checked on the way, so that no other source would help.
    """
    try:
        stored = Digest.parse(headers.get("docker-content-digest", ""))
    except InvalidDigestError:
        return
    if stored.algorithm == desc.digest.algorithm and stored != desc.digest:
        raise UnexpectedAnswerError(f"{where}: was sent {desc.digest} and says that it stored {stored}")


def _min_chunk(headers: Headers) -> int:
    text = headers.get("oci-chunk-min-length", "")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        return 0
    return min(int(text), MAX_MIN_CHUNK)
