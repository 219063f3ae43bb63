"""Scans against what may be found, in the forms of trivy, grype and in-toto."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from regsync.spec.verification import Allowed, ScanFormat, Severity, VulnerabilityCondition
from regsync.trust.vulnerabilities import judge_scan

NOW = datetime(2026, 11, 24, tzinfo=UTC)
DAY = timedelta(days=1)
Json = dict[str, Any]


def trivy(*found: Json) -> Json:
    return {
        "SchemaVersion": 2,
        "Results": [{"Target": "app"}, {"Target": "os", "Vulnerabilities": list(found)}],
    }


def trivy_found(name: str = "CVE-2026-1", severity: str = "HIGH", fixed: str = "") -> Json:
    return {"VulnerabilityID": name, "Severity": severity, "PkgName": "openssl", "FixedVersion": fixed}


def grype(*found: Json) -> Json:
    return {"matches": list(found), "descriptor": {"name": "grype"}}


def grype_found(
    name: str = "GHSA-1", severity: str = "High", versions: tuple[str, ...] = (), also: tuple[str, ...] = ()
) -> Json:
    fix = {"versions": list(versions), "state": "fixed" if versions else "not-fixed"}
    related = [{"id": one} for one in also]
    return {
        "vulnerability": {"id": name, "severity": severity, "fix": fix},
        "relatedVulnerabilities": related,
    }


def in_toto(*found: Json) -> Json:
    return {"scanner": {"uri": "pkg:x", "result": list(found)}, "metadata": {"scanFinishedOn": "…"}}


def cosign(report: Json) -> Json:
    return {"scanner": {"uri": "pkg:x", "result": report}, "metadata": {}}


def unmet(predicate: Json, most: Severity | None = Severity.MEDIUM, **more: Any) -> str | None:
    return judge_scan(VulnerabilityCondition(most, **more), predicate, NOW).unmet


@pytest.mark.parametrize(
    "predicate",
    [
        pytest.param(cosign(trivy(trivy_found())), id="trivy, by cosign"),
        pytest.param(trivy(trivy_found()), id="trivy"),
        pytest.param(cosign(grype(grype_found("CVE-2026-1"))), id="grype, by cosign"),
        pytest.param(grype(grype_found("CVE-2026-1")), id="grype"),
        pytest.param(
            in_toto({"id": "CVE-2026-1", "severity": [{"method": "nvd", "score": "high"}]}), id="in-toto 0.2"
        ),
        pytest.param(
            in_toto({"id": "CVE-2026-1", "severity": {"method": "nvd", "score": "High"}}), id="in-toto 0.1"
        ),
        pytest.param(
            in_toto({"id": "CVE-2026-1", "severity": [{"score": "3.1"}, {"score": 8.1}]}),
            id="the worst score",
        ),
    ],
)
def test_the_worst_that_is_let_pass_is_the_same_in_every_report(predicate: Json) -> None:
    assert unmet(predicate, Severity.HIGH) is None
    assert unmet(predicate, Severity.MEDIUM) == "it has 1 vulnerability above MEDIUM: CVE-2026-1 (HIGH)"


def test_without_a_limit_there_may_be_none_at_all() -> None:
    assert unmet(trivy(), None) is None
    assert unmet(trivy(trivy_found(severity="NEGLIGIBLE")), None) is not None
    assert unmet(trivy(trivy_found(severity="UNKNOWN")), None) is not None


@pytest.mark.parametrize(
    ("said", "severity"),
    [
        ("critical", Severity.CRITICAL),
        ("Important", Severity.HIGH),
        ("Moderate", Severity.MEDIUM),
        (" low ", Severity.LOW),
        ("Negligible", Severity.NEGLIGIBLE),
        ("Unknown", Severity.UNKNOWN),
        ("", Severity.UNKNOWN),
        (None, Severity.UNKNOWN),
    ],
)
def test_every_scanner_has_its_words_for_the_same(said: str | None, severity: Severity) -> None:
    predicate = trivy({"VulnerabilityID": "CVE-1", "Severity": said})
    below = list(Severity)[: list(Severity).index(severity)]
    assert unmet(predicate, severity) is None
    assert all(unmet(predicate, one) is not None for one in below)


@pytest.mark.parametrize(
    ("score", "severity"),
    [
        ("0", "NEGLIGIBLE"),
        ("0.1", "LOW"),
        ("3.9", "LOW"),
        ("4", "MEDIUM"),
        ("7.0", "HIGH"),
        ("9.0", "CRITICAL"),
    ],
)
def test_a_score_is_rated_as_cvss_does(score: str, severity: str) -> None:
    predicate = in_toto({"id": "CVE-1", "severity": [{"method": "cvss", "score": score}]})
    assert unmet(predicate, Severity(severity)) is None
    assert f"({severity})" in (unmet(predicate, None) or "")


@pytest.mark.parametrize("score", ["dreadful", "11", "-1", "nan", "inf", "CVSS:3.1/AV:N/AC:L"])
def test_a_severity_that_nobody_knows_is_worse_than_all(score: str) -> None:
    predicate = in_toto({"id": "CVE-1", "severity": [{"method": "x", "score": score}]})
    assert unmet(predicate, Severity.CRITICAL) is not None
    beside = in_toto({"id": "CVE-1", "severity": [{"score": score}, {"method": "nvd", "score": "low"}]})
    assert unmet(beside, Severity.LOW) is None
    assert unmet(trivy(trivy_found(severity=score)), Severity.CRITICAL) is not None


def test_a_number_on_another_scale_does_not_make_a_vulnerability_look_harmless() -> None:
    ratings = [{"method": "CVSSv3", "score": "CVSS:3.1/AV:N/AC:L"}, {"method": "epss", "score": "0.12"}]
    predicate = in_toto({"id": "CVE-1", "severity": ratings})
    assert unmet(predicate, Severity.CRITICAL) is not None
    ratings.append({"method": "cvss_score", "score": "5.2"})
    assert unmet(predicate, Severity.LOW) is not None
    assert unmet(predicate, Severity.MEDIUM) is None


def test_what_has_no_fix_does_not_count_where_that_is_asked() -> None:
    for without, fixed in (
        (trivy(trivy_found()), trivy(trivy_found(fixed="1.2.3"))),
        (grype(grype_found()), grype(grype_found(versions=("1.2.3",)))),
    ):
        assert unmet(without, fixable_only=True) is None
        assert unmet(fixed, fixable_only=True) is not None
    silent = in_toto({"id": "CVE-1", "severity": [{"score": "high"}]})
    assert unmet(silent, fixable_only=True) is not None


def test_a_vulnerability_is_let_pass_until_a_day_by_any_of_its_names() -> None:
    allow = (Allowed("cve-2026-7", "not reachable", NOW + DAY), Allowed("CVE-2026-9", "for ever"))
    condition = VulnerabilityCondition(Severity.MEDIUM, allow=allow)
    predicate = grype(grype_found("GHSA-1", also=("CVE-2026-7",)), grype_found("CVE-2026-9"))
    answer = judge_scan(condition, predicate, NOW)
    assert (answer.unmet, answer.expires) == (None, NOW + DAY)
    assert judge_scan(condition, predicate, NOW + DAY).unmet == (
        "it has 1 vulnerability above MEDIUM: GHSA-1 (HIGH)"
    )
    assert judge_scan(condition, grype(grype_found("CVE-2026-9")), NOW).expires is None


def test_a_reason_names_the_worst_first_and_counts_the_rest() -> None:
    found = [trivy_found(f"CVE-2026-{number}") for number in range(7)]
    said = unmet(trivy(*found, trivy_found("CVE-2025-1", "CRITICAL")))
    assert said == (
        "it has 8 vulnerabilities above MEDIUM: CVE-2025-1 (CRITICAL), CVE-2026-0 (HIGH), CVE-2026-1 (HIGH), "
        "CVE-2026-2 (HIGH), CVE-2026-3 (HIGH) and 3 more"
    )


@pytest.mark.parametrize(
    "predicate",
    [
        pytest.param({"SchemaVersion": 2, "ArtifactName": "app"}, id="trivy leaves results out"),
        pytest.param({"Results": None}, id="trivy's null"),
        pytest.param({"Results": [{"Vulnerabilities": None}]}, id="trivy's null in a result"),
        pytest.param({"matches": []}, id="grype"),
        pytest.param(in_toto(), id="in-toto"),
    ],
)
def test_a_scan_that_found_nothing_is_good(predicate: Json) -> None:
    assert unmet(predicate, None) is None


@pytest.mark.parametrize(
    "predicate",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"scanner": {"result": None}}, id="no result"),
        pytest.param({"scanner": {"result": {"vulnerabilities": []}}}, id="another scanner"),
        pytest.param({"Results": {}}, id="results that are no list"),
        pytest.param({"Results": [{"Vulnerabilities": ["CVE-1"]}]}, id="texts"),
        pytest.param({"Results": [{"Vulnerabilities": [{"Severity": "LOW"}]}]}, id="no id"),
        pytest.param(trivy(trivy_found() | {"Severity": ["LOW"]}), id="a list of severities"),
        pytest.param(trivy(trivy_found() | {"Severity": True}), id="a bool"),
        pytest.param({"matches": {}}, id="matches that are no list"),
        pytest.param({"matches": [{}]}, id="a match of nothing"),
        pytest.param(in_toto({"id": "CVE-1", "severity": "high"}), id="a text as in-toto's severity"),
    ],
)
def test_a_report_that_is_not_understood_is_never_taken_for_a_good_one(predicate: Json) -> None:
    assert unmet(predicate, Severity.CRITICAL) is not None


def test_the_report_is_of_the_scanner_that_is_asked_for() -> None:
    assert unmet(trivy(), format=ScanFormat.TRIVY) is None
    assert (
        unmet(cosign(grype()), format=ScanFormat.TRIVY)
        == "the report is grype's, the policy asks for trivy's"
    )
    assert unmet(in_toto(), format=ScanFormat.IN_TOTO) is None
