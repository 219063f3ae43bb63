"""A transparency log as Rekor keeps it: entry bodies, a Merkle tree, promises and checkpoints.

Version 1 promises entries (SET) and has a key of P-256; version 2 has neither times nor promises, and a key
of Ed25519. Sources: RFC 6962, section 2.1; C2SP `tlog-checkpoint` and `signed-note`; rekor's `pkg/types`.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tests.support.signing_keys import SigningKey, details, new_key, public_der, sign

Json = dict[str, Any]


def b64(data: bytes) -> str:
    """Standard base64."""
    return base64.b64encode(data).decode()


def canonical(document: Json) -> bytes:
    """JSON with sorted keys and without spaces, as RFC 8785 has it for what is in here."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def hashedrekord(digest: str, signature: bytes, verifier_pem: bytes, algorithm: str = "sha256") -> Json:
    """The body of `hashedrekord` 0.0.1; `digest` in hex."""
    signed = {"content": b64(signature), "publicKey": {"content": b64(verifier_pem)}}
    data = {"hash": {"algorithm": algorithm, "value": digest}}
    return {"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {"data": data, "signature": signed}}


def dsse(envelope: Json, verifier_pem: bytes) -> Json:
    """The body of `dsse` 0.0.1."""
    payload = base64.b64decode(envelope["payload"])
    spec = {
        "envelopeHash": _hash(canonical(envelope)),
        "payloadHash": _hash(payload),
        "signatures": [
            {"signature": one["sig"], "verifier": b64(verifier_pem)} for one in envelope["signatures"]
        ],
    }
    return {"apiVersion": "0.0.1", "kind": "dsse", "spec": spec}


def intoto(envelope: Json, verifier_pem: bytes) -> Json:
    """The body of `intoto` 0.0.2, as cosign 2 uploaded attestations."""
    signatures = [
        {"publicKey": b64(verifier_pem), "sig": b64(one["sig"].encode())} for one in envelope["signatures"]
    ]
    content = {
        "envelope": {"payloadType": envelope["payloadType"], "signatures": signatures},
        "hash": _hash(canonical(envelope)),
        "payloadHash": _hash(base64.b64decode(envelope["payload"])),
    }
    return {"apiVersion": "0.0.2", "kind": "intoto", "spec": {"content": content}}


def intoto_1(envelope: bytes, verifier_pem: bytes) -> Json:
    """The body of `intoto` 0.0.1, which names the bytes of the envelope and no signature."""
    spec = {"content": {"hash": _hash(envelope)}, "publicKey": b64(verifier_pem)}
    return {"apiVersion": "0.0.1", "kind": "intoto", "spec": spec}


def hashedrekord_v2(digest: bytes, signature: bytes, verifier: Json, algorithm: str = "SHA2_256") -> Json:
    """The body of `hashedrekord` 0.0.2; `verifier` from `verifier_v2`."""
    spec = {
        "data": {"algorithm": algorithm, "digest": b64(digest)},
        "signature": {"content": b64(signature), "verifier": verifier},
    }
    return {"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": {"hashedRekordV002": spec}}


def dsse_v2(envelope: Json, verifier: Json) -> Json:
    """The body of `dsse` 0.0.2."""
    payload = hashlib.sha256(base64.b64decode(envelope["payload"])).digest()
    spec = {
        "payloadHash": {"algorithm": "SHA2_256", "digest": b64(payload)},
        "signatures": [{"content": one["sig"], "verifier": verifier} for one in envelope["signatures"]],
    }
    return {"apiVersion": "0.0.2", "kind": "dsse", "spec": {"dsseV002": spec}}


def verifier_v2(key: SigningKey, certificate: bytes | None) -> Json:
    """What verifies an entry of version 2: a certificate in DER, or else the key."""
    if certificate is not None:
        return {"keyDetails": details(key), "x509Certificate": {"rawBytes": b64(certificate)}}
    return {"keyDetails": details(key), "publicKey": {"rawBytes": b64(public_der(key))}}


def _hash(data: bytes) -> Json:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}


class RekorLog:
    """A log that takes entries; `before` others are in it already."""

    def __init__(self, host: str = "rekor.example", *, version: int = 1, before: int = 0) -> None:
        self.host, self.version = host, version
        self.key = new_key("P-256" if version == 1 else "Ed25519")
        self.leaves = [f"an entry of others, {number}".encode() for number in range(before)]
        if version == 1:
            self.origin = f"{host} - 1234567890123456789"
            self.log_id = hashlib.sha256(public_der(self.key)).digest()
        else:  # C2SP signed-note: the name, the type of the key and its bytes
            self.origin = host
            self.log_id = hashlib.sha256(f"{host}\n\x01".encode() + public_der(self.key)[-32:]).digest()

    def add(self, body: Json | bytes, at: datetime, *, after: int = 0) -> Json:
        """Take an entry, then `after` others, and return what a bundle's `tlogEntries` holds of it."""
        raw = body if isinstance(body, bytes) else canonical(body)
        index = len(self.leaves)
        self.leaves += [raw, *(f"a later entry, {number}".encode() for number in range(after))]
        document = json.loads(raw)
        entry: Json = {
            "logIndex": str(index),
            "logId": {"keyId": b64(self.log_id)},
            "kindVersion": {"kind": document["kind"], "version": document["apiVersion"]},
        }
        if self.version == 1:
            seconds = int(at.timestamp())
            entry["integratedTime"] = str(seconds)
            entry["inclusionPromise"] = {"signedEntryTimestamp": b64(self.promise(raw, index, seconds))}
        hashes = self.proof(index)
        entry["inclusionProof"] = {
            "logIndex": str(index),
            "rootHash": b64(tree_hash(self.leaves)),
            "treeSize": str(len(self.leaves)),
            "hashes": [b64(one) for one in hashes],
            "checkpoint": {"envelope": self.checkpoint()},
        }
        entry["canonicalizedBody"] = b64(raw)
        return entry

    def promise(self, body: bytes, index: int, seconds: int) -> bytes:
        """A signed entry timestamp."""
        return sign(self.key, canonical(self._promised(body, index, seconds)))

    def cosign_bundle(self, entry: Json) -> Json:
        """The same entry as cosign's layers hold it, in the annotation `dev.sigstore.cosign/bundle`."""
        body = base64.b64decode(entry["canonicalizedBody"])
        payload = self._promised(body, int(entry["logIndex"]), int(entry["integratedTime"]))
        return {
            "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
            "Payload": payload,
        }

    def _promised(self, body: bytes, index: int, seconds: int) -> Json:
        return {"body": b64(body), "integratedTime": seconds, "logID": self.log_id.hex(), "logIndex": index}

    def checkpoint(self) -> str:
        """A signed note over the tree as it is now."""
        note = f"{self.origin}\n{len(self.leaves)}\n{b64(tree_hash(self.leaves))}\n"
        signature = self.log_id[:4] + sign(self.key, note.encode())
        return f"{note}\n— {self.host} {b64(signature)}\n"

    def proof(self, index: int) -> list[bytes]:
        """The audit path of a leaf, from the leaf upwards."""
        return audit_path(index, self.leaves)


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962, section 2.1: the Merkle tree hash."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = _split(len(leaves))
    return hashlib.sha256(b"\x01" + tree_hash(leaves[:split]) + tree_hash(leaves[split:])).digest()


def audit_path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """RFC 6962, section 2.1.1."""
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*audit_path(index, leaves[:split]), tree_hash(leaves[split:])]
    return [*audit_path(index - split, leaves[split:]), tree_hash(leaves[:split])]


def _split(count: int) -> int:
    """The largest power of two smaller than `count`."""
    return 1 << (count - 1).bit_length() - 1
