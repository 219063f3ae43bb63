"""Repositories of a registry: listed where it lists them, else an error that names the ways out."""

import pytest

from regsync.oci.reference import RepositoryName
from regsync.remote import catalog
from regsync.remote.catalog import RegistryCannotListError, repositories
from regsync.remote.errors import RegistryFailedError
from regsync.remote.links import ForeignLinkError
from regsync.remote.paging import EndlessListingError, InvalidListingError
from regsync.remote.providers.detection import load
from regsync.remote.providers.provider import Provider
from tests.remote.repositories import session_of
from tests.support import fake_registry as fake
from tests.support.fake_registry import FakeRegistry, Repository

pytestmark = pytest.mark.anyio

CATALOG = "/v2/_catalog"
NAMES = [f"team/app{number:02}" for number in range(25)]


@pytest.fixture
def registry(fake_registry: FakeRegistry) -> FakeRegistry:
    """A registry with 25 repositories."""
    fake_registry.repositories.update({name: Repository() for name in NAMES})
    return fake_registry


async def found(registry: FakeRegistry, provider: Provider | None = None) -> list[RepositoryName]:
    async with session_of(registry) as session:
        return await repositories(session, provider or load("generic"))


async def test_pages_are_followed(registry: FakeRegistry) -> None:
    registry.page_size = 10
    assert await found(registry) == NAMES
    assert registry.count("GET", CATALOG) == 3


async def test_full_pages_without_links_are_asked_on(registry: FakeRegistry) -> None:
    registry.on("GET", CATALOG, fake.headers(link=None))
    assert await found(registry, Provider("ten", page_size=10)) == NAMES


async def test_a_registry_that_starts_over_is_left(registry: FakeRegistry) -> None:
    registry.on("GET", CATALOG, fake.respond(200, {"repositories": NAMES[:10]}))
    assert await found(registry, Provider("ten", page_size=10)) == NAMES[:10]
    assert registry.count("GET", CATALOG) == 2


async def test_names_that_no_request_could_carry_are_left_out(registry: FakeRegistry) -> None:
    odd = ["app", None, "UPPER", "a/../b", "", "app", 5]
    registry.on("GET", CATALOG, fake.respond(200, {"repositories": odd}))
    assert await found(registry) == ["app"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
async def test_a_refused_catalogue_names_the_ways_out(registry: FakeRegistry, status: int) -> None:
    registry.on("GET", CATALOG, fake.error(status, "UNSUPPORTED"))
    with pytest.raises(RegistryCannotListError) as caught:
        await found(registry)
    assert "name the repositories in the spec" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["dockerhub", "ghcr", "ecr-public"])
async def test_who_has_no_catalogue_is_not_asked(registry: FakeRegistry, name: str) -> None:
    with pytest.raises(RegistryCannotListError, match="it has no catalogue") as caught:
        await found(registry, load(name))
    assert "name the repositories in the spec" in (caught.value.hint or "")
    assert registry.requests == []


async def test_a_token_that_expires_between_pages_gives_no_half_catalogue(registry: FakeRegistry) -> None:
    """ECR's NextToken may be invalid in mid-walk."""
    registry.page_size = 10
    registry.on(
        "GET",
        CATALOG,
        lambda request, proceed: (
            fake.error(400, "INVALID_NEXT_TOKEN")(request, proceed) if "last" in request.query else proceed()
        ),
    )
    with pytest.raises(RegistryCannotListError, match="after 10 names, which are not used"):
        await found(registry)


async def test_a_failure_is_no_refusal(registry: FakeRegistry) -> None:
    registry.on("GET", CATALOG, fake.respond(503))
    with pytest.raises(RegistryFailedError):
        await found(registry)


async def test_a_link_to_elsewhere_is_not_followed(registry: FakeRegistry) -> None:
    registry.on("GET", CATALOG, fake.headers(link='<http://evil.test/v2/_catalog>; rel="next"'))
    with pytest.raises(ForeignLinkError):
        await found(registry)


async def test_a_web_page_is_no_catalogue(registry: FakeRegistry) -> None:
    registry.on("GET", CATALOG, fake.html())
    with pytest.raises(InvalidListingError):
        await found(registry)


async def test_names_have_an_end(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "MAX_REPOSITORIES", 20)
    with pytest.raises(EndlessListingError):
        await found(registry)
