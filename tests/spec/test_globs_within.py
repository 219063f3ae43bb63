"""Whether all that one glob matches is matched by another: what a Project's permission rests on."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from regsync.spec.globs import InvalidGlobError, compile_glob, matches
from regsync.spec.place_globs import is_within, may_meet

PARTS = st.sampled_from(["a", "ab", "b", "*", "**", "a*", "*b", "?", "[ab]", "[!a]", "a?", "*a*"])
GLOBS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
TEXTS = st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=5).map("/".join)


def usable(*globs: str) -> bool:
    try:
        for glob in globs:
            compile_glob(glob)
    except InvalidGlobError:
        return False
    return True


@given(GLOBS, GLOBS, TEXTS)
def test_what_is_within_matches(inner: str, outer: str, text: str) -> None:
    assume(usable(inner, outer))
    if is_within(inner, outer) and matches(inner, text):
        assert matches(outer, text)


@given(GLOBS, TEXTS)
def test_a_name_is_within_what_it_matches(glob: str, text: str) -> None:
    assume(usable(glob))
    assert is_within(text, glob) == matches(glob, text)


@given(GLOBS)
def test_a_glob_is_within_itself_and_everything(glob: str) -> None:
    assume(usable(glob))
    assert is_within(glob, "**")
    assert is_within(glob, glob)
    assert may_meet(glob, glob)


@pytest.mark.parametrize(
    ("inner", "outer", "within"),
    [
        ("hub/web/**", "hub/**", True),
        ("hub/**", "hub/web/**", False),
        ("hub/web/*", "hub/web/**", True),
        ("hub/web/**", "hub/web/*", False),
        ("hub/web-*", "hub/web*", True),
        ("hub/web*", "hub/web-*", False),
        ("hub/w?b", "hub/w[a-z]b", False),
        ("hub/w[ab]b", "hub/w?b", True),
        ("hub/**/x", "hub/**", True),
        ("hub/**", "hub/**/x", False),
        ("local/web/x", "*/web/**", True),
        ("**", "*/**", False),
    ],
)
def test_pairs_of_globs(inner: str, outer: str, within: bool) -> None:
    assert is_within(inner, outer) is within
