"""The examples of the four ways of use, their commands run on real registries."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.integration.told_commands import run_all, told
from tests.integration.workspace import Workspace
from tests.support.images import image, index
from tests.support.registry_state import read_tags
from tests.support.servers import RegistryServer

EXAMPLES = Path(__file__).parents[2] / "examples"
Registries = Callable[[], RegistryServer]


@pytest.fixture
def hub(distribution_factory: Registries) -> RegistryServer:
    """What stands for Docker Hub."""
    found = distribution_factory()
    for name, tags in {
        "library/nginx": ["1.26.2", "1.27.0", "1.27.1", "1.27.2", "latest"],
        "library/alpine": ["3.20.0", "3.20.1", "edge"],
    }.items():
        for tag in tags:
            found.push(name, index(*(image(f"{name} {tag}", arch=arch) for arch in ("amd64", "arm64"))), tag)
    return found


def example(workspace: Workspace, name: str, places: Mapping[str, str]) -> Path:
    """A copy of an example in the workspace, with registries that are here; its page."""
    shutil.copytree(EXAMPLES / name, workspace.path, dirs_exist_ok=True)
    workspace.environment |= {"PROD_USER": "ci", "PROD_PASSWORD": "secret"}
    left = set(places)
    for path in workspace.path.rglob("*.yaml"):
        text = path.read_text()
        for place, url in places.items():
            if f"url: {place}" in text:
                text = text.replace(f"url: {place}", f'url: "{url}"')
                left.discard(place)
        path.write_text(text)
    assert not left
    return workspace.path / "README.md"


def two_places(hub: RegistryServer, prod: RegistryServer) -> dict[str, str]:
    return {"docker.io": hub.url, "registry.example.com": prod.url}


def test_specs_in_git_with_a_pipeline(
    workspace: Workspace, hub: RegistryServer, distribution_factory: Registries
) -> None:
    prod = distribution_factory()
    page = example(workspace, "git-and-ci", two_places(hub, prod))
    run_all(workspace, told(page, "Every change"))
    assert read_tags(prod.url, "hub/library/nginx") == ["1.26.2", "1.27.1", "1.27.2"]
    spec = workspace.path / "regsync" / "base-images.yaml"
    spec.write_text(spec.read_text().replace("newest: 2", "newest: 1"))
    run_all(workspace, told(page, "A change that selects less"))
    assert read_tags(prod.url, "hub/library/nginx") == ["1.26.2", "1.27.2"]
    workspace.call("check", "regsync").exited(0)


def test_by_cron(workspace: Workspace, hub: RegistryServer, distribution_factory: Registries) -> None:
    local = distribution_factory()
    page = example(workspace, "cron", two_places(hub, local))
    ran = run_all(workspace, told(page))
    assert json.loads((workspace.path / "report.json").read_text())["summary"]["create"] == 6
    assert json.loads(ran[-1].out)
    assert (workspace.path / "state" / "ledger.db").is_file()
    shown = (workspace.path / "regsync.crontab").read_text() + (
        workspace.path / "regsync-sync.service"
    ).read_text()
    for command in ("sync --wait 10m", "check"):
        assert f"/opt/regsync/bin/regsync {command}" in shown


def test_are_the_clouds_the_same(workspace: Workspace, distribution_factory: Registries) -> None:
    build, aws, gcp, azure = (distribution_factory() for _ in range(4))
    places = {
        "registry.example.com": build.url,
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com": aws.url,
        "europe-west1-docker.pkg.dev": gcp.url,
        "acme.azurecr.io": azure.url,
    }
    page = example(workspace, "consistency", places)
    for name in ("web", "api"):
        for tag in ("1.0.0", "1.1.0"):
            content = image(f"{name} {tag}")
            for place in (build, aws, gcp, azure):
                place.push(f"acme/{name}", content, tag)
    gcp.wipe()  # one is behind with everything
    azure.push("acme/web", image("by hand"), "1.1.0")  # one tag moved by hand
    run_all(workspace, told(page))
    assert read_tags(gcp.url, "acme/web") == read_tags(gcp.url, "acme/api") == ["1.0.0", "1.1.0"]
    rows = json.loads((workspace.path / "matrix.json").read_text())["rows"]
    assert {(row["target"], row["tag"], row["state"]) for row in rows} == {
        ("azure/acme/web", "1.1.0", "drifted"),
        *((f"gcp/acme/{name}", tag, "missing") for name in ("web", "api") for tag in ("1.0.0", "1.1.0")),
    }
    assert "1.1.0" in (workspace.path / "matrix.html").read_text()


def test_dry_runs_with_reports(
    workspace: Workspace, hub: RegistryServer, distribution_factory: Registries
) -> None:
    prod = distribution_factory()
    page = example(workspace, "dry-run", two_places(hub, prod))
    ran = run_all(workspace, told(page))
    for suffix in ("html", "md", "junit.xml", "sarif", "json"):
        assert (workspace.path / f"plan.{suffix}").stat().st_size
    assert json.loads(ran[1].out)["summary"]["create"] == 3
    assert read_tags(prod.url, "library/nginx") == []
    assert not workspace.ledger.exists()
