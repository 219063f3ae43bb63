"""Signed evidence as one document whose parts a test can alter or exchange before it is packed.

A part is named alike in every format: `signature`, `certificate`, `SET`, `body`, `checkpoint`, …
"""

import base64
import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.images import Content, as_json
from tests.support.rekor_log import b64
from tests.support.signing_keys import certificate_pem
from tests.support.sigstore_evidence import Layer, bundle_referrer, layers_manifest

Json = dict[str, Any]
Path = tuple[str | int, ...]

_MATERIAL = "verificationMaterial"
_ENTRY: Path = (_MATERIAL, "tlogEntries", 0)
_PROOF: Path = (*_ENTRY, "inclusionProof")
BUNDLE_PARTS: Mapping[str, Path] = {
    "payload": ("dsseEnvelope", "payload"),
    "signature": ("dsseEnvelope", "signatures", 0, "sig"),
    "message digest": ("messageSignature", "messageDigest", "digest"),
    "message signature": ("messageSignature", "signature"),
    "certificate": (_MATERIAL, "certificate", "rawBytes"),
    "log entry": _ENTRY,
    "log id": (*_ENTRY, "logId", "keyId"),
    "log index": (*_ENTRY, "logIndex"),
    "integrated time": (*_ENTRY, "integratedTime"),
    "SET": (*_ENTRY, "inclusionPromise", "signedEntryTimestamp"),
    "body": (*_ENTRY, "canonicalizedBody"),
    "inclusion proof": _PROOF,
    "proof index": (*_PROOF, "logIndex"),
    "proof root": (*_PROOF, "rootHash"),
    "proof size": (*_PROOF, "treeSize"),
    "proof hash": (*_PROOF, "hashes", 0),
    "checkpoint": (*_PROOF, "checkpoint", "envelope"),
    "timestamp": (_MATERIAL, "timestampVerificationData", "rfc3161Timestamps", 0, "signedTimestamp"),
}
LAYER_PARTS: Mapping[str, Path] = {
    "payload": ("payload",),
    "signature": ("signature",),
    "certificate": ("certificate",),
    "chain": ("chain", 0),
    "log entry": ("bundle",),
    "log id": ("bundle", "Payload", "logID"),
    "log index": ("bundle", "Payload", "logIndex"),
    "integrated time": ("bundle", "Payload", "integratedTime"),
    "SET": ("bundle", "SignedEntryTimestamp"),
    "body": ("bundle", "Payload", "body"),
    "timestamp": ("timestamp",),
}

_CERTIFICATE, _CHAIN = "dev.sigstore.cosign/certificate", "dev.sigstore.cosign/chain"
_BUNDLE, _TIMESTAMP = "dev.sigstore.cosign/bundle", "dev.sigstore.cosign/rfc3161timestamp"
_SIGNATURE = "dev.cosignproject.cosign/signature"


@dataclass
class Draft:
    """Evidence that is not packed yet, and where it is to be found."""

    document: Json
    paths: Mapping[str, Path]
    pack: Callable[[Json], Content]
    location: str = "referrers"

    def copy(self) -> "Draft":
        """Another one with the same parts."""
        return Draft(copy.deepcopy(self.document), self.paths, self.pack, self.location)

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the parts that are there."""
        return tuple(name for name in self.paths if self.get(name) is not None)

    def get(self, part: str) -> Any:
        """A part as it stands in the document; None where it is not there."""
        found: Any = self.document
        for step in self.paths[part]:
            try:
                found = found[step]
            except (KeyError, IndexError):
                return None
        return found

    def put(self, part: str, value: Any) -> None:
        """Exchange a part."""
        *steps, last = self.paths[part]
        holder: Any = self.document
        for step in steps:
            holder = holder[step]
        holder[last] = value

    def drop(self, part: str) -> None:
        """Leave a part out."""
        *steps, last = self.paths[part]
        holder: Any = self.document
        for step in steps:
            holder = holder[step]
        del holder[last]

    def content(self) -> Content:
        """The manifest that holds it."""
        return self.pack(self.document)


def bundle_draft(bundle: Json, beside: Content) -> Draft:
    """A Sigstore bundle."""
    return Draft(bundle, BUNDLE_PARTS, lambda document: bundle_referrer(beside, document))


def layer_draft(layer: Layer, location: str, beside: Content | None = None) -> Draft:
    """A layer of cosign's, for a digest tag or, with the image beside it, for a referrer."""
    notes = layer.annotations
    document: Json = {"media type": layer.media_type, "notes": dict(notes)}
    if "dsse" in layer.media_type or "in-toto" in layer.media_type:
        envelope = json.loads(layer.data)
        document |= {"payload": envelope["payload"], "signature": envelope["signatures"][0]["sig"]}
        document["envelope"] = envelope
    else:
        document |= {"payload": b64(layer.data), "signature": notes[_SIGNATURE]}
    if _CERTIFICATE in notes:
        (document["certificate"],) = _certificates(notes[_CERTIFICATE])
        document["chain"] = _certificates(notes[_CHAIN])
    if _BUNDLE in notes:
        document["bundle"] = json.loads(notes[_BUNDLE])
    if _TIMESTAMP in notes:
        document["timestamp"] = json.loads(notes[_TIMESTAMP])["SignedRFC3161Timestamp"]

    def pack(document: Json) -> Content:
        kind = "application/vnd.in-toto+json" if beside else None
        return layers_manifest(_layer(document), subject=beside, artifact_type=kind)

    return Draft(document, LAYER_PARTS, pack, location)


def _layer(document: Json) -> Layer:
    notes = {key: note for key, note in document["notes"].items() if not key.startswith("dev.sigstore.")}
    if "envelope" in document:
        signatures = [{**document["envelope"]["signatures"][0], "sig": document["signature"]}]
        envelope = document["envelope"] | {"payload": document["payload"], "signatures": signatures}
        data = as_json(envelope)
    else:
        data = base64.b64decode(document["payload"])
        notes[_SIGNATURE] = document["signature"]
    if "certificate" in document:
        notes[_CERTIFICATE] = certificate_pem(base64.b64decode(document["certificate"]))
    if "chain" in document:
        notes[_CHAIN] = "".join(certificate_pem(base64.b64decode(one)) for one in document["chain"])
    if "bundle" in document:
        notes[_BUNDLE] = json.dumps(document["bundle"])
    if "timestamp" in document:
        notes[_TIMESTAMP] = json.dumps({"SignedRFC3161Timestamp": document["timestamp"]})
    return Layer(document["media type"], data, notes)


def _certificates(pem: str) -> list[str]:
    blocks = pem.split("-----BEGIN CERTIFICATE-----")[1:]
    return ["".join(block.split("-----END")[0].split()) for block in blocks]
