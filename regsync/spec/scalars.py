"""Scalars of the spec: numbers, durations, sizes, and text as it was written.

Numbers and booleans are those of the YAML 1.2 core schema, unquoted only: `012` is twelve, `0o14`
and `0x0c` are too, `yes` is a word. The functions raise ValueError with what was expected.
"""

import re
from datetime import timedelta

from regsync.spec.durations import DURATION_UNITS
from regsync.spec.nodes import Plain, describe

SIZE_UNITS = {
    "B": 1,
    **{f"{prefix}B": 1000**power for power, prefix in enumerate("kMGT", start=1)},
    "KB": 1000,
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGT", start=1)},
}

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}|0o[0-7]{1,18}|0x[0-9a-fA-F]{1,15}")
_DECIMAL = re.compile(r"[-+]?(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(?:[eE][-+]?[0-9]{1,2})?")
_DURATION = re.compile(r"([0-9]{1,9})([smhdwy])")
_SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s?([kKMGT]?i?B)")
_BASES = {"0o": 8, "0x": 16}


def text(value: object) -> str:
    """Text as written, numbers included: `1.10` stays `1.10`."""
    if not isinstance(value, str):
        raise ValueError(f"expected text, found {describe(value)}")
    return str(value)


def integer(value: object) -> int:
    """A whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, Plain) or _INTEGER.fullmatch(value) is None:
        raise ValueError(f"expected a whole number, found {describe(value)}")
    return int(value, _BASES.get(value[:2], 10))


def number(value: object) -> float:
    """A number, such as 50 or 0.5."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, Plain) and _DECIMAL.fullmatch(value) is not None:
        return float(value)
    return float(integer(value)) if isinstance(value, Plain) and value[:1] == "0" else _no_number(value)


def _no_number(value: object) -> float:
    raise ValueError(f"expected a number, found {describe(value)}")


def boolean(value: object) -> bool:
    """True or false."""
    if isinstance(value, bool):
        return value
    if isinstance(value, Plain) and value in ("true", "True", "TRUE"):
        return True
    if isinstance(value, Plain) and value in ("false", "False", "FALSE"):
        return False
    raise ValueError(f"expected true or false, found {describe(value)}")


def duration(value: object) -> timedelta:
    """A duration with its unit, such as 90s 15m 12h 7d 4w 2y."""
    if isinstance(value, timedelta):
        return value
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"expected a duration such as 90s 15m 12h 7d 4w 2y, found {describe(value)}")
    try:
        return int(found[1]) * DURATION_UNITS[found[2]]
    except OverflowError:
        raise ValueError(f"expected a duration below 2,000,000 years, found {describe(value)}") from None


def size(value: object) -> int:
    """Bytes, written with their unit, such as 64KiB 20MiB 1GB."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is None or found[2] not in SIZE_UNITS:
        raise ValueError(f"expected a size such as 64KiB 20MiB 1GB, found {describe(value)}")
    return int(float(found[1]) * SIZE_UNITS[found[2]])
