"""Golden files: what people and machines read. REGSYNC_UPDATE_GOLDEN=1 writes them anew."""

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from regsync.plan.model import Outcome, Plan, Report, Result
from regsync.report import json_report, markdown, text
from regsync.report.style import COLOUR

GOLDEN = Path(__file__).parent / "golden"


def check(name: str, pieces: Iterable[str]) -> None:
    path, actual = GOLDEN / name, "".join(pieces)
    if os.environ.get("REGSYNC_UPDATE_GOLDEN") == "1":
        path.write_text(actual, encoding="utf-8")
    assert actual == path.read_text(encoding="utf-8")


def test_a_plan_as_text(plan: Plan) -> None:
    check("plan.txt", text.render(plan))


def test_a_plan_that_explains_itself(explained: Plan) -> None:
    check("explained.txt", text.render(explained))
    check("explained.md", markdown.render(explained))


def test_a_plan_in_colour(plan: Plan) -> None:
    check("plan.ansi", text.render(plan, COLOUR))


def test_a_plan_as_markdown(plan: Plan) -> None:
    check("plan.md", markdown.render(plan))


def test_a_plan_as_json(plan: Plan) -> None:
    check("plan.json", json_report.render(plan))


def test_a_report_as_text(report: Report) -> None:
    check("report.txt", text.render(report))


def test_a_report_as_markdown(report: Report) -> None:
    check("report.md", markdown.render(report))


def test_a_report_as_json(report: Report) -> None:
    check("report.json", json_report.render(report))


@pytest.mark.parametrize("render", [text.render, markdown.render])
def test_what_was_there_already_is_not_called_a_change(report: Report, render: object) -> None:
    there = Result(replace(report.results[0].action, reason="already there"), Outcome.DONE, was_there=True)
    shown = "".join(render(replace(report, results=(there,), unchanged=0)))  # type: ignore[operator]
    assert "othing to do" in shown
    assert "already there" in shown
    assert "create" not in shown.replace("| create |", "")


@pytest.mark.parametrize("render", [text.render, markdown.render])
def test_nothing_to_do_is_said_in_a_line(plan: Plan, render: object) -> None:
    idle = Plan(plan.spec_digest, plan.created, (), 120)
    assert "othing to do" in "".join(render(idle))  # type: ignore[operator]
