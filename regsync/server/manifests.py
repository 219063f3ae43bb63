"""Manifests: get, put, delete (end-3, end-7, end-9)."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from urllib.parse import quote

from regsync.content.errors import ContentNotFoundError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import MAX_MANIFEST_SIZE, parse_manifest
from regsync.oci.media_type import SUPPORTED, strip_parameters
from regsync.oci.reference import RepositoryName, Tag
from regsync.server.conditions import etag, is_unchanged
from regsync.server.failures import ApiError
from regsync.server.message import Request, Response
from regsync.server.values import digest_algorithm, parse_reference, parse_tag
from regsync.store.builtin import BuiltinStore
from regsync.store.changes import TagFixedError
from regsync.store.repository import LostContentError

MAX_TAGS = 100  # tags that one push may set
Immutable = Callable[[RepositoryName, Tag], bool]


class Manifests:
    """The endpoints below `manifests/`."""

    def __init__(self, store: BuiltinStore) -> None:
        self._store = store

    async def get(
        self, request: Request, name: RepositoryName, reference: str, digest: Digest | None = None
    ) -> Response:
        """The exact bytes, with the media type they were pushed with.

        `digest` is what the reference was seen to lead to, where nothing else will do.
        """
        wanted = parse_reference(reference)
        try:
            desc, raw = await self._store.repository(name).manifest(digest or wanted)
        except ContentNotFoundError as cause:
            raise _unknown(name, reference, cause) from None
        self._store.pulls.note(name, wanted, desc.digest)
        return _shown(request, desc, raw)

    async def head(
        self, request: Request, name: RepositoryName, reference: str, digest: Digest | None = None
    ) -> Response:
        """What `get` says of them."""
        wanted = parse_reference(reference)
        try:
            desc = await self._store.repository(name).resolve(digest or wanted)
        except ContentNotFoundError as cause:
            raise _unknown(name, reference, cause) from None
        response = _shown(request, desc, b"")
        response.length = desc.size if response.status == 200 else None
        return response

    async def put(
        self, request: Request, name: RepositoryName, reference: str, fixed: Callable[[Tag], bool] | None
    ) -> Response:
        """Store it, at its tag or by its digest with any number of tags."""
        wanted = parse_reference(reference)
        more = [parse_tag(text) for text in request.query.get("tag", ())]
        if len(more) > MAX_TAGS:
            raise ApiError(400, "TAG_INVALID", f"{len(more)} tags, at most {MAX_TAGS} are set at once")
        if (request.content_length or 0) > MAX_MANIFEST_SIZE:
            raise ApiError(413, "SIZE_INVALID", f"a manifest has at most {MAX_MANIFEST_SIZE} bytes")
        raw = await request.body.read(MAX_MANIFEST_SIZE)
        algorithm = wanted.algorithm if isinstance(wanted, Digest) else digest_algorithm(request)
        content_type = _content_type(request)
        parsed = parse_manifest(raw, content_type, algorithm=algorithm)
        digest = parsed.descriptor.digest
        if isinstance(wanted, Digest) and wanted != digest:
            raise ApiError(400, "DIGEST_INVALID", f"the manifest is {digest}, not {wanted}")
        tags = list(dict.fromkeys(more if isinstance(wanted, Digest) else [wanted, *more]))
        await self._store.repository(name).put_manifest(parsed, tags, fixed=fixed)
        response = Response(201)
        response.add(b"location", f"/v2/{name}/manifests/{digest}")
        response.add(b"docker-content-digest", str(digest))
        if parsed.subject is not None:
            response.add(b"oci-subject", str(parsed.subject.digest))
        for tag in more:
            response.add(b"oci-tag", tag)
        return response

    async def delete(
        self, request: Request, name: RepositoryName, reference: str, is_immutable: Immutable
    ) -> Response:
        """A tag alone, or a manifest with all its tags; neither where a tag is immutable."""
        wanted = parse_reference(reference)
        repository = self._store.repository(name)
        fixed = partial(is_immutable, name)
        try:
            if isinstance(wanted, Tag):
                if fixed(wanted):
                    raise ApiError(405, "DENIED", f"tag {wanted} of {name} is immutable")
                await repository.untag(wanted)
            else:
                await repository.delete(await repository.recorded(wanted), fixed=fixed)
        except ContentNotFoundError:
            raise _unknown(name, reference) from None
        except TagFixedError:
            raise ApiError(405, "DENIED", f"{name} has {wanted} at a tag that is immutable") from None
        return Response(202)


def _content_type(request: Request) -> str:
    given = strip_parameters(request.header(b"content-type") or "")
    if given not in SUPPORTED:
        known = ", ".join(sorted(SUPPORTED))
        raise ApiError(415, "MANIFEST_INVALID", f"Content-Type is {given[:120]!r}, expected one of {known}")
    return given


def _unknown(name: RepositoryName, reference: str, cause: ContentNotFoundError | None = None) -> ApiError:
    shown = quote(reference, safe=":@")[:200]
    if isinstance(cause, LostContentError):
        lost = ", ".join(cause.lost[:3])
        return ApiError(404, "MANIFEST_UNKNOWN", f"{name} has lost {lost} of {shown}: push the image again")
    return ApiError(404, "MANIFEST_UNKNOWN", f"{name} has no manifest {shown}")


def _shown(request: Request, desc: Descriptor, raw: bytes) -> Response:
    headers = _headers(desc.media_type, desc.digest)
    if is_unchanged(request, etag(desc.digest)):
        return Response(304, headers)
    return Response(200, headers, raw)


@lru_cache(maxsize=4096)
def _headers(media_type: str, digest: Digest) -> Sequence[tuple[bytes, bytes]]:
    return (
        (b"docker-content-digest", str(digest).encode()),
        (b"etag", etag(digest)),
        (b"content-type", media_type.encode("latin-1", "replace")),
    )
