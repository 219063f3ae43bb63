"""Comparing all places of a mirror: tables of what each difference is called, and what always holds."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.check import (
    CheckReport,
    Compared,
    Drift,
    Listed,
    Owner,
    Row,
    SpotSeen,
    State,
    TagCompared,
    compare,
    extra,
    lost,
    unread,
)
from regsync.plan.likeness import Likeness
from regsync.plan.model import Cause, Outcome, Problem, RunInfo
from regsync.spec.model import Location

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EARLIER = datetime(2025, 12, 1, tzinfo=UTC)
NEW, OLD, OTHER = (Digest.of(text) for text in (b"new", b"old", b"other"))
HUB = Location("hub", RepositoryName("app"))
EU, US, AP = (Location(name, RepositoryName("app")) for name in ("eu", "us", "ap"))
V1 = Tag("v1")
DOWN = Problem(Outcome.FAILED, Cause.TEMPORARY, "down")
DENIED = Problem(Outcome.FAILED, Cause.ERROR, "denied")
REFUSED = Problem(Outcome.BLOCKED, Cause.POLICY, "refused")


def tag(*spots: SpotSeen, expected: Digest | None = NEW, **more: object) -> TagCompared:
    return TagCompared("app", HUB, V1, expected, spots, **more)  # type: ignore[arg-type]


def kinds(rows: tuple[Row, ...]) -> list[tuple[Location, State, Drift | None]]:
    return [(row.target, row.state, row.drift) for row in rows]


def report(*rows: Row) -> CheckReport:
    compared = (Compared("app", HUB, EU, 3, 2),)
    return CheckReport(NEW, rows, compared, RunInfo("run", NOW, 1.0))


def test_places_that_have_what_they_should_have_no_row() -> None:
    assert compare(tag(SpotSeen(EU, NEW), SpotSeen(US, NEW))) == ()


def test_each_place_that_differs_has_one() -> None:
    rows = compare(tag(SpotSeen(EU), SpotSeen(US, OLD), SpotSeen(AP, NEW, lacking=2)))
    assert [(row.target, row.state, row.digest, row.expected) for row in rows] == [
        (EU, State.MISSING, None, NEW),
        (US, State.DRIFTED, OLD, NEW),
        (AP, State.EVIDENCE_MISSING, NEW, NEW),
    ]


@pytest.mark.parametrize(
    ("spot", "others", "expected"),
    [
        pytest.param(
            SpotSeen(EU, OLD, ours=NEW), (), Drift.MOVED_THERE, id="we wrote what the source has, it moved"
        ),
        pytest.param(
            SpotSeen(EU, OLD, ours=OLD), (), Drift.MOVED_AT_SOURCE, id="it is what we wrote: the source moved"
        ),
        pytest.param(
            SpotSeen(EU, OLD, source_had_it=True),
            (SpotSeen(US, NEW),),
            Drift.MOVED_AT_SOURCE,
            id="the source had it, whatever other places have",
        ),
        pytest.param(
            SpotSeen(EU, OTHER, ours=OLD), (), Drift.MOVED_THERE, id="it is not what we wrote, somebody did"
        ),
        pytest.param(
            SpotSeen(EU, OLD, ours=NEW, likeness=Likeness.OTHER_PLATFORMS),
            (),
            Drift.OTHER_PLATFORMS,
            id="content says more than who wrote it",
        ),
        pytest.param(
            SpotSeen(EU, OLD, likeness=Likeness.SAME_CONTENT), (), Drift.RESERIALISED, id="other bytes"
        ),
        pytest.param(
            SpotSeen(EU, OLD), (SpotSeen(US, OLD),), Drift.MOVED_AT_SOURCE, id="all places have the same"
        ),
        pytest.param(SpotSeen(EU, OLD), (SpotSeen(US, NEW),), Drift.MOVED_THERE, id="the others follow"),
        pytest.param(SpotSeen(EU, OLD), (), Drift.UNKNOWN, id="alone and without a ledger nobody knows"),
        pytest.param(
            SpotSeen(EU, OLD), (SpotSeen(US, OTHER),), Drift.UNKNOWN, id="everybody has something else"
        ),
    ],
)
def test_what_kind_of_drift_it_is(spot: SpotSeen, others: tuple[SpotSeen, ...], expected: Drift) -> None:
    row = next(row for row in compare(tag(spot, *others)) if row.target == EU)
    assert (row.state, row.drift) == (State.DRIFTED, expected)


def test_what_is_late_is_stale_since_the_source_was_seen_to_have_it() -> None:
    rows = compare(tag(SpotSeen(EU), SpotSeen(US, OLD, ours=OLD), SpotSeen(AP, OLD, ours=NEW), since=EARLIER))
    assert [row.since for row in rows] == [EARLIER, EARLIER, None]


def test_a_later_source_moves_nothing_that_is_there() -> None:
    assert kinds(compare(tag(SpotSeen(EU, OLD), SpotSeen(US), moves=False))) == [(US, State.MISSING, None)]


def test_a_policy_that_refuses_what_is_there_is_no_drift_but_a_no() -> None:
    rows = compare(tag(SpotSeen(EU, NEW, refused=REFUSED)))
    assert kinds(rows) == [(EU, State.EVIDENCE_MISSING, None)]
    assert report(*rows).exit_code == 3


def test_without_its_source_places_are_compared_with_each_other() -> None:
    spots = (SpotSeen(EU, OLD), SpotSeen(US, OLD), SpotSeen(AP, OTHER))
    rows = compare(tag(*spots, expected=None, problem=DOWN))
    assert kinds(rows) == [(HUB, State.UNREACHABLE, None), (AP, State.DRIFTED, Drift.UNKNOWN)]
    assert rows[1].expected == OLD


def test_without_a_source_and_a_majority_each_is_shown() -> None:
    rows = compare(tag(SpotSeen(EU, OLD), SpotSeen(US, OTHER), SpotSeen(AP), expected=None))
    assert [(row.target, row.state, row.expected) for row in rows] == [
        (EU, State.DRIFTED, None),
        (US, State.DRIFTED, None),
        (AP, State.MISSING, None),
    ]


def test_what_no_mirror_selects_says_whose_it_is() -> None:
    tags = {Tag(name): None for name in ("v1", "v0", "old", "evil")}
    rows = list(extra(Listed("app", HUB, EU, tags, {V1}, {Tag("v0")}, {Tag("old")})))
    assert [(row.tag, row.owner, row.is_drift) for row in rows] == [
        ("v0", Owner.OURS, False),
        ("old", Owner.OURS, False),
        ("evil", Owner.OTHERS, True),
    ]


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        pytest.param((), 0, id="nothing differs"),
        pytest.param(compare(tag(SpotSeen(EU))), 2, id="drift"),
        pytest.param(compare(tag(SpotSeen(EU), SpotSeen(US, problem=DOWN))), 75, id="a place is down"),
        pytest.param((unread("app", HUB, EU, DENIED, "not compared"),), 1, id="a place refuses"),
        pytest.param((lost("app", HUB, V1, None, DENIED),), 1, id="a named tag is not at its source"),
        pytest.param(
            (*compare(tag(SpotSeen(EU, NEW, refused=REFUSED))), unread("app", HUB, US, DOWN, "")),
            3,
            id="a policy's no says most",
        ),
    ],
)
def test_the_exit_code(rows: tuple[Row, ...], code: int) -> None:
    assert report(*rows).exit_code == code


def test_counts_are_of_tags_over_all_places() -> None:
    counts = report(*compare(tag(SpotSeen(EU), SpotSeen(US, OLD)))).counts
    assert counts[State.EQUAL] == 2
    assert (counts[State.MISSING], counts[State.DRIFTED], counts[State.EXTRA]) == (1, 1, 0)


digests = st.sampled_from([NEW, OLD, OTHER])
spots = st.builds(
    SpotSeen,
    st.just(EU),
    st.none() | digests,
    st.none() | st.just(DOWN),
    st.none() | digests,
    st.booleans(),
    st.none() | st.sampled_from(Likeness),
    st.integers(0, 2),
    st.none() | st.just(REFUSED),
)
tags = st.builds(
    lambda found, expected, moves: tag(
        *(replace(spot, location=place) for spot, place in zip(found, (EU, US, AP), strict=False)),
        expected=expected,
        moves=moves,
    ),
    st.lists(spots, max_size=3),
    st.none() | digests,
    st.booleans(),
)


@given(tags)
def test_every_place_has_at_most_one_row_and_what_is_well_has_none(found: TagCompared) -> None:
    rows = compare(found)
    assert len({row.target for row in rows}) == len(rows)
    well = {
        spot.location
        for spot in found.spots
        if spot.digest == found.expected is not None and not (spot.problem or spot.lacking or spot.refused)
    }
    assert well.isdisjoint(row.target for row in rows)


@given(tags)
def test_what_differs_always_has_a_row(found: TagCompared) -> None:
    rows = {row.target: row for row in compare(found)}
    for spot in found.spots:
        if spot.problem is not None:
            assert rows[spot.location].state is State.UNREACHABLE
        elif found.expected is not None and spot.digest is None:
            assert rows[spot.location].state is State.MISSING
        elif found.expected is not None and found.moves and spot.digest != found.expected:
            assert rows[spot.location].state is State.DRIFTED


@given(tags)
def test_a_drifted_row_says_what_kind_and_no_other_does(found: TagCompared) -> None:
    for row in compare(found):
        assert (row.drift is not None) == (row.state is State.DRIFTED)
        assert (
            row.state is State.UNREACHABLE
            or row.digest != row.expected
            or row.digest is None
            or (row.state is State.EVIDENCE_MISSING)
        )
        assert row.why


@given(tags)
def test_the_order_of_places_changes_nothing(found: TagCompared) -> None:
    turned = replace(found, spots=found.spots[::-1])
    assert sorted(compare(found), key=lambda row: row.order) == sorted(
        compare(turned), key=lambda row: row.order
    )
