"""How old an attestation is, for policies that let none be too old and for telling which is the newest."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from regsync.trust.envelopes import Proven
from regsync.trust.predicate_time import said_at

AHEAD = timedelta(minutes=10)  # by how much a clock elsewhere may be ahead of ours

_UNITS = ((timedelta(days=1), "d"), (timedelta(hours=1), "h"), (timedelta(minutes=1), "m"))


def made_at(predicate: Mapping[str, object], proven: Proven, now: datetime) -> datetime | None:
    """The earlier of a verified time and of what it says itself; None where there is neither.

    Signing an old scan again does not make it a new one, and whoever can push can have the signature of
    an old attestation stamped again. What says that it comes from the future would never grow old.
    """
    said = said_at(predicate)
    known = [proven.signed_at, said if said is not None and said <= now + AHEAD else None]
    return min((time for time in known if time is not None), default=None)


def span(length: timedelta) -> str:
    """`3d`, `5h`, `12m`, rounded down."""
    return next((f"{length // unit}{name}" for unit, name in _UNITS if length >= unit), "0m")
