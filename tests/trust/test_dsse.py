"""DSSE envelopes: read in either base64, and refused with a reason."""

import json
from typing import Any

import pytest

from regsync.trust.dsse import pae, parse_dsse
from regsync.trust.errors import EvidenceRejectedError

ENVELOPE = {"payloadType": "text/plain", "payload": "fn5-", "signatures": [{"sig": "fn5-", "keyid": "one"}]}


def test_the_encoding_is_that_of_the_protocol() -> None:
    # protocol.md, the example, and lengths in bytes
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pae("é", b"") == "DSSEv1 2 é 0 ".encode()


@pytest.mark.parametrize("encoded", ["fn5-", "fn5+"])
def test_both_alphabets_of_base64_are_read(encoded: str) -> None:
    dsse = parse_dsse(ENVELOPE | {"payload": encoded, "signatures": [{"sig": encoded}]})
    assert (dsse.payload, dsse.signatures) == (b"~~~", (b"~~~",))


def test_bytes_are_read_like_a_document_that_was_read_already() -> None:
    assert parse_dsse(json.dumps(ENVELOPE).encode()) == parse_dsse(ENVELOPE)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"payloadType": ""}, "payloadType"),
        ({"payloadType": 5}, "payloadType"),
        ({"payload": None}, "payload is"),
        ({"payload": "a b c"}, "payload is not base64"),
        ({"payload": "YQ"}, "payload is not base64"),
        ({"payload": "é"}, "payload is not base64"),
        ({"signatures": []}, "no signatures"),
        ({"signatures": {"sig": "YQ=="}}, "no signatures"),
        ({"signatures": ["YQ=="]}, "not an object"),
        ({"signatures": [{"keyid": ""}]}, "no sig"),
        ({"signatures": [{"sig": "*"}]}, "sig is not base64"),
        ({"signatures": [{"sig": "YQ=="}] * 17}, "17 signatures, at most 16"),
    ],
)
def test_what_is_no_envelope_is_refused_with_its_reason(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(EvidenceRejectedError, match=f"^DSSE envelope: .*{reason}"):
        parse_dsse(json.dumps(ENVELOPE | changes).encode())
