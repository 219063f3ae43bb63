import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.spec.versions import (
    InvalidRangeError,
    Version,
    natural_key,
    parse_range,
    parse_version,
)


def version(text: str) -> Version:
    found = parse_version(text)
    assert found is not None
    return found


def contains(text: str, tag: str) -> bool:
    return parse_range(text).contains(version(tag))


@pytest.mark.parametrize(
    ("tag", "numbers"),
    [
        pytest.param("1.2.3", (1, 2, 3), id="three numbers"),
        pytest.param("v1.2.3", (1, 2, 3), id="a v before (vendir #358)"),
        pytest.param("15", (15, 0, 0), id="one number"),
        pytest.param("1.27", (1, 27, 0), id="two numbers"),
        pytest.param("2026.01.05", (2026, 1, 5), id="a date with leading zeros"),
        pytest.param("1.2.3-rc.1", (1, 2, 3), id="a pre-release"),
        pytest.param("1.2.3_build.7", (1, 2, 3), id="Helm's way to write a build"),
    ],
)
def test_what_reads_as_a_version(tag: str, numbers: tuple[int, int, int]) -> None:
    found = version(tag)
    assert (found.major, found.minor, found.patch) == numbers


@pytest.mark.parametrize(
    "tag",
    [
        "latest",
        "",
        "v",
        "1.2.3.4",
        "1..2",
        "1.2.3-",
        "V1.2",
        "a1.2",
        "1.2.x",
        "9" * 30,
        "1.2.3_",
        "\u0661.\u0662",
    ],
)
def test_what_is_no_version(tag: str) -> None:
    assert parse_version(tag) is None


def test_versions_are_in_the_order_of_semver() -> None:
    # semver.org 2.0, section 11
    ordered = [
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
    ]
    ordered += ["1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0"]
    assert sorted(reversed(ordered), key=lambda tag: version(tag).key) == ordered
    assert version("1.0.0_a").key == version("v1").key


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (">=1.25 <2", ["1.25", "1.25.0", "1.99.9"], ["1.24.9", "2.0.0", "1.26.0-rc.1", "2.0.0-rc.1"]),
        (">=1.25, <2", ["1.30"], ["2"]),
        (">= 3.12.0", ["3.12.0", "4.0"], ["3.11"]),
        ("15", ["15", "15.0.0", "v15"], ["15.1", "14"]),
        ("=15", ["15"], ["15.1"]),
        ("==1.2.3", ["1.2.3", "1.2.3_b"], ["1.2.4"]),
        ("15.x", ["15", "15.9"], ["16", "14.9"]),
        ("1.2.*", ["1.2.0", "1.2.99"], ["1.3.0"]),
        ("1.X", ["1.0", "1.9"], ["2.0"]),
        ("*", ["0.0.1", "99"], ["1.0.0-rc.1"]),
        ("^1.2.3", ["1.2.3", "1.99"], ["1.2.2", "2.0.0", "2.0.0-rc.1"]),
        ("^0.2.3", ["0.2.3", "0.2.9"], ["0.3.0", "0.2.2"]),
        ("^0.0.3", ["0.0.3"], ["0.0.4", "0.1.0"]),
        ("^0.0", ["0.0.9"], ["0.1.0"]),
        ("^0", ["0.9.9"], ["1.0.0"]),
        ("^1.x", ["1.0.0", "1.9"], ["2.0.0"]),
        ("~1.2.3", ["1.2.3", "1.2.99"], ["1.3.0", "1.2.2"]),
        ("~1.2", ["1.2.0"], ["1.3"]),
        ("~1", ["1.0", "1.9"], ["2.0"]),
        ("~>1.2", ["1.2.5"], ["1.3"]),
        ("1.2 - 1.4", ["1.2.0", "1.4.9"], ["1.5.0", "1.1.9"]),
        ("1.2.3 - 2.0.0", ["1.2.3", "2.0.0"], ["2.0.1"]),
        ("<1.2 || >=2", ["1.1.9", "2.0"], ["1.2", "1.9"]),
        ("^1.2||^3", ["1.3", "3.1"], ["2.0"]),
        ("<=1.2", ["1.2.0", "1.1"], ["1.2.1"]),
        ("<=1.2.x", ["1.2.9"], ["1.3.0"]),
        (">1.2", ["1.2.1"], ["1.2.0"]),
        (">1.2.x", ["1.3.0"], ["1.2.9"]),
        (">=1 !=1.5.0", ["1.4", "1.5.1"], ["1.5.0", "0.9"]),
        ("!=1.5.x", ["1.4", "1.6"], ["1.5.0", "1.5.9"]),
        (
            ">=1.30.0-rc.1",
            ["1.30.0-rc.1", "1.30.0-rc.2", "1.30.0", "1.31.0-rc.0"],
            ["1.30.0-rc.0", "1.30.0-beta"],
        ),
        (">=1.0.0-0 <2", ["1.5.0-rc.1", "1.0.0-alpha"], ["2.0.0-rc.1", "2.0.0"]),
        (">=1 || =2.0.0-rc.1", ["2.0.0-rc.1", "1.0"], ["1.1.0-rc.1"]),
        ("v1.2.3", ["1.2.3"], ["1.2.4"]),
        (">*", [], ["1.0", "99.0"]),
    ],
)
def test_ranges_as_people_write_them(text: str, inside: list[str], outside: list[str]) -> None:
    found = parse_range(text)
    assert [tag for tag in inside if not found.contains(version(tag))] == []
    assert [tag for tag in outside if found.contains(version(tag))] == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "latest",
        ">=",
        ">=1 ||",
        "|| 1",
        "1.2 -",
        ">=1 foo",
        "1.2.3.4",
        ">= >= 1",
        "1" * 600,
        "^",
        "1 - x - 2",
    ],
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(InvalidRangeError):
        parse_range(text)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (">=1 <2", ">=2", False),
        (">=1 <2", ">=1.9", True),
        ("<=1.2.0", ">=1.2", True),
        ("<1.2.0", ">=1.2", False),
        ("1.x || 3.x", "2.x", False),
        ("*", "15.x", True),
    ],
)
def test_whether_ranges_meet(one: str, other: str, expected: bool) -> None:
    assert parse_range(one).meets(parse_range(other)) is expected
    assert parse_range(other).meets(parse_range(one)) is expected


_NUMBER = st.integers(0, 30)
_VERSIONS = st.builds(
    lambda numbers, pre: ".".join(map(str, numbers)) + (f"-{pre}" if pre else ""),
    st.tuples(_NUMBER, _NUMBER, _NUMBER),
    st.sampled_from(["", "rc.1", "alpha", "0"]),
)
_OPERATORS = st.sampled_from(["", "=", ">", ">=", "<", "<=", "^", "~", "!="])


@given(_OPERATORS, _VERSIONS, _VERSIONS)
def test_a_comparator_says_what_its_sign_says(operator: str, bound: str, tag: str) -> None:
    mine, theirs = version(tag).key, version(bound).key
    found = contains(f"{operator}{bound}", tag)
    if "-" in tag and "-" not in bound:
        assert not found
        return
    simple = {"": mine == theirs, "=": mine == theirs, ">": mine > theirs, ">=": mine >= theirs}
    simple |= {"<": mine < theirs, "<=": mine <= theirs, "!=": mine != theirs}
    if operator in simple and "-" not in tag:
        assert found is simple[operator]
    if operator in ("^", "~") and found:
        assert mine >= theirs


@given(_VERSIONS, _VERSIONS, st.sampled_from([">=1 <9", "^2", "*", "1.x || 20.x"]))
def test_ranges_look_at_precedence_alone(one: str, other: str, text: str) -> None:
    if version(one).key == version(other).key:
        assert contains(text, one) is contains(text, other)


@given(st.text(max_size=60))
def test_any_text_is_a_range_or_an_error(text: str) -> None:
    try:
        parse_range(text).contains(Version((1, 2, 3, (1, ()))))
    except InvalidRangeError:
        return


@given(st.lists(st.from_regex(r"[a-z0-9.-]{1,12}", fullmatch=True), max_size=8))
def test_natural_order_is_an_order(texts: list[str]) -> None:
    assert sorted(sorted(texts), key=natural_key) == sorted(sorted(reversed(texts)), key=natural_key)


def test_digits_compare_as_numbers() -> None:
    assert sorted(["pr-10", "pr-9", "pr-x"], key=natural_key) == ["pr-9", "pr-10", "pr-x"]
