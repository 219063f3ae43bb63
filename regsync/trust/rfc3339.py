"""Times in documents from outside. Source: RFC 3339, section 5.6; as Go writes them, to nine digits."""

import re
from datetime import UTC, datetime

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


def parse_time(text: str) -> datetime:
    """The time in UTC, to the microsecond; raises ValueError, also where there is none like it in UTC."""
    if _TIME.fullmatch(text) is None:
        raise ValueError(f"{text[:60]!r} is no time such as 2025-07-04T00:00:00Z")
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except OverflowError as cause:
        raise ValueError(f"{text!r} is outside of the years 1 to 9999") from cause
