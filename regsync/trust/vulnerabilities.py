"""What a scan found, against what may be found.

A severity that the scanner calls unknown is the least of all, as it is for the scanners themselves; a word
for it that nobody knows is worse than all.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from regsync.spec.verification import Allowed, Severity, VulnerabilityCondition
from regsync.trust.scan_reports import Found, ReportUnreadableError, read_scan

_RANK = {severity: rank for rank, severity in enumerate(Severity)}
_SHOWN = 5  # vulnerabilities named in a reason


@dataclass(frozen=True, slots=True)
class ScanAnswer:
    """Why a scan is not good enough, and until when that it is may be relied on."""

    unmet: str | None
    expires: datetime | None = None  # when the first exception that was needed ends
    relaxed: tuple[str, ...] = ()  # what was found and did not count, and why


def judge_scan(
    condition: VulnerabilityCondition, predicate: Mapping[str, object], now: datetime
) -> ScanAnswer:
    """Compare a scan with a condition."""
    try:
        counted = list(_counted(condition, read_scan(predicate, condition.format)))
    except ReportUnreadableError as cause:
        return ScanAnswer(str(cause))
    allowed = {one.id.upper(): one for one in condition.allow if one.until is None or now < one.until}
    bad: list[Found] = []
    used: dict[str, Allowed] = {}
    for found in counted:
        exception = next((allowed[name] for name in found.names if name in allowed), None)
        if exception is None:
            bad.append(found)
        else:
            used[exception.id] = exception
    if bad:
        return ScanAnswer(_reason(condition, bad))
    ends = min((one.until for one in used.values() if one.until is not None), default=None)
    return ScanAnswer(None, ends, tuple(map(_excepted, used.values())))


def _excepted(one: Allowed) -> str:
    until = "" if one.until is None else f" until {one.until:%Y-%m-%d}"
    return f"{one.id} is allowed{until}: {one.reason}"


def _counted(condition: VulnerabilityCondition, all_found: Iterator[Found]) -> Iterator[Found]:
    limit = -1 if condition.max_severity is None else _RANK[condition.max_severity]
    for found in all_found:
        # None: the report does not say whether there is a fix, so that leaving it out would be a guess.
        if condition.fixable_only and found.is_fixable is False:
            continue
        if found.severity is None or _RANK[found.severity] > limit:
            yield found


def _reason(condition: VulnerabilityCondition, bad: list[Found]) -> str:
    worst = sorted(bad, key=lambda one: (-_weight(one), one.names[0]))
    named = ", ".join(f"{one.names[0]} ({one.said})" for one in worst[:_SHOWN])
    more = f" and {len(worst) - _SHOWN} more" if len(worst) > _SHOWN else ""
    above = "" if condition.max_severity is None else f" above {condition.max_severity.value}"
    noun = "vulnerability" if len(worst) == 1 else "vulnerabilities"
    return f"it has {len(worst)} {noun}{above}: {named}{more}"


def _weight(found: Found) -> int:
    return len(_RANK) if found.severity is None else _RANK[found.severity]
