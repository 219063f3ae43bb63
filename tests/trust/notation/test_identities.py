"""Identities are parts of a subject, written as RFC 4514 has it."""

from collections.abc import Mapping, Sequence

import pytest

from regsync.trust.notation.certificate import Certificate
from regsync.trust.notation.identities import Identity, InvalidIdentityError, parse_identities
from tests.support.notation_pki import issue, name

WHO = "x509.subject: C=US, ST=WA, O=Acme"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (WHO, {"C": "US", "ST": "WA", "O": "Acme"}),
        ("x509.subject:C=US,S=WA,O=Acme", {"C": "US", "ST": "WA", "O": "Acme"}),
        (f"{WHO}, cn = signer ", {"C": "US", "ST": "WA", "O": "Acme", "CN": "signer"}),
        (rf"{WHO}, CN=a\, b", {"C": "US", "ST": "WA", "O": "Acme", "CN": "a, b"}),
        (rf"{WHO}, CN=a\;b\\c\=d\+e", {"C": "US", "ST": "WA", "O": "Acme", "CN": r"a;b\c=d+e"}),
        (rf"{WHO}, CN=\ a\ ", {"C": "US", "ST": "WA", "O": "Acme", "CN": " a "}),
        (rf"{WHO}, CN=a\\ ", {"C": "US", "ST": "WA", "O": "Acme", "CN": "a\\"}),
        (rf"{WHO}, CN=\#a", {"C": "US", "ST": "WA", "O": "Acme", "CN": "#a"}),
        (rf"{WHO}, CN=Lu\C4\8Di\C4\87", {"C": "US", "ST": "WA", "O": "Acme", "CN": "Lučić"}),
        (f"{WHO}, CN=a=b:c/d", {"C": "US", "ST": "WA", "O": "Acme", "CN": "a=b:c/d"}),
        (f"{WHO}, CN=Zoë", {"C": "US", "ST": "WA", "O": "Acme", "CN": "Zoë"}),
    ],
)
def test_an_identity_is_read_with_its_escapes(text: str, parts: Mapping[str, str]) -> None:
    assert Identity.parse(text).parts == parts


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("C=US, ST=WA, O=Acme", "does not begin with `x509.subject:`"),
        ("com.example:C=US, ST=WA, O=Acme", "identities of plugins are not supported"),
        ("x509.subject:", "is no part of a subject"),
        ("x509.subject: C=US, O=Acme", "lacks ST"),
        ("x509.subject: CN=a", "lacks C, ST, O"),
        (f"{WHO}, O=Other", "has O twice"),
        (f"{WHO}, ST=WA", "has ST twice"),
        (f"{WHO}, CN=a+OU=b", "has '+' without a backslash"),
        (f"{WHO}; CN=a", "has ';' without a backslash"),
        (f'{WHO}, CN="a"', "has '\"' without a backslash"),
        (f"{WHO}, CN=", "has no text as its value"),
        (f"{WHO}, CN=#04024869", "has no text as its value"),
        (f"{WHO}, 2.5.4.3=a", "is no part of a subject"),
        (f"{WHO},", "is no part of a subject"),
        (rf"{WHO}, CN=a\x", "has a backslash before what needs none"),
        (f"{WHO}, CN=a\\", "without a backslash"),
        (rf"{WHO}, CN=\ff", "is no UTF-8 once unescaped"),
    ],
)
def test_what_is_no_identity_says_why(text: str, reason: str) -> None:
    with pytest.raises(InvalidIdentityError) as caught:
        Identity.parse(text)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ([], "either `*` alone or one or more subjects"),
        (["*", WHO], "either `*` alone or one or more subjects"),
        ([WHO, f"{WHO}, OU=a"], "overlap"),
        ([f"{WHO}, OU=a", WHO], "overlap"),
        ([WHO, "x509.subject: O=Acme, S=WA, C=US"], "overlap"),
    ],
)
def test_identities_that_overlap_are_no_policy(texts: Sequence[str], reason: str) -> None:
    with pytest.raises(InvalidIdentityError, match=reason.replace("*", r"\*")):
        parse_identities(texts)


def test_identities_beside_each_other_are_right() -> None:
    found = parse_identities([f"{WHO}, CN=a", f"{WHO}, CN=b"])
    assert found is not None
    assert [one.parts["CN"] for one in found] == ["a", "b"]
    assert parse_identities(["*"]) is None


def holder(*others: tuple[str, str]) -> Certificate:
    return Certificate.parse(issue(name("signer", *others)).der)


@pytest.mark.parametrize(
    ("text", "is_matched"),
    [
        (WHO, True),
        (f"{WHO}, CN=signer", True),
        (f"{WHO}, CN=Signer", False),
        (f"{WHO}, CN=sign", False),
        (f"{WHO}, CN=signer2", False),
        (f"{WHO}, OU=ops", False),
        ("x509.subject: C=US, ST=WA, O=Acme Inc", False),
    ],
)
def test_every_part_has_to_be_in_the_subject_as_it_is_written(text: str, *, is_matched: bool) -> None:
    assert Identity.parse(text).matches(holder()) is is_matched


def test_a_subject_with_two_parts_of_a_type_is_not_taken_by_either() -> None:
    """Whoever issues may let a customer choose a second CN."""
    for either in ("signer", "other"):
        assert not Identity.parse(f"{WHO}, CN={either}").matches(holder(("CN", "other")))
    assert Identity.parse(WHO).matches(holder(("CN", "other")))


def test_a_comma_in_a_subject_is_no_second_part() -> None:
    tricky = Certificate.parse(issue(name("a, OU=ops")).der)
    assert not Identity.parse(f"{WHO}, CN=a, OU=ops").matches(tricky)
    assert Identity.parse(rf"{WHO}, CN=a\, OU=ops").matches(tricky)
