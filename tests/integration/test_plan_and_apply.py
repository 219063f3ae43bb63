"""A plan writes nothing and is carried out exactly; what moved since is refused, the rest is done."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.integration.workspace import Workspace
from tests.support.fake_registry import FakeRegistry
from tests.support.images import image, index
from tests.support.registry_state import read_digest, read_repository, read_tags
from tests.support.servers import RegistryServer
from tests.support.tools import Tool


def tree(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and "_uploads" not in path.parts
    }


def test_a_plan_writes_nothing_anywhere(
    workspace: Workspace,
    distribution: RegistryServer,
    distribution_factory: Callable[..., RegistryServer],
    repository: str,
) -> None:
    target = distribution_factory()
    distribution.push(repository, image("app"), "v1")
    target.push(repository, image("old"), "v1")
    workspace.registry("source", distribution.url).registry("target", target.url)
    workspace.registry("local", store="./data").registry("bundle", layout="./images")
    workspace.mirror(
        "app",
        f"source/{repository}",
        f"target/{repository}",
        f"target/{repository}/new",
        f"local/{repository}",
        f"bundle/{repository}",
        tags=["v*"],
    )
    before, at_target = workspace.files(), tree(target.data)
    ran = workspace.run("plan").exited(2)
    assert ran.summary == {"create": 3, "update": 1}
    assert workspace.files() == before
    assert tree(target.data) == at_target
    assert sorted(path.name for path in workspace.path.iterdir()) == sorted(before)
    ours = [one for one in target.accesses() if one.agent.startswith("regsync")]
    assert {one.method for one in ours} <= {"GET", "HEAD", "POST", "DELETE"}
    opened = [one for one in ours if one.method == "POST"]  # to learn whether a push would be taken
    assert len(opened) == sum(one.method == "DELETE" for one in ours) == 2
    assert workspace.run("plan", "--exit-zero").code == 0


def test_exactly_what_was_planned_is_applied(
    workspace: Workspace, distribution: RegistryServer, repository: str
) -> None:
    copy = f"{repository}-copy"
    planned = distribution.push(repository, index(image("planned")), "v1")
    workspace.registry("hub", distribution.url)
    workspace.mirror("app", f"hub/{repository}", f"hub/{copy}", tags=["v*"])
    plan = workspace.path / "plan.json"
    ran = workspace.run("plan", "--out", plan).exited(2)
    assert plan.read_text() == ran.out
    distribution.push(repository, image("moved after the plan"), "v1")
    distribution.push(repository, image("new after the plan"), "v2")
    workspace.run("apply", plan).exited(0)
    state = read_repository(distribution.url, copy)
    assert state.complete
    assert state.tags == {"v1": planned.digest}
    again = workspace.run("apply", plan)
    assert again.code in (0, 3), str(again)
    assert read_digest(distribution.url, copy, "v1") == planned.digest


def test_a_target_that_moved_since_is_refused_and_the_rest_applied(
    workspace: Workspace,
    distribution: RegistryServer,
    repository: str,
    tool: Callable[[str], Tool],
) -> None:
    copy = f"{repository}-copy"
    for tag in ("v1", "v2", "v3"):
        distribution.push(repository, image(f"new {tag}"), tag)
    distribution.push(copy, image("old"), "v1", "v2")
    workspace.registry("hub", distribution.url)
    workspace.mirror("app", f"hub/{repository}", f"hub/{copy}", tags=["v*"])
    plan = workspace.path / "plan.json"
    assert workspace.run("plan", "--out", plan).exited(2).summary == {"create": 1, "update": 2}
    theirs = distribution.push(copy, image("somebody's"), "theirs")
    tool("crane")("tag", "--insecure", distribution.reference(copy, "theirs"), "v1")
    ran = workspace.run("apply", plan).exited(3)
    assert ran.outcomes() == {
        f"hub/{copy}:v1": "refused",
        f"hub/{copy}:v2": "done",
        f"hub/{copy}:v3": "done",
    }
    assert read_digest(distribution.url, copy, "v1") == theirs.digest
    assert read_digest(distribution.url, copy, "v2") == image("new v2").digest


def test_a_tag_that_somebody_made_since_is_not_overwritten(
    workspace: Workspace, distribution: RegistryServer, repository: str
) -> None:
    copy = f"{repository}-copy"
    distribution.push(repository, image("ours"), "v1")
    workspace.registry("hub", distribution.url)
    workspace.mirror("app", f"hub/{repository}", f"hub/{copy}", tags=["v*"])
    plan = workspace.path / "plan.json"
    workspace.run("plan", "--out", plan).exited(2)
    theirs = distribution.push(copy, image("theirs"), "v1")
    workspace.run("apply", plan).exited(3)
    assert read_digest(distribution.url, copy, "v1") == theirs.digest


def test_a_plan_of_another_spec_or_too_old_or_changed_by_hand_is_refused(
    workspace: Workspace, distribution: RegistryServer, repository: str
) -> None:
    copy = f"{repository}-copy"
    distribution.push(repository, image("app"), "v1")
    workspace.registry("hub", distribution.url)
    workspace.mirror("app", f"hub/{repository}", f"hub/{copy}", tags=["v*"])
    plan = workspace.path / "plan.json"
    workspace.run("plan", "--out", plan).exited(2)
    workspace.run("apply", plan, "--max-age", "0s").exited(3)
    forged = json.loads(plan.read_text())
    forged["actions"][0]["target"] = f"hub/{repository}-elsewhere"
    (workspace.path / "forged.json").write_text(json.dumps(forged))
    ran = workspace.run("apply", workspace.path / "forged.json").exited(3)
    assert "does not declare" in ran.out
    workspace.mirror("more", f"hub/{repository}", f"hub/{copy}-2", tags=["v*"])
    workspace.run("apply", plan).exited(3)
    for name in (copy, f"{repository}-elsewhere", f"{copy}-2"):
        assert read_tags(distribution.url, name) == []


def test_a_source_that_lost_the_planned_digest_fails_that_action(
    workspace: Workspace, distribution: RegistryServer, repository: str
) -> None:
    copy = f"{repository}-copy"
    lost = distribution.push(repository, image("lost"), "v1")
    distribution.push(repository, image("kept"), "v2")
    workspace.registry("hub", distribution.url)
    workspace.mirror("app", f"hub/{repository}", f"hub/{copy}", tags=["v*"])
    plan = workspace.path / "plan.json"
    workspace.run("plan", "--out", plan).exited(2)
    with distribution.client() as http:
        http.delete(f"{distribution.url}/v2/{repository}/manifests/{lost.digest}").raise_for_status()
    ran = workspace.run("apply", plan).exited(1)
    assert ran.outcomes() == {f"hub/{copy}:v1": "failed", f"hub/{copy}:v2": "done"}


def test_two_plans_of_the_same_world_are_the_same_bytes(
    workspace: Workspace, distribution: RegistryServer, repository: str
) -> None:
    for number in range(5):
        distribution.push(repository, image(str(number)), f"v{number}")
    workspace.registry("hub", distribution.url)
    workspace.mirror("app", f"hub/{repository}", f"hub/{repository}-copy", tags=["v*"])
    first, second = (workspace.run("plan").exited(2).report for _ in range(2))
    assert {**first, "run": None} == {**second, "run": None}


def test_a_repository_that_is_missing_and_not_made_by_pushing_fails_in_the_plan(
    workspace: Workspace, distribution: RegistryServer, fake_registry: FakeRegistry, repository: str
) -> None:
    distribution.push(repository, image("app"), "v1")
    fake_registry.creates_repositories = False
    fake_registry.add("there", image("other"), "v0")
    workspace.registry("source", distribution.url).registry("target", fake_registry.url)
    workspace.mirror("app", f"source/{repository}", "target/missing", "target/there", tags=["v*"])
    ran = workspace.run("plan").exited(1)
    assert ran.summary == {"create": 1, "failed": 1}
    assert "target/missing" in next(one["target"] for one in ran.actions if one["problem"])
    assert fake_registry.tags("there") == {"v0": image("other").digest}
    ran = workspace.run("sync").exited(1)
    assert ran.outcomes() == {"target/missing:v1": "failed", "target/there:v1": "done"}
