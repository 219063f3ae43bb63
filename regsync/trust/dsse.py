"""DSSE envelopes, and the bytes that their signatures are over.

Sources: secure-systems-lab/dsse, `envelope.md` and `protocol.md`, v1.0.2.
"""

import base64
import binascii
from collections.abc import Mapping

from regsync.oci.strict_json import InvalidJSONError, loads
from regsync.trust.envelopes import Dsse
from regsync.trust.errors import EvidenceRejectedError

MAX_SIGNATURES = 16
_URL_SAFE = str.maketrans("-_", "+/")
_CHECK = "DSSE envelope"


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding: what is signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def parse_dsse(raw: bytes | Mapping[str, object]) -> Dsse:
    """Read an envelope, from its bytes or from a document that holds it. Raises EvidenceRejectedError."""
    document = _document(raw)
    payload_type, payload = document.get("payloadType"), document.get("payload")
    if not isinstance(payload_type, str) or not payload_type:
        raise EvidenceRejectedError(_CHECK, "payloadType is missing or no string")
    if not isinstance(payload, str) or not payload:
        raise EvidenceRejectedError(_CHECK, "payload is missing or no string")
    signatures = document.get("signatures")
    if not isinstance(signatures, list) or not signatures:
        raise EvidenceRejectedError(_CHECK, "it has no signatures")
    if len(signatures) > MAX_SIGNATURES:
        reason = f"it has {len(signatures)} signatures, at most {MAX_SIGNATURES} are read"
        raise EvidenceRejectedError(_CHECK, reason)
    return Dsse(payload_type, _decode(payload, "payload"), tuple(_signature(one) for one in signatures))


def _document(raw: bytes | Mapping[str, object]) -> Mapping[str, object]:
    if isinstance(raw, Mapping):
        return raw
    try:
        document = loads(raw)
    except InvalidJSONError as cause:
        raise EvidenceRejectedError(_CHECK, str(cause)) from cause
    if not isinstance(document, dict):
        raise EvidenceRejectedError(_CHECK, "it is not a JSON object")
    return document


def _signature(value: object) -> bytes:
    if not isinstance(value, dict):
        raise EvidenceRejectedError(_CHECK, "a signature is not an object")
    signature = value.get("sig")
    if not isinstance(signature, str) or not signature:
        raise EvidenceRejectedError(_CHECK, "a signature has no sig")
    return _decode(signature, "sig")


def _decode(text: str, what: str) -> bytes:
    """Base64 of either alphabet: envelope.md leaves the choice to who writes."""
    try:
        return base64.b64decode(text.translate(_URL_SAFE), validate=True)
    except (binascii.Error, ValueError) as cause:
        raise EvidenceRejectedError(_CHECK, f"{what} is not base64: {cause}") from cause
