"""What the ledger keeps of a run, and what it makes of a record that was damaged."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.model import (
    Action,
    Cause,
    Outcome,
    Problem,
    Report,
    Result,
    RunInfo,
    Summary,
    Verb,
)
from regsync.plan.record import (
    MAX_MIRRORS,
    MAX_RESULTS,
    DamagedRecordError,
    Record,
    record_of,
    recorded,
    report_of,
)
from regsync.spec.model import Location

START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(seconds=90)
PROBLEM = Problem(Outcome.FAILED, Cause.TEMPORARY, "edge answered 503", "try again")


def result(number: int, problem: Problem | None = None) -> Result:
    digest = Digest.of(str(number).encode())
    at = Location("hub", RepositoryName("app")), Location("edge", RepositoryName("app"))
    tag = Tag(f"v{number:05}")
    action = Action(Verb.CREATE, "app", *at, tag, digest, None, 10, "missing there", tag, digest)
    return Result(action, problem.outcome if problem else Outcome.DONE, problem, copied=10, reused=5)


def report(*results: Result) -> Report:
    run = RunInfo("run-1", START, 90.0, {"hub": {"head": 3}}, bytes_read=12)
    return Report(Digest.of(b"spec"), results, 7, run, ("the disk is nearly full",))


def read(summary: str) -> Record:
    return record_of("run-1", "run", START, END, summary)


def test_a_report_comes_back_as_it_was() -> None:
    whole = report(result(1), result(2, PROBLEM))
    summary = recorded(whole, ["app"])
    record = read(summary)
    assert report_of(record, summary) == whole
    assert record.summary == whole.summary
    assert (record.mirrors, record.exit_code, record.outcome) == (("app",), 75, "try later")


def test_an_idle_run_is_kept_without_a_report() -> None:
    idle = replace(report(), warnings=())
    summary = recorded(idle, ["app"])
    assert len(summary) < 400
    assert report_of(read(summary), summary).summary == Summary(unchanged=7)


def test_of_many_results_the_problems_are_kept_and_the_rest_is_counted() -> None:
    many = [result(number) for number in range(MAX_RESULTS + 10)]
    whole = report(*many, result(99_999, PROBLEM))
    summary = recorded(whole, ["app"])
    found = report_of(read(summary), summary)
    assert len(found.results) == MAX_RESULTS
    assert PROBLEM in [one.problem for one in found.results]
    assert "11 more results of this run are not kept in the ledger" in found.warnings
    assert read(summary).summary.create == MAX_RESULTS + 10


def test_many_mirrors_and_long_messages_are_cut() -> None:
    loud = replace(PROBLEM, message="x" * 100_000)
    summary = recorded(report(result(1, loud)), [f"mirror-{number}" for number in range(1000)])
    record = read(summary)
    assert (len(record.mirrors), record.more_mirrors) == (MAX_MIRRORS, 1000 - MAX_MIRRORS)
    problem = report_of(record, summary).results[0].problem
    assert problem is not None
    assert len(problem.message) < 5000


def test_a_run_of_an_earlier_version_is_listed() -> None:
    counts = json.dumps(
        {"create": 1, "update": 0, "delete": None, "unchanged": 2, "blocked": 0}
        | {"deferred": 0, "degraded": 0, "failed": 0}
    )
    assert read(counts).summary == Summary(create=1, unchanged=2)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda text: text[:-5], id="cut"),
        pytest.param(lambda text: "[]", id="a list"),
        pytest.param(lambda text: text.replace('"create": 1', '"create": -1'), id="a count below nothing"),
    ],
)
def test_a_damaged_row_is_an_error_that_names_the_run(damage: "type[str]") -> None:
    with pytest.raises(DamagedRecordError, match="run-1"):
        read(damage(recorded(report(result(1)), ["app"])))


@pytest.mark.parametrize("packed", ["!", "", "eJwDAAAAAAE=", "eJyrrgUAAXUA+Q=="])
def test_a_damaged_report_is_an_error_that_names_the_run(packed: str) -> None:
    summary = json.dumps(json.loads(recorded(report(result(1)), ["app"])) | {"report": packed})
    with pytest.raises(DamagedRecordError, match="run-1"):
        report_of(read(summary), summary)
