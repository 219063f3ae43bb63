"""What a RetentionPolicy keeps, as a function: tables, and what always holds."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.retention import RetentionDecision, RetentionSeen, TagState, decide_retention
from regsync.spec.model import Location, SemverMatch, Sort, SortBy, TagRule
from regsync.spec.pruning import DeletionLimits
from regsync.spec.retention import KeepRule, RepositoryGlob, RetentionPolicy, Unmatched

NOW = datetime(2026, 1, 31, tzinfo=UTC)
HERE = Location("local", RepositoryName("team/app"))
NO_LIMITS = DeletionLimits(1_000_000, 100)
EVIDENCE = "sha256-" + "0" * 64 + ".sig"


def days(number: float) -> timedelta:
    return timedelta(days=number)


def policy(*keep: KeepRule, **more: object) -> RetentionPolicy:
    options = {"limits": NO_LIMITS, **more}
    return RetentionPolicy("p", (RepositoryGlob("local", "**"),), keep, **options)  # type: ignore[arg-type]


def newest(count: int, glob: str = "*") -> KeepRule:
    return KeepRule(TagRule(glob=glob, newest=count))


def at(pushed: float | None = None, pulled: float | None = None, content: str = "") -> TagState:
    """A tag that was pushed and pulled so many days ago."""
    return TagState(
        Digest.of(content.encode()) if content else None,
        None if pushed is None else NOW - days(pushed),
        None if pulled is None else NOW - days(pulled),
    )


def decide(
    rules: RetentionPolicy, tags: Mapping[str, TagState] | list[str], **more: object
) -> RetentionDecision:
    states = {tag: at() for tag in tags} if isinstance(tags, list) else tags
    seen = RetentionSeen(HERE, {Tag(tag): state for tag, state in states.items()}, **more)  # type: ignore[arg-type]
    return decide_retention(rules, seen, now=NOW)


def why(decision: RetentionDecision, tag: str) -> str:
    (fate,) = decision.fates([Tag(tag)])
    assert fate.kept == (Tag(tag) not in decision.going)
    return fate.why


SEMVER = KeepRule(TagRule(semver=SemverMatch("*"), newest=2, per="minor"))


@pytest.mark.parametrize(
    ("rules", "tags", "going"),
    [
        pytest.param(
            policy(SEMVER),
            ["1.0.1", "1.0.2", "1.0.3", "1.1.0", "latest"],
            ["1.0.1"],
            id="the newest of each minor stay, and what no selector matches",
        ),
        pytest.param(
            policy(SEMVER, unmatched=Unmatched.DELETE),
            ["1.0.1", "1.0.2", "1.0.3", "latest"],
            ["1.0.1", "latest"],
            id="unless what is unmatched is to be deleted",
        ),
        pytest.param(
            policy(SEMVER, newest(1, "1.0.1")),
            ["1.0.1", "1.0.2", "1.0.3"],
            [],
            id="any rule keeps a tag",
        ),
        pytest.param(policy(), ["1.0.1", "a"], [], id="no rule speaks of nothing"),
        pytest.param(
            policy(KeepRule(pulled_within=days(30))),
            {"old": at(90, 90)},
            [],
            id="a rule without a selector only protects",
        ),
        pytest.param(
            policy(newest(1), KeepRule(pulled_within=days(30))),
            {"a1": at(90, 29), "a2": at(90, 31), "a3": at(90, 31)},
            ["a2"],
            id="and protects from other rules",
        ),
        pytest.param(
            policy(KeepRule(TagRule(glob="pr-*"), pushed_within=days(14))),
            {"pr-1": at(14), "pr-2": at(14.001), "v1": at(90)},
            ["pr-2"],
            id="a selector with a time keeps what is within, to the moment",
        ),
        pytest.param(
            policy(KeepRule(TagRule(glob="pr-*", newest=2), pushed_within=days(14))),
            {"pr-1": at(1), "pr-2": at(1), "pr-3": at(20)},
            ["pr-1", "pr-3"],
            id="every part of one rule has to keep a tag",
        ),
        pytest.param(
            policy(KeepRule(TagRule(glob="pr-*"), pushed_within=days(14))),
            {"pr-1": at(None), "pr-2": at(-3)},
            [],
            id="an unknown time keeps, and one that has not come yet",
        ),
        pytest.param(
            policy(newest(1), KeepRule(pulled_within=days(30))),
            {"a1": at(90, None), "a2": at(90, 90)},
            [],
            id="an unknown pull keeps",
        ),
        pytest.param(
            policy(newest(1), protect=("latest", "release-*")),
            ["a1", "a2", "latest", "release-1"],
            ["a1", "a2"],
            id="protect keeps whatever rules say",
        ),
        pytest.param(
            policy(KeepRule(TagRule(glob="*", newest=1, sort=Sort(SortBy.SEMVER)))),
            ["1.0", "1.1", "latest"],
            ["1.0"],
            id="a rule says nothing of a tag that its sort cannot read",
        ),
        pytest.param(
            policy(KeepRule(TagRule(glob="*", exclude=("*-rc",), newest=1))),
            ["a1", "a2", "a0-rc"],
            ["a1"],
            id="nor of one that it excludes",
        ),
        pytest.param(
            policy(KeepRule(TagRule(glob="*", newest=1, sort=Sort(SortBy.CREATED)))),
            ["a1", "a2"],
            [],
            id="no deletion rests on when an image was created",
        ),
        pytest.param(
            policy(KeepRule(TagRule(glob="*", max_age=days(1), labels={"keep": "yes"}, newest=1))),
            ["a1", "a2"],
            [],
            id="nor on its age or labels",
        ),
        pytest.param(
            policy(newest(1), unmatched=Unmatched.DELETE),
            ["a1", "a2", EVIDENCE],
            ["a1"],
            id="digest tags follow their subjects",
        ),
    ],
)
def test_what_goes(
    rules: RetentionPolicy, tags: Mapping[str, TagState] | list[str], going: list[str]
) -> None:
    decision = decide(rules, tags)
    assert list(decision.going) == going
    assert [fate.tag for fate in decision.fates() if not fate.kept] == going


def test_what_a_mirror_declares_or_runs_somewhere_stays_by_tag_and_by_digest() -> None:
    tags = {f"a{number}": at(content=f"image {number}") for number in range(5)}
    decision = decide(
        policy(newest(1)),
        tags,
        kept={Tag("a0"): "declared by mirror m"},
        kept_digests={Digest.of(b"image 1"): "in use: file:deployed.txt"},
    )
    assert decision.going == (Tag("a2"), Tag("a3"))
    assert why(decision, "a0") == "declared by mirror m"
    assert why(decision, "a1") == "in use: file:deployed.txt"


def test_each_tag_has_the_rule_that_kept_it_or_those_that_did_not() -> None:
    decision = decide(
        policy(
            SEMVER, KeepRule(TagRule(glob="1.*"), pushed_within=days(14)), KeepRule(pulled_within=days(30))
        ),
        {
            "1.0.1": at(20, 40),
            "1.0.2": at(20, 3),
            "1.0.3": at(20, 40),
            "1.0.4": at(20, 40),
            "odd": at(20, 40),
            "unknown": at(),
            "1.0.0": at(None, 40),
        },
    )
    assert decision.going == (Tag("1.0.1"),)
    assert why(decision, "1.0.4") == "rule 1 (semver '*'): kept: among the newest 2 of minor 1.0"
    assert why(decision, "1.0.1") == (
        "rule 1 (semver '*'): dropped: not among the newest 2 of minor 1.0; "
        "rule 2 (glob '1.*', pushed within 14 days): not kept: last pushed 20 days ago; "
        "rule 3 (pulled within 30 days): not kept: last pulled 40 days ago"
    )
    assert why(decision, "1.0.2") == "rule 3 (pulled within 30 days): kept: last pulled 3 days ago"
    assert "when it was last pushed is not known" in why(decision, "1.0.0")
    assert why(decision, "odd").startswith("no rule's selector matches it; rule 3")
    assert "when it was last pulled is not known" in why(decision, "unknown")


@pytest.mark.parametrize(
    ("limits", "refused"),
    [
        pytest.param(DeletionLimits(8, 100), False, id="exactly as many as allowed"),
        pytest.param(DeletionLimits(7, 100), True, id="one more"),
        pytest.param(DeletionLimits(100, 80), False, id="exactly the percentage"),
        pytest.param(DeletionLimits(100, 79), False, id="a percentage is rounded up"),
        pytest.param(DeletionLimits(100, 70), True, id="one more than the percentage"),
    ],
)
def test_past_its_limits_the_whole_deletion_is_refused(
    limits: DeletionLimits,
    refused: bool,
) -> None:
    decision = decide(policy(newest(2), limits=limits), [f"a{number}" for number in range(10)] + [EVIDENCE])
    assert len(decision.going) == 8
    assert decision.is_refused == refused


def test_one_tag_may_go_whatever_the_percentage() -> None:
    assert not decide(policy(newest(1), limits=DeletionLimits(10, 1)), ["a1", "a2"]).is_refused


names = st.from_regex(r"(pr-|v|release-)?[0-9]{1,2}(\.[0-9]){0,2}", fullmatch=True)
moments = st.none() | st.integers(-5, 60)
states = st.dictionaries(names, st.tuples(moments, moments), max_size=25)
within = st.none() | st.integers(1, 40).map(days)
selectors = st.sampled_from(
    [
        None,
        TagRule(glob="*", newest=3),
        TagRule(glob="pr-*"),
        TagRule(semver=SemverMatch("*"), newest=1, per="minor"),
        TagRule(regex="v(?P<n>.+)", sort=Sort(SortBy.NATURAL, "n"), newest=2),
        TagRule(glob="*", newest=1, sort=Sort(SortBy.CREATED)),
    ]
)
keep_rules = st.builds(KeepRule, selectors, within, within)
policies = st.builds(
    lambda keep, unmatched, protect: policy(*keep, unmatched=unmatched, protect=protect),
    st.lists(keep_rules, max_size=4),
    st.sampled_from(Unmatched),
    st.sampled_from([(), ("pr-1*",), ("**",)]),
)


@given(policies, states, keep_rules)
def test_another_rule_never_makes_another_tag_go_that_the_rules_spoke_of(
    rules: RetentionPolicy, tags: dict[str, tuple[int | None, int | None]], more: KeepRule
) -> None:
    seen = {tag: at(*times) for tag, times in tags.items()}
    before, after = decide(rules, seen), decide(replace(rules, keep=(*rules.keep, more)), seen)
    spoken_of = {fate.tag for fate in before.fates() if not fate.why.startswith("no rule's selector")}
    assert not ({*after.going} & spoken_of) - {*before.going}


@given(policies, states)
def test_knowing_less_keeps_more(
    rules: RetentionPolicy, tags: dict[str, tuple[int | None, int | None]]
) -> None:
    seen = {tag: at(*times) for tag, times in tags.items()}
    nothing_known = decide(rules, {tag: at() for tag in seen})
    assert {*nothing_known.going} <= {*decide(rules, seen).going}


@given(policies, states)
def test_what_goes_is_there_is_not_protected_and_has_its_reasons(
    rules: RetentionPolicy, tags: dict[str, tuple[int | None, int | None]]
) -> None:
    decision = decide(rules, {tag: at(*times) for tag, times in tags.items()})
    fates = {fate.tag: fate for fate in decision.fates()}
    assert fates.keys() == {Tag(tag) for tag in tags}
    assert {tag for tag, fate in fates.items() if not fate.kept} == {*decision.going}
    assert all(fate.why for fate in fates.values())
    assert not any("protected" in fates[tag].why for tag in decision.going)


@given(policies, states)
def test_the_same_again_without_what_went_lets_nothing_more_go(
    rules: RetentionPolicy, tags: dict[str, tuple[int | None, int | None]]
) -> None:
    decision = decide(rules, {tag: at(*times) for tag, times in tags.items()})
    left = {tag: at(*times) for tag, times in tags.items() if Tag(tag) not in decision.going}
    assert decide(rules, left).going == ()
