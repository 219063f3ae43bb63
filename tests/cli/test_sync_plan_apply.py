"""The whole way, offline: layouts → plan → built-in store."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from regsync.cli.exit_codes import DONE, FAILED, INTERRUPTED, PENDING, REFUSED, TEMPORARY, worse
from regsync.cli.output import UnwritableFileError
from regsync.report.schemas import event_schema, plan_schema, report_schema
from tests.cli.command_line import Regsync


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def spec(quickstart: Path) -> Path:
    return quickstart / "regsync.yaml"


def test_the_quick_start_copies_everything_and_says_what_to_try_next(
    regsync: Regsync, quickstart: Path
) -> None:
    ran = regsync("sync", quickstart)
    assert ran.code == 0
    assert "Done: 5 created" in ran.out
    assert "What to try next:" in ran.err
    tried = next(line.split() for line in ran.err.splitlines() if " inspect " in line)
    assert regsync(*tried[1:]).code == 0
    again = regsync("sync", quickstart)
    assert again.code == 0
    assert again.out.startswith("Nothing to do: 5 tags unchanged")
    assert "What to try next" not in again.err


def test_a_plan_writes_nothing_anywhere(regsync: Regsync, quickstart: Path) -> None:
    before = sorted(quickstart.rglob("*"))
    ran = regsync("plan", quickstart)
    assert ran.code == 2
    assert "Plan: 5 to create" in ran.out
    assert sorted(quickstart.rglob("*")) == before
    regsync("sync", quickstart)
    before = [(path, path.stat().st_mtime_ns) for path in sorted((quickstart / ".regsync").rglob("*.db"))]
    assert regsync("plan", quickstart).code == 0
    assert [
        (path, path.stat().st_mtime_ns) for path in sorted((quickstart / ".regsync").rglob("*.db"))
    ] == before


def test_out_writes_what_json_prints(regsync: Regsync, quickstart: Path, tmp_path: Path) -> None:
    out = tmp_path / "plan.json"
    ran = regsync("plan", quickstart, "-o", "json", "--out", out)
    assert out.read_text() == ran.out
    Draft202012Validator(plan_schema()).validate(json.loads(ran.out))


def test_two_plans_of_the_same_are_the_same_bytes_but_for_run(regsync: Regsync, quickstart: Path) -> None:
    first, second = (json.loads(regsync("plan", quickstart, "-o", "json").out) for _ in range(2))
    assert first.pop("run") != second.pop("run")
    assert first == second


def test_exit_zero_and_dry_run(regsync: Regsync, quickstart: Path) -> None:
    assert regsync("plan", quickstart, "--exit-zero").code == 0
    assert regsync("sync", quickstart, "--dry-run").code == 2
    assert regsync("sync", quickstart, "--dry-run", "--exit-zero").code == 0
    assert not (quickstart / ".regsync").exists()


def test_a_saved_plan_is_applied_exactly(regsync: Regsync, quickstart: Path, tmp_path: Path) -> None:
    out = tmp_path / "plan.json"
    regsync("plan", quickstart, "--out", out)
    ran = regsync("apply", out, quickstart, "-o", "json")
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    Draft202012Validator(report_schema()).validate(report)
    assert report["summary"]["create"] == 5
    assert {action["outcome"] for action in report["actions"]} == {"done"}
    assert regsync("plan", quickstart).code == 0


def test_a_part_of_a_plan_can_be_applied(
    regsync: Regsync, quickstart: Path, spec: Path, tmp_path: Path
) -> None:
    mirror = spec.read_text().rsplit("---", 1)[1]
    other = mirror.replace("name: quickstart", "name: other").replace("local/{repo", "local/other/{repo")
    spec.write_text(spec.read_text() + "---" + other)
    out = tmp_path / "plan.json"
    regsync("plan", quickstart, "--out", out)
    ran = regsync("apply", out, quickstart, "--mirror", "other", "-o", "json")
    assert ran.code == 0, ran.out
    assert json.loads(ran.out)["summary"]["create"] == 5
    assert "Plan: 5 to create, 5 tags unchanged" in regsync("plan", quickstart).out


def test_a_plan_of_another_spec_is_refused(
    regsync: Regsync, quickstart: Path, spec: Path, tmp_path: Path
) -> None:
    out = tmp_path / "plan.json"
    regsync("plan", quickstart, "--out", out)
    edit(spec, "newest: 2", "newest: 1")
    ran = regsync("apply", out, quickstart)
    assert ran.code == 3
    assert "spec" in ran.err
    assert not (quickstart / ".regsync" / "store").exists() or regsync("plan", quickstart).code == 2


def test_an_old_plan_is_refused(regsync: Regsync, quickstart: Path, tmp_path: Path) -> None:
    out = tmp_path / "plan.json"
    regsync("plan", quickstart, "--out", out)
    document = json.loads(out.read_text())
    document["run"]["created"] = (datetime.now(UTC) - timedelta(hours=25)).isoformat()
    out.write_text(json.dumps(document))
    assert regsync("apply", out, quickstart).code == 3
    assert regsync("apply", out, quickstart, "--max-age", "2d").code == 0


def test_an_edited_plan_cannot_write_where_the_spec_does_not(
    regsync: Regsync, quickstart: Path, tmp_path: Path
) -> None:
    out = tmp_path / "plan.json"
    planned = regsync("plan", quickstart, "--out", out)
    assert planned.code == 2, planned.err
    made = out.read_text()
    for place in ("evil/hello", "local/elsewhere"):
        edited = made.replace('"target": "local/hello"', f'"target": "{place}"')
        assert edited != made
        out.write_text(edited)
        ran = regsync("apply", out, quickstart)
        assert ran.code == 3, (ran.err, ran.out)
        assert f"to {place} for mirror quickstart, which the spec does not declare" in ran.out
    ran = regsync("inspect", f"store:{quickstart}/.regsync/store//elsewhere:1.1.0")
    assert ran.code != 0, ran.out


def test_what_is_no_plan_is_named(regsync: Regsync, quickstart: Path, tmp_path: Path) -> None:
    out = tmp_path / "plan.json"
    out.write_text("{}")
    ran = regsync("apply", out, quickstart)
    assert ran.code == 1
    assert str(out) in ran.err


def test_explain_says_why_each_tag_is_in_or_out(regsync: Regsync, quickstart: Path) -> None:
    ran = regsync("plan", "--explain", quickstart)
    assert "dropped 2.0.0-rc.1" in ran.out
    assert "2.0.0-rc.1" in regsync("plan", "--explain", "-o", "markdown", quickstart).out
    document = json.loads(regsync("plan", "--explain", "-o", "json", quickstart).out)
    Draft202012Validator(plan_schema()).validate(document)
    assert {"kept": False, "tag": "2.0.0-rc.1"}.items() <= document["explanations"][-1].items()


def test_reports_go_to_files_by_suffix(regsync: Regsync, quickstart: Path, tmp_path: Path) -> None:
    as_json, as_markdown = tmp_path / "r.json", tmp_path / "r.md"
    ran = regsync("sync", quickstart, "--report", as_json, "--report", as_markdown)
    assert ran.code == 0
    assert json.loads(as_json.read_text())["kind"] == "Report"
    assert as_markdown.read_text().startswith("### regsync: 5 created")


@pytest.mark.parametrize(("verb", "option"), [("sync", "--report"), ("plan", "--report"), ("plan", "--out")])
def test_a_file_with_no_place_to_be_is_refused_before_any_work(
    regsync: Regsync, quickstart: Path, tmp_path: Path, verb: str, option: str
) -> None:
    ran = regsync(verb, quickstart, option, tmp_path / "no" / "where.json")
    assert ran.code == 64
    assert "cannot be written: there is no directory" in ran.err
    assert not (quickstart / ".regsync").exists()


def as_others(*command: object) -> list[str]:
    """The command with no more rights than files give; root by itself may write everywhere."""
    setpriv = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    return [*setpriv, sys.executable, "-m", "regsync", *map(str, command)]


@pytest.mark.parametrize("verb", ["sync", "plan"])
def test_a_directory_that_may_not_be_written_is_refused_before_any_work(
    quickstart: Path, tmp_path: Path, verb: str
) -> None:
    denied = tmp_path / "denied"
    denied.mkdir(mode=0o500)
    ran = subprocess.run(
        as_others(verb, quickstart, "--report", denied / "report.json"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 64, ran.stderr
    assert f"{str(denied / 'report.json')!r} cannot be written: permission denied" in ran.stderr
    assert not (quickstart / ".regsync").exists()


def test_a_report_whose_place_is_lost_meanwhile_leaves_the_answer(
    regsync: Regsync, quickstart: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, pieces: object) -> None:
        raise UnwritableFileError(path, OSError(28, "No space left on device"))

    monkeypatch.setattr("regsync.cli.output.write_file", full)
    ran = regsync("sync", quickstart, "--report", tmp_path / "report.json")
    assert ran.code == 1
    assert "Done: 5 created" in ran.out
    assert "No space left on device" in ran.err


def test_the_worse_exit_code_is_kept() -> None:
    assert [worse(code, FAILED) for code in (DONE, PENDING, FAILED, TEMPORARY)] == [FAILED] * 4
    assert [worse(code, FAILED) for code in (REFUSED, INTERRUPTED)] == [REFUSED, INTERRUPTED]


def test_narrowing_by_name_and_label(regsync: Regsync, quickstart: Path) -> None:
    assert regsync("plan", quickstart, "--mirror", "quickstart", "-l", "team=platform").code == 2
    ran = regsync("plan", quickstart, "--mirror", "quickstrat")
    assert ran.code == 64
    assert "did you mean quickstart?" in ran.err
    assert regsync("plan", quickstart, "-l", "team=web").code == 64


def test_the_ledger_is_where_state_says(regsync: Regsync, quickstart: Path, tmp_path: Path) -> None:
    assert regsync("sync", quickstart, "--state", tmp_path / "elsewhere.db").code == 0
    assert (tmp_path / "elsewhere.db").exists()
    assert not (quickstart / ".regsync" / "ledger.db").exists()


def test_without_a_path_the_directory_is_looked_into(
    regsync: Regsync, quickstart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(quickstart)
    assert regsync("sync").code == 0
    assert (quickstart / ".regsync" / "ledger.db").exists()


def test_events_are_lines_of_json(regsync: Regsync, quickstart: Path) -> None:
    ran = regsync("sync", quickstart, "--log-format", "json")
    validator = Draft202012Validator(event_schema())
    events = [json.loads(line) for line in ran.err.splitlines() if line.startswith("{")]
    for event in events:
        validator.validate(event)
    assert {"repository-started", "action-finished", "repository-finished"} <= {
        one["event"] for one in events
    }


def test_errors_are_lines_of_json_too(regsync: Regsync, tmp_path: Path) -> None:
    ran = regsync("sync", tmp_path / "nothing.yaml", "--log-format", "json")
    assert ran.code == 65
    assert json.loads(ran.err)["event"] == "error"


def test_an_unknown_tag_fails_alone(regsync: Regsync, quickstart: Path, spec: Path) -> None:
    edit(spec, "latest]", "latest, gone]")
    ran = regsync("sync", quickstart)
    assert ran.code == 1
    assert "gone" in ran.out
    assert "5 created" in ran.out
    assert "What to try next" not in ran.err


def test_a_source_store_that_is_not_there_is_not_made(regsync: Regsync, quickstart: Path, spec: Path) -> None:
    edit(spec, "spec: {layout: ./images}", "spec: {store: ./typo}")
    ran = regsync("sync", quickstart)
    assert ran.code == 1
    assert not (quickstart / "typo").exists()


def test_a_tag_that_moved_is_updated(regsync: Regsync, quickstart: Path) -> None:
    regsync("sync", quickstart)
    images = quickstart / "images" / "acme" / "web"
    index = json.loads((images / "index.json").read_text())
    tags = {
        one["annotations"]["org.opencontainers.image.ref.name"]: one
        for one in index["manifests"]
        if "annotations" in one
    }
    tags["latest"]["digest"], tags["latest"]["size"] = tags["1.4.0"]["digest"], tags["1.4.0"]["size"]
    (images / "index.json").write_text(json.dumps(index))
    ran = regsync("plan", quickstart)
    assert ran.code == 2
    assert "1 to update" in ran.out
    assert "~ latest" in ran.out
    assert regsync("sync", quickstart).code == 0
    assert regsync("plan", quickstart).code == 0


def holding(quickstart: Path) -> subprocess.Popen[str]:
    """Another process that holds the lease of the quick start's ledger until its stdin is closed."""
    code = (
        "import sys, anyio\n"
        "from pathlib import Path\n"
        "from regsync.clock import SystemClock\n"
        "from regsync.reconcile.lease import hold_lease\n"
        "from regsync.reconcile.ledger_sqlite import open_ledger\n"
        "async def main():\n"
        "    with open_ledger(Path(sys.argv[1]), SystemClock()) as ledger:\n"
        "        async with hold_lease(ledger, SystemClock(), command='sync elsewhere'):\n"
        "            print('held', flush=True)\n"
        "            await anyio.to_thread.run_sync(sys.stdin.read)\n"
        "anyio.run(main)\n"
    )
    path = quickstart / ".regsync" / "ledger.db"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_run_over_the_same_ledger_exits_with_75_or_waits(regsync: Regsync, quickstart: Path) -> None:
    with holding(quickstart) as other:
        ran = regsync("sync", quickstart)
        assert ran.code == 75
        assert "sync elsewhere" in ran.err
        assert "--wait" in ran.err
        assert regsync("plan", quickstart).code == 2, "a plan needs no lease"
        assert other.stdin is not None
        other.stdin.close()
        assert other.wait() == 0
    assert regsync("sync", quickstart, "--wait", "30s").code == 0


def test_the_quick_start_as_a_process_of_its_own(quickstart: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "regsync", "sync", quickstart], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0
    assert ran.stdout.splitlines()[-1].startswith("Done: 5 created")
    assert "quickstart: bundle/hello: 2 changed" in ran.stderr


def test_a_terminal_that_cannot_show_arrows_gets_escapes(quickstart: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "regsync", "plan", quickstart],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )
    assert ran.returncode == 2
    assert rb"bundle/hello \u2192 local/hello" in ran.stdout
