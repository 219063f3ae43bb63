"""HTML, JUnit and SARIF: what a person, a pipeline and a code host read, and that no text escapes into it."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from handmade import BLOCKED, FAILED, LATER, MOMENT, SPEC, TOLERATED, action
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from sarif_shape import LOG
from test_renderings import check

from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.check import CheckReport, Compared, Drift, Owner, Row, State
from regsync.plan.codec import plan_document, plan_from_json
from regsync.plan.document import encode
from regsync.plan.judgement import Judgement
from regsync.plan.model import (
    Base,
    Cause,
    Explanation,
    Left,
    Outcome,
    Plan,
    Problem,
    Report,
    RunInfo,
    Unguarded,
)
from regsync.plan.sites import Sites
from regsync.report import check_html, html, junit, markdown, sarif, text
from regsync.spec.load import load
from regsync.spec.model import Location
from regsync.spec.verification import Mode
from regsync.trust.verdict import Result as Verdict

REFUSED = Judgement("prod", Mode.ENFORCE, Verdict.FAIL, "no signature by ops", (), ("signature by ops",))
UNSIGNED = Problem(Outcome.BLOCKED, Cause.POLICY, "refused by policy prod: no signature by ops")
KEY = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEKZjaDVFCR3+bVjj1MPePl8Xx5TnX
EmIkpQlcAeu3u8lQY6WkpYXnm2EnAVLKVx6OYMWPf7N6ki0rLv/M6iy8Bw==
-----END PUBLIC KEY-----
"""
SPEC_TEXT = """\
apiVersion: regsync.dev/v1
kind: Registry
metadata: {name: hub}
spec: {url: hub.test}
---
apiVersion: regsync.dev/v1
kind: Registry
metadata: {name: local}
spec: {url: local.test}
---
apiVersion: regsync.dev/v1
kind: Mirror
metadata: {name: base}
spec:
  source: hub/library/nginx
  targets: [local/library/nginx]
  tags:
    - latest
    - {semver: ">=1.25"}
---
apiVersion: regsync.dev/v1
kind: VerificationPolicy
metadata: {name: prod}
spec:
  images: ["hub/**"]
  authorities:
    ops: {key: {file: ops.pub, tlog: ignore}}
  require:
    signature: {authority: ops}
"""


@pytest.fixture
def refused(plan: Plan) -> Plan:
    """A plan with verdicts of policies that refuse, and one that only warns."""
    more = (
        action("1.27.3", problem=UNSIGNED, verdicts=(REFUSED,)),
        action("1.27.3", target="edge", problem=UNSIGNED, verdicts=(REFUSED,)),
        action("latest", mirror="base", target="edge", verdicts=(TOLERATED,)),
    )
    return replace(plan, actions=(*plan.actions, *more))


@pytest.fixture
def checked() -> CheckReport:
    hub, eu, us = (Location(one, RepositoryName("library/nginx")) for one in ("hub", "eu", "us"))
    new, old = Digest.of(b"new"), Digest.of(b"old")
    since = datetime(2026, 11, 20, 8, tzinfo=UTC)
    where = ("base", hub)
    rows = (
        Row(*where, eu, Tag("1.27"), State.MISSING, None, new, "not there", since=since),
        Row(*where, eu, Tag("old"), State.EXTRA, old, None, "nothing selects it", owner=Owner.OURS),
        Row(*where, us, Tag("1.27"), State.DRIFTED, old, new, "moved there", Drift.MOVED_THERE),
        Row(*where, us, Tag("1.28"), State.UNREACHABLE, None, new, "not compared", problem=FAILED),
    )
    compared = (Compared("base", hub, eu, 3, 2), Compared("base", hub, us, 3, 1))
    run = RunInfo("f00", MOMENT, 1.5)
    return CheckReport(SPEC, rows, compared, run, ("one thing to know",))


@pytest.fixture
def sites(tmp_path: Path) -> Sites:
    (tmp_path / ".git").mkdir()
    directory = tmp_path / "regsync"
    directory.mkdir()
    (directory / "ops.pub").write_text(KEY)
    (directory / "all.yaml").write_text(SPEC_TEXT)
    return Sites.of(load([directory]), Path.cwd())


def test_a_plan_as_html(refused: Plan) -> None:
    check("plan.html", html.render(refused))


def test_a_plan_since_a_revision(plan: Plan, sites: Sites) -> None:
    web = Location("edge", RepositoryName("library/nginx"))
    left = Left("base", web, ("1.0", "1.1"), 12)
    base = Base(
        "origin/main", "71fedc81e3d2" + "0" * 28, SPEC, 5, (left,), (Unguarded("base", web, ("prod",), ()),)
    )
    changed = replace(plan, base=base)
    check("change.txt", text.render(changed))
    check("change.md", markdown.render(changed))
    check("change.html", html.render(changed))
    check("change.junit.xml", junit.render(changed))
    assert any(one["ruleId"] == "unguarded" for one in results(changed, sites))
    assert plan_from_json("".join(encode(plan_document(changed))).encode()).base == base


def test_a_report_as_html(report: Report) -> None:
    check("report.html", html.render(report))


def test_a_check_as_html(checked: CheckReport) -> None:
    check("check.html", check_html.render(checked))


def test_a_plan_as_junit(refused: Plan) -> None:
    check("plan.junit.xml", junit.render(refused))


def test_a_report_as_junit(report: Report) -> None:
    check("report.junit.xml", junit.render(report))


def test_a_check_as_junit(checked: CheckReport) -> None:
    check("check.junit.xml", junit.render(checked))


def test_a_plan_as_sarif(refused: Plan, sites: Sites) -> None:
    check("plan.sarif", sarif.render(refused, sites))


def test_a_check_as_sarif(checked: CheckReport, sites: Sites) -> None:
    check("check.sarif", sarif.render(checked, sites))


def results(document: Plan | Report | CheckReport, sites: Sites | None = None) -> list[dict[str, object]]:
    log = json.loads("".join(sarif.render(document, sites)))
    Draft202012Validator(LOG).validate(log)
    found: list[dict[str, object]] = log["runs"][0]["results"]
    return found


def place(result: dict[str, object]) -> tuple[str, int]:
    where = result["locations"][0]["physicalLocation"]  # type: ignore[index]
    return where["artifactLocation"]["uri"], where["region"]["startLine"]


def test_what_a_policy_requires_is_a_rule_with_its_own_line(refused: Plan, sites: Sites) -> None:
    unsigned = next(one for one in results(refused, sites) if one["ruleId"] == "policy/prod/signature by ops")
    assert place(unsigned) == ("regsync/all.yaml", 19)  # the rule that may have chosen the tag
    related = unsigned["relatedLocations"][0]["physicalLocation"]  # type: ignore[index]
    assert related["region"]["startLine"] == 29
    text = unsigned["message"]["text"]  # type: ignore[index]
    assert "edge/library/nginx:1.27.3, local/library/nginx:1.27.3" in text
    assert not any("refused by policy prod" in json.dumps(one) for one in results(refused, sites))


def test_a_named_tag_is_found_where_it_is_named(sites: Sites) -> None:
    found = results(Plan(SPEC, MOMENT, (action("latest", problem=FAILED),), 0), sites)
    assert [place(one) for one in found] == [("regsync/all.yaml", 18)]


def test_what_no_rule_can_have_chosen_stands_at_the_mirror_and_what_has_no_mirror_at_the_top(
    sites: Sites,
) -> None:
    plan = Plan(SPEC, MOMENT, (action(None, problem=FAILED), action("x", mirror="gone", problem=LATER)), 0)
    assert sorted(place(one)[1] for one in results(plan, sites)) == [1, 11]


def test_findings_are_known_again_after_they_moved_in_their_file(refused: Plan, sites: Sites) -> None:
    def prints(found: list[dict[str, object]]) -> list[object]:
        return [one["partialFingerprints"] for one in found]

    assert prints(results(refused, sites)) == prints(results(refused))
    assert len({str(one) for one in prints(results(refused))}) == len(results(refused))


def test_more_findings_than_a_code_host_takes_are_counted() -> None:
    problems = (replace(FAILED, message=f"no {number}") for number in range(sarif.MAX_RESULTS + 3))
    plan = Plan(SPEC, MOMENT, tuple(action(f"t{n}", problem=one) for n, one in enumerate(problems)), 0)
    log = json.loads("".join(sarif.render(plan)))
    Draft202012Validator(LOG).validate(log)
    run = log["runs"][0]
    assert len(run["results"]) == sarif.MAX_RESULTS
    assert "3 findings left out" in run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]


def cases(document: Plan | Report | CheckReport) -> list[ElementTree.Element]:
    """The cases of a document whose counts are right."""
    root = ElementTree.fromstring("".join(junit.render(document)))
    assert root.tag == "testsuites"
    for suite in (root, *root.findall("testsuite")):
        below = suite.findall(".//testcase")
        assert int(suite.attrib["tests"]) == len(below)
        assert int(suite.attrib["failures"]) == len(suite.findall(".//failure"))
        if suite.tag == "testsuite":
            assert int(suite.attrib["skipped"]) == len(suite.findall(".//skipped"))
        assert all(case.attrib["name"] and case.attrib["classname"] for case in below)
        assert all(len(case) <= 1 for case in below)
    return root.findall(".//testcase")


def test_a_case_fails_where_a_tag_is_kept_back_and_is_skipped_where_it_is_put_off(report: Report) -> None:
    outcomes = {case.attrib["name"]: [one.tag for one in case] for case in cases(report)}
    assert outcomes["1.27.1"] == ["system-out"]
    assert outcomes["1.27.2"] == ["skipped"]  # degraded
    assert outcomes["latest"] == ["failure"]  # refused
    assert outcomes["2.0"] == ["skipped"]  # deferred
    assert outcomes["1.0"] == ["failure"]
    assert outcomes["120 tags unchanged"] == []


def test_a_run_that_ended_before_its_time_fails_a_case(report: Report) -> None:
    ended = replace(report, ended=BLOCKED)
    assert [case.attrib["name"] for case in cases(ended) if case.attrib["classname"] == "regsync"] == [
        "120 tags unchanged",
        "the run came to its end",
    ]


def test_places_that_differ_fail_and_leftovers_of_ours_do_not(checked: CheckReport) -> None:
    failed = {
        (case.attrib["name"], case.attrib["classname"])
        for case in cases(checked)
        if case.find("failure") is not None
    }
    assert ("1.27", "base.eu/library/nginx") in failed
    assert ("1.27", "base.us/library/nginx") in failed
    assert ("old", "base.eu/library/nginx") not in failed


class Elements(HTMLParser):
    """The elements of a page, their attributes, and the text that a reader sees."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(attrs)))
        if tag not in ("meta", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text.append(data)


ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "class", "id", "href", "open"}


def assert_harmless(page: str) -> Elements:
    """Nothing runs, nothing is loaded, every element is one of ours."""
    elements = Elements(page)
    names = {name for name, _ in elements.found}
    assert names <= {
        *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "table", "thead", "tbody"),
        *(
            "tr",
            "th",
            "td",
            "details",
            "summary",
            "div",
            "span",
            "a",
            "code",
            "ol",
            "ul",
            "li",
            "strong",
            "br",
        ),
    }
    for _, attributes in elements.found:
        for name, value in attributes:
            assert name in ATTRIBUTES
            if name == "href":
                assert re.fullmatch(r"#p\d+", value or "")
            if name in ("class", "id"):
                assert re.fullmatch(r"[a-z]+\d*", value or "")
    return elements


def hostile(evil: str) -> Iterator[Plan | Report]:
    problem = Problem(Outcome.FAILED, Cause.ERROR, evil, evil)
    place = Location("hub", RepositoryName("library/nginx"))
    left, unguarded = Left(evil, place, (evil,), 1), Unguarded(evil, place, (evil,), (evil,))
    base = Base(evil, evil, SPEC, 1, (left,), (unguarded,))
    verdict = Judgement(evil, Mode.WARN, Verdict.FAIL, evil, (evil,), (evil,))
    bad = action("bad", mirror=evil, reason=evil, problem=problem, verdicts=(verdict,))
    nginx = Location("hub", RepositoryName("library/nginx"))
    tag = replace(bad, tag=Tag(evil), source_tag=Tag(evil), problem=None)  # as a registry may list it
    why = Explanation(evil, nginx, Tag(evil), kept=False, why=evil)
    yield Plan(SPEC, MOMENT, (bad, tag), 1, (evil,), (why,), base=base)


EVILS = st.text(
    min_size=1,
    alphabet=st.one_of(st.characters(), st.sampled_from("<>&\"'`]\\[(){}\0\x1b\u202e\ufffe\ud800\n")),
)


@given(EVILS)
@settings(max_examples=60)
def test_no_text_becomes_markup(evil: str) -> None:
    for document in hostile(evil):
        assert_harmless("".join(html.render(document)))
        assert cases(document)
        found = results(document)
        texts = [one["message"]["text"] for one in found]  # type: ignore[index]
        assert not any(re.search(r"(?<!\\)(\\\\)*[\[\]]", text) for text in texts)


@given(EVILS)
@settings(max_examples=30)
def test_no_text_of_a_check_becomes_markup(evil: str) -> None:
    here = Location(evil, RepositoryName(evil))
    problem = Problem(Outcome.FAILED, Cause.ERROR, evil, evil)
    rows = (Row(evil, here, here, Tag(evil), State.UNREACHABLE, None, None, evil, problem=problem),)
    report = CheckReport(SPEC, rows, (Compared(evil, here, here, 1, 0),), RunInfo("f", MOMENT, 1), (evil,))
    assert_harmless("".join(check_html.render(report)))
    assert cases(report)
    assert results(report)


def test_a_script_in_a_tag_is_shown_as_text() -> None:
    evil = "<script>alert(1)</script>"
    (document,) = hostile(evil)
    elements = assert_harmless("".join(html.render(document)))
    assert any(evil in text for text in elements.text)


def test_the_page_forbids_what_it_does_not_hold(plan: Plan) -> None:
    page = "".join(html.render(plan))
    assert "default-src 'none'" in page
    assert "script" not in page
    assert "http://" not in page
    assert "https://" not in page


def test_a_hundred_thousand_tags_are_folded() -> None:
    actions = tuple(action(f"t{number:05}") for number in range(100_000))
    page = "".join(html.render(Plan(SPEC, MOMENT, actions, 0)))
    assert page.count("<details open>") == 0
    assert page.count("<details>") == 201  # one of the mirror, the rest of 500 rows each
    assert len(page) < 40_000_000
