"""What cosign keeps as layers of a manifest: simple signing payloads and DSSE envelopes, with annotations.

Sources: cosign `specs/SIGNATURE_SPEC.md` as corrected in SIGNING.md, section 1.1, and cosign's
`pkg/oci/static` and `pkg/cosign/verify.go`.
"""

import base64
import re
from collections.abc import Mapping

from regsync.oci.digest import Digest, InvalidDigestError
from regsync.trust.dsse import pae, parse_dsse
from regsync.trust.envelopes import Kind, LogEntry, Message, SigstoreEnvelope
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.protojson import Fields
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
    document = Fields.parse(payload, "payload")
    critical = document.needed("critical")
    if (kind := critical.text("type")) != _PAYLOAD_TYPE:
        raise EvidenceRejectedError("payload", f"critical.type is {kind!r:.120}, not {_PAYLOAD_TYPE!r}")
    image = critical.needed("image").values
    # The specification's example has `Docker-manifest-digest`.
    found = [value for key, value in image.items() if key.lower() == "docker-manifest-digest"]
    if len(found) != 1 or not isinstance(found[0], str):
        raise EvidenceRejectedError("payload", "critical.image names not exactly one docker-manifest-digest")
    try:
        subject = Digest.parse(found[0])
    except InvalidDigestError as cause:
        raise EvidenceRejectedError("payload", str(cause)) from cause
    optional = document.message("optional")
    notes = optional.values.items() if optional is not None else ()
    texts = {key: value for key, value in notes if isinstance(value, str)}
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
    bundle = _annotated(annotations, BUNDLE, "log entry")
    if bundle is None:
        return ()
    payload = bundle.needed("Payload")
    log_id = payload.text("logID")
    if re.fullmatch(r"[0-9a-f]{64}", log_id) is None:
        raise payload.refuse("logID", "is not 64 hex characters")
    content, index, time = payload.data("body"), payload.count("logIndex"), payload.count("integratedTime")
    body = Fields.parse(content, "log entry")
    if not body.text("kind") or not body.text("apiVersion"):
        raise payload.refuse("body", "says neither kind nor apiVersion")
    entry = LogEntry(
        bytes.fromhex(log_id),
        index,
        body.text("kind"),
        body.text("apiVersion"),
        content,
        time,
        Fields(bundle.values, "log promise (SET)").data("SignedEntryTimestamp"),
    )
    return (entry,)


def _timestamps(annotations: Mapping[str, str]) -> tuple[bytes, ...]:
    stamp = _annotated(annotations, TIMESTAMP, "timestamp")
    return () if stamp is None else (stamp.data("SignedRFC3161Timestamp"),)


def _annotated(annotations: Mapping[str, str], key: str, check: str) -> Fields | None:
    """A JSON object in an annotation; None where there is none, or what Go writes for none."""
    text = annotations.get(key, "").strip()
    return None if text in ("", "null") else Fields.parse(text.encode(), check)


def _base64(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as cause:
        raise EvidenceRejectedError(what, f"not base64: {cause}") from cause
