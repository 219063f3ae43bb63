"""Predicates are others' JSON: whatever is in one, there is an answer, and never a pass by accident."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from regsync.spec.verification import SlsaCondition, TextMatch, VulnerabilityCondition
from regsync.trust.envelopes import Signer
from regsync.trust.predicate_time import said_at
from regsync.trust.slsa import unmet_by_provenance
from regsync.trust.vulnerabilities import judge_scan

NOW = datetime(2026, 11, 24, tzinfo=UTC)
KEYS = (
    *("scanner", "result", "Results", "Vulnerabilities", "VulnerabilityID", "Severity", "SchemaVersion"),
    *("matches", "vulnerability", "relatedVulnerabilities", "id", "severity", "score", "fix", "versions"),
    *("buildDefinition", "externalParameters", "workflow", "repository", "ref", "source", "uri", "buildType"),
    *(
        "resolvedDependencies",
        "runDetails",
        "builder",
        "metadata",
        "scanFinishedOn",
        "finishedOn",
        "timestamp",
    ),
    *("invocation", "configSource", "creationInfo", "created", "CreatedAt", "descriptor"),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        ["HIGH", "CVE-1", "git+https://a/b@refs/x", "2026-11-24T00:00:00Z", "9999-12-31T23:59:59-14:00"]
    ),
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=20,
)
predicates = st.dictionaries(st.sampled_from(KEYS), documents, max_size=4)
Json = dict[str, Any]


@given(predicates)
def test_a_scan_that_names_a_vulnerability_never_passes_as_one_without(predicate: Json) -> None:
    answer = judge_scan(VulnerabilityCondition(), predicate, NOW)
    report = predicate.get("scanner")
    report = report.get("result") if isinstance(report, dict) else predicate
    if answer.unmet is None:
        assert isinstance(report, list) or {"matches", "Results", "SchemaVersion"} & report.keys()
        assert not (isinstance(report, list) and report)
        assert not (isinstance(report, dict) and report.get("matches"))


@given(predicates, st.sampled_from(["https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2"]))
def test_provenance_of_any_shape_is_answered(predicate: Json, kind: str) -> None:
    condition = SlsaCondition(
        TextMatch(exact="us"), "https://github.com/acme/app", TextMatch(regex="refs/.*")
    )
    assert unmet_by_provenance(condition, kind, predicate, Signer("ci", "x")) is not None


@given(predicates)
def test_a_time_is_a_time_with_its_zone_or_none(predicate: Json) -> None:
    found = said_at(predicate)
    assert found is None or found.tzinfo is UTC
