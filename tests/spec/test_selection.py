from datetime import UTC, datetime, timedelta

import pytest

from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.spec.facts import TagFacts
from regsync.spec.model import Sort, SortBy, TagRule
from regsync.spec.selection import (
    RenameCollisionError,
    TooFewTagsError,
    literal_tags,
    needs_config,
    needs_facts,
    next_facts,
)
from tests.spec.rules_support import NOW, aged, chosen, kept, named, selection, semver, tags, unit, why

SIGNATURE = f"sha256-{'a' * 64}.sig"
FALLBACK = f"sha256-{'a' * 64}"
BUILD = TagRule(
    regex=r"pr-(?P<branch>.+)-(?P<build>\d+)", per="branch", sort=Sort(SortBy.NATURAL, "build"), newest=2
)
FLAVOUR = r"(?P<version>\d+(\.\d+)*)-alpine"


@pytest.mark.parametrize(
    ("rule", "listed", "expected"),
    [
        pytest.param(named("latest", "1.27"), "latest 1.27 1.28", "1.27 latest", id="names"),
        pytest.param(TagRule(glob="1.27*"), "1.27 1.27-alpine 1.28", "1.27 1.27-alpine", id="a glob"),
        pytest.param(TagRule(glob="*"), f"a {SIGNATURE} {FALLBACK} {FALLBACK}.att", "a", id="no digest tags"),
        pytest.param(TagRule(regex=".*"), f"a {SIGNATURE}", "a", id="no digest tags for a regex either"),
        pytest.param(TagRule(regex=r"1\.\d"), "1.2 1.23 x1.2", "1.2", id="a regex matches the whole tag"),
        pytest.param(
            semver(">=1.25 <2"), "1.24 1.25 v1.26.1 2.0 latest 1.27-alpine", "1.25 v1.26.1", id="a range"
        ),
        pytest.param(
            semver(">=1", newest=2, per="minor"),
            "1.1.1 1.1.2 1.1.10 1.2.0 0.9",
            "1.1.10 1.1.2 1.2.0",
            id="the newest of each minor",
        ),
        pytest.param(semver("*", newest=1, per="major"), "1.9 1.10 2.0 2.1-rc.1", "1.10 2.0", id="per major"),
        pytest.param(
            semver(">=1.25", "version", regex=FLAVOUR, newest=1),
            "1.25-alpine 1.26.1-alpine 1.27 1.9-alpine",
            "1.26.1-alpine",
            id="a version inside of the tag",
        ),
        pytest.param(
            BUILD, "pr-a-9 pr-a-10 pr-a-8 pr-b-x-1 pr-x", "pr-a-10 pr-a-9 pr-b-x-1", id="builds per branch"
        ),
        pytest.param(
            TagRule(glob="r*", newest=2), "r9 r10 r11", "r10 r11", id="natural order without a range"
        ),
        pytest.param(
            TagRule(glob="*", sort=Sort(SortBy.NAME), newest=1),
            "b a c",
            "c",
            id="by name the last is the newest",
        ),
        pytest.param(
            TagRule(glob="*", sort=Sort(SortBy.SEMVER), newest=1),
            "latest edge 1.2",
            "1.2",
            id="what the sort cannot read is dropped",
        ),
        pytest.param(
            TagRule(glob="*", sort=Sort(SortBy.SEMVER)), "latest 1.2", "1.2", id="also without newest"
        ),
        pytest.param(TagRule(glob="*", exclude=("*-perl",)), "a a-perl", "a", id="exclude"),
        pytest.param(
            named("a", newest=1, sort=Sort(SortBy.SEMVER)), "a", "a", id="names pass sort and newest by"
        ),
        pytest.param(
            semver("*", newest=1), "1.2.3 v1.2.3", "v1.2.3", id="one of two spellings, always the same"
        ),
        pytest.param(
            semver("*", newest=1), "1.0_9 1.0_10", "1.0_10", id="builds count where nothing else does"
        ),
    ],
)
def test_what_a_rule_keeps(rule: TagRule, listed: str, expected: str) -> None:
    assert chosen(unit(rule), listed) == expected


def test_rules_are_united() -> None:
    both = unit(semver(">=2", newest=1), named("latest"))
    assert chosen(both, "1.0 2.0 2.1 latest") == "2.1 latest"


def test_what_all_rules_drop_is_dropped_behind_them() -> None:
    # excludeTags comes after newest: 1.2 took the place that 1.1 does not get.
    assert chosen(unit(semver("*", newest=1), exclude_tags=("1.2*",)), "1.1 1.2") == ""


def test_a_named_tag_that_the_source_lacks_is_missing() -> None:
    found = selection(
        unit(named("latest", "gone", exclude=("x",)), named("hidden"), exclude_tags=("h*",)), "latest"
    )
    assert found.missing == ("gone",)
    assert why(found, "gone") == "named, but the source does not have it"


def test_names_are_known_without_a_listing() -> None:
    one = unit(named("a", "b", exclude=("b",)), named("c"), exclude_tags=("c",))
    assert literal_tags(one) == {"a"}
    assert not one.needs_tags
    assert unit(TagRule(glob="*")).needs_tags


def test_fewer_tags_than_at_least_is_a_problem() -> None:
    found = selection(unit(TagRule(glob="v*"), at_least=2), "v1 x")
    assert isinstance(found.problem, TooFewTagsError)
    assert "has 1 tags of those wanted (of 2 seen), atLeast is 2" in str(found.problem)
    assert "lower atLeast" in (found.problem.hint or "")


def test_digests_alone_need_no_tags() -> None:
    assert selection(unit(at_least=1), "").problem is None


def test_two_tags_renamed_to_one_is_a_problem_for_both() -> None:
    found = selection(unit(semver("*"), rename="{major}.{minor}"), "1.2.0 1.2.1 1.3.0")
    assert isinstance(found.problem, RenameCollisionError)
    assert found.problem.sources == ("1.2.0", "1.2.1")
    assert found.tags == (("1.3.0", "1.3"),)


def test_the_version_in_a_tag_is_what_it_is_renamed_by() -> None:
    found = selection(
        unit(semver(">=1", "version", regex=FLAVOUR), rename="{major}.{minor}"), "1.27.3-alpine"
    )
    assert found.tags == (("1.27.3-alpine", "1.27"),)


def test_a_tag_that_is_no_version_cannot_be_renamed_by_one() -> None:
    found = selection(unit(named("latest"), rename="{major}"), "latest")
    assert "needs a version" in str(found.problem)
    assert found.tags == ()


class TestFacts:
    rule = semver(">=1", newest=1, per="minor", max_age=timedelta(days=30))

    def test_an_image_is_as_old_as_it_says(self) -> None:
        facts = aged({"1.0.0": 10, "1.1.0": 40})
        assert chosen(unit(self.rule), "1.0.0 1.1.0", facts) == "1.0.0"

    def test_without_a_date_the_annotation_counts_and_then_first_sight(self) -> None:
        seen = NOW - timedelta(days=1)
        digest = Digest.of(b"")
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        annotated = TagFacts(
            digest, seen, epoch, annotations={"org.opencontainers.image.created": "2026-10-01T00:00:00Z"}
        )
        assert annotated.age_counts_from == datetime(2026, 10, 1, tzinfo=UTC)
        assert TagFacts(digest, seen, epoch).age_counts_from == seen
        assert (
            TagFacts(
                digest, seen, None, annotations={"org.opencontainers.image.created": "soon"}
            ).age_counts_from
            == seen
        )
        assert TagFacts(digest, seen, datetime(1990, 1, 1, tzinfo=UTC)).age_counts_from.year == 1990

    def test_labels_or_annotations_decide(self) -> None:
        rule = TagRule(glob="*", labels={"vendor": "Acme*"})
        facts = aged({"a": 1}, labels={"vendor": "Acme Inc"}) | aged({"b": 1}, annotations={"vendor": "Acme"})
        facts |= aged({"c": 1}, labels={"vendor": "Other"}) | aged({"d": 1})
        found = selection(unit(rule), "a b c d", facts)
        assert [tag for tag, _ in found.tags] == ["a", "b"]
        assert "vendor is 'Other', wanted 'Acme*'" in why(found, "c")
        assert "vendor is not set" in why(found, "d")

    def test_the_newest_by_age(self) -> None:
        rule = TagRule(glob="n*", sort=Sort(SortBy.CREATED), newest=2)
        assert chosen(unit(rule), "n1 n2 n3", aged({"n1": 1, "n2": 9, "n3": 5})) == "n1 n3"

    def test_only_the_newest_are_looked_at(self) -> None:
        one = unit(self.rule)
        listed = tags("1.0.0 1.0.1 1.0.2 1.1.0 0.1 latest")
        assert next_facts(one, listed, {}, now=NOW) == {"1.0.2", "1.1.0"}
        first = aged({"1.0.2": 90, "1.1.0": 1})
        assert next_facts(one, listed, first, now=NOW) == {"1.0.1"}
        assert next_facts(one, listed, first | aged({"1.0.1": 1}), now=NOW) == frozenset()

    def test_a_long_row_of_old_images_takes_few_turns(self) -> None:
        one = unit(semver(">=1", newest=3, max_age=timedelta(days=30)))
        listed = [Tag(f"1.0.{number}") for number in range(2000)]
        known: dict[Tag, TagFacts] = {}
        turns = 0
        while wanted := next_facts(one, listed, known, now=NOW):
            known |= aged(dict.fromkeys(wanted, 90))
            turns += 1
        assert len(known) == 2000
        assert turns <= 12

    def test_everything_that_could_ever_be_looked_at(self) -> None:
        assert needs_facts(unit(self.rule), tags("1.0.0 1.0.1 0.9 latest")) == {"1.0.0", "1.0.1"}
        assert needs_facts(unit(semver("*", newest=1)), tags("1.0")) == frozenset()

    def test_renaming_by_content_asks_for_what_is_selected(self) -> None:
        one = unit(named("a", "b"), rename="{tag}-{digest:8}", exclude_tags=("b",))
        assert next_facts(one, tags("a b"), {}, now=NOW) == {"a"}
        assert not needs_config(one)
        assert needs_config(unit(self.rule))
        found = selection(one, "a b", aged({"a": 1}))
        assert found.tags == ((Tag("a"), Tag(f"a-{Digest.of(b'a').short(8)}")),)

    def test_what_is_not_known_is_neither_kept_nor_forgotten(self) -> None:
        found = selection(unit(self.rule), "1.0.0")
        assert (found.tags, found.undecided) == ((), ("1.0.0",))

    def test_a_date_in_the_future_is_no_age(self) -> None:
        assert chosen(unit(self.rule), "1.0.0", aged({"1.0.0": -3})) == "1.0.0"


def test_every_tag_is_explained_by_rule_and_step() -> None:
    one = unit(
        semver(">=1.25 <2", newest=1, per="minor", exclude=("*.9",)),
        TagRule(regex=FLAVOUR, semver=semver(">=1.25", "version").semver),
        named("latest"),
        exclude_tags=("1.27*",),
    )
    found = selection(one, f"1.25.0 1.25.1 1.26.9 1.27.0 1.20-alpine latest edge {SIGNATURE}")
    assert kept(found) == ["1.25.1", "latest"]
    assert why(found, "1.25.1") == "rule 1 (semver '>=1.25 <2'): kept: among the newest 1 of minor 1.25"
    assert (
        why(found, "1.25.0") == "rule 1 (semver '>=1.25 <2'): dropped: not among the newest 1 of minor 1.25"
    )
    assert why(found, "1.26.9").endswith("dropped by exclude '*.9'")
    assert why(found, "1.27.0") == "dropped by excludeTags '1.27*'"
    assert "'1.20' is outside the range" in why(found, "1.20-alpine")
    assert why(found, "edge") == "no rule matches it"
    assert why(found, SIGNATURE) == "evidence of another image: it follows its subject"
