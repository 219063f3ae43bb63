"""What the daemon begins when: companies, requests, retention, what other processes did, what people hear."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.reconcile.ledger_tasks import TaskState
from regsync.reconcile.notifying import messages, troubles_of
from regsync.reconcile.schedule import FIRST_PAUSE
from regsync.reconcile.scheduled import Scheduled
from regsync.reconcile.standing import Ended, Ending
from regsync.reconcile.timetable import ASKED_PAUSE, Asked, Timetable
from regsync.spec.model import LocationTemplate, Mirror, Registry, RemotePlace, Settings, Spec, TagRule
from regsync.spec.notifications import Occasion
from regsync.spec.retention import RepositoryGlob, RetentionPolicy
from regsync.spec.schedules import Schedule
from tests.support.clock import FrozenClock

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOURLY = Schedule("0 * * * *")
HOUR = timedelta(hours=1)


def mirror(name: str, source: str, target: str, schedule: Schedule | None = HOURLY) -> Mirror:
    def template(path: str) -> LocationTemplate:
        return LocationTemplate(*path.split("/", 1))

    rules = (TagRule(names=(Tag("latest"),)),)
    return Mirror(name, (template(source),), (template(target),), rules=rules, schedule=schedule)


def spec(*mirrors: Mirror, retention: Sequence[RetentionPolicy] = ()) -> Spec:
    registries = {name: Registry(name, RemotePlace("https", f"{name}.example")) for name in ("hub", "edge")}
    return Spec(
        registries, mirrors, Settings(Path("l")), Digest.of(b""), Path(), (), retention=tuple(retention),
        declared=mirrors,
    )  # fmt: skip


def policy(glob: str) -> RetentionPolicy:
    registry, _, path = glob.partition("/")
    return RetentionPolicy("old", (RepositoryGlob(registry, path),), schedule=HOURLY)


def table(clock: FrozenClock, *mirrors: Mirror, retention: Sequence[RetentionPolicy] = ()) -> Timetable:
    return Timetable(Scheduled.of(spec(*mirrors, retention=retention), 0.0), clock)


def ended(ending: Ending, clock: FrozenClock, **counts: int) -> Ended:
    return Ended("run-1", ending, clock.now(), clock.now(), **counts)


A = mirror("a", "hub/a", "edge/a")


def test_mirrors_that_feed_each_other_or_share_a_repository_are_one_run(clock: FrozenClock) -> None:
    shared = mirror("shared", "hub/s", "edge/a")
    fed = mirror("fed", "edge/a", "edge/prod")
    alone = mirror("alone", "hub/b", "edge/b")
    made = table(clock, A, alone, fed, shared)
    clock.advance(HOUR)
    assert sorted(map(sorted, made.ready())) == [
        ["mirror:a", "mirror:fed", "mirror:shared"],
        ["mirror:alone"],
    ]


def test_none_begins_beside_a_running_one_of_its_company(clock: FrozenClock) -> None:
    made = table(clock, A, mirror("fed", "edge/a", "edge/prod"), mirror("alone", "hub/b", "edge/b"))
    assert made.ask("fed") is Asked.STARTED
    made.begin(["mirror:fed"])
    clock.advance(HOUR)
    assert made.ready() == [["mirror:alone"]]
    made.end(["mirror:fed"])
    assert sorted(map(sorted, made.ready())) == [["mirror:a", "mirror:fed"], ["mirror:alone"]]


def test_retention_runs_beside_no_mirror_that_writes_to_its_repositories_and_goes_first(
    clock: FrozenClock,
) -> None:
    made = table(clock, A, mirror("alone", "hub/b", "hub/c"), retention=[policy("edge/**")])
    made.begin(["mirror:a"])
    clock.advance(HOUR)
    assert made.ready() == [["mirror:alone"]]
    made.settle("mirror:a", ended(Ending.DONE, clock), clock.now())
    made.end(["mirror:a"])
    made.ask("a")
    assert made.ready() == [["retention:old"], ["mirror:alone"]]
    made.begin(["retention:old"])
    assert made.ready() == [["mirror:alone"]]
    made.settle("retention:old", ended(Ending.DONE, clock), clock.now())
    made.end(["retention:old"])
    assert ["mirror:a"] in made.ready()


@pytest.mark.parametrize(
    ("glob", "disturbs"),
    [
        pytest.param("edge/a", True, id="that repository"),
        pytest.param("edge/a/**", True, id="that repository and all below it"),
        pytest.param("edge/[ab]", True, id="a class"),
        pytest.param("edge/b", False, id="another"),
        pytest.param("hub/b/**", False, id="another registry"),
    ],
)
def test_retention_that_speaks_of_other_repositories_disturbs_nobody(
    clock: FrozenClock, glob: str, disturbs: bool
) -> None:
    scheduled = Scheduled.of(spec(A, retention=[policy(glob)]), 0.0)
    assert scheduled.disturbed["retention:old"] == ({"a"} if disturbs else set())


def test_retention_is_left_alone_where_only_some_mirrors_are_run(clock: FrozenClock) -> None:
    whole = spec(A, mirror("b", "hub/b", "edge/b"), retention=[policy("edge/**")])
    assert "retention:old" in Scheduled.of(whole, 0.0).tasks
    assert "retention:old" not in Scheduled.of(replace(whole, mirrors=(A,)), 0.0).tasks


def test_whoever_asks_for_a_running_mirror_has_it_run_once_more(clock: FrozenClock) -> None:
    made = table(clock, replace(A, schedule=None))
    assert made.ask("nothing") is Asked.UNKNOWN
    assert made.ask("a") is Asked.STARTED
    assert made.ask("a") is Asked.WAITING
    assert made.ready() == [["mirror:a"]]
    made.begin(["mirror:a"])
    assert made.ask("a") is Asked.AGAIN
    assert made.ask("a") is Asked.WAITING
    assert made.ready() == []
    made.settle("mirror:a", ended(Ending.DONE, clock), clock.now())
    made.end(["mirror:a"])
    assert made.ready() == []
    assert made.pause() == ASKED_PAUSE
    clock.advance(ASKED_PAUSE)
    assert made.ready() == [["mirror:a"]]


def test_a_run_that_was_cut_short_counts_for_nothing(clock: FrozenClock) -> None:
    made = table(clock, A, replace(mirror("by-hand", "hub/b", "edge/b"), schedule=None))
    made.ask("by-hand")
    clock.advance(HOUR)
    for name in ("mirror:a", "mirror:by-hand"):
        made.begin([name])
        assert made.settle(name, ended(Ending.INTERRUPTED, clock), clock.now()) == (None, ())
        made.end([name])
    assert sorted(made.ready()) == [["mirror:a"], ["mirror:by-hand"]]


def test_what_another_process_did_is_not_done_again(clock: FrozenClock) -> None:
    made = table(clock, A)
    clock.advance(HOUR)
    assert made.ready() == [["mirror:a"]]
    made.learn(
        {"mirror:a": TaskState(str(HOURLY), clock.now(), clock.now()), "mirror:gone": TaskState("", NOON)}
    )
    assert made.ready() == []
    assert made.standings["mirror:a"].last_success == clock.now()


def test_what_another_process_did_by_another_schedule_says_nothing(clock: FrozenClock) -> None:
    made = table(clock, A)
    made.learn({"mirror:a": TaskState("0 3 * * * (UTC)", NOON - 9 * HOUR, NOON)})
    assert made.ready() == []
    new = made.new_tasks()
    assert new == {"mirror:a": TaskState(str(HOURLY), clock.now(), NOON)}


def test_another_spec_keeps_how_far_its_mirrors_have_come(clock: FrozenClock) -> None:
    made = table(clock, A)
    made.learn({"mirror:a": TaskState(str(HOURLY), NOON - 2 * HOUR)})
    assert made.ready() == [["mirror:a"]]
    made.take(Scheduled.of(spec(A, mirror("b", "hub/b", "edge/b")), 0.0))
    assert made.ready() == [["mirror:a"]]
    made.take(Scheduled.of(spec(mirror("b", "hub/b", "edge/b")), 0.0))
    assert made.ready() == []
    assert made.ask("a") is Asked.UNKNOWN


def test_a_mirror_that_was_taken_out_while_it_ran_leaves_nothing(clock: FrozenClock) -> None:
    made = table(clock, A)
    made.begin(["mirror:a"])
    made.take(Scheduled.of(spec(), 0.0))
    assert made.settle("mirror:a", ended(Ending.DONE, clock), clock.now()) == (None, ())
    made.end(["mirror:a"])
    assert made.standings == {}


def test_a_temporary_failure_is_tried_again_soon_and_told_when_it_comes_twice(clock: FrozenClock) -> None:
    made = table(clock, replace(A, schedule=Schedule("0 3 * * *")))
    _, said = made.settle("mirror:a", ended(Ending.TEMPORARY, clock, failed=1), clock.now())
    assert said == []
    assert made.due_of("mirror:a") == clock.now() + timedelta(seconds=FIRST_PAUSE)
    clock.advance(FIRST_PAUSE)
    state, said = made.settle("mirror:a", ended(Ending.TEMPORARY, clock, failed=1), clock.now())
    assert [one.occasion for one in said] == [Occasion.FAILURE]
    again = table(clock, replace(A, schedule=Schedule("0 3 * * *")))
    assert state is not None
    again.learn({"mirror:a": state})
    state, said = again.settle("mirror:a", ended(Ending.TEMPORARY, clock, failed=1), clock.now())
    assert said == []  # also by another process, that counts anew
    _, said = again.settle("mirror:a", ended(Ending.DONE, clock), clock.now())
    assert [one.occasion for one in said] == [Occasion.RECOVERY]


def test_a_clock_that_is_put_back_is_noticed(clock: FrozenClock) -> None:
    made = table(clock, A)
    clock.advance(HOUR)
    assert made.look_at_clock() == 0
    made.settle("mirror:a", ended(Ending.DONE, clock), clock.now())
    clock.set(clock.now() - 10 * HOUR)
    assert made.look_at_clock() == 36_000
    assert made.due_of("mirror:a") == clock.now() + HOUR


endings = st.sampled_from([Ending.DONE, Ending.FAILED, Ending.REFUSED, Ending.TEMPORARY, Ending.CRASHED])
runs = st.tuples(endings, st.integers(0, 2), st.integers(0, 2), st.integers(0, 2))


@given(st.lists(runs, max_size=12))
def test_nothing_is_told_twice_in_a_row_and_recovery_only_after_trouble(
    story: list[tuple[Ending, int, int, int]],
) -> None:
    told: frozenset[Occasion] = frozenset()
    open_troubles: set[Occasion] = set()
    for number, (ending, failed, blocked, drift) in enumerate(story):
        one = Ended("r", ending, NOON, NOON, failed=failed, blocked=blocked, drift=drift)
        troubles = troubles_of(one, told, failures=number)
        for message in messages("a", one, told, troubles):
            if message.occasion is Occasion.RECOVERY:
                assert open_troubles & {Occasion.FAILURE, Occasion.BLOCKED}
                open_troubles.clear()
            else:
                assert message.occasion not in open_troubles
                open_troubles.add(message.occasion)
        open_troubles &= troubles
        told = troubles
