"""What people are told, by a real server that hears it: each thing once, nothing secret, nobody waits."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.integration.daemons import Daemon, Daemons
from tests.integration.workspace import Workspace
from tests.support.fake_http import Answer, HttpServer, Request
from tests.support.fake_registry import FakeRegistry, respond
from tests.support.images import image
from tests.support.processes import wait_until

PATH = "/T000/B000/secret-part-of-the-url"


class Receiver:
    """A server that is told. `statuses` are answered in turn, the last one for good."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses) or [200]
        self.requests: list[Request] = []
        self.server = HttpServer(self._answer)
        self.url = f"http://127.0.0.1:{self.server.port}{PATH}"

    def _answer(self, request: Request) -> Answer:
        self.requests.append(request)
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return Answer(status, headers=(("Location", f"{self.url}/elsewhere"),), body=b"a secret answer")

    def heard(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many messages."""
        wait_until(lambda: len(self.requests) >= count, what=f"{count} messages")
        return [json.loads(one.body or b"") for one in self.requests]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    with made.server:
        yield made


@pytest.fixture
def start(workspace: Workspace) -> Iterator[Daemons]:
    with Daemons(workspace) as daemons:
        yield daemons


@pytest.fixture
def hub(workspace: Workspace, fake_registry: FakeRegistry, receiver: Receiver) -> FakeRegistry:
    """A registry with an image, a mirror of it, and somebody who is told."""
    fake_registry.add("app", image("app"), "v1")
    workspace.registry("hub", fake_registry.url)
    workspace.mirror("app", "hub/app", "hub/copy", tags=["v1"], immutable=["v*"])
    workspace.environment["TOLD"] = receiver.url
    return fake_registry


def tell(workspace: Workspace, **notification: Any) -> None:
    """Have the address told."""
    workspace.document("Settings", None, {"notifications": [{"url": {"env": "TOLD"}, **notification}]})


def run(daemon: Daemon, number: int) -> dict[str, Any]:
    """The outcome of the `number`-th run, which is asked for."""
    wait_until(lambda: daemon.metric("regsync_mirror_running", mirror="app") == 0, what="it does not run")
    assert daemon.hook("app", body=b"%d" % number).status_code == 202
    return daemon.event("run-finished", count=number)


def test_failure_and_recovery_are_told_once_each_also_over_restarts(
    workspace: Workspace, start: Daemons, hub: FakeRegistry, receiver: Receiver
) -> None:
    tell(workspace)
    hub.on(".*", "/v2/app/.*", respond(404))
    daemon = start("--hook-secret", "env:HOOK")
    assert run(daemon, 1)["outcome"] == "failed"
    (first,) = receiver.heard(1)
    assert first["event"] == "failure"
    assert (first["kind"], first["mirror"]) == ("Notification", "app")
    assert first["run"] == daemon.events("run-finished")[0]["run"]
    run(daemon, 2)
    assert daemon.end() == 0
    again = start("--hook-secret", "env:HOOK")
    run(again, 1)
    hub.behave()
    assert run(again, 2)["outcome"] == "done"
    assert [one["event"] for one in receiver.heard(2)] == ["failure", "recovery"]
    run(again, 3)
    assert again.end() == 0
    assert len(receiver.requests) == 2


def test_what_a_policy_keeps_back_is_told_as_blocked(
    workspace: Workspace, start: Daemons, hub: FakeRegistry, receiver: Receiver
) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    (workspace.path / "key.pub").write_bytes(
        key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    policy = {
        "targets": ["hub/copy"],
        "authorities": {"ops": {"key": {"file": "key.pub", "tlog": "ignore"}}},
        "require": {"signature": {"authority": "ops"}},
    }
    workspace.document("VerificationPolicy", "prod", policy)
    tell(workspace, on=["blocked"])
    daemon = start("--hook-secret", "env:HOOK")
    assert run(daemon, 1)["outcome"] == "refused"
    (message,) = receiver.heard(1)
    assert message["event"] == "blocked"
    assert daemon.metric("regsync_mirror_blocked", mirror="app") == 1
    assert daemon.metric("regsync_mirror_pending", mirror="app") == 1


def test_tags_that_somebody_moved_are_told_as_drift(
    workspace: Workspace, start: Daemons, hub: FakeRegistry, receiver: Receiver
) -> None:
    workspace.clear()
    workspace.registry("hub", hub.url)
    workspace.mirror("app", "hub/app", "hub/copy", tags=["v1"])
    tell(workspace, format="slack", on=["drift"])
    daemon = start("--hook-secret", "env:HOOK")
    run(daemon, 1)
    assert daemon.metric("regsync_mirror_drift", mirror="app") == 0
    hub.add("copy", image("somebody's own"), "v1")
    run(daemon, 2)
    (message,) = receiver.heard(1)
    assert message == {"text": message["text"]}
    assert "app: drift: 1 tag was moved or deleted at a target by somebody else" in message["text"]
    assert daemon.metric("regsync_mirror_drift", mirror="app") == 1
    run(daemon, 3)
    assert daemon.metric("regsync_mirror_drift", mirror="app") == 0


def test_a_template_is_filled(
    workspace: Workspace, start: Daemons, hub: FakeRegistry, receiver: Receiver
) -> None:
    tell(workspace, template='{"title": "{{event}} of {{mirror}}", "body": ["{{message}}"]}')
    hub.on(".*", "/v2/app/.*", respond(404))
    daemon = start("--hook-secret", "env:HOOK")
    run(daemon, 1)
    (message,) = receiver.heard(1)
    assert message["title"] == "failure of app"
    assert message["body"][0]


def test_a_server_that_fails_is_asked_again_and_no_run_waits_for_it(
    workspace: Workspace, start: Daemons, hub: FakeRegistry, receiver: Receiver
) -> None:
    receiver.statuses = [503, 429, 200]
    tell(workspace)
    hub.on(".*", "/v2/app/.*", respond(404))
    daemon = start("--hook-secret", "env:HOOK")
    run(daemon, 1)
    hub.behave()
    assert run(daemon, 2)["outcome"] == "done"
    assert [one["event"] for one in receiver.heard(4)] == ["failure"] * 3 + ["recovery"]


@pytest.mark.parametrize("status", [302, 400, 404])
def test_an_answer_that_says_no_ends_it_and_nothing_of_the_address_is_shown(
    workspace: Workspace, start: Daemons, hub: FakeRegistry, receiver: Receiver, status: int
) -> None:
    receiver.statuses = [status]
    tell(workspace)
    hub.on(".*", "/v2/app/.*", respond(404))
    daemon = start("--hook-secret", "env:HOOK")
    run(daemon, 1)
    told = daemon.event("error")
    assert f"its server answered {status}" in told["message"]
    assert "environment variable TOLD" in told["message"]
    assert daemon.metric("regsync_notifications_lost_total") == 1
    assert len(receiver.requests) == 1
    assert PATH not in daemon.log()
    assert "secret answer" not in daemon.log()


def test_a_server_that_is_not_there_is_told_of_at_the_end(
    workspace: Workspace, start: Daemons, hub: FakeRegistry, receiver: Receiver
) -> None:
    receiver.server.close()
    tell(workspace)
    hub.on(".*", "/v2/app/.*", respond(404))
    daemon = start("--hook-secret", "env:HOOK")
    run(daemon, 1)
    assert daemon.end() == 0
    assert "gave no answer" in daemon.event("error")["message"]
    assert PATH not in daemon.log()
