"""What `check` found as text, Markdown and JSON: a matrix of what is not equal."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.check import CheckReport, Compared, Drift, Owner, Reread, Row, State, lost, unread
from regsync.plan.model import Cause, Outcome, Problem, RunInfo
from regsync.report import check_json, check_markdown, check_text
from regsync.report.check_matrix import sheets
from regsync.report.schemas import check_schema
from regsync.report.style import COLOUR
from regsync.spec.model import Location

SEEN = datetime(2026, 1, 1, 12, tzinfo=UTC)
OLD, NEW = Digest.of(b"old"), Digest.of(b"new")
HUB, EU, US, AP = (Location(name, RepositoryName("app")) for name in ("hub", "eu", "us", "ap"))
DOWN = Problem(Outcome.FAILED, Cause.TEMPORARY, "connection refused", "is it up?")
NO = Problem(Outcome.BLOCKED, Cause.POLICY, "prod refuses it")


def row(target: Location, tag: str, state: State, why: str = "a reason", **more: object) -> Row:
    digest, expected = more.pop("digest", OLD), more.pop("expected", NEW)
    return Row("app", HUB, target, Tag(tag), state, digest, expected, why, **more)  # type: ignore[arg-type]


ROWS = (
    row(EU, "v1", State.MISSING, "not there", digest=None, since=SEEN),
    row(US, "v1", State.DRIFTED, "moved there", drift=Drift.MOVED_THERE),
    row(EU, "v2", State.EVIDENCE_MISSING, "no signature", digest=NEW, lacking=1),
    row(US, "v3", State.EVIDENCE_MISSING, "refused there", digest=NEW, problem=NO),
    row(US, "nightly", State.EXTRA, "nobody selects it", expected=None, owner=Owner.OTHERS),
    unread("app", HUB, AP, DOWN, "not compared"),
)


def report(*rows: Row, reread: Reread | None = None, tags: int = 5) -> CheckReport:
    compared = tuple(
        Compared("app", HUB, place, 0 if place == AP else tags, 0 if place == AP else tags - 2)
        for place in (AP, EU, US)
    )
    ordered = tuple(sorted(rows, key=lambda one: one.order))
    run = RunInfo("run", SEEN, 1.25, {"hub": {"list": 1}})
    return CheckReport(Digest.of(b"spec"), ordered, compared, run, ("a warning",), reread)


def text(document: CheckReport) -> str:
    return "".join(check_text.render(document))


def test_the_matrix_shows_what_differs_and_counts_what_does_not() -> None:
    assert (
        text(report(*ROWS))
        == f"""\
app
  hub/app: 2 of 5 tags equal at all of 3 places
    unreachable ap/app: not compared
      failed: connection refused
      hint: is it up?
             ap/app  eu/app    us/app
    nightly  ?       -         extra
      us/app: {OLD.short()}; nobody selects it
    v1       ?       missing   moved-there
      eu/app: -, expected {NEW.short()}, stale since 2026-01-01T12:00:00Z; not there
      us/app: {OLD.short()}, expected {NEW.short()}; moved there
    v2       ?       evidence  =
      eu/app: {NEW.short()}; no signature
    v3       ?       =         refused
      us/app: {NEW.short()}; refused there
      blocked: prod refuses it
warning: a warning
Drift: 1 missing, 1 drifted, 1 extra, 2 evidence missing, 1 unreachable, 6 tags equal at 3 places (in 1.2 s).
"""
    )


def test_what_is_equal_takes_one_line() -> None:
    document = replace(report(), compared=(Compared("app", HUB, EU, 3, 3),), warnings=())
    assert (
        text(document)
        == "app\n  hub/app: 3 tags equal at 1 place\nEqual: 3 tags equal at 1 place (in 1.2 s).\n"
    )


def test_a_pass_over_the_content_says_how_much_it_read() -> None:
    closing = text(report(reread=Reread(10, 2048, 3, 0))).splitlines()[-1]
    assert "10 blobs read again (2.0 KiB); 3 had been read before an interruption" in closing


def test_a_tag_that_the_source_lacks_stands_in_a_column_of_the_source() -> None:
    sheet = next(sheets(report(lost("app", HUB, Tag("v9"), None, DOWN))))
    assert sheet.places[0] == HUB
    assert sheet.cell(sheet.lines[0], HUB) == "missing"


def test_many_tags_are_cut_and_counted() -> None:
    rows = [row(EU, f"v{number}", State.MISSING) for number in range(200)]
    shown = text(report(*rows, tags=300))
    assert "and 150 more; -o json lists all" in shown
    assert shown.count("\n") < 130


def test_colours_only_where_they_are_wanted() -> None:
    assert "\x1b[" not in text(report(*ROWS))
    coloured = "".join(check_text.render(report(*ROWS), COLOUR))
    assert re.sub(r"\x1b\[\d+m", "", coloured) == text(report(*ROWS))


def test_markdown_has_a_table_for_each_repository() -> None:
    page = "".join(check_markdown.render(report(*ROWS)))
    assert page.startswith("### regsync check: 1 missing, 1 drifted")
    assert "| tag | `ap/app` | `eu/app` | `us/app` | why |" in page
    assert "| `v1` | ? | missing | moved-there |" in page
    assert "- **unreachable** `ap/app`" in page


def test_markdown_keeps_to_its_length() -> None:
    rows = [row(EU, f"v{number}", State.MISSING, "x" * 500) for number in range(500)]
    page = "".join(check_markdown.render(report(*rows, tags=600), limit=20_000))
    assert len(page) <= 20_000
    assert "left out" in page
    assert page.count("<details") == page.count("</details>")


def test_json_follows_its_schema_and_differs_only_under_run() -> None:
    document = report(*ROWS, reread=Reread(1, 2, 3, 4))
    found = json.loads("".join(check_json.render(document)))
    jsonschema.validate(found, check_schema())
    assert found["summary"] == {
        **{"equal": 6, "missing": 1, "drifted": 1, "extra": 1},
        **{"evidenceMissing": 2, "unreachable": 1},
    }
    first = next(one for one in found["rows"] if one["tag"] == "v1")
    assert (first["state"], first["digest"], first["since"]) == ("missing", None, "2026-01-01T12:00:00Z")
    later = replace(document, run=RunInfo("other", SEEN, 9.0))
    again = json.loads("".join(check_json.render(later)))
    assert found.pop("run") != again.pop("run")
    assert found == again


@pytest.mark.parametrize("render", [check_text.render, check_markdown.render, check_json.render])
@given(why=st.text(max_size=200))
def test_nothing_from_outside_reaches_a_terminal_or_a_page_as_it_is(render: object, why: str) -> None:
    hostile = Problem(Outcome.FAILED, Cause.ERROR, f"\x1b[2J{why}\u202e", why)
    document = report(
        unread("app", HUB, AP, hostile, why), row(EU, "v1", State.DRIFTED, why, drift=Drift.UNKNOWN)
    )
    shown = "".join(render(document))  # type: ignore[operator]
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "\r" not in shown
