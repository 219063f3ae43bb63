"""The daemon alone: schedules, edits of the spec, its end, what it shows over HTTP."""

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import pytest

from regsync.clock import SystemClock
from regsync.reconcile.ledger_sqlite import open_ledger
from tests.integration.daemons import DAILY, Daemons, handled, missed
from tests.integration.workspace import Workspace
from tests.support.fake_registry import FakeRegistry, respond, stall_after
from tests.support.images import image
from tests.support.processes import wait_until
from tests.support.registry_state import read_repository


@pytest.fixture
def start(workspace: Workspace) -> Iterator[Daemons]:
    with Daemons(workspace) as daemons:
        yield daemons


@pytest.fixture
def hub(workspace: Workspace, fake_registry: FakeRegistry) -> FakeRegistry:
    """A registry with an image, and a mirror of it that runs every day."""
    fake_registry.add("app", image("app"), "v1")
    workspace.registry("hub", fake_registry.url)
    workspace.mirror("app", "hub/app", "hub/copy", tags=["v*"], schedule=DAILY)
    return fake_registry


def test_what_was_missed_while_nothing_ran_is_done_once(
    workspace: Workspace, start: Daemons, hub: FakeRegistry
) -> None:
    missed(workspace, "app")
    daemon = start()
    ended = daemon.event("run-finished", mirrors=["app"])
    assert (ended["outcome"], ended["summary"]["create"]) == ("done", 1)
    assert list(read_repository(hub.url, "copy").tags) == ["v1"]
    wait_until(
        lambda: handled(workspace, "app") > SystemClock().now() - timedelta(minutes=1),
        what="it is written down",
    )
    assert daemon.end() == 0
    again = start()
    again.event("note")
    assert again.metric("regsync_mirror_due_timestamp_seconds", mirror="app") is not None
    assert again.metric("regsync_mirror_last_success_timestamp_seconds", mirror="app") is not None
    assert again.events("run-finished") == []


def test_a_new_mirror_waits_for_its_time(workspace: Workspace, start: Daemons, hub: FakeRegistry) -> None:
    daemon = start()
    daemon.event("note")
    due = daemon.metric("regsync_mirror_due_timestamp_seconds", mirror="app")
    assert due is not None
    assert due > SystemClock().now().timestamp()
    assert hub.requests == []


def test_mirrors_without_a_schedule_are_named_at_the_start_and_not_run(
    workspace: Workspace, start: Daemons, hub: FakeRegistry
) -> None:
    workspace.mirror("by-hand", "hub/app", "hub/other", tags=["v*"])
    missed(workspace, "app")
    daemon = start()
    daemon.event("run-finished", mirrors=["app"])
    assert daemon.notes(
        "2 mirrors, 1 of them scheduled; without a schedule, so run only by webhook or by hand: by-hand"
    )
    assert daemon.events("run-finished", mirrors=["by-hand"]) == []


def test_chained_mirrors_that_are_due_together_run_in_order(
    workspace: Workspace, start: Daemons, hub: FakeRegistry
) -> None:
    workspace.mirror("prod", "hub/copy", "hub/prod", tags=["v*"], schedule=DAILY)
    missed(workspace, "app", "prod")
    daemon = start()
    ended = daemon.event("run-finished", mirrors=["app", "prod"])
    assert ended["summary"]["create"] == 2
    assert list(read_repository(hub.url, "prod").tags) == ["v1"]


def test_an_edit_is_taken_up_at_sighup_and_a_wrong_one_is_refused(
    workspace: Workspace, start: Daemons, hub: FakeRegistry
) -> None:
    daemon = start()
    daemon.event("note")
    wrong = workspace.path / "wrong.yaml"
    wrong.write_text("apiVersion: regsync.dev/v1\nkind: Mirror\nmetadata: {name: new}\nspec: {sauce: x}\n")
    daemon.send(signal.SIGHUP)
    wait_until(lambda: daemon.notes("refused; the spec that was in force goes on"), what="it is refused")
    assert "sauce" in daemon.log()
    assert daemon.metric("regsync_spec_current") == 0
    wrong.unlink()
    workspace.mirror("new", "hub/app", "hub/new", tags=["v*"], schedule=DAILY)
    daemon.send(signal.SIGHUP)
    wait_until(lambda: daemon.notes("taken up: 2 mirrors"), what="it is taken up")
    assert daemon.metric("regsync_spec_current") == 1
    assert daemon.metric("regsync_mirror_due_timestamp_seconds", mirror="new") is not None
    for path in workspace.path.glob("*-mirror.yaml"):
        if '"new"' in path.read_text():
            path.unlink()
    wait_until(lambda: daemon.notes("taken up: 1 mirror,"), what="it is seen without a signal")
    assert daemon.metric("regsync_mirror_due_timestamp_seconds", mirror="new") is None


def test_sigterm_ends_it_in_the_middle_of_a_run_which_is_done_again(
    workspace: Workspace, start: Daemons, hub: FakeRegistry
) -> None:
    hub.on("GET", r"/v2/app/blobs/.*", stall_after(10))
    missed(workspace, "app")
    daemon = start()
    wait_until(lambda: hub.count("GET", r"/v2/app/blobs/.*") > 0, what="it copies")
    assert daemon.metric("regsync_lease_held") == 1
    assert daemon.metric("regsync_mirror_running", mirror="app") == 1
    assert daemon.end() == 0
    assert daemon.events("run-finished")[0]["outcome"] == "interrupted"
    assert read_repository(hub.url, "copy").tags == {}
    hub.behave()
    again = start()
    assert again.event("run-finished")["outcome"] == "done"


def test_a_failure_that_may_pass_is_tried_again_and_ends_nothing(
    workspace: Workspace, start: Daemons, hub: FakeRegistry
) -> None:
    hub.on("GET", r"/v2/app/tags/list", respond(404))
    hub.on("GET", r"/v2/app/manifests/.*", respond(404))
    missed(workspace, "app")
    daemon = start()
    ended = daemon.event("run-finished")
    assert ended["outcome"] == "failed"
    assert daemon.metric("regsync_mirror_runs_total", mirror="app", outcome="failed") == 1
    pending = daemon.metric("regsync_mirror_pending", mirror="app")
    assert pending is not None
    assert pending > 0
    assert daemon.http.get("/readyz").status_code == 200


def test_its_pages(workspace: Workspace, start: Daemons, hub: FakeRegistry) -> None:
    missed(workspace, "app")
    daemon = start()
    daemon.event("run-finished")
    assert daemon.http.get("/healthz").text == "alive\n"
    assert daemon.http.head("/readyz").status_code == 200
    assert daemon.http.get("/nothing").status_code == 404
    assert daemon.http.post("/metrics").status_code == 405
    assert daemon.http.post("/hooks/app").status_code == 404  # without a secret there are none
    host = hub.url.removeprefix("http://")
    wait_until(lambda: daemon.metric("regsync_lease_held") == 0, what="the lease is given back")
    assert daemon.metric("regsync_mirror_runs_total", mirror="app", outcome="done") == 1
    assert daemon.metric("regsync_mirror_pending", mirror="app") == 0
    copied = daemon.metric("regsync_mirror_copied_bytes_total", mirror="app")
    assert copied is not None
    staleness = daemon.metric("regsync_mirror_staleness_seconds", mirror="app")
    assert staleness is not None
    assert staleness < 60
    assert (daemon.metric("regsync_requests_total", registry="hub", kind="list") or 0) >= 1, host


def test_its_runs_are_in_the_history(workspace: Workspace, start: Daemons, hub: FakeRegistry) -> None:
    missed(workspace, "app")
    daemon = start()
    run = daemon.event("run-finished")["run"]
    daemon.end()
    listed = workspace.run("history", "-o", "json").exited(0).report["runs"]
    assert [(one["id"], one["command"], one["mirrors"]) for one in listed] == [(run, "run", ["app"])]
    shown = workspace.call("show", run, workspace.path).exited(0)
    assert "copy" in shown.out


def test_a_ledger_that_cannot_be_used_ends_it_at_the_start(
    workspace: Workspace, start: Daemons, hub: FakeRegistry
) -> None:
    missed(workspace, "app")
    with closing(sqlite3.connect(workspace.ledger)) as ledger, ledger:
        ledger.execute("PRAGMA user_version = 9999")
    with pytest.raises(AssertionError, match="later regsync"):
        start()


def test_a_ledger_that_fails_later_is_told_of_and_tried_again(
    workspace: Workspace, start: Daemons, hub: FakeRegistry
) -> None:
    daemon = start("--hook-secret", "env:HOOK")
    daemon.event("note")
    with closing(sqlite3.connect(workspace.ledger)) as ledger, ledger:
        version = ledger.execute("PRAGMA user_version").fetchone()[0]
        ledger.execute("PRAGMA user_version = 9999")
    assert daemon.hook("app").status_code == 202
    assert "later regsync" in daemon.event("error")["message"]
    assert daemon.http.get("/readyz").text == "not ready: ledger\n"
    assert daemon.metric("regsync_ledger_works") == 0
    with closing(sqlite3.connect(workspace.ledger)) as ledger, ledger:
        ledger.execute(f"PRAGMA user_version = {version}")
    assert daemon.event("run-finished")["outcome"] == "done"
    wait_until(lambda: daemon.http.get("/readyz").status_code == 200, what="it is ready again")


def test_retention_runs_by_its_schedule_and_keeps_what_a_mirror_declares(
    workspace: Workspace, start: Daemons, hub: FakeRegistry
) -> None:
    for number in (1, 2, 3):
        hub.add("copy", image(f"old {number}"), f"old-{number}")
    keep = [{"glob": "*", "newest": 1, "sort": "natural"}]
    policy = {
        "repositories": ["hub/copy"],
        "keep": keep,
        "schedule": DAILY,
        "limits": {"maxDeletePercent": 100},
    }
    workspace.document("RetentionPolicy", "old", policy)
    missed(workspace, "app")
    with open_ledger(workspace.ledger, SystemClock()) as ledger:
        ledger.write_tasks({"retention:old": ledger.read_tasks()["mirror:app"]})
    daemon = start()
    daemon.event("run-finished", mirrors=["app"])
    ended = daemon.event("run-finished", mirrors=["old"])
    assert (ended["outcome"], ended["summary"]["delete"]) == ("done", 2), daemon.log()
    assert sorted(read_repository(hub.url, "copy").tags) == ["old-3", "v1"]
    assert daemon.metric("regsync_retention_runs_total", policy="old", outcome="done") == 1
    daemon.end()
    runs = workspace.run("history", "-o", "json").exited(0).report["runs"]
    assert sorted(one["command"] for one in runs) == ["prune", "run"]


def test_many_mirrors_into_one_store_run_beside_each_other(
    workspace: Workspace, start: Daemons, fake_registry: FakeRegistry
) -> None:
    names = [f"app-{number}" for number in range(12)]
    workspace.registry("hub", fake_registry.url).registry("local", store="./store")
    for name in names:
        fake_registry.add(name, image(name), "v1")
        workspace.mirror(name, f"hub/{name}", f"local/{name}", tags=["v*"], schedule=DAILY)
    missed(workspace, *names)
    daemon = start()
    ended = [daemon.event("run-finished", mirrors=[name]) for name in names]
    assert {one["outcome"] for one in ended} == {"done"}, daemon.log()
    daemon.end()
    workspace.run("plan").exited(0)
