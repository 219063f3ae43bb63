import json
from datetime import timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from regsync.plan.codec import InvalidPlanError, plan_document, plan_from_json
from regsync.plan.document import encode, timestamp
from regsync.plan.model import Plan, Report
from regsync.report import json_report
from regsync.report.schemas import SCHEMAS, plan_schema, report_schema


def text(plan: Plan) -> bytes:
    return "".join(encode(plan_document(plan))).encode()


def test_a_plan_is_read_back_as_it_was(plan: Plan, explained: Plan, judged: Plan) -> None:
    for one in (plan, explained, judged):
        again = plan_from_json(text(one))
        assert text(again) == text(one)
        assert again.actions == tuple(sorted(one.actions, key=lambda action: action.order))
        assert (again.created, again.summary, again.bytes) == (one.created, one.summary, one.bytes)


def test_plans_and_reports_follow_their_published_schemas(
    plan: Plan, explained: Plan, judged: Plan, report: Report
) -> None:
    for one in (plan, explained, judged):
        Draft202012Validator(plan_schema()).validate(json.loads(text(one)))
    Draft202012Validator(report_schema()).validate(json.loads("".join(json_report.render(report))))


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schemas_are_schemas(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name]())


def test_the_same_plan_is_the_same_bytes_in_whatever_order_its_actions_came(plan: Plan) -> None:
    backwards = Plan(plan.spec_digest, plan.created, plan.actions[::-1], plan.unchanged, plan.warnings)
    assert text(backwards) == text(plan)


def test_reports_of_equal_runs_differ_under_run_alone(report: Report) -> None:
    document = json.loads("".join(json_report.render(report)))
    assert set(document["run"]) == {"id", "started", "seconds", "requests", "bytesRead", "interrupted"}
    assert document["summary"]["bytes"] == {"copied": 70_001_000, "reused": 1_200_000}
    assert "copied" not in document["actions"][0]


def test_every_entry_stands_on_its_own_line(plan: Plan) -> None:
    lines = text(plan).decode().splitlines()
    assert sum('"action":' in line for line in lines) == len(plan.actions)


def test_nothing_outside_printable_ascii_is_written(plan: Plan) -> None:
    hostile = Plan(plan.spec_digest, plan.created, (), 0, warnings=("\x1b[2J\u202e\x7f\u00e4",))
    raw = text(hostile).decode()
    assert all(character == "\n" or 0x20 <= ord(character) < 0x7F for character in raw)
    assert json.loads(raw)["warnings"] == ["\x1b[2J\u202e\x7f\u00e4"]


def edited(plan: Plan, *path: Any, to: object) -> bytes:
    document = json.loads(text(plan))
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    if to is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = to
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        pytest.param(("apiVersion",), "v2", "apiVersion: expected 'regsync.dev/v1'", id="another version"),
        pytest.param(("kind",), "Report", "kind: expected 'Plan'", id="a report"),
        pytest.param(("more",), 1, "more: unknown key", id="an unknown key"),
        pytest.param(("specDigest",), "md5:1", "specDigest: invalid digest", id="no digest"),
        pytest.param(("specDigest",), ..., "specDigest: expected a string", id="a missing digest"),
        pytest.param(
            ("summary", "create"), 99, "summary.create: it is not 2", id="counts that do not add up"
        ),
        pytest.param(
            ("summary", "unchanged"), -1, "summary.unchanged: expected a whole number", id="negative"
        ),
        pytest.param(("actions",), {}, "actions: expected a list", id="no list"),
        pytest.param(("actions", 0), [], r"actions\[0\]: expected an object", id="no object"),
        pytest.param(
            ("actions", 0, "action"), "erase", "expected one of create, update", id="unknown action"
        ),
        pytest.param(("actions", 0, "tag"), "../x", "tag: invalid tag", id="a tag that is none"),
        pytest.param(("actions", 0, "target"), "local/../x", "invalid repository", id="a path out"),
        pytest.param(("actions", 0, "target"), "local", "invalid repository", id="no repository"),
        pytest.param(("actions", 0, "target"), "/x", "expected <registry>/<repository>", id="no registry"),
        pytest.param(("actions", 0, "size"), True, "size: expected a whole number", id="a flag for a size"),
        pytest.param(
            ("actions", 0, "size"), 2**63, "size: expected a whole number", id="a size beyond 63 bits"
        ),
        pytest.param(("actions", 1, "digest"), None, "no problem that says why", id="nothing to copy"),
        pytest.param(("actions", 0, "reason"), "x" * 20_000, "longer than", id="endless text"),
        pytest.param(("actions", 0, "problem", "exitCode"), 0, "expected 1, 3, 75 or null", id="exit code"),
        pytest.param(("actions", 0, "problem", "x"), 0, "unknown key", id="an unknown key in depth"),
        pytest.param(("run", "created"), "yesterday", "run.created: expected a time", id="no time"),
        pytest.param(("run", "created"), "2026-11-24T00:00:00", "does not say its zone", id="a local time"),
    ],
)
def test_an_edited_plan_is_refused_with_the_place(
    plan: Plan, path: tuple[str, ...], value: object, says: str
) -> None:
    with pytest.raises(InvalidPlanError, match=says) as caught:
        plan_from_json(edited(plan, *path, to=value))
    assert caught.value.hint is not None


@pytest.mark.parametrize(
    "raw",
    [b"", b"{}", b"[]", b"null", b'{"kind":"Plan","kind":"Plan"}', b"[" * 100_000, b"\xff", b"1" * 5000],
)
def test_what_is_no_plan_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidPlanError):
        plan_from_json(raw)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, st.sampled_from(["actions", "summary", "run", "warnings", "explanations", "specDigest"]))
def test_any_value_in_a_plan_is_refused_cleanly(value: object, key: str) -> None:
    document: dict[str, object] = {"apiVersion": "regsync.dev/v1", "kind": "Plan"}
    document[key] = value
    with pytest.raises(InvalidPlanError):
        plan_from_json(json.dumps(document).encode())


def test_times_are_written_in_utc(plan: Plan) -> None:
    east = plan.created.astimezone(timezone(timedelta(hours=5)))
    assert timestamp(east) == "2026-11-24T16:42:05Z"


def test_a_verdict_of_a_plan_is_read_as_strictly_as_the_rest(judged: Plan) -> None:
    with pytest.raises(InvalidPlanError, match=r"verdicts\[0\].result: expected one of pass, fail"):
        plan_from_json(edited(judged, "actions", 3, "verdicts", 0, "result", to="fine"))
