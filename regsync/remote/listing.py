"""Tags of a repository, page by page, with digests where the registry shows them.

Sources: distribution-spec 1.1, "Listing Tags"; Google's `manifest` map (REGISTRIES.md, 9), which makes
one listing an inventory, as our own server's state does. Listings of other vendors' own APIs go behind the
same function.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from regsync.content.errors import RepositoryNotFoundError
from regsync.errors import UnsupportedError
from regsync.oci.descriptor import UNKNOWN_SIZE, Descriptor
from regsync.oci.digest import Digest, InvalidDigestError
from regsync.oci.media_type import is_manifest
from regsync.oci.reference import InvalidReferenceError, Tag
from regsync.remote import states
from regsync.remote.endpoint import Endpoint
from regsync.remote.errors import AnswerError, NotFoundError
from regsync.remote.paging import MAX_PAGE_SIZE, EndlessListingError, read_object, strings, walk
from regsync.remote.request import Kind, Request, Response

MAX_UNLINKED = 200_000  # tags of a registry that pages without links
CREATED = "org.opencontainers.image.created"

Listed = tuple[Tag, Descriptor | None]


_NO_LISTING = frozenset({400, 405})  # what registries without the endpoint answer, besides UNSUPPORTED


class ListingUnsupportedError(AnswerError, UnsupportedError):
    """The registry has no listing of tags: what is to be known of a tag has to be asked for by its name."""

    def __init__(self, where: str, cause: AnswerError) -> None:
        super().__init__(
            f"{where}: its tags cannot be listed: {cause}", status=cause.status, codes=cause.codes
        )

    @property
    def hint(self) -> str:
        """What to do next."""
        return "as a target it is asked for each tag; for a source, name the tags in the spec"


@dataclass(frozen=True, slots=True)
class _Shown:
    """One entry of Google's `manifest` map; its sizes are those of whole images, so they say nothing here."""

    tags: tuple[object, ...]
    media_type: str
    created: str | None  # milliseconds since 1970, as text


@dataclass(frozen=True, slots=True)
class _Page:
    names: list[str]
    shown: Mapping[str, Descriptor]


@asynccontextmanager
async def tags(endpoint: Endpoint) -> AsyncIterator[AsyncIterator[Listed]]:
    """Every tag, in the registry's order. A descriptor has UNKNOWN_SIZE where only its digest is shown.

    Raises on entering RepositoryNotFoundError where there is no such repository, ListingUnsupportedError
    where the registry lists no tags at all; InvalidListingError, EndlessListingError and
    ForeignLinkError also later, since a short listing must not pass for whole.
    """
    inventory = await states.tags(endpoint) if endpoint.provider.has_states else None
    if inventory is not None:
        async with aclosing(_each(inventory)) as entries:
            yield entries
        return
    async with aclosing(_pages(endpoint)) as pages:
        try:
            first = await anext(pages)
        except AnswerError as cause:
            if "UNSUPPORTED" in cause.codes or cause.status in _NO_LISTING:
                raise ListingUnsupportedError(endpoint.name, cause) from cause
            if isinstance(cause, NotFoundError):
                raise RepositoryNotFoundError(where=endpoint.name) from cause
            raise
        async with aclosing(_entries(first, pages)) as entries:
            yield entries


async def _each(inventory: Mapping[Tag, Descriptor]) -> AsyncGenerator[Listed, None]:
    for tag, desc in inventory.items():
        yield tag, desc


async def _entries(first: _Page, rest: AsyncIterator[_Page]) -> AsyncGenerator[Listed, None]:
    for entry in _listed(first):
        yield entry
    async for page in rest:
        for entry in _listed(page):
            yield entry


def _listed(page: _Page) -> Iterator[Listed]:
    shown = page.shown
    for name in page.names:
        try:
            yield Tag.parse(name), shown.get(name)
        except InvalidReferenceError:
            continue  # Artifactory lists digests among the tags; what is no tag cannot be asked for


async def _pages(endpoint: Endpoint) -> AsyncGenerator[_Page, None]:
    """Pages by `Link`; by `last` where the first is full and has none, until nothing new comes."""
    size = endpoint.provider.page_size
    query = f"?n={size}"
    full: set[str] = set()
    while True:
        request = Request(
            Kind.LIST, "GET", f"{endpoint.base}/tags/list{query}", endpoint.pull, limit=MAX_PAGE_SIZE
        )
        page, linked = _Page([], {}), -1
        async with aclosing(walk(endpoint.session, request, where=endpoint.name)) as responses:
            async for response in responses:
                page = _read(response, endpoint.name)
                if full and full.issuperset(page.names):
                    return  # `last` means nothing to this registry: it had shown everything
                linked += 1
                yield page
        if linked or len(page.names) != size:
            return
        full.update(page.names)
        if len(full) > MAX_UNLINKED:
            raise EndlessListingError(f"more than {MAX_UNLINKED} tags without a link", where=endpoint.name)
        query = f"?n={size}&last={quote(page.names[-1], safe='')}"


def _read(response: Response, where: str) -> _Page:
    document = read_object(response, where=where, object_hook=_compact)
    names = strings(document, "tags", where=where)
    manifests = document.get("manifest")
    return _Page(names, _inventory(manifests) if isinstance(manifests, dict) else {})


def _compact(document: dict[str, object]) -> object:
    """Keep little of each entry while parsing: a map of 100,000 would else be held whole."""
    kind, names = document.get("mediaType"), document.get("tag")
    if not isinstance(kind, str) or not isinstance(names, list):
        return document
    created = document.get("timeCreatedMs")
    return _Shown(tuple(names), kind, created if isinstance(created, str) else None)


def _inventory(manifests: Mapping[str, object]) -> dict[str, Descriptor]:
    """Tag to descriptor. An entry that cannot be read is left out: its tags are then asked for one by one."""
    found: dict[str, Descriptor] = {}
    for text, shown in manifests.items():
        if not isinstance(shown, _Shown) or not shown.tags or not is_manifest(shown.media_type):
            continue
        try:
            digest = Digest.parse(text)
        except InvalidDigestError:
            continue
        created = _timestamp(shown.created)
        desc = Descriptor(
            shown.media_type, digest, UNKNOWN_SIZE, annotations={CREATED: created} if created else {}
        )
        for name in shown.tags:
            if isinstance(name, str):
                found[name] = desc
    return found


def _timestamp(milliseconds: str | None) -> str | None:
    """RFC 3339 in UTC, of digits only; None for 1970, which builders write for no time at all (55)."""
    if (
        milliseconds is None
        or not milliseconds.isascii()
        or not milliseconds.isdigit()
        or len(milliseconds) > 14
    ):
        return None
    seconds = int(milliseconds) // 1000
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z") if seconds else None
