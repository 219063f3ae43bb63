"""Tags of a repository: all of them or an error, whatever the registry makes of paging."""

import tracemalloc
from typing import Any

import pytest

from regsync.content.errors import RepositoryNotFoundError
from regsync.errors import DeniedError, UnsupportedError
from regsync.oci.descriptor import UNKNOWN_SIZE, Descriptor
from regsync.oci.reference import Tag
from regsync.remote import paging
from regsync.remote.errors import ForbiddenError, RegistryFailedError, TooLargeError, UnauthorizedError
from regsync.remote.links import ForeignLinkError
from regsync.remote.listing import CREATED, ListingUnsupportedError
from regsync.remote.paging import EndlessListingError, InvalidListingError
from regsync.remote.providers.detection import load
from regsync.remote.providers.provider import Provider
from regsync.remote.repository import RemoteRepository
from tests.remote.repositories import opened
from tests.support import fake_registry as fake
from tests.support.fake_registry import FakeRegistry
from tests.support.images import image

pytestmark = pytest.mark.anyio

LIST = r"/v2/team/app/tags/list"
DIGEST = "sha256:" + "a" * 64


async def listed(repository: RemoteRepository) -> list[tuple[Tag, Descriptor | None]]:
    async with repository.tags() as tags:
        return [entry async for entry in tags]


async def names(repository: RemoteRepository) -> list[str]:
    return [tag for tag, _ in await listed(repository)]


def filled(registry: FakeRegistry, count: int) -> list[str]:
    """A repository with so many tags; the tags in the registry's order."""
    tags = [f"v{number:06}" for number in range(count)]
    registry.add_tags("team/app", dict.fromkeys(tags, DIGEST))
    return tags


def pages(*documents: dict[str, Any], **headers: str) -> fake.Behaviour:
    """These pages in turn, the last again and again."""
    left = list(documents)

    def behave(request: fake.Request, proceed: fake.Proceed) -> fake.Answer:
        document = left.pop(0) if len(left) > 1 else left[0]
        return fake.respond(200, document, **headers)(request, proceed)

    return behave


async def test_pages_are_followed_to_the_end(fake_registry: FakeRegistry) -> None:
    tags = filled(fake_registry, 25)
    fake_registry.page_size = 10
    async with opened(fake_registry) as repository:
        assert await names(repository) == tags
    assert fake_registry.count("GET", LIST) == 3
    assert fake_registry.requests[0].query == {"n": "1000"}


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param("<{url}{path}>; rel=next", id="absolute, unquoted"),
        pytest.param('</v2/>; rel="prev", <{path}>; title="a, b"; rel="next"', id="one of two"),
        pytest.param('<list?{query}>; rel="next"', id="relative to the request"),
    ],
)
async def test_every_form_of_link_is_followed(fake_registry: FakeRegistry, shape: str) -> None:
    tags = filled(fake_registry, 25)
    fake_registry.page_size = 10

    def reshaped(request: fake.Request, proceed: fake.Proceed) -> fake.Answer:
        answer = proceed()
        link = answer.header("link")
        if link is None:
            return answer
        path = link[1 : link.index(">")]
        return answer.with_headers(
            link=shape.format(url=fake_registry.url, path=path, query=path.partition("?")[2])
        )

    fake_registry.on("GET", LIST, reshaped)
    async with opened(fake_registry) as repository:
        assert await names(repository) == tags


@pytest.mark.parametrize("target", ["http://169.254.169.254/v2/", "https://127.0.0.1/v2/", "//evil.test/"])
async def test_a_link_to_elsewhere_is_not_followed(fake_registry: FakeRegistry, target: str) -> None:
    filled(fake_registry, 1)
    fake_registry.on("GET", LIST, fake.headers(link=f'<{target}>; rel="next"'))
    async with opened(fake_registry) as repository:
        with pytest.raises(ForeignLinkError):
            await names(repository)


async def test_a_link_in_a_circle_is_an_error(fake_registry: FakeRegistry) -> None:
    filled(fake_registry, 1)
    fake_registry.on("GET", LIST, fake.headers(link='</v2/team/app/tags/list?last=x>; rel="next"'))
    async with opened(fake_registry) as repository:
        with pytest.raises(EndlessListingError, match="a page names an earlier one"):
            await names(repository)
    assert fake_registry.count("GET", LIST) == 2


async def test_pages_have_an_end(fake_registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MAX_PAGES", 20)
    filled(fake_registry, 1)

    def onward(request: fake.Request, proceed: fake.Proceed) -> fake.Answer:
        following = int(request.query.get("page", "0")) + 1
        return proceed().with_headers(link=f'<{LIST}?page={following}>; rel="next"')

    fake_registry.on("GET", LIST, onward)
    async with opened(fake_registry) as repository:
        with pytest.raises(EndlessListingError, match="more than 20 pages"):
            await names(repository)


async def test_a_full_page_without_link_is_asked_on_with_last(fake_registry: FakeRegistry) -> None:
    tags = filled(fake_registry, 25)
    provider = Provider("ten", page_size=10)
    fake_registry.on("GET", LIST, fake.headers(link=None))
    async with opened(fake_registry, provider=provider) as repository:
        assert await names(repository) == tags
    assert [one.query.get("last") for one in fake_registry.requests] == [None, "v000009", "v000019"]


async def test_a_registry_without_paging_ends_after_one_repetition(fake_registry: FakeRegistry) -> None:
    """It has exactly `n` tags and ignores `last`."""
    tags = [f"v{number}" for number in range(10)]
    fake_registry.on("GET", LIST, fake.respond(200, {"name": "team/app", "tags": tags}))
    async with opened(fake_registry, provider=Provider("ten", page_size=10)) as repository:
        assert await names(repository) == tags
    assert fake_registry.count("GET", LIST) == 2


async def test_repetitions_in_another_order_are_repetitions(fake_registry: FakeRegistry) -> None:
    """docker-registry 2.8 ignores `n` and `last`, and gives tags in any order."""
    tags = [f"v{number}" for number in range(10)]
    fake_registry.on("GET", LIST, pages({"tags": tags}, {"tags": tags[::-1]}))
    async with opened(fake_registry, provider=Provider("ten", page_size=10)) as repository:
        assert await names(repository) == tags


async def test_a_registry_that_ignores_n_is_read_in_one(fake_registry: FakeRegistry) -> None:
    tags = [f"v{number}" for number in range(5000)]
    fake_registry.on("GET", LIST, fake.respond(200, {"tags": tags}))
    async with opened(fake_registry) as repository:
        assert await names(repository) == tags
    assert fake_registry.count("GET", LIST) == 1


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        pytest.param(None, [], id="null for none"),
        pytest.param([], [], id="none"),
        pytest.param(["a", None, "b"], ["a", "b"], id="Nexus: null among them"),
        pytest.param(["a", DIGEST], ["a"], id="Artifactory: digests among them"),
        pytest.param(["a", "b/c", "x" * 200, ".d", 7, {}], ["a"], id="what is no tag"),
        pytest.param(["sha256-" + "a" * 64], ["sha256-" + "a" * 64], id="digest tags are tags here"),
    ],
)
async def test_odd_entries_are_left_out(
    fake_registry: FakeRegistry, tags: list[object] | None, expected: list[str]
) -> None:
    fake_registry.on("GET", LIST, fake.respond(200, {"name": "team/app", "tags": tags}))
    async with opened(fake_registry) as repository:
        assert await names(repository) == expected


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        pytest.param(fake.html(), "an HTML page", id="HTML with 200"),
        pytest.param(fake.respond(200, "{"), "not JSON", id="half a document"),
        pytest.param(fake.respond(200, "[" * 100_000), "not JSON", id="nested beyond reason"),
        pytest.param(fake.respond(200, "[]"), "not a JSON object", id="a list"),
        pytest.param(fake.respond(200, {"name": "team/app"}), "without 'tags'", id="no tags"),
        pytest.param(
            fake.respond(200, {"tags": {"a": 1}}), "'tags' is not a list", id="tags of another shape"
        ),
    ],
)
async def test_what_is_no_listing_is_an_error(
    fake_registry: FakeRegistry, behaviour: fake.Behaviour, message: str
) -> None:
    fake_registry.on("GET", LIST, behaviour)
    async with opened(fake_registry) as repository:
        with pytest.raises(InvalidListingError, match=rf"team/app: .*{message}"):
            await names(repository)


async def test_a_page_beyond_the_limit_is_not_read(
    fake_registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regsync.remote.listing.MAX_PAGE_SIZE", 10_000)
    fake_registry.on("GET", LIST, fake.respond(200, {"tags": ["x" * 100] * 200}))
    async with opened(fake_registry) as repository:
        with pytest.raises(TooLargeError):
            await names(repository)


async def test_a_failure_on_a_later_page_fails_the_listing(fake_registry: FakeRegistry) -> None:
    filled(fake_registry, 25)
    fake_registry.page_size = 10
    fake_registry.on(
        "GET",
        LIST,
        lambda request, proceed: (
            proceed() if "last" not in request.query else fake.respond(500)(request, proceed)
        ),
    )
    async with opened(fake_registry) as repository:
        with pytest.raises(RegistryFailedError):
            await names(repository)


async def test_no_such_repository_raises_on_entering(fake_registry: FakeRegistry) -> None:
    async with opened(fake_registry, "absent") as repository:
        with pytest.raises(RepositoryNotFoundError, match=r"/absent: there is no such repository"):
            async with repository.tags():
                pass


@pytest.mark.parametrize(("status", "kind"), [(401, UnauthorizedError), (403, ForbiddenError)])
async def test_a_hidden_repository_may_be_an_absent_one(
    fake_registry: FakeRegistry, status: int, kind: type[Exception]
) -> None:
    fake_registry.on("GET", LIST, fake.error(status, "DENIED"))
    async with opened(fake_registry) as repository:
        with pytest.raises(kind) as caught:
            await names(repository)
    assert isinstance(caught.value, DeniedError)


@pytest.mark.parametrize(
    ("status", "code"), [(405, "UNSUPPORTED"), (405, None), (400, None), (404, "UNSUPPORTED")]
)
async def test_a_registry_that_lists_no_tags_says_so_in_a_way_that_can_be_worked_around(
    fake_registry: FakeRegistry, status: int, code: str | None
) -> None:
    fake_registry.on("GET", LIST, fake.error(status, code) if code else fake.respond(status))
    async with opened(fake_registry) as repository:
        with pytest.raises(ListingUnsupportedError, match=f"cannot be listed.*{status}") as caught:
            await names(repository)
    assert isinstance(caught.value, UnsupportedError)


async def test_a_failing_registry_is_no_absent_repository(fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET", LIST, fake.respond(503))
    async with opened(fake_registry) as repository:
        with pytest.raises(RegistryFailedError) as caught:
            await names(repository)
    assert not isinstance(caught.value, DeniedError | UnsupportedError)


GOOGLE = {
    "name": "project/app",
    "child": ["nested"],
    "tags": ["latest", "v1", "v2", "odd"],
    "manifest": {
        DIGEST: {
            "imageSizeBytes": "29536735",
            "layerId": "",
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "tag": ["v2", "latest"],
            "timeCreatedMs": "1704067200000",
            "timeUploadedMs": "1704067300000",
        },
        "sha256:" + "b" * 64: {
            "imageSizeBytes": "5",
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "tag": ["v1"],
            "timeCreatedMs": "0",
            "timeUploadedMs": "1",
        },
        "sha256:" + "c" * 64: {"mediaType": "text/plain", "tag": ["odd"]},
        "sha256:" + "d" * 64: {"mediaType": "application/vnd.oci.image.index.v1+json", "tag": []},
        "nonsense": {"mediaType": "application/vnd.oci.image.index.v1+json", "tag": ["odd"]},
        "sha256:" + "e" * 64: "nonsense",
    },
}


async def test_googles_map_shows_what_each_tag_points_to(fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET", LIST, fake.respond(200, GOOGLE))
    async with opened(fake_registry, provider=load("gar")) as repository:
        found = dict(await listed(repository))
    assert list(found) == ["latest", "v1", "v2", "odd"]
    latest, first = found[Tag("latest")], found[Tag("v1")]
    assert latest is not None
    assert first is not None
    assert (str(latest.digest), latest.media_type, latest.size) == (
        DIGEST,
        "application/vnd.oci.image.index.v1+json",
        UNKNOWN_SIZE,
    )
    assert latest.annotations == {CREATED: "2024-01-01T00:00:00Z"}
    assert first.annotations == {}  # 1970 is no time
    assert found[Tag("v2")] == latest
    assert found[Tag("odd")] is None
    assert fake_registry.requests[0].query == {"n": "10000"}


@pytest.mark.parametrize(
    "manifest", [None, [], "x", {}, {DIGEST: None}, {DIGEST: {"tag": 5, "mediaType": 5}}]
)
async def test_an_odd_map_is_no_map(fake_registry: FakeRegistry, manifest: object) -> None:
    fake_registry.on("GET", LIST, fake.respond(200, {"tags": ["a"], "manifest": manifest}))
    async with opened(fake_registry) as repository:
        assert await listed(repository) == [(Tag("a"), None)]


async def test_a_hundred_thousand_tags_take_little_memory(fake_registry: FakeRegistry) -> None:
    filled(fake_registry, 100_000)
    async with opened(fake_registry) as repository, repository.tags() as tags:
        tracemalloc.start()
        try:
            count = 0
            async for _ in tags:
                count += 1
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert count == 100_000
    assert fake_registry.count("GET", LIST) == 100
    assert peak < 20_000_000  # bytes, the fake registry's included


async def test_a_listing_may_be_left_early(fake_registry: FakeRegistry) -> None:
    fake_registry.add("team/app", image("app"), *filled(fake_registry, 30))
    fake_registry.page_size = 10
    async with opened(fake_registry) as repository, repository.tags() as tags:
        async for tag, _ in tags:
            assert tag == "v000000"
            break
    assert fake_registry.count("GET", LIST) == 1
