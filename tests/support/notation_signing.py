"""Envelopes of the Notary Project, made right or wrong in every field, without regsync's own code.

envelope = sign_jws(Request("sha256:…", annotations={"team": "core"}), chain)

Source: notaryproject specifications, signature-envelope-jws.md and signature-envelope-cose.md.
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.support.notation_pki import Chain, PrivateKey

PAYLOAD_TYPE = "application/vnd.cncf.notary.payload.v1+json"
JWS, COSE = "application/jose+json", "application/cose"
X509, SIGNING_AUTHORITY = "notary.x509", "notary.x509.signingAuthority"
SIGNED_AT = datetime(2026, 6, 1, 12, tzinfo=UTC)

_PREFIX = "io.cncf.notary."
_ALGORITHMS: Mapping[tuple[str, int], tuple[str, int, hashes.HashAlgorithm]] = {
    ("RSA", 2048): ("PS256", -37, hashes.SHA256()),
    ("RSA", 3072): ("PS384", -38, hashes.SHA384()),
    ("RSA", 4096): ("PS512", -39, hashes.SHA512()),
    ("EC", 256): ("ES256", -7, hashes.SHA256()),
    ("EC", 384): ("ES384", -35, hashes.SHA384()),
    ("EC", 521): ("ES512", -36, hashes.SHA512()),
}
_LABELS = {name: label for name, label, _ in _ALGORITHMS.values()}


@dataclass(frozen=True)
class Request:
    """What to sign, and how; None leaves a thing to be what it should be, or out."""

    digest: str = "sha256:" + "a" * 64
    annotations: Mapping[str, str] | None = None
    scheme: str = X509
    signed_at: datetime = SIGNED_AT
    expiry: datetime | None = None
    payload: bytes | None = None  # instead of the one made of the above
    content_type: str = PAYLOAD_TYPE
    algorithm: str | None = None  # what the envelope says, whatever it is signed with
    critical: Sequence[object] | None = None
    attributes: Mapping[str, object] = field(default_factory=dict)  # protected; None takes one out
    timestamp: Callable[[bytes], bytes] | None = None  # a token over the signature


def payload_of(request: Request) -> bytes:
    """The payload that says what a request asks for."""
    if request.payload is not None:
        return request.payload
    target: dict[str, Any] = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": request.digest,
        "size": 528,
    }
    if request.annotations is not None:
        target["annotations"] = dict(request.annotations)
    return json.dumps({"targetArtifact": target}).encode()


def sign(media_type: str, request: Request, chain: Chain) -> bytes:
    """An envelope in either format."""
    return {JWS: sign_jws, COSE: sign_cose}[media_type](request, chain)


def sign_jws(request: Request, chain: Chain) -> bytes:
    protected = {
        "alg": request.algorithm or algorithm_name(chain.leaf.key),
        "cty": request.content_type,
        "crit": list(_critical(request)),
        **_attributes(request, lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%SZ")),
    }
    return jws(protected, payload_of(request), chain, timestamp=request.timestamp)


def jws(
    protected: Mapping[str, object],
    payload: bytes,
    chain: Chain,
    *,
    timestamp: Callable[[bytes], bytes] | None = None,
) -> bytes:
    """A flattened JWS with any protected header."""
    signed = f"{base64url(json.dumps(protected).encode())}.{base64url(payload)}"
    signature = raw_signature(chain.leaf.key, signed.encode())
    header: dict[str, object] = {
        "x5c": [base64.b64encode(der).decode() for der in chain.ders],
        _PREFIX + "signingAgent": "tests/1.0",
    }
    if timestamp is not None:
        header[_PREFIX + "timestampSignature"] = base64.b64encode(timestamp(signature)).decode()
    first, second = signed.split(".")
    envelope = {"protected": first, "payload": second, "header": header, "signature": base64url(signature)}
    return json.dumps(envelope).encode()


def sign_cose(request: Request, chain: Chain) -> bytes:
    protected = {
        1: _LABELS[request.algorithm or algorithm_name(chain.leaf.key)],
        2: list(_critical(request)),
        3: request.content_type,
        **_attributes(request, lambda moment: cbor2.CBORTag(1, int(moment.timestamp()))),
    }
    return cose(cbor2.dumps(protected), payload_of(request), chain, timestamp=request.timestamp)


def cose(
    protected: bytes,
    payload: bytes,
    chain: Chain,
    *,
    timestamp: Callable[[bytes], bytes] | None = None,
) -> bytes:
    """A COSE_Sign1 over any protected bytes."""
    signature = raw_signature(chain.leaf.key, cbor2.dumps(["Signature1", protected, b"", payload]))
    unprotected: dict[object, object] = {33: list(chain.ders), _PREFIX + "signingAgent": "tests/1.0"}
    if timestamp is not None:
        unprotected[_PREFIX + "timestampSignature"] = timestamp(signature)
    return cbor2.dumps(cbor2.CBORTag(18, [protected, unprotected, payload, signature]))


def algorithm_name(key: PrivateKey) -> str:
    """Of the one algorithm of a key; ES256 for a key that has none, so that an envelope can be made."""
    return _algorithm(key)[0]


def raw_signature(key: PrivateKey, data: bytes) -> bytes:
    """A signature as both formats carry it: PSS, or `r || s`."""
    _, _, digest = _algorithm(key)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        size = (key.curve.key_size + 7) // 8
        return b"".join(
            part.to_bytes(size) for part in decode_dss_signature(key.sign(data, ec.ECDSA(digest)))
        )
    return key.sign(data, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)


def base64url(data: bytes) -> str:
    """Without padding, as JWS has it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _algorithm(key: PrivateKey) -> tuple[str, int, hashes.HashAlgorithm]:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ES256", -7, hashes.SHA256()
    kind = "EC" if isinstance(key, ec.EllipticCurvePrivateKey) else "RSA"
    return _ALGORITHMS.get((kind, key.key_size), ("ES256", -7, hashes.SHA256()))


def _critical(request: Request) -> Sequence[object]:
    if request.critical is not None:
        return request.critical
    marked = [_PREFIX + "signingScheme"]
    if request.scheme == SIGNING_AUTHORITY:
        marked.append(_PREFIX + "authenticSigningTime")
    if request.expiry is not None:
        marked.append(_PREFIX + "expiry")
    return marked


def _attributes(request: Request, write_time: Callable[[datetime], object]) -> dict[Any, object]:
    time = "authenticSigningTime" if request.scheme == SIGNING_AUTHORITY else "signingTime"
    attributes: dict[Any, object] = {
        _PREFIX + "signingScheme": request.scheme,
        _PREFIX + time: write_time(request.signed_at),
    }
    if request.expiry is not None:
        attributes[_PREFIX + "expiry"] = write_time(request.expiry)
    attributes.update(request.attributes)
    return {label: value for label, value in attributes.items() if value is not None}
