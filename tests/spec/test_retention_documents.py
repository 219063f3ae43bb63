from datetime import timedelta

import pytest

from regsync.oci.reference import RepositoryName, Tag
from regsync.spec.model import Location, TagRule
from regsync.spec.pruning import DeletionLimits
from regsync.spec.retention import (
    InUseCluster,
    InUseFile,
    KeepRule,
    RepositoryGlob,
    RetentionPolicy,
    Unmatched,
)
from regsync.spec.schedules import Schedule
from tests.spec.spec_files import HUB, STORE, Specs, document, mirror

GROUP = document("RegistryGroup", "everywhere", "registries: [hub, local]")
DELETING = "repositories: [local/**]\nunmatched: delete\n"


def retention(spec: str, name: str = "previews") -> str:
    return document("RetentionPolicy", name, spec)


def read(specs: Specs, spec: str) -> RetentionPolicy:
    (found,) = specs.load(HUB, STORE, GROUP, retention(spec)).retention
    return found


def mistakes(specs: Specs, *documents: str) -> str:
    return "\n".join(specs.problems(HUB, STORE, GROUP, *documents))


def test_a_policy_is_read_with_all_it_can_say(specs: Specs) -> None:
    found = read(
        specs,
        """
        repositories: ["local/pr/**", "everywhere/x"]
        keep:
          - {semver: "*", newest: 10, per: minor}
          - {glob: "pr-*", exclude: [pr-0], pushedWithin: 14d}
          - {pulledWithin: 30d, pushedWithin: 1h}
          - latest
          - "v*"
        unmatched: delete
        protect: ["release-*", latest, latest]
        inUse: ["file:lists/deployed.txt", "kubernetes:prod eu"]
        untagged: {keepFor: 7d}
        limits: {maxDeletes: 5}
        schedule: "0 3 * * *"
        timezone: Europe/Berlin
        """,
    )
    assert found.repositories == (
        RepositoryGlob("local", "pr/**"), RepositoryGlob("hub", "x"), RepositoryGlob("local", "x")
    )  # fmt: skip
    assert [str(rule) for rule in found.keep] == [
        "semver '*'", "glob 'pr-*', pushed within 14 days",
        "pushed within 0.0416667 days, pulled within 30 days", "names latest", "glob 'v*'",
    ]  # fmt: skip
    assert found.keep[1].selector == TagRule(glob="pr-*", exclude=("pr-0",))
    assert found.keep[2] == KeepRule(None, timedelta(hours=1), timedelta(days=30))
    assert found.unmatched is Unmatched.DELETE
    assert found.protect == ("release-*", "latest")
    assert found.in_use == (InUseFile(specs.directory / "lists/deployed.txt"), InUseCluster("prod eu"))
    assert found.untagged_keep_for == timedelta(days=7)
    assert found.limits == DeletionLimits(5, 20)
    assert found.schedule == Schedule("0 3 * * *", "Europe/Berlin")


def test_the_least_that_is_said_deletes_little(specs: Specs) -> None:
    found = read(specs, "repositories: [local/x]\nkeep: ['v*']")
    assert (found.unmatched, found.untagged_keep_for) == (Unmatched.KEEP, None)
    assert found.limits == DeletionLimits(100, 20)
    assert found.keep == (KeepRule(TagRule(glob="v*")),)


def test_a_policy_speaks_of_the_registry_it_names(specs: Specs) -> None:
    found = read(specs, "repositories: ['local/a/*']\nkeep: [a]")
    assert found.covers(Location("local", RepositoryName("a/b")))
    assert not found.covers(Location("local", RepositoryName("a/b/c")))
    assert not found.covers(Location("hub", RepositoryName("a/b")))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param("repositories: [local/x]", "expected keep, or untagged", id="nothing to do"),
        pytest.param("repositories: []\nkeep: [a]", "expected at least one entry", id="nowhere"),
        pytest.param("repositories: [lcal/x]\nkeep: [a]", "did you mean 'local'?", id="a typo"),
        pytest.param("repositories: ['*/x']\nkeep: [a]", "expected the name", id="every registry"),
        pytest.param("repositories: ['**']\nkeep: [a]", "expected the name of a Registry", id="everything"),
        pytest.param("repositories: [quay.io/x]\nkeep: [a]", "expected the name of a Registry", id="a host"),
        pytest.param("repositories: ['local/x:a']\nkeep: [a]", "without tag or digest", id="a tag"),
        pytest.param(DELETING + "keep: [{pushedWithin: 1d}]", "would delete all of them", id="all would go"),
        pytest.param(DELETING + "untagged: {keepFor: 1d}", "would delete all of them", id="all would go too"),
        pytest.param("repositories: [local/x]\nkeep: [{glob: '*', maxAge: 1d}]", "pushedWithin", id="an age"),
        pytest.param("repositories: [local/x]\nkeep: [{glob: '*', sort: created, newest: 3}]",
                     "deletion never rests on `created`", id="a sort by age"),
        pytest.param("repositories: [local/x]\nkeep: [{newest: 3}]", "expected names", id="no selector"),
        pytest.param("repositories: [local/x]\nkeep: [{pushedWithin: 1d, newest: 3}]", "newest has no effect",
                     id="of nothing the newest"),
        pytest.param("repositories: [local/x]\nkeep: [{glob: a, semver: '1'}]", "expected exactly one of",
                     id="two selectors"),
        pytest.param("repositories: [local/x]\nkeep: [{semver: '1', per: minor}]", "per has no effect",
                     id="what holds for mirrors"),
        pytest.param("repositories: [local/x]\nkeep: [a]\ninUse: [deployed.txt]", "expected file:PATH",
                     id="in use where"),
        pytest.param("repositories: [local/x]\nkeep: [a]\nunmatched: drop", "expected one of keep, delete",
                     id="unmatched how"),
        pytest.param("repositories: [local/x]\nkeep: [a]\ntimezone: UTC", "no effect without a schedule",
                     id="a zone alone"),
        pytest.param("repositories: [local/x]\nkeep: [a]\nuntagged: {}", "keepFor: the key is missing",
                     id="untagged for how long"),
    ],
)  # fmt: skip
def test_mistakes_say_what_was_expected(specs: Specs, spec: str, expected: str) -> None:
    assert expected in mistakes(specs, retention(spec))


def test_one_policy_alone_speaks_of_a_repository(specs: Specs) -> None:
    again = document("Registry", "again", "store: ./data/../data")
    for other in ("local/pr/*", "again/**"):
        found = mistakes(
            specs, again, retention("repositories: ['local/**']\nkeep: [a]", "all"),
            retention(f"repositories: ['{other}']\nkeep: [a]", "some"),
        )  # fmt: skip
        assert "one policy alone speaks of each" in found
        assert "of the policy all (" in found


def test_policies_of_other_repositories_stand_side_by_side(specs: Specs) -> None:
    one = retention("repositories: ['local/pr/**']\nkeep: [a]", "one")
    two = retention("repositories: ['local/main/**', 'hub/pr/**']\nkeep: [a]", "two")
    assert [one.name for one in specs.load(HUB, STORE, one, two).retention] == ["one", "two"]


def test_a_name_used_twice_is_an_error(specs: Specs) -> None:
    text = retention("repositories: [local/x]\nkeep: [a]")
    assert "the name 'previews' is used twice" in mistakes(specs, text, text)


@pytest.mark.parametrize(
    ("tags", "keep", "expected"),
    [
        pytest.param("[latest, v1]", "keep: ['v*']", "the tag latest", id="a name"),
        pytest.param("['pr-*']", "keep: ['v*']", "tags of glob 'pr-*'", id="a glob"),
        pytest.param("[{semver: '>=2'}]", "keep: [{semver: '<2'}]", "tags of semver '>=2'", id="a range"),
        pytest.param("[latest]", "keep: ['v*', latest]", None, id="a rule keeps it"),
        pytest.param("[latest]", "keep: ['v*']\nprotect: ['late*']", None, id="it is protected"),
        pytest.param("['pr-*']", "keep: ['pr-1*']", None, id="some of them are kept"),
    ],
)
def test_retention_must_keep_what_mirrors_declare(
    specs: Specs, tags: str, keep: str, expected: str | None
) -> None:
    documents = (mirror(f"source: hub/a/x\ntargets: [local/x]\ntags: {tags}"), retention(DELETING + keep))
    if expected is None:
        assert specs.load(HUB, STORE, *documents).retention
        return
    found = mistakes(specs, *documents)
    assert f"delete would take {expected} of the mirror web (" in found
    assert "what a mirror declares is never deleted" in found


def test_retention_elsewhere_may_delete_what_it_likes(specs: Specs) -> None:
    documents = (
        mirror("source: hub/a/x\ntargets: [local/x]\ntags: [latest]"),
        retention("repositories: ['local/y', 'local/x/*']\nunmatched: delete\nkeep: ['v*']"),
        mirror("source: hub/a/x\ntargets: [local/z]\ntags: [latest]", "z"),
    )
    assert specs.load(HUB, STORE, *documents).retention


def test_a_mirror_of_a_listing_is_kept_too(specs: Specs) -> None:
    keys = "targets: ['local/{repository}']\nrepositories: {include: ['team/**']}\ntags: [latest]"
    found = mistakes(
        specs, mirror(f"source: 'hub/{{repository}}'\n{keys}"), retention(DELETING + "keep: ['v*']")
    )
    assert "delete would take the tag latest" in found


def test_names_are_tags(specs: Specs) -> None:
    found = read(specs, "repositories: [local/x]\nkeep: [{names: [1.10]}]")
    assert found.keep[0].selector == TagRule(names=(Tag("1.10"),))
