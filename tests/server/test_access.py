"""What roles mean at every endpoint, over HTTP: nothing is told of what one may not see."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import indent

import httpx
import pytest

from tests.support import images
from tests.support.images import image
from tests.support.processes import wait_until
from tests.support.regsync_server import HEAD, PROJECT, RegsyncServer
from tests.support.servers import write_htpasswd

WORD = "secret"
APP, OTHER = image("app"), image("other")
LAYER = images.sha256(APP.blobs[0])
SPEC = """
auth: {htpasswd: users}
access:
  - {subjects: ["user:root"], repositories: ["**"], actions: [admin]}
  - {subjects: ["user:ann"], repositories: ["team/**"], actions: [pull, push]}
  - {subjects: [anonymous], repositories: ["public/**"], actions: [pull]}
immutable: [{repositories: ["fixed/**"], tags: ["v*"]}]
"""
Start = Callable[..., RegsyncServer]


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("users")
    return write_htpasswd(directory, {"root": WORD, "ann": WORD, "bob": WORD}).read_text()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, users: str) -> Iterator[RegsyncServer]:
    directory = tmp_path_factory.mktemp("server")
    with RegsyncServer(directory, spec=SPEC, files={"users": users}, credentials=("root", WORD)) as one:
        for name in ("public/app", "team/app", "hidden/here", "fixed/app"):
            one.push(name, APP, "v1")
        one.push("team/more", OTHER, "v1")
        yield one


def client(server: RegsyncServer, user: str | None) -> httpx.Client:
    if user is not None:
        return server.client((user, WORD))
    return images.client()


def put(server: RegsyncServer, user: str, name: str, tag: str, content: images.Content) -> httpx.Response:
    with client(server, user) as http:
        return http.put(
            f"{server.url}/v2/{name}/manifests/{tag}",
            content=content.data,
            headers={"Content-Type": content.media_type},
        )


ENDPOINTS = [
    ("GET", "manifests/v1"),
    ("HEAD", "manifests/v1"),
    ("GET", f"manifests/{APP.digest}"),
    ("PUT", "manifests/v2"),
    ("DELETE", "manifests/v1"),
    ("DELETE", f"manifests/{APP.digest}"),
    ("GET", f"blobs/{LAYER}"),
    ("HEAD", f"blobs/{LAYER}"),
    ("DELETE", f"blobs/{LAYER}"),
    ("POST", "blobs/uploads/"),
    ("POST", f"blobs/uploads/?mount={LAYER}&from=public/app"),
    ("GET", "blobs/uploads/0123456789abcdef"),
    ("PATCH", "blobs/uploads/0123456789abcdef"),
    ("GET", "tags/list"),
    ("GET", f"referrers/{APP.digest}"),
    ("GET", "_regsync/state"),
]


@pytest.mark.parametrize("user", [None, "bob"])
@pytest.mark.parametrize(("method", "below"), ENDPOINTS)
def test_what_one_may_not_see_looks_like_what_is_not_there(
    server: RegsyncServer, user: str | None, method: str, below: str
) -> None:
    with client(server, user) as http:
        here, gone = (
            http.request(method, f"{server.url}/v2/hidden/{name}/{below}", content=b"{}")
            for name in ("here", "gone")
        )
    assert here.status_code == gone.status_code == (401 if user is None else 403)
    assert here.text.replace("here", "gone") == gone.text
    kept = ("www-authenticate", "content-type", "content-length", "docker-distribution-api-version", "allow")
    assert [here.headers.get(name) for name in kept] == [gone.headers.get(name) for name in kept]


def test_the_base_asks_for_a_login(server: RegsyncServer) -> None:
    with client(server, None) as http:
        answer = http.get(f"{server.url}/v2/")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Basic realm="regsync"'
    with client(server, "bob") as http:
        assert http.get(f"{server.url}/v2/").status_code == 200


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (None, ["public/app"]),
        ("bob", ["public/app"]),
        ("ann", ["public/app", "team/app", "team/more"]),
        ("root", ["fixed/app", "hidden/here", "public/app", "team/app", "team/more"]),
    ],
)
def test_the_catalogue_lists_what_one_may_pull(
    server: RegsyncServer, user: str | None, expected: list[str]
) -> None:
    with client(server, user) as http:
        assert http.get(f"{server.url}/v2/_catalog").json()["repositories"] == expected


@pytest.mark.parametrize(
    ("digest", "source", "expected"),
    [
        pytest.param(LAYER, "&from=public/app", 201, id="from what anybody may pull"),
        pytest.param(LAYER, "", 201, id="from anywhere, and it is also where one may pull"),
        pytest.param("hidden", "&from=hidden/alone", 202, id="from what one may not pull"),
        pytest.param("hidden", "", 202, id="from anywhere, and it is only where one may not pull"),
    ],
)
def test_a_mount_needs_the_right_to_pull_what_is_mounted(
    server: RegsyncServer, digest: str, source: str, expected: int
) -> None:
    hidden = server.push("hidden/alone", image("hidden"), "v1")
    wanted = images.sha256(hidden.blobs[0]) if digest == "hidden" else digest
    with client(server, "ann") as http:
        answer = http.post(f"{server.url}/v2/team/mounted/blobs/uploads/?mount={wanted}{source}")
    assert answer.status_code == expected


def test_pushing_creates_tags_and_does_not_move_them(server: RegsyncServer) -> None:
    assert put(server, "ann", "team/more", "v2", OTHER).status_code == 201
    server.push("team/more", APP)
    moved = put(server, "ann", "team/more", "v2", APP)
    assert (moved.status_code, moved.json()["errors"][0]["code"]) == (409, "TAG_IMMUTABLE")
    assert put(server, "ann", "team/more", "v2", OTHER).status_code == 201  # where it is already
    assert put(server, "root", "team/more", "v2", APP).status_code == 201


def test_nobody_moves_or_deletes_an_immutable_tag(server: RegsyncServer) -> None:
    server.push("fixed/app", OTHER, "latest")
    assert put(server, "root", "fixed/app", "v1", OTHER).status_code == 409
    with client(server, "root") as http:
        for reference in ("v1", APP.digest):
            refused = http.delete(f"{server.url}/v2/fixed/app/manifests/{reference}")
            assert (refused.status_code, refused.json()["errors"][0]["code"]) == (405, "DENIED")
        assert http.get(f"{server.url}/v2/fixed/app/manifests/v1").content == APP.data
    assert put(server, "root", "fixed/app", "latest", APP).status_code == 201


def test_wrong_credentials_are_refused_where_none_are_needed(server: RegsyncServer) -> None:
    with server.client(("nobody", "wrong")) as http:
        assert http.get(f"{server.url}/v2/public/app/manifests/v1").status_code == 401


def test_a_changed_rule_holds_while_the_server_runs(regsync_server_factory: Start, users: str) -> None:
    started = regsync_server_factory(spec=SPEC, files={"users": users}, credentials=("root", WORD))
    started.push("team/app", APP, "v1")
    path = f"{started.url}/v2/team/app/manifests/v1"
    with client(started, "bob") as bob, client(started, "ann") as ann:
        assert (bob.get(path).status_code, ann.get(path).status_code) == (403, 200)
        started.write_spec(SPEC.replace("user:ann", "user:bob"))
        wait_until(lambda: bob.get(path).status_code == 200, what="the new rule")
        assert ann.get(path).status_code == 403


def test_a_server_with_a_broken_file_of_users_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("ann:plain\n")
    (tmp_path / "server.yaml").write_text(HEAD + indent(SPEC, "  "))
    command = [sys.executable, "-m", "regsync", "serve", "server.yaml", "--listen", "127.0.0.1:0"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert "users:1: user 'ann' has no hash of bcrypt" in ended.stderr
    assert "htpasswd -B" in ended.stderr
