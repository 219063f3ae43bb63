import pytest

from regsync.oci.reference import RepositoryName
from regsync.spec.expand import (
    ClashingRepositoriesError,
    InvalidLocationError,
    NoRepositoriesError,
    needs_listing,
    units,
)
from regsync.spec.model import Mirror
from tests.spec.spec_files import Specs

LISTED = [RepositoryName(one) for one in ("team/web", "team/api/v2", "team/old", "other/x", "teams")]


def mirror(specs: Specs, source: str, target: str, more: str = "tags: [a]") -> Mirror:
    return specs.mirror(f"source: {source}\ntargets: ['{target}']\n{more}")


def pairs(found: Mirror, listed: list[RepositoryName] | None = None) -> list[tuple[str, str]]:
    return [(str(one.source), str(one.targets[0])) for one in units(found, listed or ())]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("local/{repository}", "local/acme/team/web"),
        ("local/hub/{repository}/x", "local/hub/acme/team/web/x"),
        ("local/{namespace}/m-{basename}", "local/acme/team/m-web"),
        ("local/flat-{basename}", "local/flat-web"),
        ("local/fixed", "local/fixed"),
    ],
)
def test_a_source_without_placeholder_fills_those_of_its_target(
    specs: Specs, target: str, expected: str
) -> None:
    assert pairs(mirror(specs, "quay.io/acme/team/web", target)) == [("quay.io/acme/team/web", expected)]


def test_a_repository_of_one_part_has_no_namespace(specs: Specs) -> None:
    assert pairs(mirror(specs, "quay.io/web", "local/{namespace}/{basename}")) == [
        ("quay.io/web", "local/web")
    ]
    assert pairs(mirror(specs, "quay.io/web", "local/a/{namespace}/b")) == [("quay.io/web", "local/a/b")]


def test_each_repository_of_a_list_is_a_unit(specs: Specs) -> None:
    more = "repositories: [b, {name: a/c, tags: [x]}]\ntags: [y]\nexcludeTags: [z]\natLeast: 3"
    found = units(mirror(specs, "quay.io/acme/{repository}", "local/{repository}", more))
    assert [(one.repository, str(one.source), str(one.targets[0])) for one in found] == [
        ("a/c", "quay.io/acme/a/c", "local/a/c"),
        ("b", "quay.io/acme/b", "local/b"),
    ]
    assert [rule.names for one in found for rule in one.rules] == [("x",), ("y",)]
    assert all(one.exclude_tags == ("z",) and one.at_least == 3 for one in found)


def test_several_sources_are_kept_in_their_order(specs: Specs) -> None:
    found = mirror(
        specs,
        "['hub/acme/{repository}', 'quay.io/{repository}']",
        "local/{repository}",
        "repositories: [a]\ntags: [x]",
    )
    assert [str(one) for one in units(found)[0].sources] == ["hub/acme/a", "quay.io/a"]


@pytest.mark.parametrize(
    ("globs", "expected"),
    [
        ("{include: ['**']}", ["api/v2", "old", "web"]),
        ("{include: ['*']}", ["old", "web"]),
        ("{include: ['**'], exclude: [old, 'api/**']}", ["web"]),
        ("{include: ['api/**']}", ["api/v2"]),
    ],
)
def test_globs_choose_from_what_is_listed(specs: Specs, globs: str, expected: list[str]) -> None:
    found = mirror(
        specs, "quay.io/team/{repository}", "local/{repository}", f"repositories: {globs}\ntags: [a]"
    )
    assert needs_listing(found)
    assert [one.repository for one in units(found, LISTED)] == expected


def test_globs_that_match_nothing_are_an_error(specs: Specs) -> None:
    found = mirror(
        specs, "quay.io/team/{repository}", "local/{repository}", "repositories: {include: ['x*']}\ntags: [a]"
    )
    with pytest.raises(NoRepositoriesError, match=r"none of 5 repositories at quay.io matches x\*"):
        units(found, LISTED)


@pytest.mark.parametrize(
    ("more", "clash"),
    [
        ("repositories: [a/x, b/x]\ntags: [latest]", "tag latest"),
        ("repositories: [{name: a/x, tags: [one]}, {name: b/x, tags: [two]}]", None),
        ("repositories: [{name: a/x, tags: ['1.*']}, {name: b/x, tags: ['1.2']}]", "tag 1.2"),
        ("repositories: [{name: a/x, tags: ['1.*']}, {name: b/x, tags: ['2.*']}]", None),
        ("repositories: [{name: a/x, tags: [{semver: <2}]}, {name: b/x, tags: [{semver: '>=2'}]}]", None),
        ("repositories: [{name: a/x, tags: [{semver: <2}]}, {name: b/x, tags: [{semver: '>=1'}]}]", "both"),
        ("repositories: [{name: a/x, tags: [{regex: 'a.+-x'}]}, {name: b/x, tags: [{regex: 'b.+'}]}]", None),
    ],
)
def test_two_repositories_must_not_write_one_tag(specs: Specs, more: str, clash: str | None) -> None:
    found = mirror(specs, "quay.io/{repository}", "local/{basename}", more) if clash is None else None
    if found is not None:
        assert len(units(found)) == 2
        return
    problem = specs.mirror_problems(
        f"source: quay.io/{{repository}}\ntargets: ['local/{{basename}}']\n{more}"
    )[0]
    assert "would both write" in problem
    assert str(clash) in problem


def test_listed_repositories_can_clash_as_well(specs: Specs) -> None:
    found = mirror(
        specs, "quay.io/{repository}", "local/{basename}", "repositories: {include: ['**']}\ntags: ['*']"
    )
    with pytest.raises(ClashingRepositoriesError, match="would both write") as caught:
        units(found, [RepositoryName("a/x"), RepositoryName("b/x")])
    assert "put {repository}" in (caught.value.hint or "")


def test_a_name_that_grows_too_long_is_an_error(specs: Specs) -> None:
    found = mirror(
        specs, "quay.io/{repository}", "local/a/{repository}", "repositories: {include: ['**']}\ntags: [a]"
    )
    with pytest.raises(InvalidLocationError, match="longer than 255"):
        units(found, [RepositoryName("x" * 255)])


def test_images_are_grouped_by_repository(specs: Specs) -> None:
    digest = "sha256:" + "a" * 64
    found = specs.mirror(
        f"images: {{list: [quay.io/a/b:2, quay.io/a/b:1, 'quay.io/a/b@{digest}', ghcr.io/c/d:1]}}\n"
        "targets: ['local/{repository}']"
    )
    assert [
        (str(one.source), str(one.targets[0]), [pin.tag for pin in one.pinned]) for one in units(found)
    ] == [
        ("quay.io/a/b", "local/a/b", [None, "1", "2"]),
        ("ghcr.io/c/d", "local/c/d", ["1"]),
    ]


def test_images_of_two_hosts_must_not_write_one_tag(specs: Specs) -> None:
    spec = "images: {list: [quay.io/a/b:1, ghcr.io/a/b:1]}\ntargets: ['local/{repository}']"
    assert "would both write tag 1 of local/a/b" in specs.mirror_problems(spec)[0]
