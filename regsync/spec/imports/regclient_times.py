"""`backup`, `interval` and `schedule` of regclient's regsync: former images, and when to run.

Source: regclient's cmd/regsync/config.go and root.go; schedules there are robfig/cron's, with five fields.
"""

import re
from datetime import timedelta
from typing import Any

from regsync.spec.durations import written_duration
from regsync.spec.history import DEFAULT_TEMPLATE, InvalidHistoryError, history_pieces
from regsync.spec.imports import foreign
from regsync.spec.imports.draft import Draft
from regsync.spec.imports.go_templates import has_template
from regsync.spec.schedule_check import (
    InvalidScheduleError,
    InvalidTimeZoneError,
    check_cron,
    check_timezone,
)

KEYS = ("backup", "interval", "schedule")

_TAG = re.compile(r"\{\{-?\s*\.Ref\.Tag\s*-?\}\}")
_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+)\s+(.*)", re.DOTALL)
_EVERY = re.compile(r"@every\s+(\S+)")
_GO_DURATION = re.compile(r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?")
_MINUTES = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)  # after which the same minutes come again each hour
_HOURS = (1, 2, 3, 4, 6, 8, 12)
_DAY = 24 * 60  # minutes


def inherit(entry: dict[str, Any], defaults: dict[str, Any]) -> None:
    """What an entry takes from `defaults`: either of interval and schedule stands instead of both."""
    if "backup" in defaults:
        entry.setdefault("backup", defaults["backup"])
    if "interval" not in entry and "schedule" not in entry:
        entry.update((key, defaults[key]) for key in ("interval", "schedule") if key in defaults)


def read(entry: dict[str, Any], where: str, draft: Draft) -> dict[str, Any]:
    """The keys history, schedule and timezone of a mirror."""
    found: dict[str, Any] = {}
    backup = foreign.text(entry, "backup")
    if backup:
        found["history"] = _history(backup, where, draft)
    schedule, interval = foreign.text(entry, "schedule"), foreign.text(entry, "interval")
    if schedule:
        found |= _schedule(schedule, where, draft)
    elif interval:
        found |= _interval(interval, "interval", where, draft)
    return found


def _history(backup: str, where: str, draft: Draft) -> dict[str, Any]:
    """One former image of each tag is kept, since a backup is overwritten by the next."""
    template = f"{_TAG.sub('{tag}', backup)}-{{digest:12}}"
    try:
        if has_template(template):
            raise InvalidHistoryError(backup, "it is made by a template")
        history_pieces(template)
    except InvalidHistoryError:
        # Also where it names another repository: former images stay in their own here.
        draft.note(f"{where}: backup {backup!r:.80}; former images are kept as {DEFAULT_TEMPLATE} instead")
        return {}
    draft.note("backup: behind the tag of a former image its digest is put, so that none is overwritten")
    return {"tag": template, "keep": 1}


def _schedule(text: str, where: str, draft: Draft) -> dict[str, Any]:
    every = _EVERY.fullmatch(text.strip())
    if every is not None:
        return _interval(every[1], "schedule", where, draft)
    zoned = _ZONE.fullmatch(text.strip())
    zone, cron = (zoned[1], zoned[2]) if zoned is not None else (None, text.strip())
    try:
        check_cron(cron)
        if zone is not None:
            check_timezone(zone)
    except (InvalidScheduleError, InvalidTimeZoneError) as cause:
        draft.note(f"{where}: schedule: {cause}")
        return {}
    if zone is not None:
        return {"schedule": cron, "timezone": zone}
    draft.note("schedule: read in UTC unless timezone says otherwise, and in no machine's local time")
    return {"schedule": cron}


def _interval(text: str, key: str, where: str, draft: Draft) -> dict[str, Any]:
    """An interval as times of the day that lie as far apart, or else a little closer."""
    found = _GO_DURATION.fullmatch(text)
    hours, minutes, seconds = (int(one or 0) for one in found.groups()) if found is not None else (0, 0, 0)
    wanted = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if not wanted:
        draft.note(f"{where}: {key} {text!r:.40} is no interval")
        return {}
    cron, apart = _every(int(wanted.total_seconds() // 60))
    if apart != wanted:
        draft.note(f"{where}: {key} {text}: every {written_duration(apart)} here")
    return {"schedule": cron}


def _every(minutes: int) -> tuple[str, timedelta]:
    """The cron expression with the longest steps that are no longer, but a minute at least."""
    if minutes >= _DAY:
        return "0 0 * * *", timedelta(minutes=_DAY)
    if minutes >= 60:
        step = max(one for one in _HOURS if one * 60 <= minutes)
        return (f"0 */{step} * * *" if step > 1 else "0 * * * *"), timedelta(hours=step)
    step = max((one for one in _MINUTES if one <= minutes), default=1)
    return (f"*/{step} * * * *" if step > 1 else "* * * * *"), timedelta(minutes=step)
