import io
import itertools

from handmade import action
from hypothesis import given
from hypothesis import strategies as st

from regsync.plan.model import Outcome, Result
from regsync.reconcile.events import ActionFinished, ActionStarted, Event, Reused, Transferred
from regsync.report.progress import Progress, Snapshot
from regsync.report.progress_bar import render

FIRST, SECOND = action("1"), action("2")


def after(*events: Event) -> Snapshot:
    progress = Progress()
    for event in events:
        progress.add(event)
    return progress.at(0.0)


def test_copied_and_reused_bytes_are_counted_apart() -> None:
    now = after(ActionStarted(FIRST, 100), Transferred("local", 30), Reused("local", 20))
    assert (now.copied, now.reused, now.total, now.fraction) == (30, 20, 100, 0.5)


def test_the_fraction_never_goes_back_when_more_is_found_to_do() -> None:
    progress = Progress()
    progress.add(ActionStarted(FIRST, 100))
    progress.add(Transferred("local", 90))
    assert progress.at(0.0).fraction == 0.9
    progress.add(ActionStarted(SECOND, 1_000))
    assert progress.at(1.0).fraction == 0.9


def test_a_failed_action_counts_as_settled() -> None:
    now = after(ActionStarted(FIRST, 100), ActionFinished(Result(FIRST, Outcome.FAILED)))
    assert (now.fraction, now.tags_finished) == (1.0, 1)


def test_bytes_that_were_sent_twice_do_not_pass_the_end() -> None:
    assert after(ActionStarted(FIRST, 100), Transferred("local", 150)).fraction == 1.0


def test_rate_and_time_left_follow_the_last_seconds() -> None:
    progress = Progress()
    progress.add(ActionStarted(FIRST, 1_000))
    assert progress.at(0.0).rate is None
    progress.add(Transferred("local", 100))
    now = progress.at(2.0)
    assert (now.rate, now.seconds_left) == (50.0, 18.0)
    progress.add(Transferred("local", 800))
    for moment in range(3, 40):
        now = progress.at(float(moment))
    assert (now.rate, now.seconds_left) == (0.0, None)


events = st.one_of(
    st.builds(Transferred, st.just("local"), st.integers(0, 500)),
    st.builds(Reused, st.just("local"), st.integers(0, 500)),
    st.builds(ActionStarted, st.sampled_from([FIRST, SECOND]), st.integers(0, 500)),
    st.builds(ActionFinished, st.builds(Result, st.sampled_from([FIRST, SECOND]), st.sampled_from(Outcome))),
)


@given(st.lists(events))
def test_in_whatever_order_events_come_it_only_moves_forward(story: list[Event]) -> None:
    progress = Progress()
    fractions = []
    for moment, event in enumerate(story):
        progress.add(event)
        fractions.append(progress.at(float(moment)).fraction)
    assert all(before <= later for before, later in itertools.pairwise(fractions))
    assert all(0 <= fraction <= 1 for fraction in fractions)


def test_the_line_says_bytes_rate_and_time_left() -> None:
    line = render(Snapshot(50 * 2**20, 2**20, 100 * 2**20, 8, 3, 0.5, 10 * 2**20, 5.0))
    assert " 50 %  3/8 tags  50.0 MiB copied  1.0 MiB reused  10.0 MiB/s  5.0 s left" in line


def test_without_a_total_there_are_bytes_and_rate_alone() -> None:
    assert render(Snapshot(2**20, 0, 0, rate=2.0**20)) == "1.0 MiB copied  1.0 MiB/s"


def test_the_bar_prints_lines_above_itself_and_leaves_nothing_behind() -> None:
    from regsync.clock import SystemClock
    from regsync.report.progress_bar import ProgressBar
    from regsync.report.style import PLAIN

    stream = io.StringIO()
    with ProgressBar(stream, SystemClock(), PLAIN) as bar:
        bar(ActionStarted(FIRST, 100))
        bar(ActionFinished(Result(FIRST, Outcome.FAILED)))
    assert "x base: local/library/nginx:1 failed" in stream.getvalue()
