"""Whatever lies in a repository is read without bringing a defect to light, and passes for nothing else."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regsync.trust.formats import read_piece
from regsync.trust.verdict import Result
from tests.support.evidence_pieces import piece_of
from tests.support.images import as_json
from tests.support.rekor_log import b64
from tests.support.sigstore_evidence import BUNDLE_V03, Layer, Witness, bundle_referrer, layers_manifest
from tests.trust.drafts import APP, PKI, TIMESTAMPS, bundle, certified, layer, verdict

MEDIA_TYPES = [
    "application/vnd.dev.cosign.simplesigning.v1+json",
    "application/vnd.dsse.envelope.v1+json",
    "application/vnd.in-toto+json",
    "application/vnd.in-toto.spdx+dsse",
    BUNDLE_V03,
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/jose+json",
    "application/cose",
]
SIGNED = [bundle(certified()), layer(certified()), bundle(certified(), Witness(PKI.log, PKI.tsa))]
STAMPED = [bundle(certified(), Witness(None, PKI.tsa)), layer(certified(), Witness(None, PKI.tsa))]
DRAFTS = st.sampled_from(SIGNED)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)
ENCODED = st.binary(max_size=200).map(b64)

few = settings(max_examples=150, deadline=None)


def nodes(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of everything in a document."""
    match value:
        case dict():
            return [path, *(one for key, below in value.items() for one in nodes(below, (*path, key)))]
        case list():
            return [path, *(one for key, below in enumerate(value) for one in nodes(below, (*path, key)))]
    return [path]


def replaced(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    """The document with something else at a path."""
    if not path:
        return new
    changed = list(value) if isinstance(value, list) else dict(value)
    changed[path[0]] = replaced(value[path[0]], path[1:], new)  # type: ignore[index,call-overload]
    return changed


@few
@given(st.sampled_from(MEDIA_TYPES), st.binary(max_size=300) | JSON.map(lambda one: json.dumps(one).encode()))
def test_any_bytes_in_a_layer_are_read(media_type: str, data: bytes) -> None:
    content = layers_manifest(Layer(media_type, data))
    assert list(read_piece(piece_of(content, APP.digest, "tag:.sig")))


@few
@given(st.data())
def test_anything_in_place_of_anything_in_a_bundle_is_read(data: st.DataObject) -> None:
    document = data.draw(DRAFTS.filter(lambda one: one.location == "referrers")).document
    path = data.draw(st.sampled_from(nodes(document)))
    changed = replaced(document, path, data.draw(JSON | ENCODED))
    (envelope,) = read_piece(piece_of(bundle_referrer(APP, as_json(changed)), APP.digest))
    assert envelope.format == "sigstore-bundle"


@few
@given(st.data())
def test_anything_in_place_of_a_part_is_refused(data: st.DataObject) -> None:
    draft = data.draw(DRAFTS).copy()
    left = {"log index", "proof index", "chain", "log entry", "inclusion proof", "timestamp"}
    part = data.draw(st.sampled_from(sorted(set(draft.parts) - left)))
    before = draft.get(part)
    draft.put(part, data.draw(ENCODED | JSON if draft.location == "referrers" else ENCODED))
    assert str(draft.get(part)) == str(before) or verdict(draft)[0] is not Result.PASS


@few
@given(st.data())
def test_any_flipped_bit_of_a_certificate_or_signature_is_refused(data: st.DataObject) -> None:
    draft = data.draw(DRAFTS).copy()
    part = data.draw(st.sampled_from(["certificate", "signature", "SET"]))
    raw = bytearray(base64.b64decode(draft.get(part)))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    draft.put(part, b64(bytes(raw)))
    assert verdict(draft)[0] is not Result.PASS


@few
@given(st.data())
def test_any_flipped_bit_or_cut_of_a_timestamp_is_read(data: st.DataObject) -> None:
    draft = data.draw(st.sampled_from(STAMPED)).copy()
    raw = bytearray(base64.b64decode(draft.get("timestamp")))
    place = data.draw(st.integers(0, len(raw) - 1))
    if data.draw(st.booleans()):
        del raw[place:]
    else:
        raw[place] ^= 1 << data.draw(st.integers(0, 7))
    draft.put("timestamp", b64(bytes(raw)))
    assert verdict(draft, TIMESTAMPS)[0] in Result


@pytest.mark.parametrize("size", [0, 1, 100_000])
@pytest.mark.parametrize("part", ["certificate", "timestamp"])
def test_der_that_promises_more_than_there_is_is_refused(part: str, size: int) -> None:
    for draft in (one.copy() for one in STAMPED):
        draft.put(part, b64(b"\x30\x84\xff\xff\xff\xff" + b"\x30\x80" * size))
        result, reason = verdict(draft, TIMESTAMPS)
        assert result is Result.FAIL
        assert part in reason
