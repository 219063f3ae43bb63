"""The command line, run in this process: `regsync("plan", path)` gives exit code, stdout and stderr."""

import shutil
from pathlib import Path

import pytest

from regsync.cli.main import run
from tests.cli.command_line import QUICKSTART, Ran, Regsync


@pytest.fixture
def regsync(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Regsync:
    monkeypatch.delenv("REGSYNC_DEBUG", raising=False)
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments: object) -> Ran:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return call


@pytest.fixture
def quickstart(tmp_path: Path) -> Path:
    """A copy of the example, as a fresh clone has it."""
    copy = tmp_path / "quickstart"
    shutil.copytree(QUICKSTART, copy, ignore=shutil.ignore_patterns(".regsync"))
    return copy
