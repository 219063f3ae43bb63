"""Durations on the command line, written as in the spec: `90s 15m 12h 7d 4w 2y`."""

import re
from datetime import timedelta

import click

_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "y": timedelta(days=365),
}
_GRAMMAR = re.compile(r"([0-9]{1,5})([smhdwy])")


def duration(context: click.Context, option: click.Parameter, value: str) -> timedelta:
    """A click callback; what is no duration is a misuse of the command line."""
    match = _GRAMMAR.fullmatch(value)
    if match is None:
        raise click.BadParameter(f"{value[:40]!r}: expected a duration such as 90s, 10m or 24h")
    return int(match[1]) * _UNITS[match[2]]
