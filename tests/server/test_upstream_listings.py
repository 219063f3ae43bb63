"""Tags and referrers of an upstream: asked for at most once in their time, else those that are here."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from regsync.server.access import Action
from regsync.server.upstream_listings import Remembered
from regsync.spec.server import FirstPull
from tests.server.asgi import Served, Users, proxied
from tests.support.clock import FrozenClock
from tests.support.fake_registry import FakeRegistry, drop, error, respond
from tests.support.images import image, referrer

pytestmark = pytest.mark.anyio
LISTS = r"/v2/.*/tags/list"
APP = image("app")
TAGS = "/v2/hub/team/app/tags/list"


async def tags(server: Served, target: str = TAGS, **headers: str) -> Any:
    reply = await server.get(target, **headers)
    assert reply.status == 200, reply.body
    return json.loads(reply.body)["tags"]


async def test_tags_are_those_of_the_upstream_in_the_order_of_their_bytes(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    fake_registry.add("team/app", APP, "b", "a", "B", "c")
    fake_registry.page_size = 2
    async with proxied(tmp_path, clock, fake_registry) as server:
        assert await tags(server) == ["B", "a", "b", "c"]
        first = await server.get(f"{TAGS}?n=3")
        assert json.loads(first.body)["tags"] == ["B", "a", "b"]
        assert first.headers["link"] == f'<{TAGS}?n=3&last=b>; rel="next"'
        assert await tags(server, f"{TAGS}?n=3&last=b") == ["c"]
        assert await tags(server, f"{TAGS}?n=0") == []
    assert fake_registry.count(path=LISTS) == 2  # the pages of one listing, once


async def test_a_listing_is_asked_for_again_when_its_time_is_over(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    fake_registry.add("team/app", APP, "v1")
    async with proxied(tmp_path, clock, fake_registry, max_age=60) as server:
        assert await tags(server) == ["v1"]
        fake_registry.add("team/app", APP, "v2")
        assert await tags(server) == ["v1"]
        clock.advance(61)
        assert await tags(server) == ["v1", "v2"]


async def test_twenty_who_ask_at_once_ask_the_upstream_once(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    fake_registry.add("team/app", APP, "v1")
    async with proxied(tmp_path, clock, fake_registry) as server, anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(tags, server)
            group.start_soon(server.get, "/v2/hub/team/app/manifests/v1")
    assert fake_registry.count(path=LISTS) == 1
    assert fake_registry.count(path=r"/v2/.*/manifests/.*") == 1


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(respond(503), id="503"),
        pytest.param(drop(), id="no answer"),
        pytest.param(error(405, "UNSUPPORTED"), id="a registry that lists no tags"),
        pytest.param(respond(200, b"[]"), id="nonsense"),
    ],
)
async def test_where_the_upstream_cannot_list_what_is_here_is_listed_with_a_warning(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry, trouble: Any
) -> None:
    fake_registry.add("team/app", APP, "v1", "v2")
    async with proxied(tmp_path, clock, fake_registry) as server:
        await server.get("/v2/hub/team/app/manifests/v1")
        fake_registry.on("GET", LISTS, trouble)
        reply = await server.get(TAGS)
        assert json.loads(reply.body)["tags"] == ["v1"]
        assert reply.headers["warning"].startswith('299 - "registry.example cannot be asked now; ')


async def test_a_repository_that_the_upstream_does_not_have_is_not_here_either(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    async with proxied(tmp_path, clock, fake_registry) as server:
        reply = await server.get(TAGS)
    assert (reply.status, b"NAME_UNKNOWN" in reply.body) == (404, True)


async def test_for_who_is_not_logged_in_nothing_is_asked(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    fake_registry.add("team/app", APP, "v1", "v2")
    options = {"access": Users(Action.PUSH), "first_pull": FirstPull.AUTHENTICATED}
    async with proxied(tmp_path, clock, fake_registry, **options) as server:
        await server.get("/v2/hub/team/app/manifests/v1", x_user="alice")
        fake_registry.forget()
        assert await tags(server) == ["v1"]
        assert fake_registry.requests == []
        assert await tags(server, x_user="alice") == ["v1", "v2"]


async def test_on_a_host_of_the_upstream_links_have_the_name_that_was_asked_for(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    fake_registry.add("team/app", APP, "v1", "v2")
    async with proxied(tmp_path, clock, fake_registry, host="hub.example.com") as server:
        reply = await server.get("/v2/team/app/tags/list?n=1", host="hub.example.com")
        assert json.loads(reply.body) == {"name": "team/app", "tags": ["v1"]}
        assert reply.headers["link"].startswith("</v2/team/app/tags/list?")
        assert (await server.get("/v2/_catalog", host="hub.example.com")).status == 404


async def test_referrers_are_those_of_the_upstream_and_are_fetched_when_they_are_pulled(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    sbom = referrer(APP, artifact_type="application/spdx+json", data=b"{}")
    fake_registry.add("team/app", APP, "v1")
    fake_registry.add("team/app", sbom)
    target = f"/v2/hub/team/app/referrers/{APP.digest}"
    async with proxied(tmp_path, clock, fake_registry) as server:
        found = json.loads((await server.get(target)).body)["manifests"]
        assert [(one["digest"], one["artifactType"]) for one in found] == [
            (sbom.digest, "application/spdx+json")
        ]
        other = await server.get(f"{target}?artifactType=text/plain")
        assert json.loads(other.body)["manifests"] == []
        assert other.headers["oci-filters-applied"] == "artifactType"
        assert (await server.get(f"/v2/hub/team/app/manifests/{sbom.digest}")).body == sbom.data
        fake_registry.on(".*", ".*", respond(503))
        clock.advance(61)
        here = await server.get(target)
        assert [one["digest"] for one in json.loads(here.body)["manifests"]] == [sbom.digest]
        assert "warning" in here.headers


async def test_a_referrer_with_huge_annotations_is_not_passed_on(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    sbom = referrer(APP, artifact_type="application/spdx+json", data=b"{}", annotations={"a": "x" * 100_000})
    fake_registry.add("team/app", APP, "v1")
    fake_registry.add("team/app", sbom)
    async with proxied(tmp_path, clock, fake_registry) as server:
        reply = await server.get(f"/v2/hub/team/app/referrers/{APP.digest}")
    assert json.loads(reply.body)["manifests"] == []
    assert "warning" in reply.headers


async def test_what_is_remembered_has_an_end_in_bytes_and_in_time(
    clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regsync.server.upstream_listings.MAX_KEPT", 1_000_000)
    remembered: Remembered[int, str] = Remembered(clock, len)
    asked: list[int] = []

    async def get(key: int) -> None:
        async def ask() -> list[str]:
            asked.append(key)
            return ["x" * 100_000]

        await remembered.get(key, 60, ask)

    for key in range(50):
        await get(key)
        assert remembered.size <= 1_000_000
    await get(49)
    await get(0)
    assert asked == [*range(50), 0]  # the last is known, the first no more
    clock.advance(61)
    await get(100)
    assert remembered.size < 110_000
