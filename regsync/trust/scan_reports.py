"""Reports of scanners, read for what they found: trivy's, grype's, in-toto's.

Sources: trivy `pkg/types/report.go` (SchemaVersion 2), grype `grype/presenter/models/document.go`, in-toto
`predicates/vulns_02.md` and `vulns_01.md`. A report that is not as they say is unreadable as a whole:
what is not understood must not count as "nothing found".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from regsync.errors import RegsyncError
from regsync.spec.verification import ScanFormat, Severity

_SEVERITIES = {
    **{severity.value: severity for severity in Severity},
    "MODERATE": Severity.MEDIUM,  # Red Hat's and GitHub's words
    "IMPORTANT": Severity.HIGH,
    "NONE": Severity.NEGLIGIBLE,  # CVSS's word for 0
    "": Severity.UNKNOWN,
}
_BY_SCORE = (  # CVSS 3.1, section 5
    (9.0, Severity.CRITICAL),
    (7.0, Severity.HIGH),
    (4.0, Severity.MEDIUM),
    (0.1, Severity.LOW),
    (0.0, Severity.NEGLIGIBLE),
)
_MAX_SCORE = 10.0
_ORDER = list(Severity)


class ReportUnreadableError(RegsyncError):
    """The predicate is no report of the format that is asked for."""


@dataclass(frozen=True, slots=True)
class Found:
    """One vulnerability as reported. `names` has its id first, then its aliases, in upper case."""

    names: tuple[str, ...]
    severity: Severity | None  # None: the report has a word for it that nobody knows
    said: str  # that word
    is_fixable: bool | None  # None: the report does not say


def read_scan(predicate: Mapping[str, object], form: ScanFormat) -> Iterator[Found]:
    """What a scan found. Raises ReportUnreadableError."""
    scanner = predicate.get("scanner")
    report = scanner.get("result") if isinstance(scanner, Mapping) else predicate
    found = _form_of(report)
    if found is None:
        raise ReportUnreadableError("the predicate is no report of trivy, grype or in-toto's vulns type")
    if form not in (ScanFormat.AUTO, found):
        raise ReportUnreadableError(f"the report is {found.value}'s, the policy asks for {form.value}'s")
    return _READERS[found](report)


def _form_of(report: object) -> ScanFormat | None:
    if isinstance(report, list):
        return ScanFormat.IN_TOTO
    if not isinstance(report, Mapping):
        return None
    if "matches" in report:
        return ScanFormat.GRYPE
    # trivy leaves `Results` out where there is nothing to report.
    return ScanFormat.TRIVY if "Results" in report or "SchemaVersion" in report else None


def _trivy(report: object) -> Iterator[Found]:
    for result in _objects(_get(report, "Results"), "Results"):
        for one in _objects(result.get("Vulnerabilities"), "Results[].Vulnerabilities"):
            said = _word(one.get("Severity"))
            fixed = one.get("FixedVersion")
            yield Found((_id(one.get("VulnerabilityID")),), _SEVERITIES.get(said), said, bool(fixed))


def _grype(report: object) -> Iterator[Found]:
    for match in _objects(_get(report, "matches"), "matches"):
        one = match.get("vulnerability")
        if not isinstance(one, Mapping):
            raise ReportUnreadableError("matches[].vulnerability is not an object")
        related = _objects(match.get("relatedVulnerabilities"), "matches[].relatedVulnerabilities")
        names = (_id(one.get("id")), *(_id(other.get("id")) for other in related))
        said = _word(one.get("severity"))
        fix = one.get("fix")
        fixable = isinstance(fix, Mapping) and (bool(fix.get("versions")) or fix.get("state") == "fixed")
        yield Found(names, _SEVERITIES.get(said), said, fixable)


def _in_toto(report: object) -> Iterator[Found]:
    for one in _objects(report, "scanner.result"):
        said = one.get("severity")
        ratings = [said] if isinstance(said, Mapping) else _objects(said, "scanner.result[].severity")
        words = [_word(rating.get("score")) for rating in ratings]
        methods = [_word(rating.get("method")) for rating in ratings]
        rated = map(_rated, words, methods)
        known = [severity for severity in rated if severity is not None]
        worst = max(known, key=_ORDER.index) if known else None
        if not words:
            worst = Severity.UNKNOWN
        yield Found((_id(one.get("id")),), worst, worst.value if worst else ", ".join(words), None)


_READERS = {ScanFormat.TRIVY: _trivy, ScanFormat.GRYPE: _grype, ScanFormat.IN_TOTO: _in_toto}


def _rated(word: str, method: str) -> Severity | None:
    """A word, or a CVSS score; of a vector nobody computes one here.

    A number by another method is on another scale: EPSS gives a probability, which would look harmless.
    """
    try:
        score = float(word)
    except ValueError:
        return _SEVERITIES.get(word)
    if not 0 <= score <= _MAX_SCORE or not (method in ("", "NVD") or "CVSS" in method):
        return None
    return next(severity for least, severity in _BY_SCORE if score >= least)


def _get(report: object, key: str) -> object:
    return report.get(key) if isinstance(report, Mapping) else None


def _objects(value: object, where: str) -> list[Mapping[str, object]]:
    """A list of objects; Go writes null for an empty one."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise ReportUnreadableError(f"{where} is not a list of objects")
    return value


def _word(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise ReportUnreadableError(f"a severity is {value!r:.80}")
    return value.strip().upper()[:80]


def _id(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ReportUnreadableError(f"a vulnerability has the id {value!r:.80}")
    return value.upper()[:80]
