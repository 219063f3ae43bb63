"""Mirrors that would delete each other's tags, or keep former images under them."""

import pytest

from tests.spec.spec_files import HUB, STORE, Specs, document, mirror


def copy(name: str, more: str, target: str = "local/x") -> str:
    return mirror(f"source: hub/a/x\ntargets: ['{target}']\n{more}", name)


def problems(specs: Specs, first: str, second: str) -> list[str]:
    return specs.problems(HUB, STORE, copy("one", first), copy("two", second))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param("prune: {}", "prune: {}", "also prunes store:", id="both prune"),
        pytest.param("prune: {owns: repository}", "", "owns all of store:", id="the first owns all"),
        pytest.param("", "prune: {owns: repository}", "this mirror owns", id="the second owns all"),
        pytest.param("prune: {}", "", None, id="one prunes what it wrote"),
    ],
)
def test_two_mirrors_must_not_delete_each_others_tags(
    specs: Specs, first: str, second: str, expected: str | None
) -> None:
    one, two = f"tags: [a]\n{first}", f"tags: [b]\n{second}"
    if expected is None:
        assert specs.load(HUB, STORE, copy("one", one), copy("two", two)).mirrors[0].prune is not None
        return
    (found,) = problems(specs, one, two)
    assert "spec.prune: mirror one (at" in found
    assert expected in found
    assert "take prune out of one of them" in found


def test_mirrors_of_other_repositories_prune_side_by_side(specs: Specs) -> None:
    more = "tags: [a]\nprune: {owns: repository}"
    assert len(specs.load(HUB, STORE, copy("one", more), copy("two", more, "local/y")).mirrors) == 2


def test_two_names_of_one_place_are_one_prune_scope(specs: Specs) -> None:
    again = document("Registry", "again", "store: ./data/../data")
    one, two = copy("one", "tags: [a]\nprune: {}"), copy("two", "tags: [b]\nprune: {}", "again/x")
    assert "also prunes" in "".join(specs.problems(HUB, STORE, again, one, two))


def test_mirrors_with_globs_that_meet_must_not_both_prune(specs: Specs) -> None:
    keys = "targets: ['local/{repository}']\nrepositories: {include: ['**']}\nprune: {}"
    one = mirror(f"source: 'hub/{{repository}}'\n{keys}\ntags: [a]", "one")
    two = mirror(f"source: 'quay.io/{{repository}}'\n{keys}\ntags: [b]", "two")
    assert "also prunes repositories like store:" in "".join(specs.problems(HUB, STORE, one, two))


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        pytest.param("tags: [latest]\nhistory: {}", "tags: ['latest-*']", True, id="a glob takes them"),
        pytest.param("tags: [latest]\nhistory: {}", "tags: ['late*r']", False, id="a glob apart"),
        pytest.param("tags: [latest]\nhistory: {}", "tags: ['v*']", False, id="other words"),
        pytest.param("tags: ['v*']", "tags: [latest]\nhistory: {tag: 'v{tag}-{digest:8}'}", True,
                     id="the second keeps them"),
        pytest.param("tags: [{semver: '<2'}]\nhistory: {}", "tags: [{semver: '>=2'}]\nhistory: {}", False,
                     id="ranges apart"),
        pytest.param("tags: ['1.27']\nhistory: {}", "tags: [{semver: '>=1.28'}]", False,
                     id="a version outside of the range"),
        pytest.param("tags: ['1.27']\nhistory: {}", "tags: [{semver: '>=1.26-0', exclude: ['1.27']}]", True,
                     id="a version inside of the range"),
        pytest.param("tags: [a]\nhistory: {tag: 'b-{tag}-{digest}'}",
                     "tags: [b]\nhistory: {tag: '{tag}-a-{digest}'}", True, id="the same names"),
        pytest.param("tags: [a]\nhistory: {}", "tags: [b]\nhistory: {}", False, id="each its own"),
        pytest.param("tags: [a]\nhistory: {tag: '" + "{date}" * 30 + "{tag}{digest}'}", "tags: [zz]", True,
                     id="a template that is too long to be told apart"),
    ],
)  # fmt: skip
def test_former_images_have_tags_of_their_own(specs: Specs, first: str, second: str, clash: bool) -> None:
    if not clash:
        assert len(specs.load(HUB, STORE, copy("one", first), copy("two", second)).mirrors) == 2
        return
    (found,) = problems(specs, first, second)
    assert "spec.history: mirror one (at" in found
    assert "give history.tag another form, or exclude such tags" in found
