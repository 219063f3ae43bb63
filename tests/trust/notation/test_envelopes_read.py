"""Envelopes are read strictly: what is malformed, hostile or not understood is refused with its reason."""

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.notation.envelope import MAX_ENVELOPE_SIZE
from regsync.trust.notation.reading import open_envelope, read_notation
from tests.support.notation_pki import Chain, make_chain, make_root
from tests.support.notation_signing import (
    COSE,
    JWS,
    SIGNING_AUTHORITY,
    Request,
    cose,
    jws,
    payload_of,
    sign,
    sign_cose,
    sign_jws,
)

BOTH = pytest.mark.parametrize("media_type", [JWS, COSE], ids=["jws", "cose"])
PREFIX = "io.cncf.notary."
LATER = datetime(2027, 1, 1, tzinfo=UTC)
ROOT = make_root()
CHAIN = make_chain(root=ROOT)


def refusal(raw: bytes, media_type: str) -> str:
    with pytest.raises(EvidenceRejectedError) as caught:
        read_notation(raw, media_type)
    return str(caught.value)


def test_other_media_types_are_no_envelopes() -> None:
    assert "is no envelope of the Notary Project" in refusal(b"{}", "application/json")


@BOTH
@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        pytest.param(Request(critical=[]), "not marked as critical: io.cncf.notary.signingScheme", id="none"),
        pytest.param(
            Request(expiry=LATER, critical=[PREFIX + "signingScheme"]),
            "not marked as critical: io.cncf.notary.expiry",
            id="expiry not critical",
        ),
        pytest.param(
            Request(scheme=SIGNING_AUTHORITY, critical=[PREFIX + "signingScheme"]),
            "not marked as critical: io.cncf.notary.authenticSigningTime",
            id="authentic time not critical",
        ),
        pytest.param(
            Request(attributes={"acme.policy": "x"}, critical=[PREFIX + "signingScheme", "acme.policy"]),
            "marks as critical what is not there or not understood: 'acme.policy'",
            id="unknown critical attribute",
        ),
        pytest.param(
            Request(critical=[PREFIX + "signingScheme", PREFIX + "expiry"]),
            "not there or not understood: 'io.cncf.notary.expiry'",
            id="absent critical attribute",
        ),
        pytest.param(Request(critical=[PREFIX + "signingScheme", 33]), "understood: 33", id="a number"),
        pytest.param(Request(critical=[PREFIX + "signingScheme", []]), "no list of names", id="no name"),
        pytest.param(
            Request(attributes={PREFIX + "verificationPlugin": "com.example.plugin"}),
            "asks for the verification plugin 'com.example.plugin'; regsync runs no plugins",
            id="plugin",
        ),
        pytest.param(Request(scheme="notary.x509.other"), "signing scheme 'notary.x509.other'", id="scheme"),
        pytest.param(Request(attributes={PREFIX + "signingScheme": None}), "scheme None", id="no scheme"),
        pytest.param(
            Request(attributes={PREFIX + "signingTime": None}),
            "takes io.cncf.notary.signingTime and not io.cncf.notary.authenticSigningTime",
            id="no time",
        ),
        pytest.param(
            Request(attributes={PREFIX + "authenticSigningTime": "2026-06-01T12:00:00Z"}),
            "takes io.cncf.notary.signingTime and not",
            id="a time of the other scheme",
        ),
        pytest.param(
            Request(attributes={PREFIX + "signingTime": "yesterday"}), "signingTime is no time", id="no date"
        ),
        pytest.param(
            Request(expiry=datetime(2026, 6, 1, 12, tzinfo=UTC)), "not after it was signed", id="expiry"
        ),
        pytest.param(Request(content_type="application/json"), "payload's type is", id="content type"),
        pytest.param(Request(payload=b"{"), "payload: not JSON", id="no payload"),
        pytest.param(Request(payload=b"[]"), "payload: it has no `targetArtifact`", id="no object"),
        pytest.param(Request(payload=b'{"a":1,"a":2}'), "payload: key 'a' stands twice", id="key twice"),
        pytest.param(Request(payload=b"[" * 100_000), "payload: nested deeper", id="deep payload"),
        pytest.param(Request(digest="sha256:abc"), "payload: invalid digest", id="digest"),
        pytest.param(
            Request(payload=b'{"targetArtifact":{"digest":"sha256:%s","size":1}}' % (b"a" * 64)),
            "`targetArtifact` is no descriptor",
            id="no media type",
        ),
        pytest.param(
            Request(annotations={"a": 1}),  # type: ignore[dict-item]
            "`annotations` holds more than text",
            id="metadata",
        ),
    ],
)
def test_what_breaks_a_rule_is_refused_by_its_name(media_type: str, request_: Request, reason: str) -> None:
    assert reason in refusal(sign(media_type, request_, CHAIN), media_type)


@BOTH
def test_attributes_that_are_not_critical_may_be_anything(media_type: str) -> None:
    raw = sign(media_type, Request(attributes={"acme.note": "x"}), CHAIN)
    assert read_notation(raw, media_type)


@BOTH
@pytest.mark.parametrize("count", [0, 11])
def test_a_chain_has_one_to_ten_certificates(media_type: str, count: int) -> None:
    chain = Chain((CHAIN.leaf,) * count) if count else _Nothing(CHAIN.holders)
    assert "list of 1 to 10 certificates" in refusal(sign(media_type, Request(), chain), media_type)


class _Nothing(Chain):
    """A signer that does not say who it is."""

    @property
    def ders(self) -> tuple[bytes, ...]:
        return ()


@BOTH
def test_an_envelope_that_is_too_large_is_not_parsed(media_type: str) -> None:
    raw = b"{" + b" " * MAX_ENVELOPE_SIZE
    assert f"at most {MAX_ENVELOPE_SIZE} are read" in refusal(raw, media_type)


# JWS


def changed(**parts: object) -> bytes:
    return json.dumps({**json.loads(sign_jws(Request(), CHAIN)), **parts}).encode()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(b"", "the envelope is not JSON", id="empty"),
        pytest.param(b"[]", "the envelope is no JSON object", id="a list"),
        pytest.param(b'{"a":' * 100_000, "nested deeper than", id="deep"),
        pytest.param(b'{"payload":"a","payload":"b"}', "stands twice", id="a key twice"),
        pytest.param(changed(payload=None), "`payload` is missing or no text", id="no payload"),
        pytest.param(changed(signature=7), "`signature` is missing or no text", id="a number"),
        pytest.param(changed(header=None), "`header` is missing or no object", id="no header"),
        pytest.param(changed(header={"x5c": "x"}), "`x5c` is missing or no list", id="no chain"),
        pytest.param(changed(header={"x5c": ["*"]}), "a certificate of `x5c` is no base64", id="no base64"),
        pytest.param(changed(header={"x5c": [7]}), "a certificate of `x5c` is no text", id="no text"),
        pytest.param(changed(protected="e30"), "the payload's type is None", id="an empty header"),
        pytest.param(changed(protected="W10"), "the protected header is no JSON object", id="list as header"),
        pytest.param(changed(payload="e30="), "`payload` is no base64url", id="padding"),
        pytest.param(changed(payload="e30\n"), "`payload` is no base64url", id="a line break"),
        pytest.param(changed(payload="e31"), "`payload` is no base64url", id="bits that count for nothing"),
        pytest.param(changed(payload="a+/a"), "`payload` is no base64url", id="the other alphabet"),
        pytest.param(changed(payload="é"), "`payload` is no base64url", id="not ASCII"),
    ],
)
def test_a_jws_is_read_in_one_way_only(raw: bytes, reason: str) -> None:
    assert reason in refusal(raw, JWS)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-06-01T12:00:00Z", datetime(2026, 6, 1, 12, tzinfo=UTC)),
        ("2026-06-01T14:00:00+02:00", datetime(2026, 6, 1, 12, tzinfo=UTC)),
        ("2026-06-01T12:00:00.123456789Z", datetime(2026, 6, 1, 12, 0, 0, 123456, tzinfo=UTC)),
    ],
)
def test_a_time_in_a_jws_is_of_rfc_3339(text: str, moment: datetime) -> None:
    raw = sign_jws(Request(attributes={PREFIX + "signingTime": text}), CHAIN)
    assert open_envelope(raw, "notation-jws").attributes.signing_time == moment


@pytest.mark.parametrize(
    "text",
    [
        *("2026-06-01", "2026-06-01T12:00:00", "2026-13-01T12:00:00Z", "", 5, None),
        *("9999-12-31T23:59:59-10:00", "0001-01-01T00:00:00+10:00"),  # of years that there are not in UTC
    ],
)
def test_other_times_in_a_jws_are_refused(text: object) -> None:
    protected = {
        "alg": "ES256",
        "cty": "application/vnd.cncf.notary.payload.v1+json",
        "crit": [PREFIX + "signingScheme"],
        PREFIX + "signingScheme": "notary.x509",
        PREFIX + "signingTime": text,
    }
    assert "is no time of RFC 3339" in refusal(jws(protected, payload_of(Request()), CHAIN), JWS)


# COSE


def opened() -> list[Any]:
    return list(cbor2.loads(sign_cose(Request(), CHAIN)).value)


def sealed(*parts: object, tag: int = 18) -> bytes:
    return cbor2.dumps(cbor2.CBORTag(tag, list(parts)))


def with_protected(change: Callable[[dict[Any, Any]], None]) -> bytes:
    protected = {
        1: -7,
        2: [PREFIX + "signingScheme"],
        3: "application/vnd.cncf.notary.payload.v1+json",
        PREFIX + "signingScheme": "notary.x509",
        PREFIX + "signingTime": cbor2.CBORTag(1, 1780315200),
    }
    change(protected)
    return cose(cbor2.dumps(protected), payload_of(Request()), CHAIN)


def _time(value: object) -> bytes:
    return with_protected(lambda protected: protected.update({PREFIX + "signingTime": value}))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(b"", "no CBOR of an envelope", id="empty"),
        pytest.param(b"\xff", "no CBOR of an envelope", id="a break alone"),
        pytest.param(b"\x81" * 100_000, "nesting depth", id="deep arrays"),
        pytest.param(b"\xd2" * 100_000, "nesting depth", id="deep tags"),
        pytest.param(b"\xa1\x01" * 100_000, "nesting depth", id="deep maps"),
        pytest.param(b"\x5b\x7f" + b"\xff" * 7, "premature end", id="a string longer than memory"),
        pytest.param(b"\x9b\x7f" + b"\xff" * 7, "premature end", id="an array longer than memory"),
        pytest.param(b"\xbb\x7f" + b"\xff" * 7, "premature end", id="a map larger than memory"),
        pytest.param(b"\xd2\x9f\x40\xa0\x40\x40\xff", "indefinite length", id="indefinite array"),
        pytest.param(b"\xd2\x84\x5f\x40\xff\xa0\x40\x40", "indefinite length", id="indefinite string"),
        pytest.param(b"\xd2\x84\x40\xbf\xff\x40\x40", "indefinite length", id="indefinite map"),
        pytest.param(b"\xd2\x84\x40\xa2\x01\x01\x01\x02\x40\x40", "Duplicate map key", id="a label twice"),
        pytest.param(sign_cose(Request(), CHAIN) + b"\x00", "1 bytes too many", id="something after it"),
        pytest.param(sign_cose(Request(), CHAIN)[1:], "no tagged COSE_Sign1", id="without its tag"),
        pytest.param(sealed(*opened(), tag=98), "a tag that no envelope needs", id="COSE_Sign"),
        pytest.param(sealed(*opened()[:3]), "of four parts", id="three parts"),
        pytest.param(sealed(*opened(), b""), "of four parts", id="five parts"),
        pytest.param(sealed(b"", {}, None, b"x"), "is no byte string", id="a payload elsewhere"),
        pytest.param(sealed(b"", [], b"", b""), "unprotected header is no map", id="no unprotected map"),
        pytest.param(sealed(b"\x80", {}, b"", b""), "protected header is no map", id="no protected map"),
        pytest.param(sealed(b"\xa0\x00", {}, b"", b""), "1 bytes too many", id="more than a protected map"),
        pytest.param(sealed(b"", {}, b"", b""), "no CBOR of an envelope", id="no protected header"),
        pytest.param(sealed(bytes(70_000), {}, b"", b""), "more than 65536 bytes", id="a large header"),
        pytest.param(sealed(b"\xa1\xf5\x26", {}, b"", b""), "neither a whole number nor", id="true as 1"),
        pytest.param(
            sealed(b"\xa1\xf9\x3c\x00\x26", {}, b"", b""), "neither a whole number nor", id="1.0 as 1"
        ),
        pytest.param(sealed(b"\xa1\x80\x26", {}, b"", b""), "neither a whole number", id="array as label"),
        pytest.param(
            with_protected(lambda protected: protected.update({33: [b"x"]})),
            "labels that stand in both headers: ['33']",
            id="two chains",
        ),
        pytest.param(
            with_protected(lambda protected: protected.update({1: -37.0})), "algorithm -37.0", id="float"
        ),
        pytest.param(with_protected(lambda protected: protected.update({1: -8})), "algorithm -8", id="EdDSA"),
        pytest.param(with_protected(lambda protected: protected.update({1: 5})), "algorithm 5", id="HMAC"),
        pytest.param(with_protected(lambda protected: protected.pop(2)), "`crit` is missing", id="no crit"),
        pytest.param(_time(1780315200), "is no time with tag 1", id="a bare time"),
        pytest.param(_time("2026-06-01T12:00:00Z"), "is no time with tag 1", id="a text as time"),
        pytest.param(_time(cbor2.CBORTag(0, "2026-06-01T12:00:00Z")), "a tag that no", id="tag 0"),
        pytest.param(_time(cbor2.CBORTag(1, 2**63)), "is no time with tag 1", id="a far time"),
        pytest.param(_time(cbor2.CBORTag(1, -1)), "is no time with tag 1", id="a time before 1970"),
        pytest.param(_time(cbor2.CBORTag(1, float("nan"))), "is no time with tag 1", id="no number"),
        pytest.param(_time(cbor2.CBORTag(1, float("inf"))), "is no time with tag 1", id="without end"),
        pytest.param(_time(cbor2.CBORTag(1, True)), "is no time with tag 1", id="true as time"),
        pytest.param(_time(cbor2.CBORTag(35, "(a+)+$")), "a tag that no envelope needs", id="a regex"),
        pytest.param(_time(cbor2.CBORTag(2, bytes(9))), "a tag that no envelope needs", id="a big number"),
        pytest.param(_time(cbor2.CBORTag(4, [9**9, 1])), "a tag that no envelope needs", id="a decimal"),
        pytest.param(b"\xd8\x1c\x81\xd8\x1d\x00", "a tag that no envelope needs", id="within itself"),
    ],
)
def test_a_cose_is_read_in_one_way_only(raw: bytes, reason: str) -> None:
    assert reason in refusal(raw, COSE)


def test_a_chain_may_stand_in_the_protected_header() -> None:
    parts = opened()
    protected = cbor2.loads(parts[0])
    protected[PREFIX + "signingTime"] = cbor2.CBORTag(1, 1780315200)
    header = cbor2.dumps({**protected, 33: list(CHAIN.ders)})
    read = open_envelope(sealed(header, {}, parts[2], parts[3]), "notation-cose")
    assert read.chain == CHAIN.ders


def test_the_protected_bytes_are_those_that_came_and_not_ones_written_anew() -> None:
    """A header may be written in several ways; the signature is over the one that was."""
    parts = opened()
    odd = parts[0].replace(b"\x01\x26", b"\x18\x01\x26", 1)  # the label 1 in two bytes
    assert odd != parts[0]
    read = open_envelope(cose(odd, parts[2], CHAIN), "notation-cose")
    assert odd in read.signed


@given(data=st.data())
def test_whatever_is_changed_in_a_cose_is_read_or_refused(data: st.DataObject) -> None:
    _read_or_refuse(bytearray(sign_cose(Request(), CHAIN)), COSE, data)


@given(data=st.data())
def test_whatever_is_changed_in_a_jws_is_read_or_refused(data: st.DataObject) -> None:
    _read_or_refuse(bytearray(sign_jws(Request(), CHAIN)), JWS, data)


def _read_or_refuse(raw: bytearray, media_type: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(EvidenceRejectedError):
        read_notation(bytes(raw[: data.draw(st.integers(0, len(raw)))]), media_type)
