"""Whether a schedule is one: read by croniter, due at some time, in a time zone that there is."""

import re
from datetime import datetime
from functools import lru_cache

from regsync.errors import SpecError
from regsync.spec.problems import nearest
from regsync.spec.schedules import UTC

MAX_LENGTH = 200  # characters of a cron expression
_NICKNAMES = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
_MACHINE_ZONES = ("localtime", "posixrules", "Factory")  # which are another one, or none, on each machine
_OTHER_CLOCKS = ("posix/", "right/")
_RANDOM = re.compile(r"(?:\A|[\s,])[rRhH](?:[(/,\s]|\Z)")
_ANY_DAY = datetime(2000, 1, 1)  # noqa: DTZ001 - cron counts in local times


class InvalidScheduleError(SpecError, ValueError):
    """The text is no cron expression that is ever due."""

    def __init__(self, text: str, cause: str) -> None:
        super().__init__(f"invalid schedule {text[:80]!r}: {cause}")


class InvalidTimeZoneError(SpecError, ValueError):
    """The text names no time zone that is the same everywhere."""

    def __init__(self, text: str, cause: str) -> None:
        super().__init__(f"invalid time zone {text[:80]!r}: {cause}")


@lru_cache(maxsize=1024)
def check_cron(text: str) -> None:
    """Raise InvalidScheduleError unless `text` is due at some time."""
    fields = text.split()
    if len(text) > MAX_LENGTH:
        raise InvalidScheduleError(text, f"longer than {MAX_LENGTH} characters")
    if text.startswith("@"):
        if text not in _NICKNAMES:
            guess = nearest(text, _NICKNAMES)
            hint = f"; did you mean {guess!r}?" if guess else ""
            raise InvalidScheduleError(text, f"expected one of {', '.join(_NICKNAMES)}{hint}")
    elif len(fields) != 5:
        expected = "expected five fields: minute, hour, day of month, month, day of week"
        raise InvalidScheduleError(text, f"{expected}; found {len(fields)}")
    elif _RANDOM.search(text) is not None:
        # croniter draws R at random, anew in every process: two plans of one spec would differ.
        raise InvalidScheduleError(text, "H and R are not carried; runs are spread over the minute anyway")
    from croniter import CroniterBadDateError, CroniterError, croniter  # 40 ms, for specs with a schedule

    try:
        croniter(text, _ANY_DAY).get_next(datetime)
    except CroniterBadDateError as cause:
        raise InvalidScheduleError(text, "there is no such day, so it is never due") from cause
    except (CroniterError, ValueError, KeyError, OverflowError) as cause:
        raise InvalidScheduleError(text, f"{cause}"[:200]) from cause


@lru_cache(maxsize=256)
def check_timezone(text: str) -> None:
    """Raise InvalidTimeZoneError unless `text` names a zone of the tz database, as Europe/Berlin does."""
    if text == UTC:
        return
    from zoneinfo import ZoneInfo, available_timezones

    cause: Exception | None = None
    if text not in _MACHINE_ZONES and not text.startswith(_OTHER_CLOCKS):
        try:
            ZoneInfo(text)
        except (OSError, ValueError, KeyError) as found:
            cause = found
        else:
            return
    known = available_timezones()
    guess = nearest(text, known)
    hint = f"; did you mean {guess!r}?" if guess else ""
    if not known:
        hint = "; this system has no tz database: install its tzdata, or the Python package of that name"
    raise InvalidTimeZoneError(text, f"there is none of that name{hint}") from cause
