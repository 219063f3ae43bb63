"""What our own server says of a repository, or of all of them, in one answer: `_regsync/state`.

Source: docs/server.md, "Comparing registries". A server that does not know the path answers 404; then
whoever asks does without.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import datetime

from regsync.content.tag_times import TagTimes
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
MAX_TIME = 40  # characters
TRIES = 3  # times that a state which changes while it is read is begun again

_Page = Mapping[str, object]


async def tags(endpoint: Endpoint) -> Mapping[Tag, Descriptor] | None:
    """Every tag of a repository with its descriptor; None where the server has no such answer.

    Raises InvalidListingError, EndlessListingError, and what the session raises.
    """
    found = await _whole(endpoint.session, _of_one(endpoint), "tags", endpoint.name)
    return None if found is None else dict(_described(entry, endpoint.name) for entry in found.items())


async def repository(endpoint: Endpoint) -> TagsState | None:
    """The state of one repository; None where there is no such answer, or no such repository.

    Raises InvalidListingError, and what the session raises.
    """
    url = f"{endpoint.base}/_regsync/state?n=0"
    try:
        response = await endpoint.session.send(
            Request(Kind.LIST, "GET", url, endpoint.pull, limit=MAX_PAGE_SIZE)
        )
    except NotFoundError:
        return None
    return _state(read_object(response, where=endpoint.name), endpoint.name)


async def times(endpoint: Endpoint) -> Mapping[Tag, TagTimes] | None:
    """When every tag of a repository was put and pulled; None where the server has no such answer.

    Raises as `tags` does.
    """
    found = await _whole(endpoint.session, _of_one(endpoint), "tags", endpoint.name)
    return None if found is None else dict(_timed(entry, endpoint.name) for entry in found.items())


async def repositories(session: Session) -> Mapping[RepositoryName, TagsState] | None:
    """The state of every repository that has tags and may be pulled; None where there is no such answer.

    Raises as `tags` does.
    """
    url, where = f"/v2/_regsync/state?depth={DEEPEST}&n={PAGE}", session.name
    request = Request(Kind.LIST, "GET", url, Scope.catalog(), limit=MAX_PAGE_SIZE)
    found = await _whole(session, request, "children", where)
    if found is None:
        return None
    return {
        name: state for name, state, is_one in (_named(entry, where) for entry in found.items()) if is_one
    }


def _of_one(endpoint: Endpoint) -> Request:
    url = f"{endpoint.base}/_regsync/state?n={PAGE}"
    return Request(Kind.LIST, "GET", url, endpoint.pull, limit=MAX_PAGE_SIZE)


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


def _named(entry: tuple[str, object], where: str) -> tuple[RepositoryName, TagsState, bool]:
    """A name with its state, and whether that is of one repository alone."""
    name, value = entry
    shown = value if isinstance(value, dict) else {}
    try:
        return RepositoryName.parse(name), _state(shown, where), shown.get("repositories") == 1
    except InvalidReferenceError as cause:
        raise InvalidListingError(f"odd: {str(cause)[:200]}", where=where) from cause


def _timed(entry: tuple[str, object], where: str) -> tuple[Tag, TagTimes]:
    name, value = entry
    shown = value if isinstance(value, dict) else {}
    try:
        tag = Tag.parse(name)
    except InvalidReferenceError as cause:
        raise InvalidListingError(f"odd: {str(cause)[:200]}", where=where) from cause
    return tag, TagTimes(_moment(shown.get("pushedAt")), _moment(shown.get("pulledAt")))


def _moment(value: object) -> datetime | None:
    """A time in RFC 3339; None, which is not known, for anything else."""
    if not isinstance(value, str) or len(value) > MAX_TIME:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _state(shown: _Page, where: str) -> TagsState:
    count = shown.get("tagCount")
    if not isinstance(count, int):
        raise InvalidListingError("a state that does not say how many tags there are", where=where)
    try:
        digest, referrers = (Digest.parse(str(shown.get(key))) for key in ("digest", "referrers"))
    except InvalidDigestError as cause:
        raise InvalidListingError(f"odd: {str(cause)[:200]}", where=where) from cause
    return TagsState(digest, referrers, count)
