import subprocess
import sys

import pytest

from regsync.spec.schedules import Schedule
from tests.spec.spec_files import HUB, STORE, Specs, document, join, mirror

BASE = "source: hub/library/nginx\ntargets: [local/nginx]\ntags: [latest]\n"


def schedule(specs: Specs, text: str) -> Schedule | None:
    return specs.mirror(BASE + text).schedule


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("schedule: '*/30 * * * *'", Schedule("*/30 * * * *", "UTC"), id="five fields"),
        pytest.param("schedule: '  0   3 * * mon-fri '", Schedule("0 3 * * mon-fri", "UTC"), id="spaces"),
        pytest.param("schedule: '@daily'", Schedule("@daily", "UTC"), id="a nickname"),
        pytest.param("schedule: 0 0 29 2 *", Schedule("0 0 29 2 *", "UTC"), id="the day of a leap year"),
        pytest.param("schedule: 0 0 * * fri", Schedule("0 0 * * fri", "UTC"), id="a day with an r in it"),
        pytest.param("schedule: '@hourly'\ntimezone: Europe/Berlin", Schedule("@hourly", "Europe/Berlin"),
                     id="a time zone"),
        pytest.param("", None, id="none"),
    ],
)  # fmt: skip
def test_a_schedule_is_cron_in_a_time_zone(specs: Specs, text: str, expected: Schedule | None) -> None:
    assert schedule(specs, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("schedule: '* * * *'", "expected five fields: minute, hour", id="four fields"),
        pytest.param("schedule: '0 * * * * *'", "found 6", id="seconds"),
        pytest.param("schedule: '60 * * * *'", "out of range", id="minute 60"),
        pytest.param("schedule: '*/0 * * * *'", "not acceptable", id="a step of nothing"),
        pytest.param("schedule: 'a b c d e'", "not acceptable", id="words"),
        pytest.param("schedule: '\N{ARABIC-INDIC DIGIT ZERO} * * * *'", "not accept", id="other digits"),
        pytest.param("schedule: '0 0 30 2 *'", "there is no such day", id="the 30th of February"),
        pytest.param("schedule: '0 0 31 4,6 *'", "there is no such day", id="the 31st of April"),
        pytest.param("schedule: '@dayly'", "did you mean '@daily'?", id="a nickname with a typo"),
        pytest.param("schedule: '@reboot'", "expected one of @hourly", id="no time at all"),
        pytest.param("schedule: 'R * * * *'", "H and R are not carried", id="at random"),
        pytest.param("schedule: '0 H(0-7) * * *'", "H and R are not carried", id="by hash"),
        pytest.param("schedule: '" + "0," * 300 + "0 * * * *'", "longer than 200", id="far too long"),
        pytest.param("timezone: Europe/Berln\nschedule: '@daily'", "mean 'Europe/Berlin'?", id="a typo"),
        pytest.param("timezone: ../../etc/passwd\nschedule: '@daily'", "there is none", id="a path"),
        pytest.param("timezone: /etc/localtime\nschedule: '@daily'", "there is none", id="a file"),
        pytest.param("timezone: localtime\nschedule: '@daily'", "there is none", id="that of each machine"),
        pytest.param("timezone: right/UTC\nschedule: '@daily'", "there is none", id="leap seconds"),
        pytest.param("timezone: Europe/Berlin", "it has no effect without a schedule", id="a zone alone"),
    ],
)  # fmt: skip
def test_a_schedule_that_is_none_is_an_error(specs: Specs, text: str, expected: str) -> None:
    (found,) = specs.mirror_problems(BASE + text)
    assert expected in found
    assert found.startswith(("spec.schedule: ", "spec.timezone: "))
    assert len(found) < 400


def test_schedule_and_zone_may_come_from_different_places(specs: Specs) -> None:
    defaults = document("MirrorDefaults", None, "timezone: Asia/Kolkata")
    spec = specs.load(HUB, STORE, defaults, mirror(BASE + "schedule: '@daily'", "a"), mirror(
        BASE.replace("local/nginx", "local/b"), "b"))  # fmt: skip
    assert [one.schedule for one in spec.mirrors] == [Schedule("@daily", "Asia/Kolkata"), None]


def test_a_spec_without_schedules_does_not_load_croniter(specs: Specs) -> None:
    path = specs.write("regsync.yaml", join(HUB, STORE, mirror(BASE)))
    program = (
        "import sys; from pathlib import Path; from regsync.spec.load import load; "
        "load([Path(sys.argv[1])]); print('croniter' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(path)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "False\n"
