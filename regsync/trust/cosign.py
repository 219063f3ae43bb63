"""What cosign keeps as layers of a manifest: simple signing payloads and DSSE envelopes, with annotations.

Sources: cosign `specs/SIGNATURE_SPEC.md` as corrected in SIGNING.md, section 1.1, and cosign's
`pkg/oci/static` and `pkg/cosign/verify.go`.
"""

import base64
import binascii
import re
from collections.abc import Mapping

from regsync.oci.digest import Digest, InvalidDigestError
from regsync.oci.strict_json import InvalidJSONError, loads
from regsync.trust.dsse import pae, parse_dsse
from regsync.trust.envelopes import Kind, LogEntry, Message, SigstoreEnvelope
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.statements import IN_TOTO_PAYLOAD, parse_statement

SIGNATURE_FORMAT = "cosign-signature"
ATTESTATION_FORMAT = "cosign-attestation"
DSSE_FORMAT = "dsse"

SIGNATURE = "dev.cosignproject.cosign/signature"
CERTIFICATE = "dev.sigstore.cosign/certificate"
CHAIN = "dev.sigstore.cosign/chain"
BUNDLE = "dev.sigstore.cosign/bundle"
TIMESTAMP = "dev.sigstore.cosign/rfc3161timestamp"

MAX_PAYLOAD_SIZE = 256 * 1024  # bytes of a simple signing payload; cosign's take 250
MAX_CERTIFICATES = 16
_PAYLOAD_TYPE = "cosign container image signature"
_MAX_INTEGER = 2**63 - 1
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")


def read_signature(payload: bytes, annotations: Mapping[str, str]) -> SigstoreEnvelope:
    """A layer of media type `application/vnd.dev.cosign.simplesigning.v1+json`.

    Raises EvidenceRejectedError.
    """
    signature = _base64(annotations.get(SIGNATURE, ""), "signature")
    if not signature:
        raise EvidenceRejectedError("signature", f"the layer has no annotation {SIGNATURE}")
    return SigstoreEnvelope(
        SIGNATURE_FORMAT,
        _simple_signing(payload),
        signature,
        payload,
        Digest.of(payload),
        _certificates(annotations),
        _log_entries(annotations),
        _timestamps(annotations),
    )


def read_attestation(raw: bytes, annotations: Mapping[str, str], kind: str) -> tuple[SigstoreEnvelope, ...]:
    """A layer that is a DSSE envelope, of format `kind`: one result for each signature of it.

    Raises EvidenceRejectedError.
    """
    dsse = parse_dsse(raw)
    if dsse.payload_type != IN_TOTO_PAYLOAD:
        reason = f"payloadType is {dsse.payload_type!r:.120}, only {IN_TOTO_PAYLOAD} is understood"
        raise EvidenceRejectedError("DSSE envelope", reason)
    message, signed = parse_statement(dsse.payload), pae(dsse.payload_type, dsse.payload)
    digest = Digest.of(signed)
    certificates, entries = _certificates(annotations), _log_entries(annotations)
    return tuple(
        SigstoreEnvelope(
            kind,
            message,
            one,
            signed,
            digest,
            certificates,
            entries,
            _timestamps(annotations),
            dsse,
            timestamped=raw,  # `VerifyRFC3161Timestamp`: there is no signature to stamp beside the envelope
        )
        for one in dsse.signatures
    )


def _simple_signing(payload: bytes) -> Message:
    """What a payload says. The `docker-reference` is not looked at, as in cosign: images are copied."""
    if len(payload) > MAX_PAYLOAD_SIZE:
        reason = f"{len(payload)} bytes, at most {MAX_PAYLOAD_SIZE} are read"
        raise EvidenceRejectedError("payload", reason)
    document = _object(_json(payload, "payload"), "payload")
    critical = _object(document.get("critical"), "payload", "critical")
    if (kind := critical.get("type")) != _PAYLOAD_TYPE:
        raise EvidenceRejectedError("payload", f"critical.type is {kind!r:.120}, not {_PAYLOAD_TYPE!r}")
    image = _object(critical.get("image"), "payload", "critical.image")
    # The specification's example has `Docker-manifest-digest`.
    found = [value for key, value in image.items() if key.lower() == "docker-manifest-digest"]
    if len(found) != 1 or not isinstance(found[0], str):
        raise EvidenceRejectedError("payload", "critical.image names not exactly one docker-manifest-digest")
    try:
        subject = Digest.parse(found[0])
    except InvalidDigestError as cause:
        raise EvidenceRejectedError("payload", str(cause)) from cause
    optional = document.get("optional")
    notes = {} if optional is None else _object(optional, "payload", "optional")
    texts = {key: value for key, value in notes.items() if isinstance(value, str)}
    return Message(Kind.SIGNATURE, frozenset({subject}), texts)


def _certificates(annotations: Mapping[str, str]) -> tuple[bytes, ...]:
    """The leaf, then its chain. A chain alone, as cosign may leave one beside a key, is nothing."""
    leaf = _pem(annotations.get(CERTIFICATE, ""), "certificate")
    if not leaf:
        return ()
    found = leaf + _pem(annotations.get(CHAIN, ""), "chain")
    if len(found) > MAX_CERTIFICATES:
        reason = f"{len(found)} certificates, at most {MAX_CERTIFICATES} are read"
        raise EvidenceRejectedError("certificate", reason)
    return found


def _pem(text: str, what: str) -> tuple[bytes, ...]:
    if text.strip() and _PEM.sub("", text).strip():
        raise EvidenceRejectedError(what, f"the annotation for the {what} is not PEM of certificates alone")
    return tuple(_base64("".join(block.split()), what) for block in _PEM.findall(text))


def _log_entries(annotations: Mapping[str, str]) -> tuple[LogEntry, ...]:
    """The entry of Rekor v1 that a bundle annotation promises, without an inclusion proof."""
    bundle = _annotated_json(annotations, BUNDLE, "log entry")
    if bundle is None:
        return ()
    payload = _object(bundle.get("Payload"), "log entry", "Payload")
    body = _base64(payload.get("body"), "log entry")
    log_id = payload.get("logID")
    if not isinstance(log_id, str) or re.fullmatch(r"[0-9a-f]{64}", log_id) is None:
        raise EvidenceRejectedError("log entry", "logID is not 64 hex characters")
    index, time = _count(payload.get("logIndex")), _count(payload.get("integratedTime"))
    kind, version = _kind_of(body)
    promise = _base64(bundle.get("SignedEntryTimestamp"), "log promise (SET)")
    return (LogEntry(bytes.fromhex(log_id), index, kind, version, body, time, promise),)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_INTEGER:
        raise EvidenceRejectedError("log entry", "logIndex or integratedTime is no whole number")
    return value


def _kind_of(body: bytes) -> tuple[str, str]:
    document = _object(_json(body, "log entry"), "log entry")
    kind, version = document.get("kind"), document.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str):
        raise EvidenceRejectedError("log entry", "its body says neither kind nor apiVersion")
    return kind, version


def _timestamps(annotations: Mapping[str, str]) -> tuple[bytes, ...]:
    stamp = _annotated_json(annotations, TIMESTAMP, "timestamp")
    return () if stamp is None else (_base64(stamp.get("SignedRFC3161Timestamp"), "timestamp"),)


def _annotated_json(annotations: Mapping[str, str], key: str, check: str) -> Mapping[str, object] | None:
    """A JSON object in an annotation; None where there is none, or what Go writes for none."""
    text = annotations.get(key, "").strip()
    if text in ("", "null"):
        return None
    return _object(_json(text.encode(), check), check)


def _json(raw: bytes, what: str) -> object:
    try:
        return loads(raw)
    except InvalidJSONError as cause:
        raise EvidenceRejectedError(what, str(cause)) from cause


def _object(value: object, check: str, what: str = "it") -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise EvidenceRejectedError(check, f"{what} is missing or no JSON object")
    return value


def _base64(value: object, what: str) -> bytes:
    if not isinstance(value, str):
        raise EvidenceRejectedError(what, "it is missing or no string")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as cause:
        raise EvidenceRejectedError(what, f"not base64: {cause}") from cause
