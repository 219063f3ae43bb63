"""The public conformance suite of the OCI distribution specification: nothing fails, nothing is skipped."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import tools
from tests.support.regsync_server import RegsyncServer

TIME_LIMIT = 300  # seconds
_COUNT = re.compile(r"^  (Skip|Pass|FAIL|Error)\.+: +([0-9]+)$", re.MULTILINE)


@pytest.mark.parametrize(("version", "passes"), [("1.1", 860), ("dev", 986)])
def test_the_conformance_suite_passes_without_a_skip(
    version: str, passes: int, tmp_path: Path, regsync_server_factory: Callable[..., RegsyncServer]
) -> None:
    suite = tools.require("conformance")
    server = regsync_server_factory()
    results = tmp_path / "results"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "OCI_REGISTRY": server.host,
        "OCI_TLS": "disabled",
        "OCI_VERSION": version,
        "OCI_REPO1": "conformance/one",
        "OCI_REPO2": "conformance/two",
        "OCI_RESULTS_DIR": str(results),
    }
    ran = subprocess.run(
        [suite], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=TIME_LIMIT
    )
    counted = {
        name: int(count) for name, count in _COUNT.findall(ran.stdout.partition("Conformance Result")[2])
    }
    assert (counted["FAIL"], counted["Error"], counted["Skip"]) == (0, 0, 0), ran.stdout[-3000:]
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert counted["Pass"] >= passes
