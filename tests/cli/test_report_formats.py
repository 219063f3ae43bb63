"""Every format on the command line, on stdout and in files."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.command_line import Regsync


def test_reports_are_written_in_the_format_that_their_names_end_with(
    regsync: Regsync, quickstart: Path, tmp_path: Path
) -> None:
    names = ("r.json", "r.md", "r.html", "r.junit.xml", "r.sarif")
    reports = [argument for name in names for argument in ("--report", tmp_path / name)]
    ran = regsync("sync", quickstart, *reports)
    assert ran.code == 0, ran.err
    assert json.loads((tmp_path / "r.json").read_text())["kind"] == "Report"
    assert (tmp_path / "r.md").read_text().startswith("### regsync: 5 created")
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    suites = ElementTree.parse(tmp_path / "r.junit.xml").getroot()
    assert (suites.attrib["tests"], suites.attrib["failures"]) == ("5", "0")
    assert json.loads((tmp_path / "r.sarif").read_text())["runs"][0]["results"] == []


def test_a_report_whose_name_says_no_format_is_refused_before_anything_is_done(
    regsync: Regsync, quickstart: Path, tmp_path: Path
) -> None:
    ran = regsync("sync", quickstart, "--report", tmp_path / "report.xml")
    assert ran.code == 64
    assert ".junit.xml" in ran.err
    assert not (quickstart / ".regsync").exists()


def test_a_finding_stands_at_the_line_of_the_spec_that_asks_for_it(
    regsync: Regsync, quickstart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = quickstart / "regsync.yaml"
    lines = spec.read_text().replace("\n  tags:\n", "\n  tags:\n    - not-there\n").splitlines()
    spec.write_text("\n".join(lines) + "\n")
    (quickstart / ".git").mkdir()
    (quickstart / "elsewhere").mkdir()
    monkeypatch.chdir(quickstart / "elsewhere")
    ran = regsync("plan", "..", "-o", "sarif")
    assert ran.code == 1
    (result,) = json.loads(ran.out)["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "regsync.yaml", "uriBaseId": "SRCROOT"}
    assert place["region"]["startLine"] == lines.index("    - not-there") + 1
    assert "not-there" in result["message"]["text"]


@pytest.mark.parametrize("form", ["html", "junit", "sarif"])
def test_what_an_earlier_run_did_is_shown_in_every_format(
    regsync: Regsync, quickstart: Path, form: str
) -> None:
    regsync("sync", quickstart)
    run = json.loads(regsync("history", quickstart, "-o", "json").out)["runs"][0]["id"]
    ran = regsync("show", run, quickstart, "-o", form)
    assert ran.code == 0, ran.err
    assert ran.out


def test_a_check_is_shown_as_a_matrix_and_its_differences_as_failures(
    regsync: Regsync, quickstart: Path, tmp_path: Path
) -> None:
    names = ("c.html", "c.junit.xml", "c.sarif")
    reports = [argument for name in names for argument in ("--report", tmp_path / name)]
    assert regsync("check", quickstart, *reports).code == 2
    page = (tmp_path / "c.html").read_text()
    assert "local/acme/web" in page
    assert "missing" in page
    suites = ElementTree.parse(tmp_path / "c.junit.xml").getroot()
    assert suites.attrib["failures"] == "5"
    found = json.loads((tmp_path / "c.sarif").read_text())["runs"][0]["results"]
    assert {one["ruleId"] for one in found} == {"check/missing"}
