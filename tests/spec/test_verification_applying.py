"""Which policies apply: by name, by source, by target; and no second name of a place is a way round one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.oci.reference import RepositoryName
from regsync.spec.applying import names_of, policies_for, skip_of
from regsync.spec.globs import matches
from regsync.spec.model import Location, Spec
from regsync.spec.place_globs import may_meet
from tests.spec.policy_files import policy, with_files
from tests.spec.spec_files import HUB, STORE, WEB, Specs, document, join, mirror

NOW = datetime(2026, 11, 24, tzinfo=UTC)
OTHERS = join(
    document("Registry", "again", "url: https://index.docker.io"),
    document("Registry", "plain", "url: http://127.0.0.1:5000"),
    document("Registry", "secure", "url: https://127.0.0.1:5000"),
    document("Registry", "again-local", "store: ./data/../data"),
    document("Registry", "linked", "store: ./link"),
    document("Registry", "images", "layout: ./images"),
    document("Registry", "inner", "layout: ./images/acme"),
    document("RegistryGroup", "both", "registries: [plain, local]"),
)


def spec_of(specs: Specs, *policies: str) -> Spec:
    (specs.directory / "data").mkdir(exist_ok=True)
    if not (specs.directory / "link").exists():
        (specs.directory / "link").symlink_to("data")
    return with_files(specs).load(HUB, STORE, OTHERS, WEB, *policies)


def at(text: str) -> Location:
    registry, _, repository = text.partition("/")
    return Location(registry, RepositoryName(repository))


def applying(spec: Spec, source: str, target: str = "local/x", *named: str) -> list[str]:
    return [one.name for one in policies_for(spec, [at(source)], at(target), named)]


def test_all_that_apply_have_to_be_met(specs: Specs) -> None:
    spec = spec_of(
        specs,
        policy(name="by-name", more="images: ['hub/nothing/here']"),
        policy(name="by-source", more="images: ['hub/acme/**']"),
        policy(name="by-target", more="targets: ['*/prod/**']"),
    )
    assert applying(spec, "hub/acme/app", "local/prod/app", "by-name") == [
        "by-name",
        "by-source",
        "by-target",
    ]
    assert applying(spec, "hub/other/app", "local/dev/app") == []
    assert applying(spec, "hub/other/app", "local/prod/app") == ["by-target"]
    assert applying(spec, "local/prod/app", "hub/acme/app") == []


def test_any_source_of_several_brings_its_policies(specs: Specs) -> None:
    spec = spec_of(specs, policy(more="images: ['hub/acme/**']"))
    assert policies_for(spec, [at("local/a/b"), at("hub/acme/b")], None)


def test_a_name_that_is_no_policys_is_a_defect(specs: Specs) -> None:
    with pytest.raises(KeyError):
        policies_for(spec_of(specs), [at("hub/a/b")], None, ["gone"])


@pytest.mark.parametrize(
    ("glob", "location"),
    [
        pytest.param("hub/acme/**", "again/acme/app", id="a second Registry of the host"),
        pytest.param("hub/acme/**", "docker.io/acme/app", id="a full reference"),
        pytest.param("docker.io/acme/**", "hub/acme/app", id="a glob over a host"),
        pytest.param("index.docker.io/acme/**", "hub/acme/app", id="another name of Docker Hub"),
        pytest.param("docker.io/nginx", "hub/library/nginx", id="Docker Hub's own images"),
        pytest.param("https://Docker.IO:443/acme/**", "hub/acme/app", id="all of its spelling"),
        pytest.param("plain/acme/**", "secure/acme/app", id="another scheme"),
        pytest.param("secure/acme/**", "http://127.0.0.1:5000/acme/app", id="a full reference over http"),
        pytest.param("127.0.0.1:5000/acme/**", "http://127.0.0.1:5000/acme/app", id="host and port"),
        pytest.param("*/acme/**", "http://127.0.0.1:5000/acme/app", id="every registry"),
        pytest.param("**/app", "http://127.0.0.1:5000/acme/app", id="every registry and namespace"),
        pytest.param("**", "linked/a", id="everything"),
        pytest.param("pl*/acme/**", "secure/acme/app", id="a glob over names"),
        pytest.param("local/acme/**", "again-local/acme/app", id="the same directory"),
        pytest.param("local/acme/**", "linked/acme/app", id="a link to the directory"),
        pytest.param("inner/app", "images/acme/app", id="layouts in layouts"),
        pytest.param("images/acme/**", "inner/app", id="layouts in layouts, the other way"),
        pytest.param("both/acme/**", "secure/acme/app", id="a group"),
    ],
)
def test_no_second_name_is_a_way_round_a_policy(specs: Specs, glob: str, location: str) -> None:
    spec = spec_of(specs, policy(more=f"images: ['{glob}']\ntargets: ['{glob}']"))
    registry, _, repository = location.rpartition("/acme/") if "://" in location else location.partition("/")
    place = Location(registry, RepositoryName(f"acme/{repository}" if "://" in location else repository))
    elsewhere = Location("ghcr.io", RepositoryName("x/y"))
    if glob != "**":
        assert not policies_for(spec, [elsewhere], elsewhere)
    assert policies_for(spec, [place], elsewhere)
    assert policies_for(spec, [elsewhere], place)


@pytest.mark.parametrize(
    ("glob", "location"),
    [
        ("hub/acme/**", "plain/acme/app"),
        ("hub/acme/**", "hub/acme2/app"),
        ("hub/acme/*", "hub/acme/team/app"),
        ("local/acme/**", "inner/acme/app"),
        ("inner/app", "images/other/app"),
        ("plain/acme/**", "127.0.0.1:5001/acme/app"),
    ],
)
def test_another_place_is_another_place(specs: Specs, glob: str, location: str) -> None:
    spec = spec_of(specs, policy(more=f"images: ['{glob}']"))
    assert not policies_for(spec, [at(location)], None)


def test_a_full_reference_of_a_mirror_meets_the_globs_of_its_registry(specs: Specs) -> None:
    full = mirror("source: http://127.0.0.1:5000/acme/app\ntargets: [local/y]\ntags: [a]", "full")
    spec = with_files(specs).load(
        HUB,
        STORE,
        document("Registry", "secure", "url: https://127.0.0.1:5000"),
        full,
        policy(more="images: ['secure/acme/**']"),
    )
    (source,) = spec.mirror("full").sources
    assert policies_for(spec, [Location(source.registry, RepositoryName(source.path))], None)


def test_an_exception_ends_and_is_met_by_the_place(specs: Specs) -> None:
    text = "images: ['hub/**']\nskip: [{images: ['hub/acme/old-*'], reason: x, until: 2027-01-01}]"
    spec = spec_of(specs, policy(more=text))
    prod, end = spec.policies["prod"], datetime(2027, 1, 1, tzinfo=UTC)
    second = timedelta(seconds=1)
    for name in ("hub/acme/old-app", "again/acme/old-app"):
        assert skip_of(prod, at(name), spec.registries, NOW) == prod.skip[0]
        assert skip_of(prod, at(name), spec.registries, end - second) is not None
        assert skip_of(prod, at(name), spec.registries, end) is None
    for name in ("hub/acme/new-app", "plain/acme/old-app"):
        assert skip_of(prod, at(name), spec.registries, NOW) is None


_PARTS = st.text("ab-", min_size=1, max_size=3).filter(lambda one: one.strip("-") == one)
_REPOSITORIES = st.lists(_PARTS, min_size=1, max_size=3).map("/".join)
_GLOB_PARTS = st.sampled_from(["a", "b", "a*", "*", "**", "?", "[ab]", "ab"])
_GLOBS = st.lists(_GLOB_PARTS, min_size=1, max_size=4).map("/".join)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    return spec_of(Specs(tmp_path_factory.mktemp("places")))


_ALIASES = [
    ["hub", "again", "docker.io", "https://docker.io"],
    ["plain", "secure", "127.0.0.1:5000", "http://127.0.0.1:5000"],
    ["local", "again-local", "linked"],
]


@given(repository=_REPOSITORIES, aliases=st.sampled_from(_ALIASES))
def test_every_name_of_a_place_is_known_by_every_other(
    places: Spec, repository: str, aliases: list[str]
) -> None:
    names = [
        frozenset(names_of(Location(alias, RepositoryName(repository)), places.registries))
        for alias in aliases
    ]
    assert len(set(names)) == 1
    declared = {f"{alias}/{repository}" for alias in aliases if "://" not in alias}
    assert declared == names[0]


@given(repository=_REPOSITORIES, glob=_GLOBS, aliases=st.sampled_from(_ALIASES))
def test_a_glob_is_met_under_all_names_of_a_place_or_under_none(
    places: Spec, repository: str, glob: str, aliases: list[str]
) -> None:
    for first in (*aliases, "*"):
        if "://" in first:
            continue
        met = {
            any(
                matches(f"{first}/{glob}", name)
                for name in names_of(Location(alias, RepositoryName(repository)), places.registries)
            )
            for alias in aliases
        }
        assert len(met) == 1
        assert matches(glob, repository) in met


@given(one=_GLOBS, other=_GLOBS, text=_REPOSITORIES)
def test_globs_with_a_text_in_common_are_known_to_meet(one: str, other: str, text: str) -> None:
    if matches(one, text) and matches(other, text):
        assert may_meet(one, other)
    assert may_meet(one, text) == matches(one, text)


def test_globs_that_part_at_a_slash_do_not_meet() -> None:
    assert not may_meet("*/prod/**", "local/dev/*")
    assert not may_meet("hub/acme/**", "hub/library/*")
    assert may_meet("*/prod/**", "local/**")
    assert may_meet("*/prod/**", "local/prod")


def test_the_directory_of_a_store_need_not_exist(specs: Specs) -> None:
    spec = with_files(specs).load(HUB, STORE, WEB, policy(more="targets: ['local/**']"))
    assert not Path(specs.directory / "data").exists()
    assert policies_for(spec, [at("hub/a/b")], at("local/x"))
