from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from regsync.oci.reference import Tag
from regsync.spec.facts import TagFacts
from regsync.spec.model import Sort, SortBy, TagRule
from regsync.spec.selection import next_facts, select
from regsync.spec.versions import RELEASE, parse_version
from tests.spec.rules_support import NOW, aged, named, semver, unit

TAGS = st.builds(
    lambda numbers, suffix, v: Tag(v + ".".join(map(str, numbers)) + suffix),
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 12)),
    st.sampled_from(["", "-alpine", "-rc.1", "_b1"]),
    st.sampled_from(["", "v"]),
) | st.sampled_from([Tag("latest"), Tag("edge"), Tag("pr-a-1"), Tag("pr-a-10")])
LISTINGS = st.lists(TAGS, max_size=30, unique=True)
RULES = st.sampled_from(
    [
        semver(">=1", newest=2, per="minor"),
        semver("*", newest=1, per="major"),
        semver(">=1.0.0-0 <2"),
        TagRule(glob="*-alpine"),
        TagRule(glob="*", newest=3),
        TagRule(glob="*", sort=Sort(SortBy.NAME), newest=2, exclude=("v*",)),
        semver(">=1", "version", regex=r"(?P<version>[^-]+)-alpine", newest=2),
        TagRule(regex=r"pr-(?P<b>.+)-(?P<n>\d+)", per="b", sort=Sort(SortBy.NATURAL, "n"), newest=1),
        TagRule(glob="*", sort=Sort(SortBy.CREATED), newest=2),
        named("latest", "1.0.0"),
    ]
)
RULE_SETS = st.lists(RULES, min_size=1, max_size=4)


def facts_of(listed: list[Tag]) -> dict[Tag, TagFacts]:
    return aged({tag: sum(map(ord, tag)) % 17 for tag in listed})


def selected(rules: list[TagRule], listed: list[Tag], **keys: Any) -> list[Tag]:
    return [tag for tag, _ in select(unit(*rules, **keys), listed, facts_of(listed), now=NOW).tags]


@given(RULE_SETS, LISTINGS, st.randoms(use_true_random=False))
def test_the_order_in_which_a_registry_lists_does_not_matter(
    rules: list[TagRule], listed: list[Tag], random: Any
) -> None:
    shuffled = list(listed)
    random.shuffle(shuffled)
    assert selected(rules, shuffled) == selected(rules, listed)


@given(RULE_SETS, LISTINGS)
def test_several_rules_keep_what_each_keeps_alone(rules: list[TagRule], listed: list[Tag]) -> None:
    apart = {tag for rule in rules for tag in selected([rule], listed)}
    assert set(selected(rules, listed)) == apart


@given(RULE_SETS, LISTINGS)
def test_nothing_is_kept_that_is_not_there(rules: list[TagRule], listed: list[Tag]) -> None:
    assert set(selected(rules, listed)) <= set(listed)


@given(LISTINGS, st.integers(1, 4))
def test_no_group_keeps_more_than_the_newest(listed: list[Tag], newest: int) -> None:
    kept = selected([semver("*", newest=newest, per="minor")], listed)
    versions = [version for tag in kept if (version := parse_version(tag))]
    assert all(count <= newest for count in Counter((one.major, one.minor) for one in versions).values())
    dropped = [
        version
        for tag in set(listed) - set(kept)
        if (version := parse_version(tag)) and version.key[3] == RELEASE
    ]
    for old in dropped:
        same = [one for one in versions if (one.major, one.minor) == (old.major, old.minor)]
        assert len(same) == newest
        assert all(one.key >= old.key for one in same)


@given(RULE_SETS, LISTINGS, st.sampled_from(["1.*", "*-alpine", "latest"]))
def test_what_is_excluded_is_not_kept(rules: list[TagRule], listed: list[Tag], glob: str) -> None:
    without = selected(rules, listed, exclude_tags=(glob,))
    assert set(without) <= set(selected(rules, listed))


@given(RULE_SETS, LISTINGS)
def test_explanations_agree_with_the_selection(rules: list[TagRule], listed: list[Tag]) -> None:
    found = select(unit(*rules), listed, facts_of(listed), now=NOW)
    assert [one.tag for one in found.explanations if one.kept] == [tag for tag, _ in found.tags]
    assert {one.tag for one in found.explanations} == {*listed, *found.missing}
    assert all(one.why for one in found.explanations)


@given(RULE_SETS, LISTINGS)
def test_asking_for_facts_in_turns_ends_where_all_facts_lead(rules: list[TagRule], listed: list[Tag]) -> None:
    one, everything = unit(*rules), facts_of(listed)
    known: dict[Tag, TagFacts] = {}
    for _ in range(len(listed) + 1):
        wanted = next_facts(one, listed, known, now=NOW)
        assert wanted.isdisjoint(known)
        if not wanted:
            break
        known |= {tag: everything[tag] for tag in wanted}
    assert select(one, listed, known, now=NOW).tags == select(one, listed, everything, now=NOW).tags
    assert select(one, listed, known, now=NOW).undecided == ()
