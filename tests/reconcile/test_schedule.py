"""When scheduled work is due: daylight saving time, missed runs, clocks that jump, failures in a row."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.reconcile.schedule import (
    BACK_SET,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    Agenda,
    Task,
    delay_of,
    next_time,
)
from regsync.spec.schedules import Schedule

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour
    "Pacific/Apia",  # has left out a day
    "America/St_Johns",
    "Africa/Casablanca",
    "Asia/Kathmandu",
]
NAMED = ["30 2 * * *", "0 3 * * *", "*/20 1-3 * * *", "0 */2 * * *", "15 2 * * sun", "0 0 * * *", "@daily"]
EVERY = ["*/30 * * * *", "10 * * * *", "* * * * *", "@hourly", "5 0-23 * * *"]
moments = st.integers(0, 20 * 366 * 86_400).map(
    lambda one: datetime(2010, 1, 1, tzinfo=UTC) + timedelta(seconds=one)
)


def times(cron: str, zone: str, start: str, end: str) -> list[str]:
    """The times of a schedule between two instants, as local times with their offsets."""
    schedule, found = Schedule(cron, zone), []
    moment: datetime | None = datetime.fromisoformat(start)
    while moment is not None and (moment := next_time(schedule, moment)) is not None:
        if moment > datetime.fromisoformat(end):
            break
        found.append(moment.astimezone(ZoneInfo(zone)).strftime("%d %H:%M%z"))
    return found


@pytest.mark.parametrize(
    ("cron", "zone", "span", "expected"),
    [
        pytest.param(
            "30 2 * * *",
            "Europe/Berlin",
            ("2026-03-28T00:00Z", "2026-03-30T12:00Z"),
            ["28 02:30+0100", "29 03:00+0200", "30 02:30+0200"],
            id="a time that there is not comes when the clock is put forward",
        ),
        pytest.param(
            "30 2 * * *",
            "Europe/Berlin",
            ("2026-10-24T00:00Z", "2026-10-26T12:00Z"),
            ["24 02:30+0200", "25 02:30+0200", "26 02:30+0100"],
            id="a time that there is twice comes once",
        ),
        pytest.param(
            "*/30 * * * *",
            "Europe/Berlin",
            ("2026-03-29T00:15Z", "2026-03-29T01:45Z"),
            ["29 01:30+0100", "29 03:00+0200", "29 03:30+0200"],
            id="every half hour, through the hour that there is not",
        ),
        pytest.param(
            "*/30 * * * *",
            "Europe/Berlin",
            ("2026-10-24T23:45Z", "2026-10-25T02:15Z"),
            ["25 02:00+0200", "25 02:30+0200", "25 02:00+0100", "25 02:30+0100", "25 03:00+0100"],
            id="every half hour, through the hour that there is twice",
        ),
        pytest.param(
            "10 * * * *",
            "Europe/Berlin",
            ("2026-03-29T00:15Z", "2026-03-29T02:15Z"),
            ["29 03:10+0200", "29 04:10+0200"],
            id="once an hour, and no more where an hour is left out",
        ),
        pytest.param(
            "0 2-4 * * *",
            "America/New_York",
            ("2026-03-08T05:00Z", "2026-03-08T12:00Z"),
            ["08 03:00-0400", "08 04:00-0400"],
            id="two that fall together are one",
        ),
        pytest.param(
            "15 2 * * *",
            "Australia/Lord_Howe",
            ("2026-10-02T16:00Z", "2026-10-04T00:00Z"),
            ["04 02:30+1100"],
            id="half an hour is left out",
        ),
        pytest.param(
            "0 12 * * *",
            "Pacific/Apia",
            ("2011-12-28T23:00Z", "2012-01-01T00:00Z"),
            ["29 12:00-1000", "31 00:00+1400", "31 12:00+1400", "01 12:00+1400"],
            id="a day is left out",
        ),
        pytest.param("0 0 30 2 *", "UTC", ("2026-01-01T00:00Z", "2040-01-01T00:00Z"), [], id="never"),
    ],
)
def test_daylight_saving_time_neither_skips_nor_doubles(
    cron: str, zone: str, span: tuple[str, str], expected: list[str]
) -> None:
    assert times(cron, zone, *span) == expected


@given(st.sampled_from(NAMED + EVERY), st.sampled_from(ZONES), moments)
def test_the_next_time_is_later_and_nothing_lies_between(cron: str, zone: str, after: datetime) -> None:
    schedule = Schedule(cron, zone)
    found = next_time(schedule, after)
    assert found is not None
    assert found > after
    between = after + (found - after) / 2
    if between < found:
        assert next_time(schedule, between) == found


@given(st.sampled_from(EVERY[:2]), st.sampled_from(ZONES), moments)
def test_what_runs_every_hour_never_waits_longer_than_an_hour(cron: str, zone: str, after: datetime) -> None:
    found = next_time(Schedule(cron, zone), after)
    assert found is not None
    assert found - after <= timedelta(hours=1, minutes=30)  # where a zone moves by half an hour


@given(st.sampled_from(ZONES[:3]), st.dates(date(2012, 1, 1), date(2030, 1, 1)))
def test_a_daily_time_comes_once_on_every_day(zone: str, day: date) -> None:
    start = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    after = start - timedelta(seconds=1)
    days = []
    for _ in range(7):
        found = next_time(Schedule("30 2 * * *", zone), after)
        assert found is not None
        days.append(found.astimezone(ZoneInfo(zone)).date())
        after = found
    assert days == [start.astimezone(ZoneInfo(zone)).date() + timedelta(days=one) for one in range(7)]


def at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    return NOON.replace(hour=hour, minute=minute, second=second)


def agenda(cron: str = "0 * * * *", *, delay: float = 0.0, handled: datetime = NOON) -> Agenda:
    made = Agenda()
    made.plan([Task("a", Schedule(cron), delay)], {"a": handled}, NOON)
    return made


def names(made: Agenda, now: datetime) -> list[str]:
    return [task.name for task in made.due(now)]


def test_something_is_due_from_its_time_on_until_it_is_handled() -> None:
    made = agenda()
    assert made.next_due() == at(13)
    assert names(made, at(12, 59)) == []
    assert names(made, at(13)) == ["a"] == names(made, at(13, 1))
    made.handle("a", at(13))
    assert names(made, at(13, 1)) == []
    assert made.next_due() == at(14)


def test_what_was_missed_while_nothing_ran_comes_once() -> None:
    made = agenda(handled=NOON - timedelta(days=3))
    assert names(made, NOON) == ["a"]
    made.handle("a", NOON)
    assert made.next_due() == at(13)


def test_a_new_task_has_missed_nothing() -> None:
    made = Agenda()
    made.plan([Task("a", Schedule("0 3 * * *"))], {}, NOON)
    assert made.next_due() == at(3) + timedelta(days=1)


def test_a_delay_shifts_every_time_and_loses_none() -> None:
    made = agenda("* * * * *", delay=90.0)
    runs = []
    now = NOON
    for _ in range(5):
        due = made.next_due()
        assert due is not None
        now = max(now, due)
        runs.append(due)
        made.handle("a", Task("a", Schedule("* * * * *"), 90.0).handled_by(now))
    assert runs == [at(12, 2 + one, 30) for one in range(5)]


@given(st.text(min_size=1), st.floats(0, 3600))
def test_a_delay_is_always_the_same_and_below_the_spread(name: str, spread: float) -> None:
    assert 0 <= delay_of(name, spread) <= spread
    assert delay_of(name, spread) == delay_of(name, spread)


def test_delays_of_many_are_spread_evenly() -> None:
    delays = [delay_of(f"mirror:{number}", 60.0) for number in range(6000)]
    assert all(800 < sum(ten <= one < ten + 10 for one in delays) < 1200 for ten in range(0, 60, 10))


def test_a_clock_put_back_a_little_runs_nothing_twice() -> None:
    made = agenda()
    made.handle("a", at(13))
    made.clock_was_set(at(12, 58))
    assert names(made, at(13, 1)) == []
    assert made.next_due() == at(14)


def test_a_clock_put_back_by_hours_is_believed() -> None:
    made = agenda(handled=at(20))
    made.clock_was_set(NOON)
    assert made.next_due() == at(13)


def test_a_clock_put_forward_runs_what_lies_between_once() -> None:
    made = agenda()
    later = NOON + timedelta(days=5)
    assert names(made, later) == ["a"]
    made.handle("a", later)
    assert made.next_due() == later + timedelta(hours=1)


@given(st.lists(st.timedeltas(-timedelta(days=400), timedelta(days=400)), min_size=1, max_size=8))
def test_however_the_clock_jumps_nothing_waits_for_ever(jumps: list[timedelta]) -> None:
    made, now = agenda(), NOON
    for jump in jumps:
        now += jump
        made.clock_was_set(now)
        if names(made, now):
            made.handle("a", now)
        due = made.next_due()
        assert due is not None
        assert due <= now + BACK_SET + timedelta(hours=1)


def test_failures_in_a_row_come_further_apart_and_a_success_ends_that() -> None:
    made, now, pauses = agenda("* * * * *"), NOON, []
    for _ in range(9):
        made.handle("a", now)
        made.fail("a", now, retried=False)
        due = made.next_due()
        assert due is not None
        pauses.append((due - now).total_seconds())
        now = due
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE
    made.handle("a", now)
    made.succeed("a")
    assert made.next_due() == now + timedelta(minutes=1)


def test_a_temporary_failure_is_tried_again_long_before_the_next_time() -> None:
    made = agenda("0 3 * * *")
    made.fail("a", NOON, retried=True)
    assert made.next_due() == NOON + timedelta(seconds=FIRST_PAUSE)


def test_another_failure_waits_for_the_next_time() -> None:
    made = agenda("0 3 * * *")
    made.fail("a", NOON, retried=False)
    assert made.next_due() == at(3) + timedelta(days=1)


def test_tasks_come_and_go_and_keep_what_they_had() -> None:
    made = agenda()
    tasks = [Task("a", Schedule("0 * * * *")), Task("b", Schedule("30 * * * *"))]
    made.plan(tasks, {"a": NOON, "b": NOON}, NOON)
    assert names(made, at(13)) == ["b", "a"]
    made.plan(tasks[:1], {"a": NOON}, NOON)
    assert names(made, at(13)) == ["a"]
    made.fail("b", NOON, retried=True)
    assert names(made, at(13)) == ["a"]
