"""What our own server says of a repository, or of all of them, in one answer: `_regsync/state`.

Source: docs/server.md, "Comparing registries". A server that does not know the path answers 404; then
whoever asks does without.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from regsync.content.tags_state import TagsState
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest, InvalidDigestError
from regsync.oci.media_type import is_manifest
from regsync.oci.reference import InvalidReferenceError, RepositoryName, Tag
from regsync.remote.endpoint import Endpoint
from regsync.remote.errors import NotFoundError
from regsync.remote.paging import MAX_PAGE_SIZE, EndlessListingError, InvalidListingError, read_object, walk
from regsync.remote.request import Kind, Request, Scope
from regsync.remote.session import Session

PAGE = 10_000  # entries; the most that the server gives at once
DEEPEST = 32  # parts of a name; longer names are rolled up
TRIES = 3  # times that a state which changes while it is read is begun again

_Page = Mapping[str, object]


async def tags(endpoint: Endpoint) -> Mapping[Tag, Descriptor] | None:
    """Every tag of a repository with its descriptor; None where the server has no such answer.

    Raises InvalidListingError, EndlessListingError, and what the session raises.
    """
    url, where = f"{endpoint.base}/_regsync/state?n={PAGE}", endpoint.name
    request = Request(Kind.LIST, "GET", url, endpoint.pull, limit=MAX_PAGE_SIZE)
    found = await _whole(endpoint.session, request, "tags", where)
    return None if found is None else dict(_described(entry, where) for entry in found.items())


async def repositories(session: Session) -> Mapping[RepositoryName, TagsState] | None:
    """The state of every repository that has tags and may be pulled; None where there is no such answer.

    Raises as `tags` does.
    """
    url, where = f"/v2/_regsync/state?depth={DEEPEST}&n={PAGE}", session.name
    request = Request(Kind.LIST, "GET", url, Scope.catalog(), limit=MAX_PAGE_SIZE)
    found = await _whole(session, request, "children", where)
    if found is None:
        return None
    read = (_state(entry, where) for entry in found.items())
    return {name: state for name, state, is_one in read if is_one}


async def _whole(session: Session, request: Request, key: str, where: str) -> dict[str, object] | None:
    """All pages as one; from the start again where something changed in between."""
    for _ in range(TRIES):
        entries: dict[str, object] = {}
        digests: set[object] = set()
        try:
            async with aclosing(_pages(session, request, where)) as pages:
                async for page in pages:
                    digests.add(page.get("digest"))
                    some = page.get(key)
                    if not isinstance(some, dict):
                        raise InvalidListingError(f"without {key!r}", where=where)
                    entries.update(some)
        except NotFoundError:
            return None
        if len(digests) == 1:
            return entries
    raise EndlessListingError("it changes faster than it can be read", where=where)


async def _pages(session: Session, request: Request, where: str) -> AsyncGenerator[_Page, None]:
    async with aclosing(walk(session, request, where=where)) as responses:
        async for response in responses:
            yield read_object(response, where=where)


def _described(entry: tuple[str, object], where: str) -> tuple[Tag, Descriptor]:
    name, value = entry
    shown = value if isinstance(value, dict) else {}
    kind, size = shown.get("mediaType"), shown.get("size")
    try:
        if isinstance(kind, str) and is_manifest(kind) and isinstance(size, int) and size >= 0:
            return Tag.parse(name), Descriptor(kind, Digest.parse(str(shown.get("digest"))), size)
    except (InvalidReferenceError, InvalidDigestError) as cause:
        raise InvalidListingError(f"odd: {str(cause)[:200]}", where=where) from cause
    raise InvalidListingError(f"odd: {name[:80]!r} is not described", where=where)


def _state(entry: tuple[str, object], where: str) -> tuple[RepositoryName, TagsState, bool]:
    """A name with its state, and whether that is of one repository alone."""
    name, value = entry
    shown = value if isinstance(value, dict) else {}
    count, repositories = shown.get("tagCount"), shown.get("repositories")
    if not isinstance(count, int) or not isinstance(repositories, int):
        raise InvalidListingError(f"odd: {name[:80]!r} is not described", where=where)
    try:
        digest, referrers = (Digest.parse(str(shown.get(key))) for key in ("digest", "referrers"))
        return RepositoryName.parse(name), TagsState(digest, referrers, count), repositories == 1
    except (InvalidReferenceError, InvalidDigestError) as cause:
        raise InvalidListingError(f"odd: {str(cause)[:200]}", where=where) from cause
