"""Listings that come in pages: each asked for once, an end to every loop, a bound to every page.

Sources: distribution-spec 1.1, "Listing Tags"; REGISTRIES.md, 5-8 and 11.
"""

import json
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from dataclasses import replace

from regsync.oci.media_type import strip_parameters
from regsync.remote.errors import RegistryError
from regsync.remote.links import next_page
from regsync.remote.request import Request, Response
from regsync.remote.session import OK, Session

MIB = 1024 * 1024
MAX_PAGES = 10_000
MAX_PAGE_SIZE = 32 * MIB  # bytes; Google's registries show every tag of a repository in one

ObjectHook = Callable[[dict[str, object]], object]


class InvalidListingError(RegistryError):
    """The answer to a listing is no listing."""

    def __init__(self, cause: str, *, where: str) -> None:
        super().__init__(f"{where}: the answer to a listing is {cause}")


class EndlessListingError(RegistryError):
    """The pages of a listing lead in a circle, or are too many."""

    def __init__(self, cause: str, *, where: str) -> None:
        super().__init__(f"{where}: the listing does not end: {cause}; nothing of it is used")


async def walk(
    session: Session, first: Request, *, where: str, expect: Collection[int] = OK
) -> AsyncGenerator[Response, None]:
    """Every page from `first` on, as its `Link` headers lead. Close it, if left early.

    Raises ForeignLinkError, EndlessListingError, and what the session raises.
    """
    url = session.base_url + first.url
    seen = {url}
    while True:
        response = await session.send(replace(first, url=url), expect=expect)
        yield response
        following = next_page(response.headers.all("link"), url, where=where)
        if following is None:
            return
        if following in seen:
            raise EndlessListingError("a page names an earlier one as the next", where=where)
        if len(seen) >= MAX_PAGES:
            raise EndlessListingError(f"more than {MAX_PAGES} pages", where=where)
        seen.add(following)
        url = following


def read_object(
    response: Response, *, where: str, object_hook: ObjectHook | None = None
) -> Mapping[str, object]:
    """The JSON object of a page; raises InvalidListingError."""
    served_as = strip_parameters(response.headers.get("content-type") or "")
    if served_as == "text/html" or response.body[:64].lstrip()[:1] == b"<":
        raise InvalidListingError(
            "an HTML page: the address is not a registry's, or a portal answers", where=where
        )
    try:
        document = json.loads(response.body, object_hook=object_hook)
    except (ValueError, RecursionError) as cause:
        raise InvalidListingError(f"not JSON: {str(cause)[:120]}", where=where) from cause
    if not isinstance(document, dict):
        raise InvalidListingError("not a JSON object", where=where)
    return document


def strings(document: Mapping[str, object], key: str, *, where: str) -> list[str]:
    """The strings under `key`; null stands for none, and what is no string is dropped (8)."""
    if key not in document:
        raise InvalidListingError(f"without {key!r}", where=where)
    value = document[key]
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidListingError(f"odd: {key!r} is not a list", where=where)
    return [entry for entry in value if isinstance(entry, str)]
