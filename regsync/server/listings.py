"""Listings: tags, repositories, referrers (end-8, end-12), each paged and sorted."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote, urlencode

from regsync.content.referrers import fallback_index
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.media_type import OCI_INDEX
from regsync.oci.reference import RepositoryName
from regsync.server.conditions import is_unchanged
from regsync.server.failures import JSON, ApiError
from regsync.server.message import Request, Response
from regsync.server.values import page_of, parse_digest
from regsync.store.builtin import BuiltinStore

Visible = Callable[[RepositoryName], bool]
_CATALOG_STEP = 1000
_REFERRERS_SIZE = 3 * 1024 * 1024  # bytes in one page; clients read at most 4 MiB of a manifest


class Listings:
    """What is there, by name."""

    def __init__(self, store: BuiltinStore) -> None:
        self._store = store

    async def tags(self, request: Request, name: RepositoryName, shown_as: str | None = None) -> Response:
        """Tags of one repository, in the order of their bytes; `shown_as` is what the client calls it."""
        limit, last = page_of(request)
        page = await self._store.repository(name).tag_page(last, limit + 1)
        if page is None:
            raise ApiError(404, "NAME_UNKNOWN", f"there is no repository {name}")
        return tags_page(request, shown_as or name, [str(tag) for tag, _ in page], limit)

    async def catalog(self, request: Request, visible: Visible, login: ApiError | None = None) -> Response:
        """The repositories that the client may pull from; raises `login`, if there is one, where none is.

        regctl and oras send what they were logged in with only when they are asked for it.
        """
        limit, last = page_of(request)
        names: list[str] = []
        more = True
        while more and len(names) <= limit:
            page = await self._store.repository_page(last, _CATALOG_STEP)
            more = len(page) == _CATALOG_STEP
            last = page[-1] if page else last
            names += [name for name in page if visible(name)]
        if login is not None and not names and not request.parameter("last"):
            raise login
        response = _document(request, {"repositories": names[:limit]})
        if limit and len(names) > limit:
            _link(response, "/v2/_catalog", {"n": str(limit), "last": names[limit - 1]})
        return response

    async def referrers(
        self, request: Request, name: RepositoryName, reference: str, shown_as: str | None = None
    ) -> Response:
        """The manifests whose subject a digest is: an index, empty where there are none."""
        subject = parse_digest(reference)
        found = await self._store.repository(name).referrers(subject)
        return referrers_page(request, shown_as or name, subject, found)


def tags_page(request: Request, name: str, names: Sequence[str], limit: int) -> Response:
    """The answer with the first `limit` of the tags that come next, and a link to more."""
    page = names[:limit]
    response = _document(request, {"name": name, "tags": page})
    if page and len(names) > limit:
        _link(response, f"/v2/{name}/tags/list", {"n": str(limit), "last": page[-1]})
    return response


def referrers_page(request: Request, name: str, subject: Digest, found: Sequence[Descriptor]) -> Response:
    """The answer with those of the referrers that the client asks for, as many as fit one page."""
    kinds = request.query.get("artifactType", ())
    shown = [one for one in found if not kinds or one.artifact_type in kinds]
    last = request.parameter("last") or ""
    rest = [one for one in shown if str(one.digest) > last]
    page: list[Descriptor] = []
    length = 0
    for one in rest:
        length += len(fallback_index([one]))
        if page and length > _REFERRERS_SIZE:
            break
        page.append(one)
    raw = fallback_index(page)
    response = Response(200, [(b"content-type", OCI_INDEX.encode())], raw)
    if kinds:
        response.add(b"oci-filters-applied", "artifactType")
    if len(page) < len(rest):
        fields = [("artifactType", kind) for kind in kinds] + [("last", str(page[-1].digest))]
        _link(response, f"/v2/{name}/referrers/{subject}", fields)
    return response


def _document(request: Request, document: Mapping[str, object]) -> Response:
    raw = json.dumps(document).encode()
    tag = f'"sha256:{hashlib.sha256(raw).hexdigest()}"'.encode()
    headers = [JSON, (b"etag", tag)]
    return Response(304, headers) if is_unchanged(request, tag) else Response(200, headers, raw)


def _link(response: Response, path: str, fields: Mapping[str, str] | Sequence[tuple[str, str]]) -> None:
    response.add(b"link", f'<{quote(path, safe="/:")}?{urlencode(fields)}>; rel="next"')
