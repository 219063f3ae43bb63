"""Credentials from everywhere people keep them, tokens that end in mid-run, TLS; secrets stay unseen."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.integration.workspace import BRIEF, Ran, Workspace
from tests.support import certificates as certificates_support
from tests.support.certificates import Certificates
from tests.support.fake_registry import FakeRegistry, bearer_auth
from tests.support.images import image, index, noise
from tests.support.processes import wait_until
from tests.support.registry_state import read_repository
from tests.support.servers import RegistryServer
from tests.support.token_server import TokenServer

PASSWORD = "correct-horse-battery"
Protected = Callable[[], RegistryServer]


@pytest.fixture
def protected(distribution_factory: Callable[..., RegistryServer]) -> RegistryServer:
    """A registry with Basic authentication that holds `app:v1`."""
    server = distribution_factory(htpasswd={"ci": PASSWORD})
    server.push("app", image("app"), "v1")
    return server


def into_a_store(workspace: Workspace, url: str, **registry: Any) -> Workspace:
    workspace.registry("source", url, **registry).registry("local", store="./data")
    return workspace.mirror("app", "source/app", "local/app", tags=["v*"])


def assert_unseen(workspace: Workspace, *rans: Ran, secrets: tuple[str, ...] = (PASSWORD,)) -> None:
    """No secret in anything that was printed or written, not even as Basic credentials carry it."""
    written = [ran.out + ran.err for ran in rans]
    own = [data.decode(errors="replace") for name, data in workspace.files().items() if "secret" not in name]
    for secret in secrets:
        encoded = base64.b64encode(f"ci:{secret}".encode()).decode()
        assert not [text for text in (*written, *own) if secret in text or encoded in text]


def docker_config(workspace: Workspace, document: dict[str, Any]) -> None:
    directory = workspace.home / ".docker"
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps(document))


def helper(workspace: Workspace, name: str, script: str) -> None:
    """A credential helper on PATH."""
    directory = workspace.home / "bin"
    directory.mkdir(exist_ok=True)
    path = directory / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    workspace.environment["PATH"] = f"{directory}:/usr/bin:/bin"


def from_environment(workspace: Workspace, host: str) -> dict[str, Any]:
    workspace.environment.update(USER_OF_CI="ci", PASSWORD_OF_CI=PASSWORD)
    return {"auth": {"username": {"env": "USER_OF_CI"}, "password": {"env": "PASSWORD_OF_CI"}}}


def from_files(workspace: Workspace, host: str) -> dict[str, Any]:
    (workspace.path / "secret-user").write_text("ci\n")
    (workspace.path / "secret-password").write_text(f"{PASSWORD}\n")
    return {"auth": {"username": {"file": "secret-user"}, "password": {"file": "secret-password"}}}


def from_docker(workspace: Workspace, host: str) -> dict[str, Any]:
    auth = base64.b64encode(f"ci:{PASSWORD}".encode()).decode()
    docker_config(workspace, {"auths": {host: {"auth": auth}}})
    return {}


def from_podman(workspace: Workspace, host: str) -> dict[str, Any]:
    auth = base64.b64encode(f"ci:{PASSWORD}".encode()).decode()
    path = workspace.home / "auth.json"
    path.write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    workspace.environment["REGISTRY_AUTH_FILE"] = str(path)
    return {}


def from_a_helper(workspace: Workspace, host: str) -> dict[str, Any]:
    answer = json.dumps({"ServerURL": host, "Username": "ci", "Secret": PASSWORD})
    helper(workspace, "good", f"cat >/dev/null; echo '{answer}'")
    docker_config(workspace, {"credHelpers": {host: "good"}})
    return {}


WAYS = [from_environment, from_files, from_docker, from_podman, from_a_helper]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_credentials_are_found_where_people_keep_them(
    workspace: Workspace, protected: RegistryServer, way: Callable[[Workspace, str], dict[str, Any]]
) -> None:
    into_a_store(workspace, protected.url, **way(workspace, protected.host))
    ran = workspace.run("sync", "--log-format", "json").exited(0)
    assert ran.summary == {"create": 1}
    assert_unseen(workspace, ran)


class Outside(BaseHTTPRequestHandler):
    """A proxy behind which there are a registry and, in another domain, its token server."""

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Authorization"]))  # type: ignore[attr-defined]
        if self.path.startswith("http://sso.example.org/token"):
            self._answer(200, {"token": "t0ken"})
        elif self.headers["Authorization"] == "Bearer t0ken":
            self._answer(200, {"name": "app", "tags": []})
        else:
            realm = 'Bearer realm="http://sso.example.org/token",service="registry.example.com"'
            self._answer(401, {}, ("WWW-Authenticate", realm))

    def _answer(self, status: int, document: object, *headers: tuple[str, str]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def outside(workspace: Workspace) -> Iterator[list[tuple[str, str | None]]]:
    """What was asked of the proxy that the workspace's runs use: URLs, and the Authorization sent there."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Outside)
    asked: list[tuple[str, str | None]] = []
    server.asked = asked  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    workspace.environment["HTTP_PROXY"] = f"http://127.0.0.1:{server.server_port}"
    yield asked
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("way", [from_environment, from_docker], ids=lambda way: way.__name__)
def test_a_token_server_of_another_domain_gets_credentials_when_the_spec_names_it(
    workspace: Workspace,
    outside: list[tuple[str, str | None]],
    way: Callable[[Workspace, str], dict[str, Any]],
) -> None:
    registry = way(workspace, "registry.example.com")
    into_a_store(workspace, "http://registry.example.com", **registry)
    ran = workspace.run("plan").exited(1)
    (problem,) = [one["problem"] for one in ran.actions]
    assert "http://sso.example.org/token" in problem["message"]
    assert 'auth: {realms: ["sso.example.org"]}' in problem["hint"]
    assert not [url for url, _ in outside if "sso.example.org" in url]

    workspace.clear()
    registry["auth"] = {**registry.get("auth", {}), "realms": ["sso.example.org"]}
    into_a_store(workspace, "http://registry.example.com", **registry)
    ran = workspace.run("plan")
    assert "atLeast" in str(ran)  # its list of tags was read
    basic = "Basic " + base64.b64encode(f"ci:{PASSWORD}".encode()).decode()
    assert {sent for url, sent in outside if "sso.example.org" in url} == {basic}
    assert basic not in [sent for url, sent in outside if "registry.example.com/v2/" in url]


def test_credentials_for_copy_and_inspect(workspace: Workspace, protected: RegistryServer) -> None:
    from_docker(workspace, protected.host)
    reference = f"{protected.url}/app:v1"
    workspace.call("inspect", reference).exited(0)
    workspace.call("copy", reference, f"{protected.url}/copy:v1").exited(0)
    with protected.client() as http:
        assert read_repository(protected.url, "copy", http=http).complete


@pytest.mark.parametrize(
    ("credentials", "says"),
    [({"USER_OF_CI": "ci", "PASSWORD_OF_CI": "wrong-secret"}, "401"), ({}, "USER_OF_CI")],
    ids=["wrong", "not-set"],
)
def test_wrong_or_absent_credentials_are_told_without_showing_them(
    workspace: Workspace, protected: RegistryServer, credentials: dict[str, str], says: str
) -> None:
    settings = from_environment(workspace, protected.host)
    for name in ("USER_OF_CI", "PASSWORD_OF_CI"):
        del workspace.environment[name]
    workspace.environment.update(credentials)
    into_a_store(workspace, protected.url, **settings)
    ran = workspace.run("sync")
    assert ran.code in (1, 65), str(ran)
    assert says in ran.out + ran.err
    assert_unseen(workspace, ran, secrets=("wrong-secret",))


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo this is no JSON and contains geheim; exit 0", "good"),
        ("echo 'no such thing'; exit 1", "good"),
        ("yes geheim | head -c 10000000", "good"),
        ("kill -9 $$", "good"),
    ],
    ids=["garbage", "fails", "floods", "dies"],
)
def test_a_helper_that_misbehaves_is_named(
    workspace: Workspace, protected: RegistryServer, script: str, says: str
) -> None:
    helper(workspace, "good", script)
    docker_config(workspace, {"credHelpers": {protected.host: "good"}})
    into_a_store(workspace, protected.url)
    ran = workspace.run("sync").exited(1)
    assert says in ran.out
    assert "geheim" not in ran.out + ran.err


def test_a_helper_that_hangs_is_ended_in_time(workspace: Workspace, protected: RegistryServer) -> None:
    mark = workspace.home / "pid"
    helper(workspace, "good", f"echo $$ > {mark}; exec sleep 600")
    docker_config(workspace, {"credHelpers": {protected.host: "good"}})
    into_a_store(workspace, protected.url)
    ran = workspace.run("sync")
    assert ran.code in (1, 75), str(ran)
    assert ran.seconds < 60
    assert "good" in ran.out
    pid = int(mark.read_text())
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), what="the helper is gone", limit=5)


def test_tokens_that_end_in_mid_run_are_renewed(
    workspace: Workspace,
    distribution_factory: Callable[..., RegistryServer],
    token_server: TokenServer,
    fake_registry: FakeRegistry,
) -> None:
    fake_registry.auth = bearer_auth(token_server)
    for number in range(20):
        fake_registry.add("app", index(image(f"app-{number}", layer_size=5_000)), f"v{number}")
    target = distribution_factory(tokens=token_server)
    token_server.expires_in = 2
    token_server.omit_expiry = True  # so that the client cannot know
    workspace.environment.update(USER_OF_CI="ci", PASSWORD_OF_CI="secret")
    auth = {"auth": {"username": {"env": "USER_OF_CI"}, "password": {"env": "PASSWORD_OF_CI"}}}
    limits = {"limits": {"requestsPerSecond": 40}}  # so that it takes longer than a token lives
    workspace.registry("source", fake_registry.url, **auth, **limits)
    workspace.registry("target", target.url, **auth)
    workspace.mirror("app", "source/app", "target/app", tags=["v*"])
    ran = workspace.run("sync").exited(0)
    assert ran.summary == {"create": 20}
    assert ran.seconds > token_server.expires_in
    assert_unseen(workspace, ran, secrets=tuple(token_server.refresh_tokens))


def test_a_token_without_the_right_to_push_fails_in_the_plan(
    workspace: Workspace,
    distribution: RegistryServer,
    distribution_factory: Callable[..., RegistryServer],
    token_server: TokenServer,
    repository: str,
) -> None:
    distribution.push(repository, image("app"), "v1")
    token_server.grants["ci"] = {"pull"}
    target = distribution_factory(tokens=token_server)
    workspace.environment.update(USER_OF_CI="ci", PASSWORD_OF_CI="secret")
    workspace.registry("source", distribution.url)
    workspace.registry(
        "target",
        target.url,
        auth={"username": {"env": "USER_OF_CI"}, "password": {"env": "PASSWORD_OF_CI"}},
    )
    workspace.mirror("app", f"source/{repository}", "target/app", tags=["v*"])
    ran = workspace.run("plan").exited(1)
    assert ran.summary == {"failed": 1}
    assert "push" in ran.actions[0]["problem"]["message"]
    token_server.grants["ci"] = {"pull", "push"}
    assert workspace.run("plan").exited(2).summary == {"create": 1}
    workspace.run("sync").exited(0)


def test_a_private_authority_has_to_be_named(
    workspace: Workspace, distribution_factory: Callable[..., RegistryServer], certificates: Certificates
) -> None:
    server = distribution_factory(certificates=certificates)
    server.push("app", image("app"), "v1")
    into_a_store(workspace, server.url, limits=BRIEF)
    ran = workspace.run("sync").exited(1)
    assert "certificate" in ran.out.lower()
    assert "tls.ca" in ran.out
    workspace.clear()
    into_a_store(workspace, server.url, tls={"ca": str(certificates.ca)})
    workspace.run("sync").exited(0)


def test_another_authority_is_not_believed(
    workspace: Workspace,
    distribution_factory: Callable[..., RegistryServer],
    certificates: Certificates,
    tmp_path: Path,
) -> None:
    server = distribution_factory(certificates=certificates)
    other = tmp_path / "other"
    other.mkdir()
    into_a_store(workspace, server.url, tls={"ca": str(certificates_support.issue(other).ca)}, limits=BRIEF)
    ran = workspace.run("sync").exited(1)
    assert "certificate" in ran.out.lower()


def test_a_client_certificate_lets_us_in(
    workspace: Workspace, distribution_factory: Callable[..., RegistryServer], certificates: Certificates
) -> None:
    server = distribution_factory(certificates=certificates, client_certificates=True)
    ca = {"ca": str(certificates.ca)}
    own = {"cert": str(certificates.client_cert), "key": str(certificates.client_key)}
    workspace.registry("local", store="./data").registry("bundle", layout="./images")
    workspace.registry("closed", server.url, tls={**ca, **own})
    (workspace.path / "images").mkdir()
    quickstart = Path(__file__).parents[2] / "examples" / "quickstart" / "images"
    workspace.registry("start", layout=str(quickstart))
    workspace.mirror("in", "start/acme/web", "closed/web", tags=["latest"])
    workspace.mirror("out", "closed/web", "local/web", tags=["latest"])
    assert workspace.run("sync").exited(0).summary == {"create": 2}
    workspace.clear()
    into_a_store(workspace, server.url, tls=ca, limits=BRIEF)
    ran = workspace.run("sync").exited(1)
    assert "tls.cert" in ran.out, str(ran)


def test_a_registry_without_tls_has_to_be_written_so(
    workspace: Workspace, distribution: RegistryServer, repository: str
) -> None:
    distribution.push(repository, image("app", layers=[noise("x", 10)]), "v1")
    into_a_store(workspace, distribution.host, limits=BRIEF)
    ran = workspace.run("sync").exited(1)
    assert "http://" in ran.out
