"""Webhooks over real HTTP: who may start a mirror, forgeries, replays, floods."""

import hmac
import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from tests.integration.daemons import LIMIT, SECRET, Daemon, Daemons, signed
from tests.integration.workspace import Workspace
from tests.server.raw_client import RawClient
from tests.support.fake_http import Answer, Request
from tests.support.fake_registry import FakeRegistry, Proceed
from tests.support.images import image
from tests.support.processes import wait_until

BLOBS = r"/v2/app/blobs/.*"


@pytest.fixture
def start(workspace: Workspace) -> Iterator[Daemons]:
    with Daemons(workspace) as daemons:
        yield daemons


@pytest.fixture
def hub(workspace: Workspace, fake_registry: FakeRegistry) -> FakeRegistry:
    """A registry with an image, and a mirror of it without a schedule."""
    fake_registry.add("app", image("app"), "v1")
    workspace.registry("hub", fake_registry.url)
    workspace.mirror("app", "hub/app", "hub/copy", tags=["v*"])
    return fake_registry


@pytest.fixture
def daemon(start: Daemons, hub: FakeRegistry) -> Daemon:
    return start("--hook-secret", "env:HOOK")


def test_who_knows_the_secret_has_a_mirror_run_at_once(daemon: Daemon) -> None:
    answer = daemon.hook("app")
    assert (answer.status_code, answer.json()) == (202, {"mirror": "app", "state": "started"})
    assert daemon.event("run-finished")["mirrors"] == ["app"]


def test_what_is_signed_is_what_the_page_says(daemon: Daemon) -> None:
    stamp, body = str(int(time.time())), b'{"from": "a pipeline"}'
    digest = hmac.new(SECRET.encode(), b"%b\napp\n%b" % (stamp.encode(), body), sha256).hexdigest()
    headers = {"X-Regsync-Timestamp": stamp, "X-Regsync-Signature": f"sha256={digest}"}
    assert daemon.http.post("/hooks/app", content=body, headers=headers).status_code == 202


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        pytest.param({"X-Regsync-Signature": "sha256=" + "0" * 64}, b"{}", id="a made-up signature"),
        pytest.param({"X-Regsync-Signature": ""}, b"{}", id="none"),
        pytest.param({"X-Regsync-Signature": "sha1=" + "0" * 40}, b"{}", id="another algorithm"),
        pytest.param({"X-Regsync-Signature": "sha256=é"}, b"{}", id="no hex"),
        pytest.param({"X-Regsync-Timestamp": ""}, b"{}", id="no time"),
        pytest.param({"X-Regsync-Timestamp": "9" * 400}, b"{}", id="a time without end"),
        pytest.param({"X-Regsync-Timestamp": "1e9"}, b"{}", id="a time that is no whole number"),
        pytest.param({}, b"{} ", id="another body than was signed"),
        pytest.param(signed("other", b"{}"), b"{}", id="signed for another mirror"),
        pytest.param(signed("app", b"{}", "another secret, long too"), b"{}", id="another secret"),
        pytest.param(signed("app", b"{}", at=int(time.time()) - 3600), b"{}", id="an hour old"),
        pytest.param(signed("app", b"{}", at=int(time.time()) + 3600), b"{}", id="an hour ahead"),
    ],
)
def test_forgeries_start_nothing(
    daemon: Daemon, hub: FakeRegistry, changes: dict[str, str], body: bytes
) -> None:
    headers = {name.encode(): value.encode() for name, value in (signed("app", b"{}") | changes).items()}
    answer = daemon.http.post("/hooks/app", content=body, headers=headers)
    assert answer.status_code == 401, answer.text
    assert SECRET not in answer.text
    assert daemon.metric("regsync_hook_requests_total", status="401") == 1
    assert hub.requests == []
    assert SECRET not in daemon.log()


@pytest.mark.parametrize(
    "path", ["/hooks/", "/hooks/../app", "/hooks/app/", "/hooks/%61pp", "/hooks/" + "a" * 9000]
)
def test_other_paths_start_nothing(daemon: Daemon, path: str) -> None:
    with RawClient(int(daemon.http.base_url.port or 0)) as client:
        head = [f"{name}: {value}" for name, value in signed("app", b"").items()]
        client.request("POST", path, *head, "Content-Length: 0", "Connection: close")
        assert client.head().split()[1] in ("401", "404")


def test_a_request_is_taken_once(daemon: Daemon) -> None:
    headers = signed("app", b"{}")
    assert daemon.http.post("/hooks/app", content=b"{}", headers=headers).status_code == 202
    daemon.event("run-finished")
    for _ in range(3):
        assert daemon.http.post("/hooks/app", content=b"{}", headers=headers).status_code == 409
    assert len(daemon.events("run-finished")) == 1


def test_only_who_signs_hears_which_mirrors_there_are(daemon: Daemon) -> None:
    assert daemon.hook("nothing").status_code == 404
    forged = signed("nothing", b"{}", "another secret, long too")
    assert daemon.http.post("/hooks/nothing", content=b"{}", headers=forged).status_code == 401
    assert daemon.http.get("/hooks/app").status_code == 405


def test_a_body_is_bounded(daemon: Daemon) -> None:
    assert daemon.hook("app", body=b" " * 70_000).status_code == 413
    assert daemon.hook("app", body=b" " * 60_000).status_code == 202


def test_a_body_that_never_ends_holds_up_nobody(daemon: Daemon) -> None:
    with RawClient(int(daemon.http.base_url.port or 0)) as client:
        headers = [f"{name}: {value}" for name, value in signed("app", b"{}").items()]
        client.request("POST", "/hooks/app", *headers, "Content-Length: 2")
        assert daemon.hook("app", body=b"another").status_code == 202
        assert "408" in client.head()


def test_a_flood_for_a_mirror_that_runs_is_one_more_run(daemon: Daemon, hub: FakeRegistry) -> None:
    asked, let_go = threading.Event(), threading.Event()

    def held(request: Request, proceed: Proceed) -> Answer:
        asked.set()
        let_go.wait(LIMIT)
        return proceed()

    hub.on("GET", BLOBS, held, times=1)
    assert daemon.hook("app", body=b"first").json()["state"] == "started"
    assert asked.wait(LIMIT)
    answers = [daemon.hook("app", body=b"%d" % number).json()["state"] for number in range(20)]
    assert answers == ["again", *["waiting"] * 19]
    let_go.set()
    daemon.event("run-finished", count=2)
    wait_until(lambda: daemon.metric("regsync_lease_held") == 0, what="nothing is left to do")
    assert len(daemon.events("run-finished")) == 2


def test_a_flood_is_refused_beyond_a_rate(daemon: Daemon) -> None:
    statuses = [daemon.hook("app", body=b"%d" % number).status_code for number in range(120)]
    assert statuses.count(429) >= 40
    assert daemon.http.get("/healthz").status_code == 200
    assert (daemon.metric("regsync_hook_requests_total", status="429") or 0) >= 40


def test_a_secret_can_be_changed_while_it_runs(
    workspace: Workspace, start: Daemons, hub: FakeRegistry
) -> None:
    file = workspace.home / "secret"
    file.write_text("the secret of before\n")
    daemon = start("--hook-secret", f"file:{file}", "--hook-secret", "env:HOOK")
    assert daemon.hook("app", secret="the secret of before").status_code == 202
    assert daemon.hook("app", body=b"2").status_code == 202
    file.write_text("the secret from now on\n")
    wait_until(
        lambda: daemon.hook("app", body=b"3", secret="the secret from now on").status_code in (202, 409),
        what="the new one is read",
    )
    wait_until(
        lambda: daemon.hook("app", body=b"4", secret="the secret of before").status_code == 401,
        what="the one of before is refused",
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["--hook-secret", "env:NOT_SET"], "is not set", id="it is not there"),
        pytest.param(["--hook-secret", "plain"], "never the secret itself", id="it is no reference"),
        pytest.param(["--hook-secret", "env:HOME_SHORT"], "shorter than", id="it is short"),
    ],
)
def test_a_secret_that_is_none_ends_it_at_the_start(
    workspace: Workspace, start: Daemons, hub: FakeRegistry, options: list[str], said: str
) -> None:
    workspace.environment["HOME_SHORT"] = "short"
    with pytest.raises(AssertionError, match=said):
        start(*options)


def test_the_page_says_how_it_is_signed_in_a_shell(
    workspace: Workspace, daemon: Daemon, hub: FakeRegistry
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "run.md").read_text()
    script = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)[0]
    if shutil.which("openssl") is None or shutil.which("curl") is None:
        pytest.skip("needs openssl and curl")
    file = workspace.home / "hook"
    file.write_text(SECRET)
    script = script.replace("/run/secrets/hook", str(file)).replace("mirror=base-images", "mirror=app")
    script = script.replace("http://127.0.0.1:8080", str(daemon.http.base_url).rstrip("/"))
    ran = subprocess.run(["sh", "-euc", script], capture_output=True, text=True, timeout=LIMIT, check=False)
    assert json.loads(ran.stdout) == {"mirror": "app", "state": "started"}, ran.stderr
