"""Manifests of an upstream: fetched once, kept as new as promised, served when it is down."""

from pathlib import Path
from typing import Any

import pytest

from regsync.server.access import Action, AnonymousAccess
from regsync.server.audit_record import record
from regsync.server.garbage import Collected
from regsync.server.metrics import RequestMetrics
from regsync.server.upstream_manifests import MISSING_FOR, SILENT_FOR
from regsync.spec.server import FirstPull
from tests.server.asgi import Users, proxied
from tests.support.clock import FrozenClock
from tests.support.fake_registry import FakeRegistry, body, drop, error, html, respond
from tests.support.images import image, index, sha256

pytestmark = pytest.mark.anyio
MANIFESTS = r"/v2/.*/manifests/.*"
APP = "/v2/hub/team/app/manifests"


async def test_a_tag_is_fetched_when_it_is_first_pulled(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    app = fake_registry.add("team/app", image("app"), "v1")
    async with proxied(tmp_path, clock, fake_registry) as server:
        reply = await server.get(f"{APP}/v1")
        again = await server.get(f"{APP}/v1")
    assert (reply.status, reply.body, again.body) == (200, app.data, app.data)
    assert reply.headers["content-type"] == app.media_type
    assert reply.headers["docker-content-digest"] == app.digest
    assert reply.headers["oci-namespace"] == "registry.example"
    assert [one.method for one in fake_registry.matching(path=MANIFESTS)] == ["GET"]


async def test_an_index_comes_without_its_manifests_and_each_of_them_when_it_is_pulled(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    child = image("amd64", arch="amd64")
    fake_registry.add("team/app", index(child, image("arm64", arch="arm64")), "v1")
    async with proxied(tmp_path, clock, fake_registry) as server:
        assert (await server.get(f"{APP}/v1")).status == 200
        assert (await server.get(f"{APP}/{child.digest}")).body == child.data
        assert (await server.get(f"{APP}/{child.digest}")).body == child.data
    assert fake_registry.count("GET", MANIFESTS) == 2


async def test_a_tag_is_asked_for_again_by_head_when_its_time_is_over(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    fake_registry.add("team/app", image("old"), "v1")
    async with proxied(tmp_path, clock, fake_registry, max_age=60) as server:
        await server.get(f"{APP}/v1")
        clock.advance(61)
        await server.get(f"{APP}/v1")
        await server.get(f"{APP}/v1")
        assert [one.method for one in fake_registry.matching(path=MANIFESTS)] == ["GET", "HEAD"]
        new = fake_registry.add("team/app", image("new"), "v1")
        assert (await server.get(f"{APP}/v1")).body != new.data  # as promised, not newer
        clock.advance(61)
        assert (await server.head(f"{APP}/v1")).headers["docker-content-digest"] == new.digest
        assert (await server.get(f"{APP}/v1")).body == new.data
    assert [one.method for one in fake_registry.matching(path=MANIFESTS)] == ["GET", "HEAD", "HEAD", "GET"]


async def test_a_tag_that_may_not_move_is_not_asked_for_again(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    old = fake_registry.add("team/app", image("old"), "v1")
    async with proxied(tmp_path, clock, fake_registry) as server:
        policy = server.app.policy
        server.app.policy = type(policy)(policy.access, lambda name, tag: True, upstreams=policy.upstreams)
        await server.get(f"{APP}/v1")
        fake_registry.add("team/app", image("new"), "v1")
        clock.advance(3600)
        assert (await server.get(f"{APP}/v1")).body == old.data
    assert fake_registry.count(path=MANIFESTS) == 1


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        pytest.param(respond(503), "it answered with 503", id="503"),
        pytest.param(error(403, "DENIED", "ask ops@internal"), "it answered with 403", id="403"),
        pytest.param(drop(), "it did not answer", id="no answer"),
        pytest.param(respond(200, b"no manifest"), "what it answers cannot be used", id="nonsense"),
    ],
)
async def test_clients_are_told_no_address_of_the_upstream_nor_its_words(
    tmp_path: Path,
    clock: FrozenClock,
    fake_registry: FakeRegistry,
    caplog: pytest.LogCaptureFixture,
    trouble: Any,
    said: str,
) -> None:
    app, address = image("app"), fake_registry.host
    fake_registry.add("team/app", app, "v1")
    async with proxied(tmp_path, clock, fake_registry, max_age=0) as server:
        await server.get(f"{APP}/v1")
        fake_registry.on(".*", ".*", trouble)
        replies = [
            await server.get(target)
            for target in (
                f"{APP}/v2",
                f"{APP}/v1",
                "/v2/hub/team/app/tags/list",
                f"/v2/hub/team/app/referrers/{app.digest}",
                f"/v2/hub/team/app/blobs/{sha256(app.blobs[0])}",
            )
        ]
    for reply in replies:
        shown = f"{reply.headers} {reply.body.decode()}"
        assert address not in shown
        assert "ops@internal" not in shown
    assert said in replies[0].body.decode()
    assert address in caplog.text


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(respond(503), id="503"),
        pytest.param(error(429, "TOOMANYREQUESTS", retry_after="1"), id="429"),
        pytest.param(drop(), id="no answer"),
        pytest.param(error(401, "UNAUTHORIZED"), id="credentials that ended"),
        pytest.param(html(), id="a portal's web page"),
    ],
)
async def test_what_is_there_is_served_with_a_warning_while_the_upstream_cannot_be_asked(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry, trouble: Any
) -> None:
    app = fake_registry.add("team/app", image("app"), "v1")
    async with proxied(tmp_path, clock, fake_registry, max_age=60, max_stale=3600) as server:
        await server.get(f"{APP}/v1")
        clock.advance(61)
        fake_registry.on(".*", ".*", trouble)
        reply = await server.get(f"{APP}/v1")
        assert (reply.status, reply.body) == (200, app.data)
        assert reply.headers["warning"].startswith('299 - "registry.example cannot be asked now; ')
        clock.advance(3600)
        late = await server.get(f"{APP}/v1")
        assert late.status in (404, 502, 503)  # copies are not served for ever
        fake_registry.behave()
        clock.advance(61)
        reply = await server.get(f"{APP}/v1")
        assert (reply.status, reply.headers.get("warning")) == (200, None)


async def test_an_upstream_that_failed_is_left_in_peace_for_a_moment(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    fake_registry.add("team/app", image("app"), "v1")
    async with proxied(tmp_path, clock, fake_registry, max_age=60) as server:
        await server.get(f"{APP}/v1")
        clock.advance(61)
        fake_registry.on(".*", ".*", respond(503))
        await server.get(f"{APP}/v1")
        fake_registry.forget()
        assert "warning" in (await server.get(f"{APP}/v1")).headers
        assert fake_registry.requests == []
        clock.advance(SILENT_FOR)
        await server.get(f"{APP}/v1")
        assert fake_registry.requests != []


async def test_what_the_upstream_does_not_have_is_404_and_asked_for_again_soon(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    fake_registry.add("team/app", image("app"), "v1")
    async with proxied(tmp_path, clock, fake_registry) as server:
        for _ in range(3):
            reply = await server.get(f"{APP}/v2")
            assert reply.status == 404
            assert b"MANIFEST_UNKNOWN" in reply.body
        assert fake_registry.count(path=MANIFESTS) == 1
        fake_registry.add("team/app", image("two"), "v2")
        clock.advance(MISSING_FOR)
        assert (await server.get(f"{APP}/v2")).status == 200


async def test_a_tag_that_was_deleted_at_the_upstream_is_gone_here_also_when_that_is_down(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    fake_registry.add("team/app", image("app"), "v1")
    async with proxied(tmp_path, clock, fake_registry, max_age=60) as server:
        await server.get(f"{APP}/v1")
        del fake_registry.repositories["team/app"].tags["v1"]
        clock.advance(61)
        assert (await server.get(f"{APP}/v1")).status == 404
        fake_registry.on(".*", ".*", respond(503))
        clock.advance(61)
        assert (await server.get(f"{APP}/v1")).status in (404, 503)


@pytest.mark.parametrize(
    ("lie", "status"),
    [
        pytest.param(body(b'{"schemaVersion": 2}'), 502, id="another manifest than the digest's"),
        pytest.param(html(), 502, id="a web page"),
        pytest.param(respond(503), 503, id="503"),
        pytest.param(error(401, "UNAUTHORIZED"), 404, id="401, as Docker Hub says of what is not there"),
    ],
)
async def test_what_cannot_be_had_is_an_error_and_leaves_nothing(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry, lie: Any, status: int
) -> None:
    app = fake_registry.add("team/app", image("app"), "v1")
    async with proxied(tmp_path, clock, fake_registry) as server:
        fake_registry.on("GET", MANIFESTS, lie)
        reply = await server.get(f"{APP}/{app.digest}")
        assert reply.status == status
        assert b"errors" in reply.body
        assert (status == 503) == ("retry-after" in reply.headers)
        assert await server.store.repositories() == []


async def test_only_who_is_logged_in_makes_the_server_fetch(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    app = fake_registry.add("team/app", image("app"), "v1")
    options = {"access": Users(Action.PUSH), "first_pull": FirstPull.AUTHENTICATED}
    async with proxied(tmp_path, clock, fake_registry, **options) as server:
        refused = await server.get(f"{APP}/v1")
        assert (refused.status, fake_registry.requests) == (401, [])
        assert refused.headers["www-authenticate"]
        assert (await server.get(f"{APP}/v1", x_user="alice")).body == app.data
        fake_registry.forget()
        clock.advance(3600)
        assert (await server.get(f"{APP}/v1")).body == app.data  # as it was when it was last asked for
        blob = next(iter(app.all_blobs()))
        assert (await server.get(f"/v2/hub/team/app/blobs/{blob}")).status == 401
        assert fake_registry.requests == []


async def test_nothing_is_fetched_while_the_server_is_read_only(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    fake_registry.add("team/app", image("app"), "v1")
    async with proxied(tmp_path, clock, fake_registry) as server:
        policy = server.app.policy
        server.app.policy = type(policy)(policy.access, read_only=True, upstreams=policy.upstreams)
        assert (await server.get(f"{APP}/v1")).status == 404
    assert fake_registry.requests == []


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PUT", f"{APP}/v1"),
        ("POST", "/v2/hub/team/app/blobs/uploads/"),
        ("PATCH", "/v2/hub/team/app/blobs/uploads/0123"),
        ("GET", "/v2/hub/team/app/blobs/uploads/0123"),
    ],
)
async def test_nothing_is_pushed_into_a_repository_of_an_upstream(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry, method: str, target: str
) -> None:
    async with proxied(tmp_path, clock, fake_registry) as server:
        reply = await server.client(method, target).run()
    assert reply.status == 405
    assert b"push it there" in reply.body


async def test_what_was_fetched_can_be_deleted_and_is_fetched_again(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    app = fake_registry.add("team/app", image("app"), "v1")
    async with proxied(tmp_path, clock, fake_registry) as server:
        await server.get(f"{APP}/v1")
        assert (await server.client("DELETE", f"{APP}/{app.digest}").run()).status == 202
        assert (await server.get(f"{APP}/v1")).body == app.data
    assert fake_registry.count("GET", MANIFESTS) == 2


async def test_audit_and_metrics_are_told_what_was_done_at_the_upstream(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    app = fake_registry.add("team/app", image("app"), "v1")
    async with proxied(tmp_path, clock, fake_registry, max_age=60, host="hub.example.com") as server:
        await server.get("/v2/team/app/manifests/v1", host="hub.example.com")
        await server.get(f"{APP}/v1")
        clock.advance(61)
        await server.get(f"{APP}/v1")
        fake_registry.on(".*", ".*", respond(503))
        clock.advance(61)
        await server.get(f"{APP}/v1")
        await server.get(f"{APP}/v2")
        await server.get("/v2/team/other/manifests/v1")
        done = [one.pulled.outcome.value if one.pulled else None for one in server.exchanges]
        assert done == ["fetched", "here", "checked", "stale", "failed", None]
        first, *others = [record(one) for one in server.exchanges]
        assert first is not None
        assert (first["event"], first["repository"], first["tags"]) == ("fetch", "hub/team/app", ["v1"])
        assert (first["digest"], first["outcome"]) == (app.digest, "done")
        assert others == [None] * 5
        metrics = RequestMetrics(Collected())
        for one in server.exchanges:
            metrics.answered(one)
        assert metrics.pulls == {("hub", word): 1 for word in done if word is not None}


@pytest.mark.parametrize(
    ("method", "event"),
    [
        pytest.param("GET", "pull", id="a pull"),
        pytest.param("PUT", "push-manifest", id="a push"),
        pytest.param("DELETE", "delete-tag", id="a deletion"),
    ],
)
async def test_what_is_denied_at_the_host_of_an_upstream_is_recorded_under_its_name_here(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry, method: str, event: str
) -> None:
    nobody = AnonymousAccess(set())
    async with proxied(tmp_path, clock, fake_registry, access=nobody, host="hub.example.com") as server:
        reply = await server.client(method, "/v2/team/app/manifests/v1", host="hub.example.com").run()
    found = record(server.exchanges[-1])
    assert found is not None
    assert (reply.status, found["event"], found["repository"]) == (403, event, "hub/team/app")


async def test_after_a_restart_the_copy_is_served_though_the_upstream_is_down(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    app = fake_registry.add("team/app", image("app"), "v1")
    async with proxied(tmp_path, clock, fake_registry) as server:
        await server.get(f"{APP}/v1")
    fake_registry.on(".*", ".*", drop())
    async with proxied(tmp_path, clock, fake_registry) as server:
        reply = await server.get(f"{APP}/v1")
    assert (reply.body, "warning" in reply.headers) == (app.data, True)


async def test_docker_comes_to_a_host_of_its_own_and_containerd_says_which_registry_it_means(
    tmp_path: Path, clock: FrozenClock, fake_registry: FakeRegistry
) -> None:
    app = fake_registry.add("team/app", image("app"), "v1")
    async with proxied(tmp_path, clock, fake_registry, host="hub.example.com") as server:
        assert (await server.get("/v2/team/app/manifests/v1")).status == 404
        by_host = await server.get("/v2/team/app/manifests/v1", host="hub.example.com:5000")
        by_query = await server.get("/v2/team/app/manifests/v1?ns=registry.example")
        other = await server.get("/v2/team/app/manifests/v1?ns=other.example")
    assert (by_host.body, by_query.body, other.status) == (app.data, app.data, 404)
    assert by_query.headers["oci-namespace"] == "registry.example"
    assert "oci-namespace" not in other.headers
