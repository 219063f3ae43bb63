"""When an attestation was made, by its own word.

Sources: cosign's vuln predicate, in-toto vulns 0.2, SLSA provenance 0.2 and 1, SPDX 2.3, CycloneDX 1.6,
OpenVEX 0.2, SLSA VSA 1, reports of trivy and of grype.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

_PLACES = (
    ("metadata", "scanFinishedOn"),
    ("runDetails", "metadata", "finishedOn"),
    ("metadata", "buildFinishedOn"),
    ("creationInfo", "created"),
    ("metadata", "timestamp"),
    ("CreatedAt",),
    ("descriptor", "timestamp"),
    ("scanner", "result", "CreatedAt"),
    ("scanner", "result", "descriptor", "timestamp"),
    ("timeVerified",),
    ("timestamp",),
)
_EARLIEST = 1990  # what is before that is a placeholder: 0001-01-01, 1970-01-01, 1980-01-01


def said_at(predicate: Mapping[str, object]) -> datetime | None:
    """The time in the first place that has one; None where there is none. Without a zone it is UTC."""
    for place in _PLACES:
        value: object = predicate
        for key in place:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, str) and (found := _time(value)) is not None:
            return found
    return None


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if found.year >= _EARLIEST else None
