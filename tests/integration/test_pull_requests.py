"""What a pull request shows, between real registries, by processes as a pipeline runs them."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.integration.workspace import Workspace
from tests.support.fake_registry import FakeRegistry
from tests.support.images import image, index, referrer
from tests.support.regsync_server import RegsyncServer
from tests.support.servers import RegistryServer


def commit(workspace: Workspace) -> None:
    identity = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {**os.environ, **identity, "GIT_CONFIG_GLOBAL": os.devnull}
    for arguments in (["init", "-q"], ["add", "*.yaml"], ["commit", "-q", "-m", "specs"]):
        command = ["git", "-C", str(workspace.path), *arguments]
        subprocess.run(command, check=True, capture_output=True, env=environment)


@pytest.fixture
def estate(
    workspace: Workspace, distribution: RegistryServer, regsync_server: RegsyncServer, repository: str
) -> Workspace:
    """A mirror between distribution and our own server, committed, with two tags pending."""
    signed = index(image("v1", arch="amd64"), image("v1", arch="arm64"))
    distribution.push(repository, signed, "v1")
    distribution.push(repository, referrer(signed))
    distribution.push(repository, image("v2"), "v2")
    workspace.registry("hub", distribution.url).registry("own", regsync_server.url)
    workspace.mirror("app", f"hub/{repository}", f"own/{repository}", tags=["v1"])
    commit(workspace)
    return workspace


def widen(workspace: Workspace, tags: list[str]) -> None:
    path = next(workspace.path.glob("*-mirror.yaml"))
    document = json.loads(path.read_text())
    document["spec"]["tags"] = tags
    path.write_text(json.dumps(document, indent=1))


def test_only_what_the_change_causes_is_shown_and_applied(estate: Workspace, repository: str) -> None:
    estate.run("plan", "--base", "HEAD").exited(0)
    widen(estate, ["v1", "v2"])
    plan = estate.path / "plan.json"
    ran = estate.run("plan", "--base", "HEAD", "--out", plan).exited(2)
    assert [one["tag"] for one in ran.actions] == ["v2"]
    assert ran.report["base"]["anyway"] == 1
    assert ran.report["summary"]["bytes"] > 0
    assert estate.run("apply", plan).exited(0).summary == {"create": 1}
    left = estate.run("plan").exited(2)
    assert [one["tag"] for one in left.actions] == ["v1"]


def test_both_specs_are_planned_from_one_observation(
    workspace: Workspace, fake_registry_factory: Callable[[], FakeRegistry]
) -> None:
    source, target = fake_registry_factory(), fake_registry_factory()
    for number in range(5):
        source.add("app", image(f"v{number}"), f"v{number}")
    workspace.registry("hub", source.url).registry("edge", target.url)
    workspace.mirror("app", "hub/app", "edge/app", tags=["v*"])
    commit(workspace)
    alone = workspace.run("plan").exited(2)
    assert alone.summary == {"create": 5}
    asked = source.count("GET|HEAD", r"/v2/app/.*")
    source.forget()
    workspace.run("plan", "--base", "HEAD").exited(0)
    assert source.count("GET|HEAD", r"/v2/app/.*") == asked > 0


def test_a_fork_plans_without_secrets_and_without_a_request(
    estate: Workspace, workspaces: Callable[[str], Workspace], tmp_path: Path
) -> None:
    seen = tmp_path / "seen.json"
    widen(estate, ["v*"])
    plan = estate.run("plan", "--record", seen).exited(2)
    fork = workspaces("fork")
    for path in estate.path.glob("*.yaml"):
        document = json.loads(path.read_text())
        if document["kind"] == "Registry":
            document["spec"]["auth"] = {"username": {"env": "NOT_SET"}, "password": {"env": "NOT_SET"}}
        (fork.path / path.name).write_text(json.dumps(document))
    again = fork.run("plan", "--observation", seen).exited(2)
    assert again.actions == plan.actions
    assert again.summary == plan.summary
    assert "planning from what was observed" in again.err
    widen(fork, ["v1", "v3"])
    missing = fork.run("plan", "--observation", seen).exited(1)
    outcomes = {one["tag"]: one["problem"]["outcome"] for one in missing.actions if one["problem"]}
    assert outcomes == {"v3": "failed"}


def test_what_it_shows_is_what_was_seen_though_the_registries_are_gone(
    workspace: Workspace,
    distribution_factory: Callable[..., RegistryServer],
    tmp_path: Path,
) -> None:
    server = distribution_factory()
    server.push("app", image("one"), "v1")
    workspace.registry("hub", server.url)
    workspace.mirror("app", "hub/app", "hub/copy", tags=["v*"])
    commit(workspace)
    seen = tmp_path / "seen.json"
    workspace.run("plan", "--record", seen).exited(2)
    server.push("app", image("two"), "v2")
    again = workspace.run("plan", "--observation", seen, "--report", tmp_path / "plan.junit.xml").exited(2)
    assert [one["tag"] for one in again.actions] == ["v1"]
    workspace.run("plan", "--base", "HEAD", "--observation", seen).exited(0)
    suites = ElementTree.parse(tmp_path / "plan.junit.xml").getroot()
    assert (suites.attrib["tests"], suites.attrib["failures"]) == ("1", "0")
