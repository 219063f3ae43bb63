import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.spec.globs import InvalidGlobError, compile_glob, is_glob, matches, matches_any
from regsync.spec.overlap import globs_meet


@pytest.mark.parametrize(
    ("glob", "text", "expected"),
    [
        pytest.param("latest", "latest", True, id="a name is itself"),
        pytest.param("latest", "Latest", False, id="case counts"),
        pytest.param("v*", "v1.2", True, id="a star takes the rest"),
        pytest.param("v*", "xv1", False, id="the whole has to match"),
        pytest.param("*", "a/b", False, id="a star stops at a slash"),
        pytest.param("?", "/", False, id="so does a question mark"),
        pytest.param("1.?", "1.10", False, id="a question mark is one character"),
        pytest.param("*-alpine", "1-alpine3", False, id="what stands behind a star stands at the end"),
        pytest.param("a*b*c", "aXbYbZc", True, id="stars find their places"),
        pytest.param("*a*", "bab", True, id="stars on both sides"),
        pytest.param("*ab", "aab", True, id="a star before what repeats"),
        pytest.param("[0-9]*", "9x", True, id="a class"),
        pytest.param("[!0-9]*", "9x", False, id="a class turned round"),
        pytest.param("[^0-9]", "x", True, id="a class turned round in the other spelling"),
        pytest.param("[]x]", "]", True, id="a bracket in a class"),
        pytest.param("[!x]", "/", False, id="a class is never a slash"),
        pytest.param("[*]", "*", True, id="a star in a class is a star"),
        pytest.param("a.c", "abc", False, id="a point is a point"),
        pytest.param("**", "a/b/c", True, id="two stars cross slashes"),
        pytest.param("a/**", "a/b/c", True, id="anything below"),
        pytest.param("a/**", "a", True, id="no part below"),
        pytest.param("a/**", "ab", False, id="not what only begins alike"),
        pytest.param("**/c", "c", True, id="no part above"),
        pytest.param("**/c", "a/b/c", True, id="any part above"),
        pytest.param("a/**/c", "a/c", True, id="no part between"),
        pytest.param("a/**/c", "a/x/y/c", True, id="any part between"),
        pytest.param("a/**/**/c", "a/c", True, id="repeated stars are one"),
        pytest.param("library/*", "library/nginx", True, id="one part below"),
        pytest.param("library/*", "library/a/b", False, id="not two parts below"),
    ],
)
def test_what_globs_match(glob: str, text: str, expected: bool) -> None:
    assert matches(glob, text) is expected


@pytest.mark.parametrize(
    "glob", ["", "[abc", "a**", "**b/c", "[z-a]", "x" * 501, "**/" * 5 + "a/**/b/**/c/**/d/**/e"]
)
def test_what_is_no_glob_is_refused(glob: str) -> None:
    if glob.startswith("**/**"):
        glob = "**/a/**/b/**/c/**/d/**/e"
    with pytest.raises(InvalidGlobError):
        compile_glob(glob)


def test_a_text_without_wildcards_is_a_name() -> None:
    assert not is_glob("1.27-alpine")
    assert all(is_glob(text) for text in ("1.*", "1.?", "[12]"))


def test_the_first_glob_that_matches_is_named() -> None:
    assert matches_any(("a*", "*b"), "xb") == "*b"
    assert matches_any(("a*",), "xb") is None


def test_many_stars_cost_no_more_than_few() -> None:
    started = time.process_time()
    assert not matches("*a" * 200 + "b", "a" * 500)
    assert not matches("**/a/**/a/**/a/**/b", "a/" * 120 + "a")
    assert time.process_time() - started < 1


_PIECES = st.lists(st.sampled_from(["a", "b", ".", "-", "*", "?", "[ab]", "[!a]"]), min_size=1, max_size=8)
_TEXT = st.text("ab.-", max_size=10)


@given(_PIECES, _TEXT)
def test_a_glob_is_the_regular_expression_that_people_think_of(pieces: list[str], text: str) -> None:
    glob = re.sub(r"\*+", "*", "".join(pieces))
    plain = "".join(
        {"*": "[^/]*", "?": "[^/]", "[!a]": "[^a/]", "[ab]": "[ab]"}.get(one, re.escape(one))
        for one in re.findall(r"\[.*?\]|.", glob)
    )
    assert matches(glob, text) is (re.fullmatch(plain, text) is not None)


@given(_PIECES, _PIECES, _TEXT)
def test_globs_that_share_a_text_meet(first: list[str], second: list[str], text: str) -> None:
    one, other = (re.sub(r"\*+", "*", "".join(pieces)) for pieces in (first, second))
    if matches(one, text) and matches(other, text):
        assert globs_meet(one, other)
    assert globs_meet(one, other) is globs_meet(other, one)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("v1.*", "v2.*", False),
        ("*-alpine", "*-slim", False),
        ("*-alpine", "1.*", True),
        ("a?c", "abc", True),
        ("[0-9]*", "[a-z]*", False),
        ("a*", "*b", True),
        ("a", "ab", False),
        ("*", "*", True),
        ("*", "", True),
    ],
)
def test_whether_globs_meet(one: str, other: str, expected: bool) -> None:
    assert globs_meet(one, other) is expected
