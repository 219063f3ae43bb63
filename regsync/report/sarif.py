"""Plans, reports and checks as SARIF 2.1.0: a result per finding, at the spec's file and line.

Code hosts show it beside the lines of a pull request. A rule stands for a kind of problem or for one
requirement of a policy. What came from outside is plain text: in messages, SARIF knows links.
Source: OASIS SARIF 2.1.0; GitHub's limits of what it takes (5,000 results shown, 25,000 read).
"""

import hashlib
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from regsync import __version__
from regsync.plan.check import CheckReport
from regsync.plan.document import encode
from regsync.plan.model import Plan, Report
from regsync.plan.sites import Sites
from regsync.report.escape import message, visible
from regsync.report.findings import Finding, Rule, findings_of, rules_of
from regsync.report.units import counted
from regsync.spec.model import Position

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
MAX_RESULTS = 5_000
ROOT = "SRCROOT"  # the top of the git tree that the spec is in


def render(document: Plan | Report | CheckReport, sites: Sites | None = None) -> Iterator[str]:
    """The log in pieces. Without `sites` no result has a place in a file."""
    return encode(log_document(document, sites))


def log_document(document: Plan | Report | CheckReport, sites: Sites | None) -> dict[str, object]:
    """The log as JSON values."""
    findings = findings_of(document, sites)
    rules = rules_of(findings)
    numbers = {rule.id: number for number, rule in enumerate(rules)}
    driver = {"name": "regsync", "version": __version__, "rules": [_rule(rule) for rule in rules]}
    run: dict[str, object] = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "automationDetails": {"id": f"regsync/{type(document).__name__.lower()}/"},
        "originalUriBaseIds": {ROOT: {"description": {"text": "The top of the tree that holds the spec."}}},
        "results": [_result(one, numbers) for one in findings[:MAX_RESULTS]],
    }
    if len(findings) > MAX_RESULTS:
        left_out = counted(len(findings) - MAX_RESULTS, "finding")
        note = {"level": "warning", "message": {"text": f"{left_out} left out; `-o json` has all."}}
        run["invocations"] = [{"executionSuccessful": True, "toolExecutionNotifications": [note]}]
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: Rule) -> Mapping[str, object]:
    return {"id": visible(rule.id), "shortDescription": {"text": _plain(rule.text)}}


def _result(finding: Finding, numbers: Mapping[str, int]) -> Mapping[str, object]:
    result: dict[str, object] = {
        "ruleId": visible(finding.rule.id),
        "ruleIndex": numbers[finding.rule.id],
        "level": finding.level.value,
        "message": {"text": _text(finding)},
        "partialFingerprints": {"regsyncFinding/v1": _fingerprint(finding)},
    }
    if finding.position is not None:
        result["locations"] = [_location(finding.position)]
    if finding.rule.position is not None:
        requirement = {"message": {"text": "The requirement."}, "id": 1}
        result["relatedLocations"] = [{**requirement, **_location(finding.rule.position)}]
    return result


def _text(finding: Finding) -> str:
    places = ", ".join(map(visible, finding.places))
    more = f" and {finding.count - len(finding.places)} more" if finding.count > len(finding.places) else ""
    text = f"{places}{more}: {message(finding.message)}" if places else message(finding.message)
    hint = f" ({message(finding.hint)})" if finding.hint is not None else ""
    return _escaped(f"{text}{hint}")


def _plain(text: str) -> str:
    return _escaped(message(text))


def _escaped(text: str) -> str:
    """Without links: SARIF, section 3.11.6."""
    return text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")


def _location(position: Position) -> dict[str, object]:
    file = position.file
    artifact = (
        {"uri": f"file://{quote(file)}"} if file.startswith("/") else {"uri": quote(file), "uriBaseId": ROOT}
    )
    region = {"startLine": position.line, "startColumn": position.column}
    return {"physicalLocation": {"artifactLocation": artifact, "region": region}}


def _fingerprint(finding: Finding) -> str:
    """The same from run to run while the same is wrong, wherever it has moved to in its file."""
    parts = (finding.rule.id, finding.mirror, *finding.places[:1])
    return hashlib.sha256("\0".join(parts).encode("utf-8", "backslashreplace")).hexdigest()
