"""What a log's entry is about: it has to be this signature, by this verifier, over these contents.

All three, always. A log that took one signature says nothing of another by the same key, of the same key's
signature over something else, or of another key's over the same contents (GHSA-whqx-f9j3-ch6m,
GHSA-fx35-mq7g-6g98).

Sources: sigstore/rekor, `pkg/types/*/v0.0.*/*_schema.json`; sigstore/protobuf-specs, `rekor/v2/*.proto`.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from regsync.trust.envelopes import LogEntry, SigstoreEnvelope
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.protojson import Fields

MAX_BODY = 256 * 1024  # bytes; an intoto 0.0.2 of an envelope with 16 signatures has less
MAX_SIGNATURES = 16

_CHECK = "log entry"
_PEM = re.compile(r"\s*-----BEGIN (CERTIFICATE|PUBLIC KEY)-----([A-Za-z0-9+/=\s]+)-----END \1-----\s*")
_HASHES = {
    "sha256": "sha256",
    "sha384": "sha384",
    "sha512": "sha512",
    "SHA2_256": "sha256",
    "SHA2_384": "sha384",
    "SHA2_512": "sha512",
}


@dataclass(frozen=True, slots=True)
class _Hash:
    algorithm: str  # hashlib's name
    value: bytes

    def is_of(self, data: bytes) -> bool:
        return hashlib.new(self.algorithm, data).digest() == self.value


@dataclass(frozen=True, slots=True)
class _Logged:
    """What an entry vouches for. Exactly one of the hashes is there, but for `envelope` and `payload`."""

    pairs: tuple[tuple[bytes | None, bytes], ...]  # a signature (None: in `envelope`) and its verifier, DER
    signed: _Hash | None = None  # of what the signature is over
    payload: _Hash | None = None  # of a DSSE envelope's payload
    envelope: _Hash | None = None  # of a DSSE envelope's bytes as they were uploaded
    payload_type: str | None = None


def match_body(entry: LogEntry, envelope: SigstoreEnvelope, verifier: bytes) -> None:
    """Check that `entry` is about `envelope`'s signature, contents and `verifier` (DER).

    Raises EvidenceRejectedError.
    """
    if len(entry.body) > MAX_BODY:
        raise _error(f"its body has {len(entry.body)} bytes, at most {MAX_BODY} are read")
    body = Fields.parse(entry.body, _CHECK)
    if (body.text("kind"), body.text("apiVersion")) != (entry.kind, entry.version):
        raise _error(f"its body is not the {entry.kind[:40]} {entry.version[:40]} that it is said to be")
    read = _KINDS.get((entry.kind, entry.version))
    if read is None:
        raise _error(f"entries of kind {entry.kind[:40]} {entry.version[:40]} are not understood")
    logged = read(body.needed("spec"))
    _match_contents(logged, envelope)
    if not any(_is_pair(pair, envelope, verifier) for pair in logged.pairs):
        known = any(found in (None, envelope.signature) for found, _ in logged.pairs)
        raise _error("it is about another key or certificate" if known else "it is about another signature")


def _is_pair(pair: tuple[bytes | None, bytes], envelope: SigstoreEnvelope, verifier: bytes) -> bool:
    signature, key = pair
    return signature in (None, envelope.signature) and key == verifier


def _match_contents(logged: _Logged, envelope: SigstoreEnvelope) -> None:
    if logged.signed is not None:
        _match_signed(logged.signed, envelope)
        return
    if envelope.dsse is None:
        raise _error("it is about a DSSE envelope, and this is none")
    if logged.payload is not None and not logged.payload.is_of(envelope.dsse.payload):
        raise _error("it is about another payload")
    if logged.payload_type not in (None, envelope.dsse.payload_type):
        raise _error("it is about a payload of another type")
    if logged.envelope is not None and not (
        # cosign uploads the same bytes that it has stamped.
        envelope.timestamped is not None and logged.envelope.is_of(envelope.timestamped)
    ):
        raise _error("it is about an envelope of other bytes")


def _match_signed(logged: _Hash, envelope: SigstoreEnvelope) -> None:
    if envelope.signed is not None:
        matches = logged.is_of(envelope.signed)
    else:
        digest = envelope.signed_digest
        matches = (logged.algorithm, logged.value.hex()) == (digest.algorithm, digest.encoded)
    if not matches:
        raise _error("it is about another digest")


def _hashedrekord_1(spec: Fields) -> _Logged:
    signature = spec.needed("signature")
    pair = signature.data("content"), _pem(signature.needed("publicKey"), "content")
    return _Logged((pair,), signed=_hash_1(spec.needed("data").needed("hash")))


def _hashedrekord_2(spec: Fields) -> _Logged:
    record = spec.needed("hashedRekordV002")
    return _Logged((_pair_2(record.needed("signature")),), signed=_hash_2(record.needed("data")))


def _dsse_1(spec: Fields) -> _Logged:
    signatures = spec.messages("signatures", MAX_SIGNATURES)
    pairs = tuple((one.data("signature"), _pem(one, "verifier")) for one in signatures)
    return _Logged(pairs, payload=_hash_1(spec.needed("payloadHash")))


def _dsse_2(spec: Fields) -> _Logged:
    record = spec.needed("dsseV002")
    signatures = record.messages("signatures", MAX_SIGNATURES)
    return _Logged(tuple(map(_pair_2, signatures)), payload=_hash_2(record.needed("payloadHash")))


def _intoto_1(spec: Fields) -> _Logged:
    """The first kind names no signature, only the bytes of the envelope that holds it."""
    content = spec.needed("content")
    return _Logged(((None, _pem(spec, "publicKey")),), envelope=_hash_1(content.needed("hash")))


def _intoto_2(spec: Fields) -> _Logged:
    content = spec.needed("content")
    envelope = content.needed("envelope")
    signatures = envelope.messages("signatures", MAX_SIGNATURES)
    pairs = tuple((_twice(one, "sig"), _pem(one, "publicKey")) for one in signatures)
    return _Logged(
        pairs, payload=_hash_1(content.needed("payloadHash")), payload_type=envelope.text("payloadType")
    )


_KINDS: Mapping[tuple[str, str], Callable[[Fields], _Logged]] = {
    ("hashedrekord", "0.0.1"): _hashedrekord_1,
    ("hashedrekord", "0.0.2"): _hashedrekord_2,
    ("dsse", "0.0.1"): _dsse_1,
    ("dsse", "0.0.2"): _dsse_2,
    ("intoto", "0.0.1"): _intoto_1,
    ("intoto", "0.0.2"): _intoto_2,
}


def _hash_1(fields: Fields) -> _Hash:
    try:
        return _Hash(_algorithm(fields), bytes.fromhex(fields.text("value")))
    except ValueError as cause:
        raise fields.refuse("value", "is not hex") from cause


def _hash_2(fields: Fields) -> _Hash:
    return _Hash(_algorithm(fields), fields.data("digest"))


def _algorithm(fields: Fields) -> str:
    name = fields.text("algorithm")
    if name not in _HASHES:
        raise fields.refuse("algorithm", f"is {name[:40]!r}, none of {', '.join(_HASHES)}")
    return _HASHES[name]


def _pair_2(signature: Fields) -> tuple[bytes, bytes]:
    verifier = signature.needed("verifier")
    kind = verifier.one_of("x509Certificate", "publicKey")
    return signature.data("content"), verifier.needed(kind).data("rawBytes")


def _pem(fields: Fields, name: str) -> bytes:
    """The DER in a field of base64 of PEM: of a certificate, or of a public key."""
    found = _PEM.fullmatch(fields.data(name).decode("utf-8", "replace"))
    if found is None:
        raise fields.refuse(name, "is not PEM of one certificate or public key")
    return _base64("".join(found[2].split()), fields, name)


def _twice(fields: Fields, name: str) -> bytes:
    """The bytes in a field that Rekor encoded although they were base64 already."""
    return _base64(fields.data(name).decode("utf-8", "replace"), fields, name)


def _base64(text: str, fields: Fields, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as cause:
        raise fields.refuse(name, f"is not base64 within: {cause}") from cause


def _error(reason: str) -> EvidenceRejectedError:
    return EvidenceRejectedError(_CHECK, reason)
