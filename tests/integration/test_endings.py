"""How processes end: the code is always the same for the same work, whatever threads are still about."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.workspace import BRIEF, Workspace
from tests.support.images import image
from tests.support.servers import RegistryServer

TIMES = 30


def test_a_run_with_nothing_to_do_ends_well_every_time(
    workspace: Workspace, distribution: RegistryServer, repository: str
) -> None:
    for number in range(5):
        distribution.push(repository, image(str(number)), f"v{number}")
    workspace.registry("hub", distribution.url)
    workspace.mirror("app", f"hub/{repository}", f"hub/{repository}-copy", tags=["v*"])
    workspace.run("sync").exited(0)
    rans = [workspace.run("sync") for _ in range(TIMES)]
    assert Counter(ran.code for ran in rans) == {0: TIMES}, next(str(ran) for ran in rans if ran.code)
    assert not [ran.err for ran in rans if "Fatal" in ran.err or "Traceback" in ran.err]


def test_a_version_is_told_every_time(workspace: Workspace) -> None:
    assert Counter(workspace.call("--version").code for _ in range(TIMES)) == {0: TIMES}


def test_a_run_whose_registry_is_down_ends_with_75_every_time(workspace: Workspace) -> None:
    workspace.registry("down", "http://127.0.0.1:9", limits=BRIEF).registry("store", store="./data")
    workspace.mirror("app", "down/app", "store/app", tags=["v1"], referrers="none")
    codes = Counter(workspace.run("plan").code for _ in range(2))
    assert codes == {75: 2}


@pytest.mark.parametrize(
    ("redirection", "code", "says"),
    [
        (">&-", 0, ""),
        ("2>&-", 0, ""),
        (">&- 2>&-", 0, ""),
        ("2>/dev/full", 0, ""),
        (">/dev/full", 1, "space"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "validate"])
def test_streams_that_are_closed_or_full_end_no_run_with_a_traceback(
    workspace: Workspace, command: str, redirection: str, code: int, says: str
) -> None:
    quickstart = Path(__file__).parents[2] / "examples" / "quickstart"
    workspace.registry("images", layout=str(quickstart / "images"))
    workspace.registry("copy", layout=str(quickstart / "images" / "acme"))
    workspace.mirror("app", "images/acme/web", "copy/web", tags=["latest"])
    line = " ".join(workspace.command(command, workspace.path)) + f" {redirection}"
    done = subprocess.run(
        ["sh", "-c", line],
        env=dict(workspace.whole_environment()),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
