"""Sources that are gone, empty, forbidden, slow, wrong or lying: a clear outcome, and the rest goes on."""

import json
from collections.abc import Callable

import pytest

from tests.integration.workspace import Ran, Workspace
from tests.support.fake_registry import (
    Behaviour,
    FakeRegistry,
    body,
    cut_after,
    error,
    html,
    respond,
    slow,
)
from tests.support.images import blob_descriptor, image, index, noise
from tests.support.registry_state import read_digest, read_repository, read_tags
from tests.support.servers import RegistryServer
from tests.support.toxiproxy import Toxiproxy


def messages(ran: Ran) -> str:
    return " | ".join(one["problem"]["message"] for one in ran.actions if one.get("problem"))


@pytest.fixture
def mirrored(
    workspace: Workspace, fake_registry: FakeRegistry, distribution: RegistryServer, repository: str
) -> Workspace:
    """A mirror of a fake source with `bad:v1` and `good:v1` into distribution; the good one has to arrive."""
    fake_registry.add("bad", image("bad"), "v1")
    fake_registry.add("good", image("good"), "v1")
    workspace.registry("source", fake_registry.url).registry("target", distribution.url)
    for name in ("bad", "good"):
        workspace.mirror(name, f"source/{name}", f"target/{repository}/{name}", tags=["v*"])
    return workspace


@pytest.mark.parametrize(
    ("path", "behaviour", "code", "says"),
    [
        (r"/v2/bad/.*", error(404, "NAME_UNKNOWN"), 1, "bad"),
        (r"/v2/bad/.*", error(403, "DENIED"), 1, "403"),
        (r"/v2/bad/.*", html(), 1, "html"),
        (r"/v2/bad/manifests/.*", html(), 1, "web page"),
        (r"/v2/bad/tags/list", respond(200, {"name": "bad", "tags": None}), 1, "atleast"),
        (r"/v2/bad/tags/list", respond(200, b'{"tags": ["v1"'), 1, "not json"),
        (r"/v2/bad/tags/list", respond(200, b"[" * 100_000), 1, "not json"),
        (r"/v2/bad/manifests/.*", body(b"{}"), 1, "sha256"),
        (r"/v2/bad/manifests/.*", body(lambda data: data + b" " * 5_000_000), 1, "4194304"),
        (r"/v2/bad/blobs/.*", body(lambda data: b"X" * len(data)), 1, "sha256"),
        (r"/v2/bad/blobs/.*", body(lambda data: data + b"more"), 1, "sha256"),
        (r"/v2/bad/blobs/.*", error(404, "BLOB_UNKNOWN"), 1, "sha256"),
    ],
    ids=[
        "gone", "forbidden", "html", "html-manifest", "no-tags", "broken-json", "deep-json",
        "other-manifest", "huge-manifest", "other-blob", "longer-blob", "no-blob",
    ],
)  # fmt: skip
def test_a_bad_repository_is_told_and_the_good_one_arrives(
    mirrored: Workspace,
    fake_registry: FakeRegistry,
    distribution: RegistryServer,
    repository: str,
    path: str,
    behaviour: Behaviour,
    code: int,
    says: str,
) -> None:
    fake_registry.on("GET|HEAD", path, behaviour)
    ran = mirrored.run("sync").exited(code)
    assert ran.summary == {"create": 1, "failed": 1}, str(ran)
    assert says in messages(ran).lower(), messages(ran)
    assert read_tags(distribution.url, f"{repository}/bad") == []
    assert read_repository(distribution.url, f"{repository}/good").complete
    assert read_tags(distribution.url, f"{repository}/good") == ["v1"]
    fake_registry.behave()
    assert mirrored.run("sync").exited(0).summary == {"create": 1, "unchanged": 1}
    assert read_repository(distribution.url, f"{repository}/bad").complete


def test_rate_limited_for_minutes_is_deferred_at_once(
    mirrored: Workspace, fake_registry: FakeRegistry
) -> None:
    limited = error(429, "TOOMANYREQUESTS", retry_after="900")
    fake_registry.on("GET", r"/v2/bad/manifests/.*", limited)
    ran = mirrored.run("sync").exited(75)
    # The registry limits everyone who asks for manifests: whoever comes after is deferred too.
    assert ran.summary in ({"deferred": 2}, {"create": 1, "deferred": 1}), str(ran)
    assert ran.seconds < 20
    assert fake_registry.count("GET", r"/v2/bad/manifests/.*") == 1


def test_a_short_wait_that_is_asked_for_is_kept_and_then_it_works(
    mirrored: Workspace, fake_registry: FakeRegistry
) -> None:
    limited = error(429, "TOOMANYREQUESTS", retry_after="1")
    fake_registry.on("GET", r"/v2/bad/manifests/.*", limited, times=1)
    assert mirrored.run("sync").exited(0).summary == {"create": 2}


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_a_hiccup_is_retried(mirrored: Workspace, fake_registry: FakeRegistry, status: int) -> None:
    fake_registry.on("GET", r"/v2/bad/.*", respond(status, b"<html>bad gateway</html>", "text/html"), times=2)
    assert mirrored.run("sync").exited(0).summary == {"create": 2}


def test_a_slow_source_is_waited_for(mirrored: Workspace, fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET", r"/v2/bad/manifests/.*", slow(delay=1.5))
    assert mirrored.run("sync").exited(0).summary == {"create": 2}


def test_bodies_cut_again_and_again_are_gone_on_with(
    workspace: Workspace, fake_registry: FakeRegistry, distribution: RegistryServer, repository: str
) -> None:
    data = noise("long", 3_000_000)
    fake_registry.add("app", image("app", layers=[data]), "v1")
    fake_registry.on("GET", r"/v2/app/blobs/.*", cut_after(1_200_000))
    workspace.registry("source", fake_registry.url).registry("target", distribution.url)
    workspace.mirror("app", "source/app", f"target/{repository}", tags=["v1"])
    workspace.run("sync").exited(0)
    assert read_repository(distribution.url, repository).complete
    ranges = [one.headers.get("range") for one in fake_registry.matching("GET", r"/v2/app/blobs/.*")]
    assert any(ranges), ranges


def test_a_link_that_ends_every_megabyte_loses_nothing(
    workspace: Workspace,
    distribution: RegistryServer,
    debian_registry: RegistryServer,
    toxiproxy: Toxiproxy,
    repository: str,
) -> None:
    app = distribution.push(repository, image("app", layers=2, layer_size=2_500_000), "v1")
    link = toxiproxy.proxy(distribution.url)
    link.cut_after(1_500_000)
    workspace.registry("source", link.url).registry("target", debian_registry.url)
    workspace.mirror("app", f"source/{repository}", f"target/{repository}", tags=["v1"])
    mark = distribution.log_size()
    workspace.run("sync").exited(0)
    assert read_digest(debian_registry.url, repository, "v1") == app.digest
    assert read_repository(debian_registry.url, repository).complete
    assert any(one.status == 206 for one in distribution.accesses(mark))


def test_latency_costs_time_once_and_not_for_each_tag(
    workspace: Workspace,
    distribution: RegistryServer,
    debian_registry: RegistryServer,
    toxiproxy: Toxiproxy,
    repository: str,
) -> None:
    for number in range(30):
        distribution.push(repository, image(f"app-{number}"), f"v{number}")
    source, target = toxiproxy.proxy(distribution.url), toxiproxy.proxy(debian_registry.url)
    source.latency(20)
    target.latency(20)
    workspace.registry("source", source.url).registry("target", target.url)
    workspace.mirror("app", f"source/{repository}", f"target/{repository}", tags=["v*"])
    assert workspace.run("sync").exited(0).summary == {"create": 30}
    ran = workspace.run("sync").exited(0)
    assert ran.summary == {"unchanged": 30}
    assert read_repository(debian_registry.url, repository).complete


def test_a_descriptor_that_lies_about_a_size_is_refused_even_when_the_blob_is_at_the_target(
    workspace: Workspace, fake_registry: FakeRegistry, distribution: RegistryServer, repository: str
) -> None:
    honest = image("app", layers=[b"a layer"])
    distribution.push(repository, honest, "honest")
    document = honest.document
    document["layers"] = [blob_descriptor(document["layers"][0]["mediaType"], b"a layer") | {"size": 700}]
    lying = honest.__class__(honest.media_type, json.dumps(document).encode(), honest.blobs)
    fake_registry.add("app", lying, "v1")
    workspace.registry("source", fake_registry.url).registry("target", distribution.url)
    workspace.mirror("app", "source/app", f"target/{repository}", tags=["v1"])
    ran = workspace.run("sync").exited(1)
    assert "700" in messages(ran)
    assert read_tags(distribution.url, repository) == ["honest"]


def test_a_tag_that_moves_between_the_listing_and_the_copy_arrives_whole(
    workspace: Workspace, fake_registry: FakeRegistry, distribution: RegistryServer, repository: str
) -> None:
    first, second = image("first"), index(image("second"))
    fake_registry.add("app", first, "v1")

    def move(request: object, proceed: Callable[[], object]) -> object:
        answer = proceed()
        fake_registry.add("app", second, "v1")
        return answer

    fake_registry.on("GET|HEAD", r"/v2/app/manifests/v1", move, times=1)  # type: ignore[arg-type]
    workspace.registry("source", fake_registry.url).registry("target", distribution.url)
    workspace.mirror("app", "source/app", f"target/{repository}", tags=["v*"])
    workspace.run("sync").exited(0)
    state = read_repository(distribution.url, repository)
    assert state.complete
    assert state.tags["v1"] in (first.digest, second.digest)
    workspace.run("sync").exited(0)
    assert read_digest(distribution.url, repository, "v1") == second.digest
