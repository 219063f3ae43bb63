"""Real clients log in to our registry, and may do what their role says."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.images import Content, image, index
from tests.support.oidc_issuer import AUDIENCE, OidcIssuer
from tests.support.regsync_server import RegsyncServer
from tests.support.servers import write_htpasswd
from tests.support.tools import Tool, ToolError

PASSWORD = "correct:horse battery"
MULTI = index(image("app"), image("app", arch="arm64"))
ALONE = image("alone")
# regctl waits longer after each 403, up to 30 s: what it is refused has to be small.
SMALL = image("small", layers=0)


class Client:
    """What every client can do, each in its own words."""

    def __init__(self, tool: Tool, host: str, directory: Path) -> None:
        self.tool, self.host, self.directory = tool, host, directory
        self.prepare()

    def prepare(self) -> None:
        pass

    def login(self, user: str, password: str) -> None:
        raise NotImplementedError

    def copy(self, source: str, target: str) -> None:
        raise NotImplementedError

    def pull(self, source: str) -> None:
        raise NotImplementedError


class Crane(Client):
    def login(self, user: str, password: str) -> None:
        self.tool("auth", "login", self.host, "-u", user, "-p", password)

    def copy(self, source: str, target: str) -> None:
        self.tool("copy", f"{self.host}/{source}", f"{self.host}/{target}")

    def pull(self, source: str) -> None:
        self.tool("pull", "--format=oci", f"{self.host}/{source}", self.directory / "layout")


class Skopeo(Client):
    @property
    def authfile(self) -> list[str]:
        path = self.directory / "auth.json"
        return [f"--authfile={path}"] if path.exists() else []

    def login(self, user: str, password: str) -> None:
        path = self.directory / "auth.json"
        self.tool("login", "--tls-verify=false", f"--authfile={path}", "-u", user, "-p", password, self.host)

    def copy(self, source: str, target: str) -> None:
        self._copy(
            "--dest-tls-verify=false", f"docker://{self.host}/{source}", f"docker://{self.host}/{target}"
        )

    def pull(self, source: str) -> None:
        self._copy(f"docker://{self.host}/{source}", f"oci:{self.directory}/layout:pulled")

    def _copy(self, *arguments: str) -> None:
        self.tool(
            *("--insecure-policy", "copy", "--all", "--preserve-digests", "--src-tls-verify=false"),
            *self.authfile,
            *arguments,
        )


class Oras(Client):
    def login(self, user: str, password: str) -> None:
        self.tool("login", "--plain-http", "-u", user, "-p", password, self.host)

    def copy(self, source: str, target: str) -> None:
        plain = ("--from-plain-http", "--to-plain-http")
        self.tool("cp", *plain, f"{self.host}/{source}", f"{self.host}/{target}")

    def pull(self, source: str) -> None:
        self.tool(
            *("cp", "--from-plain-http", f"{self.host}/{source}"),
            *("--to-oci-layout", f"{self.directory}/layout:pulled"),
        )


class Regctl(Client):
    def prepare(self) -> None:
        self.tool("registry", "set", "--tls", "disabled", "--skip-check", self.host)

    def login(self, user: str, password: str) -> None:
        self.tool("registry", "login", "-u", user, "-p", password, self.host)

    def copy(self, source: str, target: str) -> None:
        self.tool("image", "copy", f"{self.host}/{source}", f"{self.host}/{target}")

    def pull(self, source: str) -> None:
        self.tool("image", "copy", f"{self.host}/{source}", f"ocidir://{self.directory}/layout:pulled")


CLIENTS: dict[str, type[Client]] = {"crane": Crane, "skopeo": Skopeo, "oras": Oras, "regctl": Regctl}


@pytest.fixture
def issuer() -> Iterator[OidcIssuer]:
    with OidcIssuer() as one:
        yield one


@pytest.fixture
def server(
    regsync_server_factory: Callable[..., RegsyncServer], tmp_path: Path, issuer: OidcIssuer
) -> RegsyncServer:
    """A registry with content that its administrator pushed."""
    users = write_htpasswd(tmp_path, {"root": PASSWORD, "ann": PASSWORD, "bob": PASSWORD})
    spec = f"""
    auth:
      htpasswd: {users}
      groups: {{team: [ann]}}
      jwt: [{{name: ci, issuer: "{issuer.url}", audience: {AUDIENCE}, require: {{owner: acme}}}}]
    access:
      - {{subjects: ["user:root"], repositories: ["**"], actions: [admin]}}
      - {{subjects: ["group:team", "claim:sub=repo:acme/*:ref:refs/heads/main"], repositories: ["team/**"], actions: [pull, push]}}
      - {{subjects: ["*"], repositories: ["shared/**"], actions: [pull]}}
      - {{subjects: [anonymous], repositories: ["public/**"], actions: [pull]}}
    immutable: [{{repositories: ["**"], tags: ["v*"]}}]
    """  # noqa: E501 - a line of YAML
    started = regsync_server_factory(spec=spec, credentials=("root", PASSWORD))
    for name in ("public/app", "shared/app", "team/app"):
        started.push(name, MULTI, "v1")
    started.push("shared/other", ALONE, "latest")
    started.push("shared/small", SMALL, "v1")
    return started


@pytest.fixture(params=sorted(CLIENTS))
def client(
    request: pytest.FixtureRequest, tool: Callable[[str], Tool], server: RegsyncServer, tmp_path: Path
) -> Client:
    directory = tmp_path / "client"
    directory.mkdir()
    return CLIENTS[request.param](tool(request.param), server.host, directory)


def holds(server: RegsyncServer, repository: str, tag: str, content: Content) -> bool:
    with server.client() as http:
        answer = http.get(
            f"{server.url}/v2/{repository}/manifests/{tag}", headers={"Accept": content.media_type}
        )
    return answer.content == content.data


def lets_in(client: Client, user: str, password: str) -> bool:
    """Whether a login does for what whoever logged in may pull: crane's alone asks nobody."""
    try:
        client.login(user, password)
        client.pull("shared/app:v1")
    except ToolError:
        return False
    return True


def test_who_is_in_the_team_pushes_what_it_pulled(client: Client, server: RegsyncServer) -> None:
    client.login("ann", PASSWORD)
    client.copy("shared/app:v1", "team/copied:v1")
    assert holds(server, "team/copied", "v1", MULTI)
    client.pull("team/copied:v1")


def test_a_token_is_a_password(client: Client, server: RegsyncServer, issuer: OidcIssuer) -> None:
    client.login("token", issuer.token(sub="repo:acme/app:ref:refs/heads/main", owner="acme"))
    client.copy("shared/app:v1", "team/copied:v1")
    assert holds(server, "team/copied", "v1", MULTI)


def test_a_token_of_another_owner_or_branch_may_not(client: Client, issuer: OidcIssuer) -> None:
    assert not lets_in(client, "token", issuer.token(sub="repo:acme/app:ref:refs/heads/main", owner="evil"))
    client.login("token", issuer.token(sub="repo:acme/app:pull_request", owner="acme"))
    with pytest.raises(ToolError):
        client.copy("shared/small:v1", "team/copied:v1")


def test_a_wrong_password_does_not_log_in(client: Client) -> None:
    assert not lets_in(client, "ann", "wrong")


def test_nobody_in_particular_pulls_what_is_public(client: Client) -> None:
    client.pull("public/app:v1")
    for refused in ("shared/app:v1", "team/app:v1"):
        with pytest.raises(ToolError):
            client.pull(refused)


def test_who_logged_in_may_read_and_not_write(client: Client, server: RegsyncServer) -> None:
    client.login("bob", PASSWORD)
    client.pull("shared/app:v1")
    with pytest.raises(ToolError):
        client.copy("shared/small:v1", "shared/copied:v1")
    assert not holds(server, "shared/copied", "v1", SMALL)


def test_an_immutable_tag_stays(client: Client, server: RegsyncServer) -> None:
    client.login("root", PASSWORD)
    with pytest.raises(ToolError):
        client.copy("shared/other:latest", "team/app:v1")
    assert holds(server, "team/app", "v1", MULTI)
    client.copy("shared/app:v1", "shared/other:latest")
    assert holds(server, "shared/other", "latest", MULTI)
