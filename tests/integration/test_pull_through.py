"""Real clients pull what our registry does not have yet, from real registries behind it."""

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.fake_http import Answer, Request
from tests.support.fake_registry import FakeRegistry, Proceed
from tests.support.images import cosign_tag, image, index, noise, referrer, sha256
from tests.support.processes import wait_until
from tests.support.regsync_server import RegsyncServer
from tests.support.servers import RegistryServer, write_htpasswd
from tests.support.tools import Tool

MIB = 1024 * 1024
LAYER = noise("layer", 3 * MIB)
APP = image("app", layers=[LAYER, noise("small", 100)])
MULTI = index(APP, image("app", layers=[noise("arm", 500)], arch="arm64"))
Start = Callable[..., RegsyncServer]
PATIENCE = 30.0  # seconds


def get(url: str) -> httpx.Response:
    return httpx.get(url, timeout=PATIENCE)


def registry(url: str, auth: str = "") -> str:
    """A Registry document."""
    head = "apiVersion: regsync.dev/v1\nkind: Registry\nmetadata: {name: up}\n"
    return f"{head}spec: {{url: '{url}'{auth}}}\n"


@pytest.fixture
def proxy(regsync_server_factory: Start, distribution: RegistryServer) -> RegsyncServer:
    """Our registry, in which `hub/` is what distribution has, for anyone."""
    return regsync_server_factory(
        spec="upstreams: [{prefix: hub, registry: up, firstPull: anyone, host: localhost, maxAge: 1s}]",
        more=registry(distribution.url),
    )


def skopeo(tool: Tool, source: str, target: Path) -> None:
    tool(
        "copy",
        "--all",
        "--preserve-digests",
        "--src-tls-verify=false",
        f"docker://{source}",
        f"oci:{target}:v1",
    )


def crane(tool: Tool, source: str, target: Path) -> None:
    tool("pull", "--insecure", "--format=oci", source, target)


def regctl(tool: Tool, source: str, target: Path) -> None:
    tool("registry", "set", source.partition("/")[0], "--tls=disabled")
    tool("image", "copy", "--referrers", source, f"ocidir://{target}:v1")


def oras(tool: Tool, source: str, target: Path) -> None:
    tool("copy", "--from-plain-http", "--recursive", "--to-oci-layout", source, f"{target}:v1")


@pytest.mark.parametrize("pull", [skopeo, crane, regctl, oras])
def test_a_client_pulls_through_and_has_every_byte(
    proxy: RegsyncServer,
    distribution: RegistryServer,
    repository: str,
    tool: Callable[[str], Tool],
    pull: Callable[[Tool, str, Path], None],
    tmp_path: Path,
) -> None:
    distribution.push(repository, MULTI, "v1")
    before = distribution.log_size()
    pull(tool(pull.__name__), proxy.reference(f"hub/{repository}", "v1"), tmp_path / "first")
    names = {path.name for path in (tmp_path / "first" / "blobs" / "sha256").iterdir()}
    wanted = {node.digest for node in MULTI.walk()} | set(MULTI.all_blobs())
    assert {f"sha256:{name}" for name in names} >= wanted
    got = [one.path for one in distribution.accesses(before) if one.method == "GET"]
    blobs = sorted(path for path in got if "/blobs/" in path)
    assert blobs == sorted(set(blobs))  # each once
    before = distribution.log_size()
    pull(tool(pull.__name__), proxy.reference(f"hub/{repository}", "v1"), tmp_path / "second")
    again = [one.path for one in distribution.accesses(before) if one.method == "GET"]
    assert [path for path in again if "/blobs/" in path or "/manifests/" in path] == []


def test_docker_pulls_by_a_host_of_the_upstream_s_own(
    proxy: RegsyncServer, distribution: RegistryServer, repository: str, tool: Callable[[str], Tool]
) -> None:
    """As Docker's registry-mirrors do it: HEAD of the tag, then all by digest, without any prefix."""
    distribution.push(repository, APP, "v1")
    mirror = f"http://localhost:{proxy.process.port}/v2/{repository}"
    with httpx.Client(timeout=PATIENCE) as http:
        head = http.head(f"{mirror}/manifests/v1")
        digest = head.headers["docker-content-digest"]
        manifest = http.get(f"{mirror}/manifests/{digest}")
        assert manifest.content == APP.data
        for described in [manifest.json()["config"], *manifest.json()["layers"]]:
            assert sha256(http.get(f"{mirror}/blobs/{described['digest']}").content) == described["digest"]
        assert http.get(f"{mirror}/tags/list").json() == {"name": repository, "tags": ["v1"]}
    assert tool("crane")("digest", "--insecure", f"localhost:{proxy.process.port}/{repository}:v1") == digest


def test_listings_are_those_of_the_upstream(
    proxy: RegsyncServer, distribution: RegistryServer, repository: str
) -> None:
    sbom = referrer(APP, artifact_type="application/spdx+json", data=b"{}")
    distribution.push(repository, APP, "v1", "v2", "v3")
    distribution.push(repository, sbom, cosign_tag(APP, "sbom"))
    url = f"{proxy.url}/v2/hub/{repository}"
    with httpx.Client(timeout=PATIENCE) as http:
        first = http.get(f"{url}/tags/list?n=2")
        assert (len(first.json()["tags"]), "next" in first.headers["link"]) == (2, True)
        assert len(http.get(f"{proxy.url}{first.links['next']['url']}").json()["tags"]) == 2
        assert http.get(f"{url}/tags/list").json()["tags"] == [cosign_tag(APP, "sbom"), "v1", "v2", "v3"]
        assert http.get(f"{proxy.url}/v2/hub/{repository}/none/tags/list").status_code == 404
        listed = http.get(f"{url}/referrers/{APP.digest}").json()["manifests"]
        found = [one["digest"] for one in listed]
        # distribution has no referrers API, and nobody has put a fallback tag there
        assert found in ([], [sbom.digest])


def test_our_own_copy_takes_from_a_pull_through_repository(
    proxy: RegsyncServer, distribution: RegistryServer, repository: str, tool: Callable[[str], Tool]
) -> None:
    distribution.push(repository, MULTI, "v1")
    target = f"{distribution.host}/copied/{repository}:v1"
    source = proxy.reference(f"hub/{repository}", "v1")
    command = [sys.executable, "-m", "regsync", "copy", f"http://{source}", f"http://{target}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert tool("crane")("digest", "--insecure", target) == MULTI.digest
    assert "_regsync" not in proxy.log()  # a run asks what any registry answers


def test_what_is_there_is_served_while_the_upstream_is_down(
    regsync_server_factory: Start,
    distribution_factory: Callable[..., RegistryServer],
    tool: Callable[[str], Tool],
    tmp_path: Path,
) -> None:
    upstream = distribution_factory()
    upstream.push("team/app", APP, "v1")
    proxy = regsync_server_factory(
        spec="upstreams: [{prefix: hub, registry: up, firstPull: anyone, maxAge: 0s}]",
        more=registry(upstream.url),
    )
    skopeo(tool("skopeo"), proxy.reference("hub/team/app", "v1"), tmp_path / "first")
    upstream.stop()
    skopeo(tool("skopeo"), proxy.reference("hub/team/app", "v1"), tmp_path / "second")
    with httpx.Client(timeout=PATIENCE) as http:
        reply = http.get(f"{proxy.url}/v2/hub/team/app/manifests/v1")
        assert reply.headers["warning"].startswith("299 - ")
        assert http.get(f"{proxy.url}/v2/hub/team/app/tags/list").json()["tags"] == ["v1"]
        assert http.get(f"{proxy.url}/v2/hub/team/other/manifests/v1").status_code == 503


def test_the_upstream_is_asked_with_the_credentials_of_its_registry(
    regsync_server_factory: Start,
    distribution_factory: Callable[..., RegistryServer],
    tool: Callable[[str], Tool],
) -> None:
    upstream = distribution_factory(htpasswd={"ci": "secret"})
    upstream.push("team/app", APP, "v1")
    proxy = regsync_server_factory(
        spec="upstreams: [{prefix: hub, registry: up, firstPull: anyone}]",
        more=registry(upstream.url, ", auth: {username: {env: UP_USER}, password: {env: UP_PASSWORD}}"),
        env={"UP_USER": "ci", "UP_PASSWORD": "secret"},
    )
    assert tool("crane")("digest", "--insecure", proxy.reference("hub/team/app", "v1")) == APP.digest
    assert "secret" not in proxy.log()


def test_only_a_client_that_logged_in_makes_the_server_fetch(
    regsync_server_factory: Start,
    distribution: RegistryServer,
    repository: str,
    tool: Callable[[str], Tool],
    tmp_path: Path,
) -> None:
    distribution.push(repository, APP, "v1")
    users = write_htpasswd(tmp_path, {"alice": "secret"}).read_text()
    proxy = regsync_server_factory(
        spec="""
        auth: {htpasswd: users}
        access: [{subjects: [anonymous, "*"], repositories: ["hub/**"], actions: [pull]}]
        upstreams: [{prefix: hub, registry: up}]
        """,
        more=registry(distribution.url),
        files={"users": users},
    )
    url = f"{proxy.url}/v2/hub/{repository}"
    refused = get(f"{url}/manifests/v1")
    assert (refused.status_code, "www-authenticate" in refused.headers) == (401, True)
    assert distribution.count("GET", rf"/v2/{repository}/manifests/v1") == 0
    crane = tool("crane")
    crane("auth", "login", proxy.host, "-u", "alice", "-p", "secret")
    crane("pull", "--insecure", proxy.reference(f"hub/{repository}", "v1"), tmp_path / "image.tar")
    assert get(f"{url}/manifests/v1").content == APP.data  # it is here now, for anybody
    wait_until(lambda: get(f"{url}/blobs/{sha256(LAYER)}").content == LAYER, what="the layer is stored")


def test_an_upstream_is_taken_up_while_the_server_runs(
    regsync_server_factory: Start, distribution: RegistryServer, repository: str
) -> None:
    distribution.push(repository, APP, "v1")
    proxy = regsync_server_factory(spec="readOnly: false", more=registry(distribution.url))
    url = f"{proxy.url}/v2/hub/{repository}/manifests/v1"
    assert get(url).status_code == 404
    proxy.write_spec("upstreams: [{prefix: hub, registry: up, firstPull: anyone}]")
    wait_until(lambda: get(url).status_code == 200, what="the upstream is known")


class Halfway:
    """A registry that gives half of each long blob, and the rest when it is let go on."""

    def __init__(self, registry: FakeRegistry) -> None:
        self.go_on = threading.Event()
        registry.on("GET", r"/v2/.*/blobs/.*", self._behave)

    def _behave(self, request: Request, proceed: Proceed) -> Answer:
        answer = proceed()
        assert isinstance(answer.body, bytes)
        whole = answer.body
        if len(whole) < MIB or self.go_on.is_set():
            return answer
        headers = (*answer.headers, ("content-length", str(len(whole))))
        return Answer(answer.status, headers, self._pieces(whole))

    def _pieces(self, whole: bytes) -> Iterator[bytes]:
        yield whole[: len(whole) // 2]
        self.go_on.wait(2 * PATIENCE)
        yield whole[len(whole) // 2 :]


@pytest.fixture
def over_fake(regsync_server_factory: Start, fake_registry: FakeRegistry) -> RegsyncServer:
    fake_registry.add("team/app", APP, "v1")
    return regsync_server_factory(
        spec="upstreams: [{prefix: hub, registry: up, firstPull: anyone}]", more=registry(fake_registry.url)
    )


def first_bytes(server: RegsyncServer, path: str, count: int) -> socket.socket:
    """A connection on which that many bytes of an answer have come."""
    connection = socket.create_connection(("127.0.0.1", server.process.port), timeout=PATIENCE)
    connection.sendall(f"GET {path} HTTP/1.1\r\nhost: {server.host}\r\n\r\n".encode())
    got = 0
    try:
        while got < count:
            piece = connection.recv(min(65536, count - got))
            assert piece, "the connection ended"
            got += len(piece)
    except BaseException:
        connection.close()
        raise
    return connection


def test_twenty_clients_read_the_upstream_once_while_it_is_still_giving(
    over_fake: RegsyncServer, fake_registry: FakeRegistry
) -> None:
    halfway = Halfway(fake_registry)
    url = f"{over_fake.url}/v2/hub/team/app"
    begun = threading.Semaphore(0)

    def pull(number: int) -> str:
        with (
            httpx.Client(timeout=PATIENCE) as http,
            http.stream("GET", f"{url}/blobs/{sha256(LAYER)}") as reply,
        ):
            parts: list[bytes] = []
            for part in reply.iter_raw():
                if not parts:
                    begun.release()
                parts.append(part)
            return sha256(b"".join(parts))

    get(f"{url}/manifests/v1")
    with ThreadPoolExecutor(20) as pool:
        pulls = [pool.submit(pull, number) for number in range(20)]
        for _ in range(20):
            assert begun.acquire(timeout=PATIENCE)  # all have bytes, and the upstream has not given all
        halfway.go_on.set()
        assert {one.result() for one in pulls} == {sha256(LAYER)}
    assert fake_registry.count("GET", rf"/v2/team/app/blobs/{sha256(LAYER)}") == 1


def test_a_server_killed_in_mid_stream_has_nothing_of_the_blob_and_fetches_it_again(
    over_fake: RegsyncServer, fake_registry: FakeRegistry
) -> None:
    halfway = Halfway(fake_registry)
    get(f"{over_fake.url}/v2/hub/team/app/manifests/v1")
    path = f"/v2/hub/team/app/blobs/{sha256(LAYER)}"
    with first_bytes(over_fake, path, MIB // 2):
        over_fake.process.kill()
    assert list((over_fake.store / "parts").iterdir()) != []  # what a power cut leaves
    halfway.go_on.set()
    over_fake.restart()
    assert list((over_fake.store / "parts").iterdir()) == []
    assert not list((over_fake.store / "blobs").glob(f"*/*/{sha256(LAYER)[7:]}"))
    assert get(f"{over_fake.url}{path}").content == LAYER


def test_clients_that_hang_up_leave_nothing_open(
    over_fake: RegsyncServer, fake_registry: FakeRegistry
) -> None:
    halfway = Halfway(fake_registry)
    get(f"{over_fake.url}/v2/hub/team/app/manifests/v1")
    path = f"/v2/hub/team/app/blobs/{sha256(LAYER)}"
    for _ in range(10):
        first_bytes(over_fake, path, MIB // 2).close()
    halfway.go_on.set()
    assert get(f"{over_fake.url}{path}").content == LAYER
    part = f"{over_fake.store.resolve()}/parts/"
    fds = Path(f"/proc/{over_fake.process.pid}/fd")
    wait_until(
        lambda: not any(str(one.resolve()).startswith(part) for one in fds.iterdir() if one.exists()),
        what="every client's handle is closed",
    )
    assert "Traceback" not in over_fake.log()


def test_a_blob_that_rotted_is_fetched_again(over_fake: RegsyncServer) -> None:
    get(f"{over_fake.url}/v2/hub/team/app/manifests/v1")
    path = f"/v2/hub/team/app/blobs/{sha256(LAYER)}"
    assert get(f"{over_fake.url}{path}").content == LAYER
    blob = over_fake.store / "blobs" / "sha256" / sha256(LAYER)[7:9] / sha256(LAYER)[7:]
    wait_until(blob.exists, what="the blob is stored")
    blob.unlink()  # as fsck sets aside what is damaged
    assert get(f"{over_fake.url}{path}").content == LAYER
