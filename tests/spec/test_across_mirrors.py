import pytest

from regsync.spec.flow import mirror_order
from tests.spec.spec_files import HUB, STORE, Specs, document, mirror

DEV = document("Registry", "dev", "url: dev.example.com")
PROD = document("Registry", "prod", "url: prod.example.com")


def copy(name: str, source: str, target: str, more: str = "tags: [a]") -> str:
    return mirror(f"source: '{source}'\ntargets: ['{target}']\n{more}", name)


def levels(specs: Specs, *mirrors: str) -> list[list[str]]:
    spec = specs.load(HUB, STORE, DEV, PROD, *mirrors)
    return [[one.name for one in level] for level in mirror_order(spec)]


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        pytest.param("tags: [a, b]", "tags: [b]", "tag b", id="a name"),
        pytest.param("tags: [a]", "tags: [b]", None, id="other names"),
        pytest.param("tags: ['1.*']", "tags: ['1.2']", "tag 1.2", id="a glob and a name"),
        pytest.param("tags: ['1.*']", "tags: ['*-alpine']", "both", id="globs that meet"),
        pytest.param("tags: ['1.*']", "tags: ['2.*']", None, id="globs that do not"),
        pytest.param("tags: [{semver: '>=1 <2'}]", "tags: [{semver: '>=2'}]", None, id="ranges apart"),
        pytest.param("tags: [{semver: '>=1'}]", "tags: [{semver: '<1.5'}]", "both", id="ranges that meet"),
        pytest.param("tags: [{semver: '>=1'}]", "tags: ['1.5']", "tag 1.5", id="a range and a name"),
        pytest.param("tags: [{semver: '>=1'}]", "tags: [latest]", None, id="a range and a word"),
        pytest.param("tags: [{semver: '>=1'}]", "tags: ['pr-*']", None, id="a range and other words"),
        pytest.param("tags: [{regex: 'pr-.+'}]", "tags: [{regex: 'nightly-.+'}]", None, id="regexes apart"),
        pytest.param("tags: [{regex: 'pr-.+'}]", "tags: [pr-1]", "tag pr-1", id="a regex and a name"),
        pytest.param(
            "tags: ['*']\nexcludeTags: ['*-alpine']", "tags: ['*-alpine']", None, id="what the one leaves out"
        ),
        pytest.param(
            "tags: [{semver: '*', exclude: ['*-alpine']}]",
            "tags: [{regex: '.+-alpine'}]",
            None,
            id="a regex left out",
        ),
        pytest.param("tags: ['*']\nexcludeTags: ['1.*']", "tags: ['1.2']", None, id="a name left out"),
        pytest.param(
            "tags: [a]\nexcludeTags: [a]", "tags: [a]", None, id="a name that its own mirror leaves out"
        ),
        pytest.param(
            "tags: ['*']\nexcludeTags: ['1.*']", "tags: ['*-x']", "both", id="something else left out"
        ),
        pytest.param("tags: [a]\nrename: '{tag}-x'", "tags: [a]", None, id="renamed apart"),
        pytest.param("tags: [a]\nrename: '{tag}-x'", "tags: [a-x]", "tag a-x", id="renamed together"),
        pytest.param(
            "tags: ['1.*']\nrename: 'v{tag}'", "tags: ['v1.*']", "both", id="patterns renamed together"
        ),
        pytest.param("tags: ['1.*']\nrename: 'v{tag}'", "tags: ['1.*']", None, id="patterns renamed apart"),
        pytest.param(
            "tags: [a]\nrename: '{tag}-{digest:8}'", "tags: ['a-*']", "both", id="renamed by content"
        ),
        pytest.param("digests: ['sha256:" + "a" * 64 + "']", "tags: [a]", None, id="digests have no tags"),
    ],
)
def test_two_mirrors_must_not_write_one_tag(specs: Specs, first: str, second: str, clash: str | None) -> None:
    both = (copy("one", "hub/a/x", "local/x", first), copy("two", "quay.io/a/x", "local/x", second))
    if clash is None:
        assert len(specs.load(HUB, STORE, *both).mirrors) == 2
        return
    (problem,) = specs.problems(HUB, STORE, *both)
    assert "mirror one (at" in problem
    assert "also writes" in problem
    assert clash in problem


SERVER = document(
    "Server",
    None,
    "listen: 127.0.0.1:5000\nstorage: {store: ./data}\nupstreams: [{prefix: hub, registry: hub}]",
)


@pytest.mark.parametrize(
    ("source", "target", "problem"),
    [
        pytest.param("hub/a/x", "local/hub/a/x", "spec.targets: below hub", id="written"),
        pytest.param("local/hub/a/x", "quay.io/x", "spec.source: below hub", id="read"),
        pytest.param("hub/a/x", "local/hubble/x", None, id="a name that begins like it"),
        pytest.param("hub/a/x", "local/hub", None, id="the prefix itself"),
    ],
)
def test_a_mirror_stays_out_of_what_the_server_fetches(
    specs: Specs, source: str, target: str, problem: str | None
) -> None:
    documents = (HUB, STORE, SERVER, copy("one", source, target))
    if problem is None:
        assert len(specs.load(*documents).mirrors) == 1
        return
    (found,) = specs.problems(*documents)
    assert f"{problem} there is what the Server fetches from hub" in found


def test_one_place_under_two_names_is_one_place(specs: Specs) -> None:
    again = document("Registry", "again", "store: ./data/../data")
    problems = specs.problems(
        HUB, STORE, again, copy("one", "hub/a/x", "local/x"), copy("two", "hub/a/y", "again/x")
    )
    assert "also writes tag a of store:" in problems[0]


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        pytest.param("{include: ['**']}", "{include: ['team/**']}", True, id="globs that meet"),
        pytest.param("{include: ['a/**']}", "{include: ['b/**']}", False, id="globs apart"),
        pytest.param(
            "{include: ['**'], exclude: ['b/**']}", "{include: ['b/**']}", False, id="what the one leaves out"
        ),
        pytest.param("{include: ['a/*']}", "[a/x]", True, id="globs and a name"),
        pytest.param("{include: ['a/*'], exclude: [a/x]}", "[a/x]", False, id="globs without that name"),
        pytest.param("{include: ['a/*']}", "[b/x]", False, id="globs and another name"),
    ],
)
def test_mirrors_with_globs_are_compared_by_their_globs(
    specs: Specs, first: str, second: str, clash: bool
) -> None:
    both = [
        copy("one", "hub/{repository}", "local/{repository}", f"repositories: {first}\ntags: [a]"),
        copy("two", "quay.io/{repository}", "local/{repository}", f"repositories: {second}\ntags: [a]"),
    ]
    if clash:
        assert "also writes tag a of" in specs.problems(HUB, STORE, *both)[0]
    else:
        assert len(specs.load(HUB, STORE, *both).mirrors) == 2


@pytest.mark.parametrize(
    ("source", "target", "more"),
    [
        ("dev/a/x", "dev/a/x", "tags: [a]"),
        ("dev/a/x", "dev.example.com/a/x", "tags: [a]"),
        ("dev/{repository}", "dev/{repository}", "repositories: {include: ['**']}\ntags: [a]"),
        ("dev/{repository}", "dev/{namespace}/{basename}", "repositories: [a/b]\ntags: [a]"),
    ],
)
def test_a_target_must_not_be_its_source(specs: Specs, source: str, target: str, more: str) -> None:
    assert "is also its source" in specs.problems(DEV, copy("one", source, target, more))[0]


def test_content_must_not_flow_in_circles(specs: Specs) -> None:
    round_trip = (copy("there", "dev/a", "prod/a", "tags: [x]"), copy("back", "prod/a", "dev/a", "tags: [y]"))
    (problem,) = specs.problems(DEV, PROD, *round_trip)
    assert "mirrors feed each other: back → there → back" in problem
    long = (copy("a", "dev/x", "dev/y"), copy("b", "dev/y", "dev/z"), copy("c", "dev/z", "dev/x"))
    assert "a → b → c → a" in specs.problems(DEV, *long)[0]


def test_mirrors_run_behind_those_they_read_from(specs: Specs) -> None:
    chain = (
        copy("c-prod", "dev/staging/x", "prod/x"),
        copy("b-staging", "dev/in/x", "dev/staging/x"),
        copy("a-in", "hub/a/x", "dev/in/x"),
        copy("d-other", "hub/a/y", "local/y"),
    )
    assert levels(specs, *chain) == [["a-in", "d-other"], ["b-staging"], ["c-prod"]]


def test_a_chain_may_go_through_globs(specs: Specs) -> None:
    globs = "repositories: {include: ['**']}\ntags: [a]"
    chain = (
        copy("a-last", "dev/hub/{repository}", "prod/{repository}", globs),
        copy("b-first", "hub/a/{repository}", "dev/hub/{repository}", "repositories: [x, y]\ntags: [a]"),
    )
    assert levels(specs, *chain) == [["b-first"], ["a-last"]]


def test_many_mirrors_are_checked_quickly(specs: Specs) -> None:
    repositories = ", ".join(f"a/r{number}" for number in range(50))
    more = f"repositories: [{repositories}]\ntags: [{{semver: '>=1', newest: 3, per: minor}}, latest]"
    many = [
        copy(f"m{number}", "hub/{repository}", f"local/m{number}/{{repository}}", more)
        for number in range(60)
    ]
    assert len(specs.load(HUB, STORE, *many).mirrors) == 60
