"""The command lines of manifests/ run as pods run them: a mounted ConfigMap, the ledger on a volume."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.integration.daemons import signed
from tests.integration.workspace import LIMIT, Workspace

ROOT = Path(__file__).parents[2]
SECRET = "a secret that nobody knows"


def arguments(path: str) -> list[str]:
    """The arguments of the one container that a file of manifests/base has."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "manifests" / "base" / path).read_text())
    spec = document["spec"]
    template = spec.get("jobTemplate", {}).get("spec", spec)["template"]
    found: list[str] = template["spec"]["containers"][0]["args"]
    return found


@pytest.fixture
def mounted(workspace: Workspace) -> Callable[[list[str]], list[str]]:
    """Puts what pods mount into the workspace, and has a command line name it there."""
    directory = workspace.path / "specs"
    data = directory / "..2026_01_01"
    data.mkdir(parents=True)
    shutil.copytree(ROOT / "examples" / "quickstart" / "images", workspace.path / "images")
    text = (ROOT / "examples" / "quickstart" / "regsync.yaml").read_text()
    assert text.count("./") == 2
    (data / "regsync.yaml").write_text(text.replace("./", f"{workspace.path}/"))
    (directory / "..data").symlink_to(data.name)
    (directory / "regsync.yaml").symlink_to("..data/regsync.yaml")
    (workspace.path / "secret").write_text(SECRET)

    def place(line: list[str]) -> list[str]:
        places = {
            "/etc/regsync/specs": str(directory),
            "/etc/regsync/hook/secret": str(workspace.path / "secret"),
            "/var/lib/regsync": str(workspace.path / "volume"),
            "0.0.0.0:8080": "127.0.0.1:0",
        }
        for old, new in places.items():
            line = [one.replace(old, new) for one in line]
        assert not any("/etc/" in one or "/var/" in one for one in line)
        return line

    return place


def test_the_jobs(workspace: Workspace, mounted: Callable[[list[str]], list[str]]) -> None:
    check = mounted(arguments("check/cron-job.yaml"))
    workspace.call(*check).exited(2)
    workspace.call(*mounted(arguments("sync/cron-job.yaml"))).exited(0)
    workspace.call(*check).exited(0)
    assert (workspace.path / "volume" / "ledger.db").is_file()
    assert {path.name for path in (workspace.path / "specs").iterdir()} == {
        *("..2026_01_01", "..data", "regsync.yaml")
    }


def test_the_daemon(workspace: Workspace, mounted: Callable[[list[str]], list[str]]) -> None:
    daemon = subprocess.Popen(
        workspace.command(*mounted(arguments("run/deployment.yaml"))),
        env=workspace.whole_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=workspace.home,
    )
    try:
        assert daemon.stdout is not None
        first = daemon.stdout.readline()
        with httpx.Client(base_url=first.removeprefix("listening on ").strip(), trust_env=False) as http:
            for page in ("/healthz", "/readyz", "/metrics"):
                assert http.get(page).status_code == 200
            answer = http.post(
                "/hooks/quickstart", content=b"{}", headers=signed("quickstart", b"{}", SECRET)
            )
            assert answer.status_code == 202
        daemon.terminate()
        assert daemon.wait(LIMIT) == 0
    finally:
        daemon.kill()
        daemon.communicate()
    assert (workspace.path / "volume" / "ledger.db").is_file()
