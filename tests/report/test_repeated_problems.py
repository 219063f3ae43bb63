"""One dead target must not bury what else went wrong."""

from regsync.plan.model import Plan
from regsync.report import text
from tests.report.handmade import BLOCKED, FAILED, MOMENT, SPEC, action


def rendered(*tags: str) -> str:
    actions = [action(tag, problem=FAILED) for tag in tags]
    actions.append(action("v9", problem=BLOCKED))
    actions.append(action("v1", problem=FAILED, target="other"))
    return "".join(text.render(Plan(SPEC, MOMENT, tuple(actions), 0)))


def test_a_problem_stands_in_full_once_for_each_repository() -> None:
    shown = rendered("v1", "v2", "v3")

    assert shown.count(FAILED.message) == 2, "once at each target"
    assert shown.count("failed: as v1") == 2
    assert shown.count(BLOCKED.message) == shown.count(f"hint: {BLOCKED.hint}") == 1


def test_every_tag_still_has_its_row() -> None:
    shown = rendered("v1", "v2", "v3")

    assert all(f"x {tag}" in shown for tag in ("v1", "v2", "v3"))
