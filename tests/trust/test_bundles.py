"""Sigstore bundles are read strictly where the proof rests, and tolerantly elsewhere."""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regsync.oci.digest import Digest
from regsync.trust.bundles import read_bundle
from regsync.trust.dsse import pae
from regsync.trust.envelopes import Kind
from regsync.trust.errors import EvidenceRejectedError

SUITE = Path(__file__).parents[1] / "data" / "signing" / "conformance" / "bundle-verify"
ARTIFACT = Digest.of((SUITE / "a.txt").read_bytes())


def document(case: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((SUITE / case / "bundle.sigstore.json").read_text())
    return loaded


MESSAGE = document("happy-path-v0.3")
DSSE = document("happy-path-intoto-in-dsse-v3")
OLD = document("happy-path-v0.1")
KEY = document("managed-key-happy-path")
V2 = document("rekor2-happy-path")


def changed(start: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> bytes:
    copy = json.loads(json.dumps(start))
    change(copy)
    return json.dumps(copy).encode()


def entry(bundle: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = bundle["verificationMaterial"]["tlogEntries"][0]
    return found


def test_a_message_signature_is_of_the_manifest_it_was_found_beside() -> None:
    raw = json.dumps(MESSAGE).encode()
    read = read_bundle(raw, manifest_digest=ARTIFACT)
    assert read.message.kind is Kind.SIGNATURE
    assert read.message.subjects == {ARTIFACT}
    assert (read.signed, read.signed_digest, read.bundle) == (None, ARTIFACT, raw)
    assert read.signature == base64.b64decode(MESSAGE["messageSignature"]["signature"])
    assert len(read.certificates) == len(read.entries) == 1


def test_a_message_signature_of_another_image_is_refused() -> None:
    with pytest.raises(EvidenceRejectedError, match="not over sha256:ba78") as refused:
        read_bundle(json.dumps(MESSAGE).encode(), manifest_digest=Digest.of(b"abc"))
    assert refused.value.check == "message digest"


def test_without_the_digest_that_was_signed_the_manifest_is_what_was_signed() -> None:
    raw = changed(MESSAGE, lambda bundle: bundle["messageSignature"].pop("messageDigest"))
    assert read_bundle(raw, manifest_digest=ARTIFACT).signed_digest == ARTIFACT
    with pytest.raises(EvidenceRejectedError, match="nothing says what was signed"):
        read_bundle(raw, manifest_digest=None)


def test_with_the_content_at_hand_a_signature_may_be_over_another_hash_of_it() -> None:
    content = (SUITE / "a.txt").read_bytes()

    def longer(bundle: dict[str, Any]) -> None:
        digest = base64.b64encode(hashlib.sha384(content).digest()).decode()
        bundle["messageSignature"]["messageDigest"] = {"algorithm": "SHA2_384", "digest": digest}

    raw = changed(MESSAGE, longer)
    read = read_bundle(raw, manifest_digest=ARTIFACT, content=content)
    assert (read.signed, read.signed_digest) == (content, ARTIFACT)
    with pytest.raises(EvidenceRejectedError, match="something else"):
        read_bundle(raw, manifest_digest=Digest.of(b"abc"), content=b"abc")
    with pytest.raises(EvidenceRejectedError, match="SHA2_384, which names no image"):
        read_bundle(raw, manifest_digest=ARTIFACT)


def test_an_attestation_is_signed_over_its_pre_authentication_encoding() -> None:
    read = read_bundle(json.dumps(DSSE).encode(), manifest_digest=ARTIFACT)
    payload = base64.b64decode(DSSE["dsseEnvelope"]["payload"])
    assert read.message.kind is Kind.ATTESTATION
    assert read.message.subjects == {ARTIFACT}
    assert read.signed == pae("application/vnd.in-toto+json", payload)
    assert read.dsse is not None
    assert read.dsse.payload == payload


def test_a_log_entry_is_read_whole() -> None:
    (read,) = read_bundle(json.dumps(MESSAGE).encode(), manifest_digest=ARTIFACT).entries
    written = entry(MESSAGE)
    assert (read.index, read.kind, read.version) == (79571823, "hashedrekord", "0.0.1")
    assert read.log_id == base64.b64decode(written["logId"]["keyId"])
    assert read.body == base64.b64decode(written["canonicalizedBody"])
    assert read.integrated_time == 1710869186
    assert read.proof is not None
    assert (read.proof.index, read.proof.tree_size) == (75408392, 75408393)
    assert read.proof.checkpoint == written["inclusionProof"]["checkpoint"]["envelope"]


def test_defaults_that_a_writer_left_out_are_zeroes() -> None:
    def first_in_its_tree(bundle: dict[str, Any]) -> None:
        for key in ("logIndex", "integratedTime"):
            entry(bundle).pop(key, None)
        entry(bundle)["inclusionProof"].pop("logIndex")
        entry(bundle)["inclusionProof"].pop("hashes")

    (read,) = read_bundle(changed(V2, first_in_its_tree), manifest_digest=ARTIFACT).entries
    assert (read.index, read.integrated_time, read.promise) == (0, None, None)
    assert read.proof is not None
    assert (read.proof.index, read.proof.hashes) == (0, ())


def test_a_bundle_of_a_key_has_no_certificate_and_may_have_timestamps() -> None:
    read = read_bundle(json.dumps(KEY).encode(), manifest_digest=ARTIFACT)
    assert (read.certificates, len(read.timestamps)) == ((), 1)


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.dev.sigstore.bundle+json;version=0.3",
        "application/vnd.dev.sigstore.bundle+json; version=0.3",
        "application/vnd.dev.sigstore.bundle.v0.3+json",
        "application/vnd.dev.sigstore.bundle.v0.3.0+json",
        "application/vnd.dev.sigstore.bundle+json;version=0.2",
        "application/vnd.dev.sigstore.bundle.v0.1+json",
    ],
)
def test_versions_are_known_in_both_spellings(media_type: str) -> None:
    read_bundle(
        changed(MESSAGE, lambda bundle: bundle.update(mediaType=media_type)), manifest_digest=ARTIFACT
    )


def test_what_nothing_is_known_of_is_passed_over() -> None:
    def newer(bundle: dict[str, Any]) -> None:
        bundle["futureField"] = {"a": [1, None]}
        bundle["verificationMaterial"]["futureField"] = "x"
        entry(bundle)["futureField"] = True

    assert read_bundle(changed(MESSAGE, newer), manifest_digest=ARTIFACT).entries


def test_a_bundle_of_version_0_1_needs_no_inclusion_proof() -> None:
    raw = changed(OLD, lambda bundle: entry(bundle).pop("inclusionProof"))
    assert read_bundle(raw, manifest_digest=ARTIFACT).entries[0].proof is None


REFUSED: list[tuple[str, dict[str, Any], Callable[[dict[str, Any]], object], str]] = [
    ("no media type", MESSAGE, lambda b: b.pop("mediaType"), "mediaType is ''"),
    (
        "a version that is not known",
        MESSAGE,
        lambda b: b.update(mediaType="application/vnd.dev.sigstore.bundle.v0.4+json"),
        "of version 0.1 to 0.3",
    ),
    (
        "a version with something behind it",
        MESSAGE,
        lambda b: b.update(mediaType="application/vnd.dev.sigstore.bundle.v0.3+json\n"),
        "mediaType",
    ),
    (
        "nothing to prove it by",
        MESSAGE,
        lambda b: b.pop("verificationMaterial"),
        "verificationMaterial is missing",
    ),
    (
        "a key and a certificate",
        MESSAGE,
        lambda b: b["verificationMaterial"].update(publicKey={"hint": "x"}),
        "publicKey and certificate",
    ),
    (
        "neither key nor certificate",
        MESSAGE,
        lambda b: b["verificationMaterial"].pop("certificate"),
        "none of publicKey",
    ),
    ("no content", MESSAGE, lambda b: b.pop("messageSignature"), "none of dsseEnvelope"),
    (
        "two contents",
        MESSAGE,
        lambda b: b.update(dsseEnvelope=DSSE["dsseEnvelope"]),
        "dsseEnvelope and messageSignature",
    ),
    (
        "several signatures in one envelope",
        DSSE,
        lambda b: b["dsseEnvelope"].update(signatures=b["dsseEnvelope"]["signatures"] * 2),
        "2 signatures, a bundle's has exactly one",
    ),
    (
        "another payload than a statement",
        DSSE,
        lambda b: b["dsseEnvelope"].update(payloadType="text/plain"),
        "payloadType is 'text/plain'",
    ),
    (
        "no signature",
        MESSAGE,
        lambda b: b["messageSignature"].update(signature=""),
        r"messageSignature\.signature is missing",
    ),
    (
        "a hash that names no content",
        MESSAGE,
        lambda b: b["messageSignature"]["messageDigest"].update(algorithm="SHA3_256"),
        "SHA3_256",
    ),
    (
        "a digest that is too short",
        MESSAGE,
        lambda b: b["messageSignature"]["messageDigest"].update(digest="YWJj"),
        "is of SHA2_256, which names no image",
    ),
    (
        "a chain in a bundle of version 0.3",
        OLD,
        lambda b: b.update(mediaType=MESSAGE["mediaType"]),
        "0.3 has a certificate",
    ),
    (
        "a chain of something else than certificates",
        OLD,
        lambda b: b["verificationMaterial"]["x509CertificateChain"].update(
            certificates=[{"rawBytes": "YWJj"}]
        ),
        "no certificate",
    ),
    (
        "a list of something else than objects",
        MESSAGE,
        lambda b: b["verificationMaterial"].update(tlogEntries=[1]),
        r"tlogEntries\[0\] is not an object",
    ),
    (
        "one log entry twice",
        MESSAGE,
        lambda b: b["verificationMaterial"].update(tlogEntries=[entry(b)] * 2),
        "names one entry of a log twice",
    ),
    (
        "more log entries than anyone needs",
        MESSAGE,
        lambda b: b["verificationMaterial"].update(tlogEntries=[entry(b)] * 33),
        "33 items, at most 32",
    ),
    (
        "more hashes than a proof can have",
        MESSAGE,
        lambda b: entry(b)["inclusionProof"].update(hashes=["YWJj"] * 65),
        "65 items, at most 64",
    ),
    (
        "no promise in version 0.1",
        OLD,
        lambda b: entry(b).pop("inclusionPromise"),
        "inclusionPromise is missing",
    ),
    (
        "no proof from version 0.2 on",
        MESSAGE,
        lambda b: entry(b).pop("inclusionProof"),
        "inclusionProof is missing",
    ),
    (
        "a proof of a root that nobody signed",
        MESSAGE,
        lambda b: entry(b)["inclusionProof"].pop("checkpoint"),
        "checkpoint is missing",
    ),
    (
        "an empty checkpoint",
        MESSAGE,
        lambda b: entry(b)["inclusionProof"].update(checkpoint={}),
        r"checkpoint\.envelope is missing",
    ),
    ("an index below nothing", MESSAGE, lambda b: entry(b).update(logIndex="-1"), "logIndex is '-1'"),
    ("an index beyond 64 bits", MESSAGE, lambda b: entry(b).update(logIndex=2**63), "no whole number"),
    ("an index that is a truth value", MESSAGE, lambda b: entry(b).update(logIndex=True), "no whole number"),
    (
        "an index with digits of another script",
        MESSAGE,
        lambda b: entry(b).update(logIndex="\u0661"),
        "no whole number",
    ),
    (
        "one timestamp twice",
        KEY,
        lambda b: b["verificationMaterial"]["timestampVerificationData"].update(
            rfc3161Timestamps=b["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] * 2
        ),
        "one timestamp twice",
    ),
]


@pytest.mark.parametrize(
    ("start", "change", "reason"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED]
)
def test_it_is_refused(
    start: dict[str, Any], change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    with pytest.raises(EvidenceRejectedError, match=reason):
        read_bundle(changed(start, change), manifest_digest=ARTIFACT)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"[" * 100_000, id="deep nesting"),
        pytest.param(b'{"mediaType": "a", "mediaType": "b"}', id="a key twice"),
        pytest.param(b'{"mediaType": NaN}', id="no JSON"),
        pytest.param(b'{"mediaType": ' + b"9" * 5000 + b"}", id="a number without end"),
        pytest.param(b'{"mediaType": "\xff"}', id="no UTF-8"),
        pytest.param(b" " * (32 * 1024 * 1024 + 1), id="more than is read"),
    ],
)
def test_hostile_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(EvidenceRejectedError) as refused:
        read_bundle(raw, manifest_digest=ARTIFACT)
    assert refused.value.check == "bundle"
