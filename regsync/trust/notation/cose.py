"""Notation envelopes in COSE: one `COSE_Sign1`, tagged.

Source: notaryproject specifications, signature-envelope-cose.md; RFC 9052, sections 3 and 4. CBOR may
hold far more than an envelope needs (references to itself, regular expressions, numbers of any size):
only the tags of an envelope are understood, only definite lengths, little depth, each key once.
"""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import cbor2

from regsync.trust.notation.algorithms import ALGORITHMS, Algorithm
from regsync.trust.notation.envelope import (
    MAX_CHAIN,
    TIMESTAMP,
    SignedEnvelope,
    check_size,
    malformed,
    read_attributes,
)

MAX_DEPTH = 4  # levels; an envelope has a tag, an array, a map and a list of certificates
MAX_PROTECTED_SIZE = 64 * 1024  # bytes

_ALGORITHM, _CRITICAL, _CONTENT_TYPE, _CHAIN = 1, 2, 3, 33
_DATE_TAG, _SIGN1_TAG = 1, 18
_LAST_SECOND: Final = 253402300799  # of the year 9999


@dataclass(frozen=True, slots=True)
class _Epoch:
    """Tag 1: a time in seconds, not yet looked at."""

    seconds: object


@dataclass(frozen=True, slots=True)
class _Sign1:
    """Tag 18."""

    parts: object


def read_cose(raw: bytes) -> SignedEnvelope:
    """Parse an envelope of `application/cose`; raises EvidenceRejectedError."""
    check_size(raw)
    protected_bytes, unprotected, payload, signature = _parts(_decode(raw, "the envelope"))
    protected = _map(_decode(protected_bytes, "the protected header"), "the protected header")
    if both := protected.keys() & unprotected.keys():
        raise malformed(f"labels that stand in both headers: {sorted(map(str, both))!s:.200}")
    attributes = read_attributes(
        {label: value for label, value in protected.items() if isinstance(label, str)},
        critical=protected.get(_CRITICAL),
        content_type=protected.get(_CONTENT_TYPE),
        read_time=_time,
    )
    return SignedEnvelope(
        algorithm=_algorithm(protected.get(_ALGORITHM)),
        signed=cbor2.dumps(["Signature1", protected_bytes, b"", payload]),
        signature=signature,
        payload=payload,
        attributes=attributes,
        chain=_chain(protected.get(_CHAIN, unprotected.get(_CHAIN))),
        timestamp=_timestamp(unprotected.get(TIMESTAMP)),
    )


def _decode(raw: bytes, what: str) -> object:
    source = io.BytesIO(raw)
    decoder = cbor2.CBORDecoder(
        source,
        semantic_decoders=_ONLY_OURS,
        max_depth=MAX_DEPTH,
        allow_indefinite=False,
        allow_duplicate_keys=False,
    )
    try:
        value: object = decoder.decode()
    except cbor2.CBORDecodeError as cause:
        raise malformed(f"{what} is no CBOR of an envelope: {cause.__cause__ or cause!s:.200}") from cause
    if source.tell() != len(raw):
        raise malformed(f"{what} has {len(raw) - source.tell()} bytes too many")
    return value


class _OnlyTheseTags(Mapping[int, Callable[[object, bool], object]]):
    """A decoder for every tag there is: of those that no envelope needs, one that refuses."""

    def __init__(self, decoders: Mapping[int, Callable[[object, bool], object]]) -> None:
        self._decoders = decoders

    def __getitem__(self, tag: int) -> Callable[[object, bool], object]:
        return self._decoders.get(tag, _refuse_tag)

    def __iter__(self) -> Iterator[int]:
        return iter(self._decoders)

    def __len__(self) -> int:
        return len(self._decoders)


def _refuse_tag(value: object, immutable: bool) -> object:  # noqa: FBT001 - as the library calls it
    raise ValueError("it has a tag that no envelope needs")


_ONLY_OURS = _OnlyTheseTags(
    {
        _DATE_TAG: lambda value, _immutable: _Epoch(value),
        _SIGN1_TAG: lambda value, _immutable: _Sign1(value),
    }
)


def _parts(value: object) -> tuple[bytes, Mapping[object, object], bytes, bytes]:
    if not isinstance(value, _Sign1) or not isinstance(value.parts, list | tuple) or len(value.parts) != 4:
        raise malformed("it is no tagged COSE_Sign1 of four parts")
    protected, unprotected, payload, signature = value.parts
    if not all(isinstance(part, bytes) for part in (protected, payload, signature)):
        raise malformed("the protected header, the payload or the signature is no byte string")
    if len(protected) > MAX_PROTECTED_SIZE:
        raise malformed(f"the protected header has more than {MAX_PROTECTED_SIZE} bytes")
    return protected, _map(unprotected, "the unprotected header"), payload, signature


def _map(value: object, what: str) -> Mapping[object, object]:
    if not isinstance(value, Mapping):
        raise malformed(f"{what} is no map")
    # A label that is a number other than an integer would be found by the integer that it equals.
    if not all(type(label) in (int, str) for label in value):
        raise malformed(f"{what} has a label that is neither a whole number nor text")
    return value


def _algorithm(label: object) -> Algorithm:
    for algorithm in ALGORITHMS:
        if type(label) is int and algorithm.label == label:
            return algorithm
    raise malformed(f"algorithm {label!r:.80} is none of the specification's")


def _chain(value: object) -> tuple[bytes, ...]:
    if not isinstance(value, list | tuple) or not 0 < len(value) <= MAX_CHAIN:
        raise malformed(f"`x5chain` is missing or no list of 1 to {MAX_CHAIN} certificates")
    if not all(isinstance(item, bytes) for item in value):
        raise malformed("a certificate of `x5chain` is no byte string")
    return tuple(value)


def _timestamp(value: object) -> bytes | None:
    if value is not None and not isinstance(value, bytes):
        raise malformed(f"{TIMESTAMP} is no byte string")
    return value or None


def _time(name: str, value: object) -> datetime:
    if isinstance(value, _Epoch) and type(value.seconds) in (int, float):
        seconds = value.seconds
        if isinstance(seconds, int | float) and 0 <= seconds <= _LAST_SECOND:  # false of NaN
            return datetime.fromtimestamp(seconds, UTC)
    raise malformed(f"{name} is no time with tag 1")
