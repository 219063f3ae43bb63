"""Real clients log in to our registry, and may do what their role says."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.server.real_clients import CLIENTS, Client, Setting
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
    return CLIENTS[request.param](tool(request.param), Setting(server), directory)


def pull(client: Client, source: str) -> None:
    client.pull(source, client.directory / "layout")


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
        pull(client, "shared/app:v1")
    except ToolError:
        return False
    return True


def test_who_is_in_the_team_pushes_what_it_pulled(client: Client, server: RegsyncServer) -> None:
    client.login("ann", PASSWORD)
    client.copy("shared/app:v1", "team/copied:v1")
    assert holds(server, "team/copied", "v1", MULTI)
    pull(client, "team/copied:v1")


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
    pull(client, "public/app:v1")
    for refused in ("shared/app:v1", "team/app:v1"):
        with pytest.raises(ToolError):
            pull(client, refused)


def test_who_logged_in_may_read_and_not_write(client: Client, server: RegsyncServer) -> None:
    client.login("bob", PASSWORD)
    pull(client, "shared/app:v1")
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
