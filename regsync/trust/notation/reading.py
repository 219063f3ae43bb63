"""From the bytes of a layer to what a notation envelope says.

Source: notaryproject specifications, signature-specification.md, "Payload".
"""

from collections.abc import Callable, Mapping
from typing import Final

from regsync.oci.digest import Digest, InvalidDigestError
from regsync.oci.strict_json import InvalidJSONError, loads
from regsync.trust.envelopes import Kind, Message, NotationEnvelope
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.notation.cose import read_cose
from regsync.trust.notation.envelope import SignedEnvelope, malformed
from regsync.trust.notation.jws import read_jws

JWS: Final = "notation-jws"
COSE: Final = "notation-cose"
FORMATS: Final = {"application/jose+json": JWS, "application/cose": COSE}  # by media type
MAX_ANNOTATIONS = 1000  # of user metadata

_PAYLOAD = "payload"
_READERS: Final[Mapping[str, Callable[[bytes], SignedEnvelope]]] = {JWS: read_jws, COSE: read_cose}


def read_notation(raw: bytes, media_type: str) -> NotationEnvelope:
    """Read an envelope and what it says; believes nothing. Raises EvidenceRejectedError."""
    kind = FORMATS.get(media_type)
    if kind is None:
        raise malformed(f"media type {media_type!r:.120} is no envelope of the Notary Project")
    return NotationEnvelope(kind, read_payload(open_envelope(raw, kind).payload), raw)


def open_envelope(raw: bytes, kind: str) -> SignedEnvelope:
    """Take an envelope apart; `kind` is one of FORMATS' values. Raises EvidenceRejectedError."""
    return _READERS[kind](raw)


def read_payload(payload: bytes) -> Message:
    """Read which manifest is signed, with which metadata. Raises EvidenceRejectedError."""
    try:
        document = loads(payload)
    except InvalidJSONError as cause:
        raise EvidenceRejectedError(_PAYLOAD, str(cause)) from cause
    target = document.get("targetArtifact") if isinstance(document, dict) else None
    if not isinstance(target, dict):
        raise EvidenceRejectedError(_PAYLOAD, "it has no `targetArtifact`")
    digest, size = target.get("digest"), target.get("size")
    if not isinstance(target.get("mediaType"), str) or type(size) is not int or size < 0:
        raise EvidenceRejectedError(_PAYLOAD, "`targetArtifact` is no descriptor")
    try:
        subject = Digest.parse(digest if isinstance(digest, str) else "")
    except InvalidDigestError as cause:
        raise EvidenceRejectedError(_PAYLOAD, str(cause)) from cause
    return Message(Kind.SIGNATURE, frozenset({subject}), _metadata(target.get("annotations")))


def _metadata(value: object) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > MAX_ANNOTATIONS:
        raise EvidenceRejectedError(_PAYLOAD, f"`annotations` is no object of at most {MAX_ANNOTATIONS}")
    if not all(isinstance(item, str) for item in value.values()):
        raise EvidenceRejectedError(_PAYLOAD, "`annotations` holds more than text")
    return value
