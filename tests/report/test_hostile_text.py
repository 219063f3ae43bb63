import pytest
from handmade import MOMENT, SPEC, action
from hypothesis import given
from hypothesis import strategies as st

from regsync.plan.model import Cause, Outcome, Plan, Problem
from regsync.report import markdown, text
from regsync.report.escape import code_span, html_text, message, visible

EVIL = "\x1b[2J\r\n::error::x\u202egnp.exe`` | <script> @octocat #1 </details>"


def hostile_plan(count: int = 1) -> Plan:
    problem = Problem(Outcome.FAILED, Cause.ERROR, EVIL, EVIL)
    actions = [action(f"p{number}", reason=EVIL, problem=problem) for number in range(count)]
    actions += [action(f"t{number}", mirror=EVIL, reason=EVIL) for number in range(count)]
    return Plan(SPEC, MOMENT, tuple(actions), 0, warnings=(EVIL,) * count)


def test_control_characters_never_reach_a_terminal() -> None:
    shown = "".join(text.render(hostile_plan()))
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert "\\x1b[2J\\r\\n" in shown


def test_no_line_of_a_text_report_is_forged() -> None:
    shown = "".join(text.render(hostile_plan()))
    assert not any(line.startswith("::error::") for line in shown.splitlines())


def test_markdown_renders_nothing_that_came_from_outside() -> None:
    shown = "".join(markdown.render(hostile_plan()))
    assert "<script>" not in outside_of_code(shown)
    assert "@octocat" not in outside_of_code(shown)
    assert shown.count("<details>") == shown.count("\n</details>")


def outside_of_code(document: str) -> str:
    """The document without its code spans, of which the hostile ones are fenced by three backticks."""
    return "".join(part for number, part in enumerate(document.split("```")) if number % 2 == 0)


@pytest.mark.parametrize("count", [1, 100, 3_000])
def test_markdown_stays_below_its_limit_and_counts_what_it_leaves_out(count: int) -> None:
    shown = "".join(markdown.render(hostile_plan(count)))
    assert len(shown) <= markdown.MAX_LENGTH
    assert ("left out" in shown) == (count == 3_000)
    assert shown.count("<details>") == shown.count("\n</details>")


def test_what_is_left_out_and_what_is_shown_make_the_whole() -> None:
    plan = Plan(SPEC, MOMENT, tuple(action(f"t{number}") for number in range(3_000)), 0)
    shown = "".join(markdown.render(plan))
    rows = shown.count("| `+` |")
    assert f"{3_000 - rows} entries left out" in shown


def test_a_long_list_is_cut_for_people_with_problems_kept() -> None:
    problem = Problem(Outcome.FAILED, Cause.ERROR, "no")
    actions = [action(f"t{number:04}") for number in range(500)] + [action("zz", problem=problem)]
    shown = "".join(text.render(Plan(SPEC, MOMENT, tuple(actions), 0)))
    assert "and 451 more" in shown
    assert "x zz" in shown


def test_a_long_message_is_cut_and_says_so() -> None:
    assert message("x" * 1_200).endswith("… (200 more characters)")


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain ü 名", "plain ü 名"),
        ("a\tb\nc", "a\\tb\\nc"),
        ("\x9b31m", "\\x9b31m"),
        ("\u200b\u2066\ufeff", "\\u200b\\u2066\\ufeff"),
        ("\U000e0001", "\\U000e0001"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_does_not_print_is_written_as_an_escape(raw: str, shown: str) -> None:
    assert visible(raw) == shown


@given(st.text())
def test_whatever_comes_is_one_printable_line(raw: str) -> None:
    assert visible(raw).isprintable()


@given(st.text(alphabet="`a| \\"))
def test_a_code_span_cannot_be_left(raw: str) -> None:
    span = code_span(raw)
    fence = span[: len(span) - len(span.lstrip("`"))]
    assert fence
    assert fence not in span[len(fence) : -len(fence)].replace(fence + "`", "")


@given(st.text())
def test_text_in_html_opens_no_element_but_comments(raw: str) -> None:
    assert "<" not in html_text(raw).replace("<!-- -->", "")
