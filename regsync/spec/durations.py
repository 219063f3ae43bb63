"""Durations as a spec has them: a number and its unit."""

from datetime import timedelta

DAY = timedelta(days=1)
DURATION_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": DAY,
    "w": 7 * DAY,
    "y": 365 * DAY,
}


def written_duration(value: timedelta) -> str:
    """A duration as a spec has it, in the largest unit up to days that it is a whole number of."""
    for unit in ("d", "h", "m"):
        if value and value % DURATION_UNITS[unit] == timedelta():
            return f"{value // DURATION_UNITS[unit]}{unit}"
    return f"{value // DURATION_UNITS['s']}s"
