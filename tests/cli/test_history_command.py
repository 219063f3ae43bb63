"""`regsync history` and `regsync show`: what earlier runs did."""

import json
import re
import sqlite3
from pathlib import Path

import jsonschema

from regsync.report.schemas import history_schema
from tests.cli.command_line import Regsync


def run_ids(regsync: Regsync, path: Path) -> list[str]:
    ran = regsync("history", path, "-o", "json")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    jsonschema.validate(document, history_schema())
    return [run["id"] for run in document["runs"]]


def test_runs_are_listed_newest_first_and_shown_again(regsync: Regsync, quickstart: Path) -> None:
    first = regsync("sync", quickstart, "-o", "json")
    assert first.code == 0, first.err
    assert regsync("sync", quickstart).code == 0
    idle, busy = run_ids(regsync, quickstart)
    report = json.loads(first.out)
    assert report["run"]["id"] == busy
    listed = regsync("history", quickstart).out.splitlines()
    assert re.match(r"RUN +STARTED \(UTC\) +TOOK +COMMAND +MIRRORS +OUTCOME", listed[0])
    assert "created" in listed[2]
    assert "unchanged" in listed[1]
    shown = regsync("show", busy[:6], quickstart, "-o", "json")
    assert shown.code == 0, shown.err
    again = json.loads(shown.out)
    assert again["actions"] == report["actions"]
    assert again["summary"] == report["summary"]
    assert again["specDigest"] == report["specDigest"]
    assert regsync("show", idle, quickstart).code == 0


def test_runs_over_one_mirror_are_found(regsync: Regsync, quickstart: Path) -> None:
    regsync("sync", quickstart)
    name = json.loads(regsync("history", quickstart, "-o", "json").out)["runs"][0]["mirrors"][0]
    assert len(regsync("history", quickstart, "--mirror", name).out.splitlines()) == 2
    assert regsync("history", quickstart, "--mirror", "another").out == "no runs\n"


def test_a_run_that_there_is_not_is_misuse(regsync: Regsync, quickstart: Path) -> None:
    regsync("sync", quickstart)
    ran = regsync("show", "nothing", quickstart)
    assert (ran.code, ran.out) == (64, "")
    assert "no run has that id" in ran.err
    regsync("sync", quickstart)
    assert "more than one run" in regsync("show", "", quickstart).err


def test_without_a_ledger_there_is_no_history_and_none_is_made(regsync: Regsync, quickstart: Path) -> None:
    ran = regsync("history", quickstart)
    assert ran.code == 1
    assert "there is no ledger" in ran.err
    assert not (quickstart / ".regsync").exists()


def test_a_damaged_row_hides_no_others(regsync: Regsync, quickstart: Path) -> None:
    regsync("sync", quickstart)
    regsync("sync", quickstart)
    idle, busy = run_ids(regsync, quickstart)
    with sqlite3.connect(quickstart / ".regsync" / "ledger.db") as ledger:
        ledger.execute("UPDATE run SET summary = '{' WHERE id = ?", (busy,))
    ledger.close()
    assert run_ids(regsync, quickstart) == [idle]
    ran = regsync("show", busy, quickstart)
    assert ran.code == 1
    assert "damaged" in ran.err
