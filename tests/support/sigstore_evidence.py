"""Signed images in every format, made with a private Sigstore or a managed key, as plain values.

    layer = signature_layer(signer, app.digest, annotations={"team": "core"}, log=pki.log)   # cosign 2
    push(url, "acme/app", layers_manifest(layer), cosign_tag(app))
    bundle = dsse_bundle(signer, statement(app.digest), log=pki.log)                         # cosign 3
    push(url, "acme/app", bundle_referrer(app, bundle))

What comes out are documents and annotations, so that a test can alter any part of them before it packs them.
"""

import base64
import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import hashes

from tests.support import rekor_log
from tests.support.images import (
    COSIGN_SIMPLE_SIGNING,
    EMPTY_JSON,
    OCI_CONFIG,
    OCI_EMPTY,
    OCI_MANIFEST,
    Content,
    as_json,
    blob_descriptor,
    sha256,
)
from tests.support.rekor_log import RekorLog, b64
from tests.support.signing_keys import certificate_pem, hash_of, public_der, sign
from tests.support.sigstore_pki import SIGNED_AT, Signer
from tests.support.timestamp_authority import TimestampAuthority

Json = dict[str, Any]

BUNDLE_V03 = "application/vnd.dev.sigstore.bundle.v0.3+json"
DSSE = "application/vnd.dsse.envelope.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
COSIGN_SIGN = "https://sigstore.dev/cosign/sign/v1"
VULN = "https://cosign.sigstore.dev/attestation/vuln/v1"
SLSA = "https://slsa.dev/provenance/v1"
SPDX = "https://spdx.dev/Document"


@dataclass(frozen=True)
class Witness:
    """What speaks for the time of a signature: a log, a timestamp authority, both or none."""

    log: RekorLog | None = None
    tsa: TimestampAuthority | None = None
    at: datetime = SIGNED_AT
    after: int = 0  # entries of others that the log takes before it gives the proof
    entry_kind: str | None = None  # of a DSSE envelope: dsse, intoto, intoto-0.0.1; hashedrekord, dsse in 2


@dataclass
class Layer:
    """A layer of one of cosign's manifests."""

    media_type: str
    data: bytes
    annotations: dict[str, str] = field(default_factory=dict)

    def copy(self) -> "Layer":
        """One that can be altered."""
        return copy.deepcopy(self)


def statement(
    digest: str,
    predicate_type: str = COSIGN_SIGN,
    predicate: Json | None = None,
    *,
    annotations: Mapping[str, str] | None = None,
    version: str = "v1",
) -> bytes:
    """An in-toto statement about a digest; by default what `cosign sign` writes."""
    algorithm, _, encoded = digest.partition(":")
    subject: Json = {"digest": {algorithm: encoded}}
    if annotations:
        subject["annotations"] = dict(annotations)
    return as_json(
        {
            "_type": f"https://in-toto.io/Statement/{version}",
            "subject": [subject],
            "predicateType": predicate_type,
            "predicate": predicate or {},
        }
    )


def simple_signing(digest: str, annotations: Mapping[str, str] | None = None) -> bytes:
    """The payload that cosign signed until version 3."""
    critical = {
        "identity": {"docker-reference": "registry.example/acme/app"},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }
    return as_json({"critical": critical, "optional": dict(annotations) if annotations else None})


def dsse_envelope(
    signer: Signer,
    payload: bytes,
    *,
    payload_type: str = IN_TOTO,
    hash_algorithm: hashes.HashAlgorithm | None = None,
) -> Json:
    """A DSSE envelope with one signature."""
    signature = sign(signer.key, encoded(payload, payload_type), hash_algorithm)
    return {
        "payload": b64(payload),
        "payloadType": payload_type,
        "signatures": [{"keyid": "", "sig": b64(signature)}],
    }


def encoded(payload: bytes, payload_type: str = IN_TOTO) -> bytes:
    """DSSE's pre-authentication encoding."""
    return f"DSSEv1 {len(payload_type)} {payload_type} {len(payload)} ".encode() + payload


def signature_layer(
    signer: Signer,
    digest: str,
    witness: Witness = Witness(),
    *,
    annotations: Mapping[str, str] | None = None,
    hash_algorithm: hashes.HashAlgorithm | None = None,
) -> Layer:
    """A layer of a `.sig` manifest."""
    payload = simple_signing(digest, annotations)
    signature = sign(signer.key, payload, hash_algorithm)
    notes = {"dev.cosignproject.cosign/signature": b64(signature), **_certificate_notes(signer)}
    body = rekor_log.hashedrekord(hashlib.sha256(payload).hexdigest(), signature, signer.verifier_pem)
    notes |= _witness_notes(witness, body, stamped=signature)
    return Layer(COSIGN_SIMPLE_SIGNING, payload, notes)


def attestation_layer(
    signer: Signer,
    payload: bytes,
    witness: Witness = Witness(),
    *,
    media_type: str = DSSE,
    hash_algorithm: hashes.HashAlgorithm | None = None,
) -> Layer:
    """A layer of an `.att` manifest, or of a referrer with DSSE envelopes."""
    envelope = dsse_envelope(signer, payload, hash_algorithm=hash_algorithm)
    raw = as_json(envelope)
    notes = {
        "dev.cosignproject.cosign/signature": "",
        "predicateType": json.loads(payload)["predicateType"],
        **_certificate_notes(signer),
    }
    notes |= _witness_notes(witness, _dsse_body(signer, envelope, witness), stamped=raw)
    return Layer(media_type, raw, notes)


def _certificate_notes(signer: Signer) -> dict[str, str]:
    if not signer.certificates:
        return {}
    leaf, *chain = map(certificate_pem, signer.certificates)
    return {"dev.sigstore.cosign/certificate": leaf, "dev.sigstore.cosign/chain": "".join(chain)}


def _witness_notes(witness: Witness, body: Json, stamped: bytes) -> dict[str, str]:
    notes = {}
    if witness.log is not None:
        entry = witness.log.add(body, witness.at, after=witness.after)
        notes["dev.sigstore.cosign/bundle"] = json.dumps(witness.log.cosign_bundle(entry))
    if witness.tsa is not None:
        stamp = {"SignedRFC3161Timestamp": b64(witness.tsa.stamp(stamped, witness.at))}
        notes["dev.sigstore.cosign/rfc3161timestamp"] = json.dumps(stamp)
    return notes


def dsse_bundle(signer: Signer, payload: bytes, witness: Witness = Witness()) -> Json:
    """A Sigstore bundle around a DSSE envelope, as `cosign sign` and `cosign attest` write one."""
    envelope = dsse_envelope(signer, payload)
    body = _dsse_body(signer, envelope, witness)
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    return _bundle(signer, witness, body, signature) | {"dsseEnvelope": envelope}


def message_bundle(signer: Signer, artifact: bytes, witness: Witness = Witness()) -> Json:
    """A Sigstore bundle around a signature over `artifact`: of an image, the bytes of its manifest."""
    algorithm = hash_of(signer.key)
    digest = hashlib.new(algorithm.name, artifact)
    signature = sign(signer.key, artifact)
    named = _named_hash(signer)
    if witness.log is not None and witness.log.version == 2:
        body = rekor_log.hashedrekord_v2(digest.digest(), signature, _verifier_v2(signer), named)
    else:
        body = rekor_log.hashedrekord(digest.hexdigest(), signature, signer.verifier_pem, algorithm.name)
    message = {
        "messageDigest": {"algorithm": named, "digest": b64(digest.digest())},
        "signature": b64(signature),
    }
    return _bundle(signer, witness, body, signature) | {"messageSignature": message}


def _bundle(signer: Signer, witness: Witness, body: Json, signature: bytes) -> Json:
    if signer.certificates:
        material: Json = {"certificate": {"rawBytes": b64(signer.certificates[0])}}
    else:
        hint = b64(hashlib.sha256(public_der(signer.key)).digest())
        material = {"publicKey": {"hint": hint}}
    if witness.log is not None:
        material["tlogEntries"] = [witness.log.add(body, witness.at, after=witness.after)]
    if witness.tsa is not None:
        stamp = b64(witness.tsa.stamp(signature, witness.at))
        material["timestampVerificationData"] = {"rfc3161Timestamps": [{"signedTimestamp": stamp}]}
    return {"mediaType": BUNDLE_V03, "verificationMaterial": material}


def _dsse_body(signer: Signer, envelope: Json, witness: Witness) -> Json:
    if witness.log is not None and witness.log.version == 2:
        if witness.entry_kind == "dsse":
            return rekor_log.dsse_v2(envelope, _verifier_v2(signer))
        payload, signature = (
            base64.b64decode(text) for text in (envelope["payload"], envelope["signatures"][0]["sig"])
        )
        digest = hashlib.new(hash_of(signer.key).name, encoded(payload)).digest()
        return rekor_log.hashedrekord_v2(digest, signature, _verifier_v2(signer), _named_hash(signer))
    if witness.entry_kind == "intoto-0.0.1":
        return rekor_log.intoto_1(as_json(envelope), signer.verifier_pem)
    if witness.entry_kind == "intoto":
        return rekor_log.intoto(envelope, signer.verifier_pem)
    return rekor_log.dsse(envelope, signer.verifier_pem)


def _named_hash(signer: Signer) -> str:
    return f"SHA2_{hash_of(signer.key).digest_size * 8}"


def _verifier_v2(signer: Signer) -> Json:
    leaf = signer.certificates[0] if signer.certificates else None
    return rekor_log.verifier_v2(signer.key, leaf)


def layers_manifest(
    *layers: Layer, subject: Content | None = None, artifact_type: str | None = None
) -> Content:
    """A manifest of cosign's layers: for a digest tag, or with a subject for the referrers."""
    config = as_json(
        {
            "architecture": "",
            "os": "",
            "rootfs": {"type": "layers", "diff_ids": [sha256(one.data) for one in layers]},
        }
    )
    document: Json = {"schemaVersion": 2, "mediaType": OCI_MANIFEST}
    if artifact_type:
        document["artifactType"] = artifact_type
    document["config"] = blob_descriptor(OCI_CONFIG, config)
    document["layers"] = [
        blob_descriptor(one.media_type, one.data, annotations=dict(one.annotations)) for one in layers
    ]
    if subject:
        document["subject"] = subject.descriptor()
    blobs = dict.fromkeys([config, *(one.data for one in layers)])
    return Content(OCI_MANIFEST, as_json(document), tuple(blobs), artifact_type=artifact_type)


def bundle_referrer(subject: Content, bundle: Json | bytes, predicate_type: str = COSIGN_SIGN) -> Content:
    """The referrer that holds one bundle, as cosign 3 writes it."""
    data = bundle if isinstance(bundle, bytes) else as_json(bundle)
    config = blob_descriptor(OCI_EMPTY, EMPTY_JSON, artifactType=BUNDLE_V03)
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config,
        "layers": [blob_descriptor(BUNDLE_V03, data)],
        "annotations": {
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": predicate_type,
        },
        "subject": subject.descriptor(),
        "artifactType": BUNDLE_V03,
    }
    return Content(OCI_MANIFEST, as_json(document), (EMPTY_JSON, data), artifact_type=BUNDLE_V03)
