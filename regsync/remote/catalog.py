"""Repositories of a registry, where it lists them.

Source: the Docker Registry HTTP API V2, "Catalog"; the distribution-spec has none. Many registries
refuse it, or show it to administrators only (REGISTRIES.md, 11).
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from urllib.parse import quote

from regsync.oci.reference import InvalidReferenceError, RepositoryName
from regsync.remote.errors import (
    ForbiddenError,
    NotFoundError,
    RegistryError,
    RejectedError,
    UnauthorizedError,
)
from regsync.remote.paging import MAX_PAGE_SIZE, EndlessListingError, read_object, strings, walk
from regsync.remote.providers.provider import Known, Provider
from regsync.remote.request import Kind, Request, Scope
from regsync.remote.session import Session

MAX_REPOSITORIES = 200_000
CATALOG = Scope.catalog()


class RegistryCannotListError(RegistryError):
    """This registry does not show which repositories it has."""

    def __init__(self, cause: str, *, where: str, hint: str = "") -> None:
        super().__init__(
            f"{where}: its repositories cannot be listed: {cause}",
            hint=hint
            or "name the repositories in the spec (`repositories: [a, b]`), or use credentials that may "
            "list the catalogue",
        )


async def repositories(session: Session, provider: Provider) -> list[RepositoryName]:
    """Every repository that these credentials may see, in the registry's order, each once.

    Raises RegistryCannotListError, EndlessListingError, InvalidListingError.
    """
    if provider.catalog is Known.NO:
        raise RegistryCannotListError("it has no catalogue", where=session.name, hint=provider.catalog_hint)
    found: dict[RepositoryName, None] = {}
    try:
        async with aclosing(_pages(session, provider)) as pages:
            async for names in pages:
                before = len(found)
                found.update(dict.fromkeys(_valid(names)))
                if names and len(found) == before:
                    break  # a registry that starts over: it had shown everything
                if len(found) > MAX_REPOSITORIES:
                    raise EndlessListingError(f"more than {MAX_REPOSITORIES} names", where=session.name)
    except (NotFoundError, ForbiddenError, UnauthorizedError, RejectedError) as cause:
        seen = f", after {len(found)} names, which are not used" if found else ""
        raise RegistryCannotListError(
            f"{cause}{seen}", where=session.name, hint=provider.catalog_hint
        ) from cause
    return list(found)


async def _pages(session: Session, provider: Provider) -> AsyncGenerator[list[str], None]:
    """Pages by `Link`; by `last` where the first is full and has none."""
    size = provider.page_size
    query = f"?n={size}"
    while True:
        request = Request(Kind.CATALOG, "GET", f"/v2/_catalog{query}", CATALOG, limit=MAX_PAGE_SIZE)
        names: list[str] = []
        linked = -1
        async with aclosing(walk(session, request, where=session.name)) as responses:
            async for response in responses:
                names = strings(read_object(response, where=session.name), "repositories", where=session.name)
                linked += 1
                yield names
        if linked or len(names) != size:
            return
        query = f"?n={size}&last={quote(names[-1], safe='')}"


def _valid(names: list[str]) -> list[RepositoryName]:
    valid = []
    for name in names:
        try:
            valid.append(RepositoryName.parse(name))
        except InvalidReferenceError:
            continue  # a name that no request could carry
    return valid
