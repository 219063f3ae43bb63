"""The state endpoint: one digest for what two registries should have in common."""

import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from regsync.oci.reference import RepositoryName
from regsync.report.schemas import SCHEMAS
from regsync.server.access import Action, Principal
from regsync.server.asks import Asks
from regsync.server.failures import ApiError
from regsync.server.policy import Policy
from regsync.server.states import States
from tests.server.asgi import Served, Users, served
from tests.server.exchanges import request
from tests.server.put import put
from tests.support.clock import FrozenClock
from tests.support.images import Content, image, referrer

pytestmark = pytest.mark.anyio
ONE, TWO = image("one"), image("two")
ONE_LINE = {"mediaType": ONE.media_type}
NONE = "sha256:" + hashlib.sha256().hexdigest()


def lines(*pairs: tuple[str, str]) -> str:
    """What docs/server.md says that a digest is."""
    return "sha256:" + hashlib.sha256("".join(f"{a} {b}\n" for a, b in pairs).encode()).hexdigest()


def tagged(**tags: Content) -> str:
    return lines(*sorted((tag, content.digest) for tag, content in tags.items()))


async def state(server: Served, target: str) -> dict[str, Any]:
    reply = await server.get(target)
    assert reply.status == 200, reply.body
    assert reply.headers["content-type"] == "application/json"
    document: dict[str, Any] = json.loads(reply.body)
    jsonschema.validate(document, SCHEMAS["state"]())
    assert reply.headers["etag"] == f'W/"{document["digest"]}"'
    return document


async def test_a_repository_shows_each_tag_and_one_digest_over_all(
    tmp_path: Path, clock: FrozenClock
) -> None:
    async with served(tmp_path, clock) as server:
        await put(server, "team/app", ONE, "v2", "v1")
        clock.advance(60)
        await put(server, "team/app", TWO, "latest")
        shown = await state(server, "/v2/team/app/_regsync/state")
    assert shown == {
        "apiVersion": "regsync.dev/v1",
        "kind": "RepositoryState",
        "name": "team/app",
        "digest": tagged(v1=ONE, v2=ONE, latest=TWO),
        "referrers": NONE,
        "tagCount": 3,
        "tags": {
            "latest": {
                **ONE_LINE,
                "digest": TWO.digest,
                "size": TWO.size,
                "pushedAt": "2026-01-01T12:01:00Z",
            },
            "v1": {**ONE_LINE, "digest": ONE.digest, "size": ONE.size, "pushedAt": "2026-01-01T12:00:00Z"},
            "v2": {**ONE_LINE, "digest": ONE.digest, "size": ONE.size, "pushedAt": "2026-01-01T12:00:00Z"},
        },
    }


async def test_what_has_a_subject_has_a_digest_of_its_own(tmp_path: Path, clock: FrozenClock) -> None:
    signature, sbom = (referrer(ONE, artifact_type=f"application/{name}") for name in ("sig", "sbom"))
    async with served(tmp_path, clock) as server:
        await put(server, "team/app", ONE, "v1")
        bare = await state(server, "/v2/team/app/_regsync/state")
        await put(server, "team/app", signature)
        await put(server, "team/app", sbom)
        shown = await state(server, "/v2/team/app/_regsync/state")
        above = await state(server, "/v2/team/_regsync/state?depth=1")
    expected = lines(*sorted((ONE.digest, one.digest) for one in (signature, sbom)))
    assert (bare["referrers"], shown["referrers"]) == (NONE, expected)
    assert shown["digest"] == bare["digest"]
    assert above["children"]["app"]["referrers"] == expected
    assert above["referrers"] == lines(("app", expected))


async def test_the_same_content_has_the_same_digest_whenever_and_wherever_it_was_pushed(
    tmp_path: Path, clock: FrozenClock
) -> None:
    async with served(tmp_path / "a", clock) as here, served(tmp_path / "b", clock) as there:
        await put(here, "team/app", ONE, "v1")
        await put(here, "team/app", TWO, "v2")
        clock.advance(3600)
        await put(there, "mirror/x/app", TWO, "v2", "v3")
        await put(there, "mirror/x/app", ONE, "v1")
        mine = await state(here, "/v2/team/app/_regsync/state")
        theirs = await state(there, "/v2/mirror/x/app/_regsync/state")
        assert mine["digest"] != theirs["digest"]
        assert (await there.client("DELETE", "/v2/mirror/x/app/manifests/v3").run()).status == 202
        theirs = await state(there, "/v2/mirror/x/app/_regsync/state")
        assert mine["digest"] == theirs["digest"]
        mine = await state(here, "/v2/team/_regsync/state?depth=0")
        theirs = await state(there, "/v2/mirror/x/_regsync/state?depth=0")
        assert mine["digest"] == theirs["digest"]


async def test_who_has_the_state_is_told_that_it_is_unchanged(tmp_path: Path, clock: FrozenClock) -> None:
    async with served(tmp_path, clock) as server:
        await put(server, "team/app", ONE, "v1")
        for target in ("/v2/team/app/_regsync/state", "/v2/team/_regsync/state?depth=1"):
            tag = (await server.get(target)).headers["etag"]
            same = await server.get(target, if_none_match=tag)
            assert (same.status, same.body) == (304, b"")
        await put(server, "team/app", TWO, "v1")
        assert (await server.get("/v2/team/_regsync/state?depth=1", if_none_match=tag)).status == 200


async def test_a_name_rolls_up_what_is_at_it_and_below(tmp_path: Path, clock: FrozenClock) -> None:
    async with served(tmp_path, clock) as server:
        for name in ("team", "team/app", "team/app/base", "team/app-x", "team0", "te"):
            await put(server, name, ONE, "v1")
        await put(server, "team/none", ONE)  # no tag
        one = tagged(v1=ONE)
        app = lines((".", one), ("base", one))
        shown = await state(server, "/v2/team/_regsync/state?depth=1")
        assert shown == {
            "apiVersion": "regsync.dev/v1",
            "kind": "NamespaceState",
            "name": "team",
            "depth": 1,
            "digest": lines((".", one), ("app", one), ("app-x", one), ("app/base", one)),
            "referrers": lines((".", NONE), ("app", NONE), ("app-x", NONE), ("app/base", NONE)),
            "repositories": 4,
            "tagCount": 4,
            "children": {
                ".": {"digest": one, "referrers": NONE, "repositories": 1, "tagCount": 1},
                "app": {
                    "digest": app,
                    "referrers": lines((".", NONE), ("base", NONE)),
                    "repositories": 2,
                    "tagCount": 2,
                },
                "app-x": {"digest": one, "referrers": NONE, "repositories": 1, "tagCount": 1},
            },
        }
        assert (await state(server, "/v2/team/app/_regsync/state?depth=0"))["digest"] == app
        deeper = await state(server, "/v2/team/_regsync/state?depth=2")
        assert set(deeper["children"]) == {".", "app", "app-x", "app/base"}
        assert "children" not in await state(server, "/v2/team/_regsync/state?depth=0")
        whole = await state(server, "/v2/_regsync/state?depth=1")
        assert set(whole["children"]) == {"te", "team", "team0"}
        assert whole["children"]["team"]["digest"] == shown["digest"]


async def test_long_states_come_in_pages_with_one_digest(tmp_path: Path, clock: FrozenClock) -> None:
    async with served(tmp_path, clock) as server:
        tags = [f"v{number:03}" for number in range(25)]
        await put(server, "team/app", ONE, *tags)
        found: list[str] = []
        digests = set()
        target = "/v2/team/app/_regsync/state?n=10"
        while target:
            reply = await server.get(target)
            document = json.loads(reply.body)
            found += document["tags"]
            digests.add(document["digest"])
            target = reply.headers.get("link", "").partition(">")[0].lstrip("<")
        assert (found, len(digests)) == (tags, 1)
        for name in ("a", "b", "c"):
            await put(server, f"many/{name}", ONE, "v1")
        first = await server.get("/v2/many/_regsync/state?depth=1&n=2")
        assert first.headers["link"] == '</v2/many/_regsync/state?depth=1&n=2&last=b>; rel="next"'
        second = await state(server, "/v2/many/_regsync/state?depth=1&n=2&last=b")
        assert set(second["children"]) == {"c"}


async def test_what_a_client_may_not_pull_is_left_out_as_if_it_were_not_there(
    tmp_path: Path, clock: FrozenClock
) -> None:
    policy = Policy(Users(hidden=["team/secret", "team/secret/below", "secret"]))
    async with served(tmp_path, clock, policy) as server:
        await put(server, "team/app", ONE, "v1")
        rolled_up = ("/v2/team/_regsync/state?depth=1", "/v2/_regsync/state?depth=2")
        before = [(await server.get(target)).body for target in rolled_up]
        for name in ("team/secret", "team/secret/below"):
            await put(server, name, TWO, "v1")
        assert [(await server.get(target)).body for target in rolled_up] == before
        shown = json.loads((await server.get(rolled_up[0], x_user="alice")).body)
        assert set(shown["children"]) == {"app", "secret"}
        below = "_regsync/state?depth=0"
        refused = [await server.get(f"/v2/{name}/{below}") for name in ("team/secret", "secret", "nothing")]
        assert [one.status for one in refused] == [401] * 3  # whether it is there is not told
        assert (await server.get("/v2/team/secret/_regsync/state")).status == 401
        assert (await server.get("/v2/team/secret/_regsync/state", x_user="alice")).status == 200


class Nobody(Users):
    """Who logged in may pull nothing either."""

    def allows(self, principal: Principal, action: Action, name: RepositoryName) -> bool:
        return False


async def test_for_who_may_pull_nothing_there_no_tag_is_read(
    tmp_path: Path, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regsync.server.states.states_below", lambda *_, **__: pytest.fail("it was computed"))
    async with served(tmp_path, clock, Policy(Nobody())) as server:
        await put(server, "team/app", ONE, "v1")
        targets = ("/v2/team/_regsync/state?depth=0", "/v2/none/_regsync/state?depth=0")
        assert [(await server.get(one)).status for one in targets] == [401, 401]
        assert [(await server.get(one, x_user="bob")).status for one in targets] == [404, 404]
        assert (await server.get("/v2/_regsync/state?depth=0")).status == 401


async def test_what_is_asked_for_in_vain_is_not_remembered(tmp_path: Path, clock: FrozenClock) -> None:
    async with served(tmp_path, clock) as server:
        await put(server, "team/app", ONE, "v1")
        states = States(server.store)
        for number in range(10):
            asks = Asks(request(query="depth=0"), Principal(), server.app.policy)
            with pytest.raises(ApiError, match="nothing"):
                await states.namespace(asks, f"none/{number}")
            with pytest.raises(ApiError, match="no repository"):
                await states.repository(asks.request, RepositoryName(f"none/{number}"))
        assert states.kept == 0
        await states.namespace(asks, "team")
        assert states.kept == 1


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/v2/team/none/_regsync/state", 404),
        ("/v2/team/none/_regsync/state?depth=0", 404),
        ("/v2/team/app/_regsync/state?depth=-1", 400),
        ("/v2/team/app/_regsync/state?depth=33", 400),
        ("/v2/team/app/_regsync/state?n=x", 400),
        ("/v2/Team/_regsync/state?depth=1", 400),
        ("/v2/_regsync/state", 400),
    ],
)
async def test_what_makes_no_sense_is_refused(
    tmp_path: Path, clock: FrozenClock, target: str, status: int
) -> None:
    async with served(tmp_path, clock) as server:
        await put(server, "team/app", ONE, "v1")
        assert (await server.get(target)).status == status
        assert (await server.client("PUT", "/v2/team/app/_regsync/state").run()).status == 405


async def test_a_repository_without_tags_has_the_state_of_nothing(tmp_path: Path, clock: FrozenClock) -> None:
    async with served(tmp_path, clock) as server:
        await put(server, "team/app", ONE)
        shown = await state(server, "/v2/team/app/_regsync/state")
        assert (shown["digest"], shown["tags"]) == (lines(), {})
        assert (await server.get("/v2/team/_regsync/state?depth=0")).status == 404
        assert RepositoryName("team/app") in await server.store.repositories()
