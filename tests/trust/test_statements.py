"""In-toto statements: what they say, of which digests, and which of them is a signature."""

import json
from typing import Any

import pytest

from regsync.oci.digest import Digest
from regsync.trust.envelopes import Kind
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.statements import COSIGN_SIGN, parse_statement, predicate_matches

DIGEST = Digest.of(b"an image")
OTHER = Digest.of(b"another")


def document(**changes: Any) -> dict[str, Any]:
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": DIGEST.encoded}}],
        "predicateType": COSIGN_SIGN,
        "predicate": {},
        **changes,
    }


def raw(**changes: Any) -> bytes:
    return json.dumps(document(**changes)).encode()


def test_what_cosign_signs_is_a_signature_with_the_annotations_of_its_subject() -> None:
    subject = {"digest": {"sha256": DIGEST.encoded}, "annotations": {"team": "core", "build": 7}}
    message = parse_statement(raw(subject=[subject]))
    assert (message.kind, message.subjects) == (Kind.SIGNATURE, {DIGEST})
    assert (message.annotations, message.statement) == ({"team": "core"}, None)


@pytest.mark.parametrize("version", ["v1", "v0.1"])
@pytest.mark.parametrize(
    "predicate_type",
    [
        "https://cosign.sigstore.dev/attestation/vuln/v1",
        pytest.param(COSIGN_SIGN + "/v1", id="a version of cosign's signature"),
        pytest.param(COSIGN_SIGN.upper(), id="cosign's signature in capitals"),
    ],
)
def test_every_other_predicate_makes_an_attestation(predicate_type: str, version: str) -> None:
    statement = document(_type=f"https://in-toto.io/Statement/{version}", predicateType=predicate_type)
    message = parse_statement(json.dumps(statement).encode())
    assert (message.kind, message.predicate_type) == (Kind.ATTESTATION, predicate_type)
    assert message.statement == statement


def test_a_predicate_may_be_missing() -> None:
    statement = document()
    del statement["predicate"]
    assert parse_statement(json.dumps(statement).encode()).kind is Kind.SIGNATURE


def test_each_subject_counts_and_one_of_another_algorithm_names_nothing() -> None:
    subjects = [
        {"name": "a", "digest": {"sha256": DIGEST.encoded, "sha1": "a" * 40}},
        {"name": "b", "digest": {"sha512": Digest.of(b"x", "sha512").encoded}},
        {"uri": "git+https://github.com/acme/app", "digest": {"gitCommit": "b" * 40}},
    ]
    message = parse_statement(raw(predicateType="https://example.com/p", subject=subjects))
    assert message.subjects == {DIGEST, Digest.of(b"x", "sha512")}


def test_of_several_subjects_only_what_all_are_annotated_with_counts() -> None:
    subjects = [
        {"digest": {"sha256": DIGEST.encoded}, "annotations": {"team": "core", "env": "test"}},
        {"digest": {"sha256": OTHER.encoded}, "annotations": {"team": "core", "env": "production"}},
    ]
    assert parse_statement(raw(subject=subjects)).annotations == {"team": "core"}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        pytest.param(b"", "not JSON", id="nothing"),
        pytest.param(b"\xff", "not UTF-8", id="no text"),
        pytest.param(b"[]", "no.* JSON object", id="a list"),
        pytest.param(b"[" * 100, "nested deeper", id="too deep"),
        pytest.param(b'{"_type": "x", "_type": "y"}', "stands twice", id="a key twice"),
        pytest.param(raw(_type="https://in-toto.io/Statement/v2"), "_type", id="another version"),
        pytest.param(raw(_type=["https://in-toto.io/Statement/v1"]), "_type", id="a list as type"),
        pytest.param(raw(predicateType=None), "predicateType", id="no predicate type"),
        pytest.param(raw(predicateType="x" * 1000), "predicateType", id="a long predicate type"),
        pytest.param(raw(predicate=[]), "predicate is", id="a list as predicate"),
        pytest.param(raw(subject=[]), "subject", id="no subject"),
        pytest.param(raw(subject={}), "subject", id="an object as subjects"),
        pytest.param(raw(subject=["sha256:"]), "subject", id="a text as subject"),
        pytest.param(raw(subject=[{"name": "app"}]), "no digest", id="a name alone"),
        pytest.param(raw(subject=[{"digest": {"sha256": DIGEST.encoded.upper()}}]), "digest", id="capitals"),
        pytest.param(raw(subject=[{"digest": {"sha256": 5}}]), "digest", id="a number as digest"),
        pytest.param(
            raw(subject=[{"digest": {"sha256": DIGEST.encoded}, "annotations": [1]}]),
            "annotations",
            id="a list as annotations",
        ),
    ],
)
def test_what_is_no_statement_is_refused_with_its_reason(payload: bytes, reason: str) -> None:
    with pytest.raises(EvidenceRejectedError, match=f"^statement: .*{reason}"):
        parse_statement(payload)


@pytest.mark.parametrize(
    ("wanted", "found", "matches"),
    [
        ("https://spdx.dev/Document", "https://spdx.dev/Document", True),
        ("https://spdx.dev/Document", "https://spdx.dev/Document/v2.3", True),
        ("https://cyclonedx.org/bom", "https://cyclonedx.org/bom/v1.6", True),
        ("https://openvex.dev/ns", "https://openvex.dev/ns/v0.2.0", True),
        ("https://spdx.dev/Document/v2.3", "https://spdx.dev/Document", False),
        ("https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v1.1", False),
        ("https://slsa.dev/provenance/v0.2", "https://slsa.dev/provenance/v1", False),
        ("https://spdx.dev/Document", "https://spdx.dev/Documents", False),
        ("https://spdx.dev/Document", "https://spdx.dev/Document/v2.3/evil", False),
        ("https://spdx.dev/Document", "https://spdx.dev/Document/v2.3\n", False),
        ("https://spdx.dev/Document", "https://spdx.dev/Document/", False),
    ],
)
def test_a_predicate_type_matches_exactly_or_with_a_version(wanted: str, found: str, matches: bool) -> None:
    assert predicate_matches(wanted, found) is matches
