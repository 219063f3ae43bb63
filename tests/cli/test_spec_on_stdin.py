"""A spec that another tool renders and pipes in."""

import json
from pathlib import Path

import pytest

from tests.cli.command_line import Regsync, Stdin


@pytest.fixture
def rendered(quickstart: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The quick start piped in, in its directory; each command needs its own `pipe`."""
    monkeypatch.chdir(quickstart)
    return quickstart / "regsync.yaml"


@pytest.fixture
def piped(regsync: Regsync, rendered: Path, monkeypatch: pytest.MonkeyPatch) -> Regsync:
    def call(*arguments: object) -> object:
        monkeypatch.setattr("sys.stdin", Stdin(rendered.read_bytes()))
        return regsync(*arguments)

    return call  # type: ignore[return-value]


def test_each_command_reads_it_and_keeps_its_ledger_in_the_current_directory(
    piped: Regsync, regsync: Regsync, quickstart: Path
) -> None:
    assert piped("validate", "-").code == 0
    assert piped("plan", "-", "--out", "plan.json").code == 2
    assert piped("apply", "plan.json", "-").code == 0
    assert (quickstart / ".regsync" / "ledger.db").exists()
    ran = piped("sync", "-", "-o", "json")
    assert (ran.code, json.loads(ran.out)["summary"]["unchanged"]) == (0, 5)
    digests = [json.loads(piped("validate", path, "-o", "json").out)["specDigest"] for path in ("-", ".")]
    assert digests[0] == digests[1]


def test_defaults_beside_it_are_part_of_what_was_rendered(piped: Regsync, quickstart: Path) -> None:
    (quickstart / ".git").mkdir()
    (quickstart / "defaults.yaml").write_text(
        "apiVersion: regsync.dev/v1\nkind: MirrorDefaults\nspec: {platforms: [linux/amd64]}\n"
    )
    assert piped("validate", "regsync.yaml").code == 65
    assert piped("validate", "-").code == 0


def test_a_problem_in_it_has_its_line(regsync: Regsync, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Stdin(b"apiVersion: regsync.dev/v1\nkind: Mirorr\n"))
    ran = regsync("validate", "-")
    assert ran.code == 65
    assert "-:2:" in ran.err


def test_stdin_is_either_the_plan_or_the_spec(piped: Regsync) -> None:
    ran = piped("apply", "-", "-")
    assert ran.code == 64
    assert "stdin holds the plan or the spec, not both" in ran.err


def test_a_closed_stdin_is_no_defect(regsync: Regsync, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert regsync("validate", "-").code == 65
    assert "stdin is closed" in regsync("validate", "-").err
    assert regsync("apply", "-").code == 64
