"""Reading WWW-Authenticate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.remote.challenge import Challenge, best, parse_challenges


def read(*headers: str) -> list[tuple[str, dict[str, str]]]:
    return [(found.scheme, dict(found.parameters)) for found in parse_challenges(headers)]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Basic", [("basic", {})]),
        ('Basic realm="a"', [("basic", {"realm": "a"})]),
        ("BASIC REALM=a", [("basic", {"realm": "a"})]),
        (
            'Bearer realm="https://t/x",service="s",scope="repository:a/b:pull,push"',
            [("bearer", {"realm": "https://t/x", "service": "s", "scope": "repository:a/b:pull,push"})],
        ),
        (
            'Bearer realm = "r" , error="insufficient_scope" ,scope="a b"',
            [("bearer", {"realm": "r", "error": "insufficient_scope", "scope": "a b"})],
        ),
        (r'Basic realm="a \"quoted\", \\ comma"', [("basic", {"realm": 'a "quoted", \\ comma'})]),
        (
            'Negotiate, Basic realm="a", Bearer realm="b",service="c"',
            [("negotiate", {}), ("basic", {"realm": "a"}), ("bearer", {"realm": "b", "service": "c"})],
        ),
        ('Negotiate YWJj==, Basic realm="a"', [("negotiate", {}), ("basic", {"realm": "a"})]),
        ('Negotiate, NTLM,Basic realm=""', [("negotiate", {}), ("ntlm", {}), ("basic", {"realm": ""})]),
        ('Bearer realm="a', [("bearer", {"realm": "a"})]),
        ('Bearer realm="a", realm="b"', [("bearer", {"realm": "a"})]),
        ("", []),
        (",,, ,", []),
        ("====", []),
    ],
)
def test_one_header(header: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert read(header) == expected


def test_several_headers_are_all_read() -> None:
    assert [scheme for scheme, _ in read("Negotiate", 'Basic realm="a"', 'Bearer realm="b"')] == [
        "negotiate",
        "basic",
        "bearer",
    ]


@pytest.mark.parametrize(
    ("header", "scheme"),
    [
        ('Negotiate, Basic realm="a"', "basic"),
        ('Basic realm="a", Bearer realm="b"', "bearer"),
        ('Bearer service="no realm", Basic realm="a"', "basic"),
        ("Negotiate", None),
    ],
)
def test_the_best_challenge_is_a_bearer_with_a_realm(header: str, scheme: str | None) -> None:
    found = best(parse_challenges([header]))
    assert (found.scheme if found else None) == scheme


def test_a_relative_realm_is_resolved_against_what_was_asked_for() -> None:
    challenge = Challenge("bearer", {"realm": "/jwt/auth"})
    assert (
        challenge.realm("https://registry.example.com/v2/a/manifests/x")
        == "https://registry.example.com/jwt/auth"
    )


@given(st.lists(st.text(max_size=200), max_size=4))
def test_nothing_breaks_the_parser(headers: list[str]) -> None:
    for found in parse_challenges(headers):
        assert found.scheme == found.scheme.lower()


@given(st.text("aB=,\\\"' Basic", max_size=5000))
def test_nothing_keeps_the_parser_busy(header: str) -> None:
    assert len(parse_challenges([header * 4])) <= 16


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.text(max_size=30), min_size=1, max_size=4
    )
)
def test_quoted_values_come_back_as_they_were(parameters: dict[str, str]) -> None:
    quoted = {key: value.replace("\\", "\\\\").replace('"', '\\"') for key, value in parameters.items()}
    header = "Bearer " + ",".join(f'{key}="{value}"' for key, value in quoted.items())
    assert read(header, "Basic") == [("bearer", parameters), ("basic", {})]
