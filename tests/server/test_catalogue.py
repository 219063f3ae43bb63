"""The catalogue: who is asked to log in, who is told that there is nothing, and at which host."""

import json
from pathlib import Path

import pytest

from regsync.server.policy import Policy
from tests.server.asgi import Served, Users, proxied, served
from tests.server.put import put
from tests.support.clock import FrozenClock
from tests.support.fake_registry import FakeRegistry
from tests.support.images import image

pytestmark = pytest.mark.anyio
ONE = image("one")


async def listed(server: Served, query: str = "", **headers: str) -> list[str]:
    reply = await server.get(f"/v2/_catalog{query}", **headers)
    assert reply.status == 200
    found: list[str] = json.loads(reply.body)["repositories"]
    return found


async def test_who_would_see_nothing_is_asked_to_log_in(tmp_path: Path, clock: FrozenClock) -> None:
    async with served(tmp_path, clock, Policy(Users(hidden=["team/secret"]))) as server:
        for there in ([], ["team/secret"]):  # whether there is something is not told
            for name in there:
                await put(server, name, ONE, "v1")
            reply = await server.get("/v2/_catalog")
            assert reply.status == 401
            assert reply.headers["www-authenticate"] == 'Basic realm="tests"'
            assert await listed(server, x_user="alice") == there
        await put(server, "public", ONE, "v1")
        assert await listed(server) == ["public"]
        assert await listed(server, "?n=0") == []
        assert await listed(server, "?last=public") == []  # after the last page


async def test_where_nobody_can_log_in_an_empty_catalogue_is_one(tmp_path: Path, clock: FrozenClock) -> None:
    async with served(tmp_path, clock) as server:
        assert await listed(server) == []


@pytest.mark.parametrize(
    "target", ["_catalog", "_regsync/state", "_regsync/state?depth=1", "team/app/_regsync/state"]
)
async def test_under_the_name_of_an_upstream_nothing_of_ours_is_listed(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry, target: str
) -> None:
    async with proxied(tmp_path, clock, fake_registry, host="hub.example.com") as server:
        await put(server, "team/app", ONE, "v1")
        assert (await server.get(f"/v2/{target}", host="hub.example.com.:5000")).status == 404
