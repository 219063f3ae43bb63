import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from regsync.spec.regexes import (
    MAX_IDENTITY_LENGTH,
    InvalidRegexError,
    compile_identity_regex,
    compile_regex,
    is_identity,
)


@pytest.mark.parametrize(
    "regex",
    [
        r"v\d+(\.\d+)*",
        r"(?P<version>.+)-alpine",
        r"(?P<version>\d+\.\d+\.\d+)(-(?P<flavour>[a-z]+))?",
        r"pr-(?P<branch>.+)-(?P<build>\d+)",
        r"[a-z]+(-[a-z]+)*",
        r"(foo|bar)+",
        r"(?!.*-rc).*",
        r"^v1\.(2[0-9]|3\d)$",
        r"([a-z0-9]+[._-])*[a-z0-9]+",
        r"(?i)release-\d+",
        r"\d{4}-\d{2}-\d{2}",
        r"(?:\d+\.){2}\d+",
        r"v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)",
    ],
)
def test_what_people_write_for_tags_is_taken(regex: str) -> None:
    assert compile_regex(regex).pattern == regex


@pytest.mark.parametrize(
    "regex",
    [
        r"(a+)+",
        r"(a*)*b",
        r"(.*-)*x",
        r"(a|a)*",
        r"(a|ab|b)*x",
        r"(a?)*",
        r"([a-z]+[0-9]*)+x",
        r"(\w+\d)+x",
        r"(?i)(ab|AB)*x",
        r"((a|b)+)+x",
        r"(a+){20,}",
        r"(\d*){9}x",
        r"((a*){2})*x",
        r".*.*.*.*.*x",
        r"(a+)(?:\1)*",
    ],
)
def test_what_could_take_for_ever_is_refused(regex: str) -> None:
    with pytest.raises(InvalidRegexError):
        compile_regex(regex)


@pytest.mark.parametrize("regex", ["(", "[a", "a{2,1}", "*", "(?P<1>x)", "x" * 501, "(?P<a>x)(?P<a>y)"])
def test_what_is_no_regex_says_why(regex: str) -> None:
    with pytest.raises(InvalidRegexError, match="invalid regex"):
        compile_regex(regex)


_ATOMS = st.sampled_from(["a", "b", "[ab]", r"\d", ".", "1", "(?:a|b)"])
_REGEXES = st.recursive(
    _ATOMS,
    lambda below: (
        st.builds(lambda one, sign: f"(?:{one}){sign}", below, st.sampled_from(["*", "+", "?", "{2}", ""]))
        | st.builds(lambda one, two: one + two, below, below)
        | st.builds(lambda one, two: f"(?:{one}|{two})", below, below)
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(_REGEXES)
def test_what_is_taken_is_quick_on_the_worst_of_tags(regex: str) -> None:
    try:
        pattern = compile_regex(regex)
    except InvalidRegexError:
        return
    started = time.process_time()
    for tag in ("a" * 127 + "!", "ab" * 63 + "!", "1" * 127 + "!", "a1" * 63 + "!"):
        assert re.fullmatch(pattern, tag) is None or "." in regex
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    "regex",
    [
        r"https://github\.com/acme/app/\.github/workflows/release\.yml@refs/tags/v[0-9.]+",
        r"https://github\.com/acme/[^/]+/\.github/workflows/[^@]+@refs/(heads/main|tags/.+)",
        r"https://gitlab\.com/acme/.*//\.gitlab-ci\.yml@refs/heads/main",
        r"(?i)[a-z.]+@acme\.(com|org)",
        r"[^@\s]+@acme\.com",
        r"system:serviceaccount:[a-z0-9-]+:(builder|signer)",
        r"(?:[^/]+/)*release",
        r"строка-\w+",
    ],
)
def test_what_people_write_for_identities_is_taken(regex: str) -> None:
    assert compile_identity_regex(regex).pattern == regex


@pytest.mark.parametrize(
    "regex",
    [
        r"(/+)+x",
        r"(@|/|@/)+x",
        r"(?:[^a]+b*)+x",
        r"(\s*)+x",
        r"(ß+)+x",
        r"(?:[\u0100-\u0200]+|[\u0180-\u0280]+)+x",
        r"(?i)(?:éa|Éa)+x",
        r"(?i)(?:sa|\u017fa)+x",
        r"(?:\Wa|/a)+x",
        r"(?a)(?:\Wa|éa)+x",
        r".*/.*/.*/.*x",
    ],
)
def test_what_could_take_for_ever_on_an_identity_is_refused(regex: str) -> None:
    with pytest.raises(InvalidRegexError):
        compile_identity_regex(regex)


def test_an_identity_matches_whole_and_never_where_it_is_too_long() -> None:
    assert is_identity("a.c", "abc")
    assert not is_identity("a.c", "abcd")
    assert not is_identity("a.c", "abc\n")
    assert is_identity(".*", "x" * MAX_IDENTITY_LENGTH)
    assert not is_identity(".*", "x" * (MAX_IDENTITY_LENGTH + 1))


_TEXT_ATOMS = st.sampled_from(
    ["a", "/", "@", "[^/]", "[^@a]", r"\w", r"\W", r"\s", ".", "é", "[^é]", "(?:a|/)"]
)
_TEXT_REGEXES = st.recursive(
    _TEXT_ATOMS,
    lambda below: (
        st.builds(lambda one, sign: f"(?:{one}){sign}", below, st.sampled_from(["*", "+", "?", "{2}", ""]))
        | st.builds(lambda one, two: one + two, below, below)
        | st.builds(lambda one, two: f"(?:{one}|{two})", below, below)
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@example("a*(?:(?:a)*){2}", "")
@given(_TEXT_REGEXES, st.sampled_from(["", "(?i)"]))
def test_what_is_taken_is_quick_on_the_worst_of_identities(regex: str, flags: str) -> None:
    try:
        pattern = compile_identity_regex(flags + regex + "!")
    except InvalidRegexError:
        return
    for character in "a/@ é\u0663":
        start = time.process_time()
        pattern.fullmatch(character * MAX_IDENTITY_LENGTH)
        assert time.process_time() - start < 10  # what backtracks for real would take years
