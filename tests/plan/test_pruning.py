"""What a mirror deletes: tables, and what always holds."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.absence import Absence
from regsync.plan.model import Cause, Outcome, Problem, Verb
from regsync.plan.pruning import (
    Decision,
    Fate,
    PruneLimitError,
    PruneSeen,
    Scope,
    decide,
    in_words,
    refusal,
)
from regsync.spec.globs import matches_any
from regsync.spec.matching import is_digest_tag
from regsync.spec.model import Location
from regsync.spec.pruning import DeletionLimits, Owns, PrunePolicy

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HUB, OURS = (Location(name, RepositoryName("app")) for name in ("hub", "ours"))
ONE = Digest.of(b"one")
AT_ONCE = PrunePolicy(DeletionLimits(1000, 100), grace=timedelta())
SEEN = PruneSeen("app", HUB, OURS, AT_ONCE, ours=frozenset())
EVIDENCE = [
    "sha256-" + "a" * 64,
    "sha256-" + "a" * 64 + ".sig",
    "sha256-" + "a" * 64 + ".att",
    "sha512-" + "b" * 64,
]


def tags(*names: str) -> frozenset[Tag]:
    return frozenset(map(Tag, names))


def fates(decision: Decision) -> dict[str, Fate]:
    return {str(one.tag): one.fate for one in decision.fates}


def test_what_is_ours_and_not_wanted_any_more_is_deleted_with_the_reason() -> None:
    seen = replace(
        SEEN, ours=tags("v1", "v2"), wanted=tags("v2", "v3"), unselected=lambda tag: f"{tag} left the source"
    )

    decision = decide(seen, now=NOW)

    assert fates(decision) == {"v1": Fate.DUE, "v2": Fate.KEPT}
    (action,) = Scope(seen, decision, {Tag("v1"): ONE}).actions
    assert (action.verb, action.tag, action.digest, action.replaces) == (Verb.DELETE, "v1", ONE, ONE)
    assert action.reason == "v1 left the source"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"wanted": tags("v1")}, "wanted"),
        ({"immutable": ("v*",)}, "immutable by 'v*'"),
        ({"kept": {Tag("v1"): "it left through maxAge alone"}}, "it left through maxAge alone"),
        ({"policy": replace(AT_ONCE, protect=("v?",))}, "protected by prune.protect 'v?'"),
        (
            {"doubts": ("hub/app could not be listed",)},
            "nothing is deleted here: hub/app could not be listed",
        ),
    ],
)
def test_what_keeps_a_tag_is_said(more: Mapping[str, object], why: str) -> None:
    decision = decide(replace(SEEN, ours=tags("v1"), **more), now=NOW)  # type: ignore[arg-type]

    assert [(one.fate, one.why) for one in decision.fates] == [(Fate.KEPT, why)]


@pytest.mark.parametrize("tag", EVIDENCE)
def test_evidence_is_never_a_tag_to_delete_and_never_counts(tag: str) -> None:
    decision = decide(replace(SEEN, ours=tags(tag, "v1")), now=NOW)

    assert fates(decision) == {"v1": Fate.DUE}
    assert decision.total == 1


# --- grace


def test_a_tag_goes_when_its_grace_is_over_and_not_before() -> None:
    seen = replace(SEEN, ours=tags("v1"), policy=replace(AT_ONCE, grace=7 * DAY))
    first = decide(seen, now=NOW)
    absences = {tag: one for tag, one in first.absences.items() if one is not None}
    early = decide(replace(seen, absences=absences), now=NOW + 7 * DAY - timedelta(seconds=1))
    later = decide(replace(seen, absences=absences), now=NOW + 7 * DAY)

    assert fates(first) == {"v1": Fate.WAITING} == fates(early)
    assert "it goes after a grace of 7d" in first.fates[0].why
    assert fates(later) == {"v1": Fate.DUE}
    assert "since 2026-01-10 12:00 UTC, in 2 runs" in later.fates[0].why


def test_a_clock_that_jumped_ahead_does_not_end_a_grace_that_no_other_run_saw_begin() -> None:
    seen = replace(SEEN, ours=tags("v1"), policy=replace(AT_ONCE, grace=DAY))

    assert fates(decide(seen, now=NOW + 1000 * DAY)) == {"v1": Fate.WAITING}


def test_a_grace_that_began_in_the_future_begins_now() -> None:
    seen = replace(SEEN, ours=tags("v1"), policy=replace(AT_ONCE, grace=DAY))
    ahead = {Tag("v1"): Absence(NOW + 300 * DAY, NOW + 300 * DAY, 1)}

    back = decide(replace(seen, absences=ahead), now=NOW)

    assert fates(back) == {"v1": Fate.WAITING}
    assert back.absences == {Tag("v1"): Absence(NOW, NOW, 2)}


def test_a_tag_that_came_back_begins_its_grace_anew() -> None:
    seen = replace(SEEN, ours=tags("v1"), absences={Tag("v1"): Absence(NOW - 6 * DAY, NOW, 5)})

    assert decide(replace(seen, wanted=tags("v1")), now=NOW).absences == {Tag("v1"): None}


def test_a_run_in_doubt_neither_begins_nor_ends_a_grace() -> None:
    known = {Tag("v1"): Absence(NOW, NOW, 1)}

    assert (
        decide(replace(SEEN, ours=tags("v1", "v2"), absences=known, doubts=("down",)), now=NOW).absences == {}
    )


# --- limits


@pytest.mark.parametrize(
    ("limits", "total", "allowed"),
    [
        pytest.param((10, 100), 50, 10, id="a number"),
        pytest.param((1000, 10), 50, 5, id="a percentage of all there"),
        pytest.param((1000, 10), 51, 6, id="which is rounded up"),
        pytest.param((1000, 1), 3, 1, id="and is one at least"),
    ],
)
def test_a_limit_holds_to_the_tag(limits: tuple[int, int], total: int, allowed: int) -> None:
    names = [f"v{number}" for number in range(total)]
    seen = replace(SEEN, ours=tags(*names), policy=replace(AT_ONCE, limits=DeletionLimits(*limits)))
    exactly = decide(replace(seen, wanted=tags(*names[allowed:])), now=NOW)
    one_more = decide(replace(seen, wanted=tags(*names[allowed + 1 :])), now=NOW)

    assert refusal(seen, exactly, len(exactly.due)) is None
    error = refusal(seen, one_more, len(one_more.due))
    assert isinstance(error, PruneLimitError)
    assert f"{allowed + 1} of {total} tags at ours/app would be deleted, at most {allowed} may be" in str(
        error
    )
    assert Problem.of(error).outcome is Outcome.BLOCKED
    assert Problem.of(error).cause is Cause.POLICY


def test_tags_that_wait_do_not_count_against_the_limit() -> None:
    seen = replace(SEEN, ours=tags("a", "b", "c"), policy=PrunePolicy(DeletionLimits(1, 1)))
    decision = decide(seen, now=NOW)

    assert refusal(seen, decision, len(decision.due)) is None


@pytest.mark.parametrize(
    ("grace", "text"),
    [(7 * DAY, "7d"), (DAY / 2, "12h"), (timedelta(minutes=90), "90m"), (timedelta(seconds=61), "61s")],
)
def test_a_grace_is_told_as_the_spec_writes_it(grace: timedelta, text: str) -> None:
    assert in_words(grace) == text


# --- what always holds

names = st.sampled_from([*(Tag(f"v{number}") for number in range(12)), *map(Tag, EVIDENCE)])
some = st.frozensets(names)
whens = st.integers(-40, 40).map(lambda days: NOW + days * DAY)
absences = st.builds(Absence, whens, whens, st.integers(1, 5))
policies = st.builds(
    PrunePolicy,
    st.builds(DeletionLimits, st.integers(0, 12), st.integers(1, 100)),
    st.sampled_from([timedelta(), DAY, 7 * DAY]),
    st.sampled_from([(), ("v1*",)]),
    st.sampled_from(Owns),
)
scenes = st.builds(
    PruneSeen,
    st.just("app"),
    st.just(HUB),
    st.just(OURS),
    policies,
    some,
    some,
    st.sampled_from([(), ("v2",)]),
    st.dictionaries(names, st.just("it left through maxAge alone"), max_size=3),
    st.dictionaries(names, absences),
    st.sampled_from([(), ("down",)]),
)


@given(scenes)
def test_nothing_that_is_kept_ever_goes(seen: PruneSeen) -> None:
    due = {one.tag for one in decide(seen, now=NOW).due}

    assert due <= set(seen.ours) - set(seen.wanted) - set(seen.kept)
    assert not any(
        is_digest_tag(tag) or matches_any((*seen.policy.protect, *seen.immutable), tag) for tag in due
    )
    assert not (seen.doubts and due)


@given(scenes)
def test_every_tag_has_one_fate_and_a_reason(seen: PruneSeen) -> None:
    decision = decide(seen, now=NOW)

    assert [one.tag for one in decision.fates] == sorted(tag for tag in seen.ours if not is_digest_tag(tag))
    assert all(one.why for one in decision.fates)


@given(scenes)
def test_more_than_the_limits_never_goes(seen: PruneSeen) -> None:
    decision = decide(seen, now=NOW)
    count = len(decision.due)

    if refusal(seen, decision, count) is None:
        assert count <= seen.policy.limits.max_deletes
        assert count <= max(1, -(-decision.total * seen.policy.limits.max_delete_percent // 100))


@given(scenes, st.randoms())
def test_the_order_of_what_was_seen_does_not_matter(seen: PruneSeen, chance: object) -> None:
    ours = list(seen.ours)
    chance.shuffle(ours)  # type: ignore[attr-defined]

    assert decide(replace(seen, ours=ours), now=NOW) == decide(seen, now=NOW)


@given(scenes)
def test_a_second_time_nothing_goes(seen: PruneSeen) -> None:
    first = decide(seen, now=NOW)
    gone = {one.tag for one in first.due}
    left = replace(
        seen,
        ours=set(seen.ours) - gone,
        absences={tag: one for tag, one in {**seen.absences, **first.absences}.items() if one is not None},
    )
    runs = {tag: one.runs for tag, one in left.absences.items()}

    again = decide(left, now=NOW)

    # A grace that only lacked a second run may end with it, in a world with clocks that jump.
    assert all(runs[one.tag] < 2 for one in again.due)
