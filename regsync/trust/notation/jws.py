"""Notation envelopes in JWS, flattened JSON serialisation.

Source: notaryproject specifications, signature-envelope-jws.md; RFC 7515, section 7.2.2.
"""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime

from regsync.oci.strict_json import InvalidJSONError, loads
from regsync.trust.notation.algorithms import ALGORITHMS, Algorithm
from regsync.trust.notation.envelope import (
    MAX_CHAIN,
    TIMESTAMP,
    SignedEnvelope,
    check_size,
    malformed,
    read_attributes,
)
from regsync.trust.rfc3339 import parse_time


def read_jws(raw: bytes) -> SignedEnvelope:
    """Parse an envelope of `application/jose+json`; raises EvidenceRejectedError."""
    check_size(raw)
    envelope = _object(raw, "the envelope")
    protected_text, payload_text = _text(envelope, "protected"), _text(envelope, "payload")
    unprotected = envelope.get("header")
    if not isinstance(unprotected, dict):
        raise malformed("`header` is missing or no object")
    protected = _object(_base64url(protected_text, "protected"), "the protected header")
    attributes = read_attributes(
        protected,
        critical=protected.get("crit"),
        content_type=protected.get("cty"),
        read_time=_time,
    )
    return SignedEnvelope(
        algorithm=_algorithm(protected.get("alg")),
        signed=f"{protected_text}.{payload_text}".encode(),
        signature=_base64url(_text(envelope, "signature"), "signature"),
        payload=_base64url(payload_text, "payload"),
        attributes=attributes,
        chain=_chain(unprotected.get("x5c")),
        timestamp=_timestamp(unprotected.get(TIMESTAMP)),
    )


def _object(raw: bytes, what: str) -> Mapping[str, object]:
    try:
        value = loads(raw)
    except InvalidJSONError as cause:
        raise malformed(f"{what} is {cause}") from cause
    if not isinstance(value, dict):
        raise malformed(f"{what} is no JSON object")
    return value


def _text(envelope: Mapping[str, object], key: str) -> str:
    value = envelope.get(key)
    if not isinstance(value, str) or not value:
        raise malformed(f"`{key}` is missing or no text")
    return value


def _base64url(text: str, what: str) -> bytes:
    """Strictly: no padding, no other characters, one way to write each value."""
    try:
        value = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as cause:
        raise malformed(f"`{what}` is no base64url") from cause
    if base64.urlsafe_b64encode(value).rstrip(b"=").decode() != text:
        raise malformed(f"`{what}` is no base64url")
    return value


def _base64(value: object, what: str) -> bytes:
    if not isinstance(value, str):
        raise malformed(f"{what} is no text")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as cause:
        raise malformed(f"{what} is no base64") from cause


def _algorithm(name: object) -> Algorithm:
    for algorithm in ALGORITHMS:
        if algorithm.name == name:
            return algorithm
    raise malformed(f"algorithm {name!r:.80} is none of the specification's")


def _chain(value: object) -> tuple[bytes, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_CHAIN:
        raise malformed(f"`x5c` is missing or no list of 1 to {MAX_CHAIN} certificates")
    return tuple(_base64(item, "a certificate of `x5c`") for item in value)


def _timestamp(value: object) -> bytes | None:
    return None if value in (None, "") else _base64(value, TIMESTAMP)


def _time(name: str, value: object) -> datetime:
    try:
        return parse_time(value if isinstance(value, str) else "")
    except ValueError as cause:
        raise malformed(f"{name} is no time of RFC 3339: {value!r:.80}") from cause
