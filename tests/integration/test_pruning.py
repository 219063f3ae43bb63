"""Deletion by real processes: killed at every request, against a real registry, and by two at once."""

import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.integration.workspace import Workspace, finished
from tests.support.fake_http import Answer, Request
from tests.support.fake_registry import FakeRegistry, Proceed, error
from tests.support.images import image
from tests.support.registry_state import read_digest, read_tags
from tests.support.servers import RegistryServer

AT_ONCE = {"grace": "0s", "maxDeletes": 10, "maxDeletePercent": 100}
GONE, KEPT = ("v1", "v2"), ("v3", "v4")
SOAK = int(os.environ.get("REGSYNC_SOAK", "20"))
EVERY = 1 if SOAK > 20 else 5  # which of the moments are tried
# Requests of the second run to the target, and some more: it deletes tags, or has to swap them.
MOMENTS = [(number, True) for number in range(2, 15, EVERY)] + [(n, False) for n in range(3, 34, EVERY)]


def mirror(workspace: Workspace, source: str, target: str, repository: str = "app") -> None:
    workspace.registry("source", source).registry("target", target)
    workspace.mirror("app", "source/app", f"target/{repository}", tags=["v*"], prune=AT_ONCE)


def tags(registry: FakeRegistry) -> list[str]:
    return sorted(registry.repositories["app"].tags)


def deletions(workspace: Workspace) -> list[tuple[str, str, bool]]:
    """Run, tag, and whether the deletion is known to have happened."""
    with closing(sqlite3.connect(workspace.ledger)) as ledger:
        rows = ledger.execute("SELECT run, tag, done IS NOT NULL FROM deletion ORDER BY tag, run").fetchall()
    return [(str(run), str(tag), bool(done)) for run, tag, done in rows]


@pytest.mark.parametrize("how", ["before the answer", "after it"])
@pytest.mark.parametrize(("number", "deletes_tags"), MOMENTS)
def test_killed_at_any_request_the_next_run_finishes_and_deletes_nothing_else(
    workspace: Workspace,
    fake_registry_factory: Callable[[], FakeRegistry],
    number: int,
    deletes_tags: bool,
    how: str,
) -> None:
    source, target = fake_registry_factory(), fake_registry_factory()
    target.tag_delete = deletes_tags
    for tag in (*GONE, *KEPT):
        source.add("app", image(tag), tag)
    mirror(workspace, source.url, target.url)
    workspace.run("sync").exited(0)
    digests = {tag: target.repositories["app"].tags[tag] for tag in GONE}
    for tag in GONE:
        del source.repositories["app"].tags[tag]
    target.forget()
    seen, running = [0], [0]

    def behave(request: Request, proceed: Proceed) -> Answer:
        seen[0] += 1
        here = seen[0] == number
        if here and how == "before the answer":
            os.kill(running[0], signal.SIGKILL)
        answer = proceed()
        if here and how == "after it":
            os.kill(running[0], signal.SIGKILL)
        return answer

    target.on(".*", ".*", behave)
    process = workspace.start("sync")
    running[0] = process.pid
    ran = finished(process)
    target.behave()
    assert ran.code in (0, -signal.SIGKILL), str(ran)
    assert set(tags(target)) >= set(KEPT)

    workspace.run("sync").exited(0)

    assert tags(target) == sorted(KEPT)
    found = deletions(workspace)
    assert [tag for _, tag, _ in found] == list(GONE)  # each once, whichever run it was
    assert all(done for *_, done in found)
    again = workspace.run("sync").exited(0)
    assert again.report["summary"]["delete"] == 0
    for run in {run for run, *_ in found}:
        workspace.call("prune", workspace.path, "--undo", run, "-o", "json").exited(0)
    assert {tag: target.repositories["app"].tags[tag] for tag in GONE} == digests


def test_a_real_registry_loses_the_tag_and_keeps_its_sibling(
    workspace: Workspace, fake_registry: FakeRegistry, distribution: RegistryServer, repository: str
) -> None:
    app = image("app")
    for tag in ("v1", "v2"):
        fake_registry.add("app", app, tag)
    fake_registry.add("app", image("other"), "v3")
    mirror(workspace, fake_registry.url, distribution.url, repository)
    workspace.run("sync").exited(0)
    del fake_registry.repositories["app"].tags["v1"]

    plan = workspace.run("plan").exited(2)
    assert [(one["action"], one["tag"]) for one in plan.actions] == [("delete", "v1")]
    assert plan.report["summary"]["delete"] == 1
    dry = workspace.call("prune", workspace.path, "--dry-run", "--explain", "-o", "json").exited(2)
    assert {one["tag"]: one["kept"] for one in dry.report["explanations"]} == {
        "v1": False, "v2": True, "v3": True,
    }  # fmt: skip

    ran = workspace.call("prune", workspace.path, "-o", "json").exited(0)

    assert read_tags(distribution.url, repository) == ["v2", "v3"]
    assert read_digest(distribution.url, repository, "v2") == app.digest
    workspace.call("prune", workspace.path, "--dry-run").exited(0)
    workspace.call("prune", workspace.path, "--undo", ran.report["run"]["id"][:8]).exited(0)
    assert read_tags(distribution.url, repository) == ["v1", "v2", "v3"]


def test_a_saved_plan_deletes_what_was_reviewed(
    workspace: Workspace, fake_registry_factory: Callable[[], FakeRegistry]
) -> None:
    source, target = fake_registry_factory(), fake_registry_factory()
    for tag in (*GONE, *KEPT):
        source.add("app", image(tag), tag)
    mirror(workspace, source.url, target.url)
    workspace.run("sync").exited(0)
    del source.repositories["app"].tags["v1"]
    saved = workspace.path / "plan.json"
    workspace.call("plan", workspace.path, "--out", saved).exited(2)
    del source.repositories["app"].tags["v2"]  # due too by now, and not in the plan

    workspace.call("apply", saved, workspace.path, "-o", "json").exited(0)

    assert tags(target) == ["v2", "v3", "v4"]


def test_a_limit_refuses_with_3_and_the_source_that_fails_with_75(
    workspace: Workspace, fake_registry_factory: Callable[[], FakeRegistry]
) -> None:
    source, target = fake_registry_factory(), fake_registry_factory()
    for tag in (*GONE, *KEPT):
        source.add("app", image(tag), tag)
    workspace.registry("source", source.url, limits={"maxWait": "1s"}).registry("target", target.url)
    limits = {"grace": "0s", "maxDeletes": 1, "maxDeletePercent": 100}
    workspace.mirror("app", "source/app", "target/app", tags=["v*"], prune=limits)
    workspace.run("sync").exited(0)
    for tag in GONE:
        del source.repositories["app"].tags[tag]
    source.add("app", image("new"), "v5")

    ran = workspace.run("sync").exited(3)

    assert ran.summary == {"create": 1, "blocked": 2, "unchanged": 2}
    assert tags(target) == ["v1", "v2", "v3", "v4", "v5"]
    source.on("GET", "/v2/app/tags/list", error(503, "UNAVAILABLE"))
    workspace.run("sync").exited(75)
    assert tags(target) == ["v1", "v2", "v3", "v4", "v5"]


def test_a_lost_ledger_deletes_nothing_until_tags_are_adopted(
    workspace: Workspace, fake_registry_factory: Callable[[], FakeRegistry]
) -> None:
    source, target = fake_registry_factory(), fake_registry_factory()
    for tag in (*GONE, *KEPT):
        source.add("app", image(tag), tag)
    mirror(workspace, source.url, target.url)
    workspace.run("sync").exited(0)
    for path in workspace.ledger.parent.glob("ledger.db*"):
        path.unlink()
    del source.repositories["app"].tags["v1"]
    plan = workspace.run("plan").exited(0)
    assert plan.report["summary"]["delete"] is None
    assert any("deletions are unknown" in one for one in plan.report["warnings"])
    workspace.run("sync").exited(0)
    assert tags(target) == ["v1", "v2", "v3", "v4"]

    adopted = workspace.call("adopt", workspace.path)
    assert "adopted: 3 tags" in adopted.exited(0).err
    del source.repositories["app"].tags["v2"]
    workspace.run("sync").exited(0)

    assert tags(target) == ["v1", "v3", "v4"]
