"""Several daemons over one ledger: one works, another takes over, and who lost the lease writes nothing."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from tests.integration.daemons import DAILY, LIMIT, Daemon, Daemons, missed
from tests.integration.workspace import Workspace, finished
from tests.support.fake_http import Answer, Request
from tests.support.fake_registry import FakeRegistry, Proceed, stall_after
from tests.support.images import image
from tests.support.processes import wait_until
from tests.support.registry_state import read_repository

BLOBS = r"/v2/app/blobs/.*"


@pytest.fixture
def start(workspace: Workspace) -> Iterator[Daemons]:
    with Daemons(workspace) as daemons:
        yield daemons


@pytest.fixture
def hub(workspace: Workspace, fake_registry: FakeRegistry) -> FakeRegistry:
    """A registry with an image, and a mirror of it that is overdue."""
    fake_registry.add("app", image("app"), "v1")
    workspace.registry("hub", fake_registry.url)
    workspace.mirror("app", "hub/app", "hub/copy", tags=["v*"], schedule=DAILY)
    missed(workspace, "app")
    return fake_registry


def writes(hub: FakeRegistry) -> int:
    """Requests that may have changed something."""
    return sum(one.method not in ("GET", "HEAD") for one in hub.requests)


def gave_it_back(daemon: Daemon) -> bool:
    return daemon.metric("regsync_lease_held") == 0


def test_of_two_daemons_one_does_what_is_due(start: Daemons, hub: FakeRegistry) -> None:
    both = [start(), start()]
    wait_until(lambda: any(one.events("run-finished") for one in both), what="one of them runs")
    for one in both:  # the other has seen in the ledger that nothing is left to do
        wait_until(partial(gave_it_back, one), what="the lease is given back", limit=LIMIT)
        assert one.end() == 0
    assert sum(len(one.events("run-finished")) for one in both) == 1


def test_another_takes_over_when_the_first_is_killed_in_its_work(start: Daemons, hub: FakeRegistry) -> None:
    hub.on("GET", BLOBS, stall_after(10))
    first = start()
    wait_until(lambda: hub.count("GET", BLOBS) > 0, what="the first copies")
    second = start()
    wait_until(lambda: second.notes("another run holds the lease"), what="the second waits")
    assert second.metric("regsync_lease_held") == 0
    assert second.http.get("/readyz").status_code == 200
    hub.behave()
    first.process.kill()
    os.waitid(os.P_PID, first.process.pid, os.WEXITED | os.WNOWAIT)
    assert second.event("run-finished")["outcome"] == "done"
    assert read_repository(hub.url, "copy").complete


def test_one_that_was_frozen_past_its_lease_writes_nothing_and_goes_on_later(
    workspace: Workspace, start: Daemons, hub: FakeRegistry
) -> None:
    asked, let_go = threading.Event(), threading.Event()

    def held(request: Request, proceed: Proceed) -> Answer:
        asked.set()
        let_go.wait(LIMIT)
        return proceed()

    hub.on("GET", BLOBS, held, times=1)
    frozen = start("--hook-secret", "env:HOOK")
    assert asked.wait(LIMIT)
    frozen.send(signal.SIGSTOP)
    second = start()
    assert second.event("run-finished")["outcome"] == "done"
    before = writes(hub)
    let_go.set()  # what the frozen one waited for is there when it wakes
    frozen.send(signal.SIGCONT)
    ended = frozen.event("run-finished")
    assert ended["outcome"] == "interrupted"
    assert "lost its lease" in frozen.log()
    assert writes(hub) == before
    assert second.end() == 0
    hub.add("app", image("newer"), "v2")
    assert frozen.hook("app").status_code == 202
    assert frozen.event("run-finished", count=2)["summary"]["create"] == 1


def test_a_daemon_with_nothing_to_do_leaves_the_lease_to_a_run_by_hand(
    workspace: Workspace, start: Daemons, hub: FakeRegistry
) -> None:
    daemon = start()
    daemon.event("run-finished")
    workspace.run("sync", "--wait", "10s").exited(0)
    hub.add("app", image("newer"), "v2")
    workspace.run("sync", "--wait", "10s").exited(0)


def test_sigterm_ends_one_that_waits_for_the_lease_at_once(
    workspace: Workspace, start: Daemons, hub: FakeRegistry
) -> None:
    hub.on("GET", BLOBS, stall_after(10))
    by_hand: subprocess.Popen[str] = workspace.start("sync")
    wait_until(lambda: hub.count("GET", BLOBS) > 0, what="the run by hand copies")
    daemon = start()
    wait_until(lambda: daemon.notes("another run holds the lease"), what="the daemon waits")
    assert daemon.end() == 0
    by_hand.terminate()
    assert finished(by_hand).code == 143
