"""An entry is about one signature, by one verifier, over certain contents; it serves nothing else."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from regsync.oci.digest import Digest
from regsync.trust.cosign import read_attestation
from regsync.trust.dsse import pae, parse_dsse
from regsync.trust.envelopes import Kind, LogEntry, Message, SigstoreEnvelope
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.logs.bodies import MAX_BODY, match_body
from tests.support import rekor_log
from tests.support.rekor_log import b64, canonical
from tests.support.signing_keys import new_key, public_der, sign
from tests.support.sigstore_evidence import IN_TOTO, dsse_envelope, encoded, statement
from tests.support.sigstore_pki import Signer, SigstorePki

Json = dict[str, Any]

PKI = SigstorePki()
SIGNERS = {
    "certificate": PKI.certify(new_key()),
    "another certificate": PKI.certify(new_key()),
    "key": Signer(new_key()),
    "another key": Signer(new_key()),
}
PAYLOADS = {name: statement(f"sha256:{hashlib.sha256(name.encode()).hexdigest()}") for name in ("one", "two")}


@cache
def signed(signer: str, payload: str, attempt: int) -> tuple[Json, SigstoreEnvelope]:
    """A DSSE envelope; `attempt` tells apart signatures of the same over the same."""
    envelope = dsse_envelope(SIGNERS[signer], PAYLOADS[payload])
    raw = canonical(envelope)
    (read,) = read_attestation(raw, {}, "cosign-attestation")
    return envelope, read


def verifier(signer: str) -> bytes:
    found = SIGNERS[signer]
    return found.certificates[0] if found.certificates else public_der(found.key)


def hashedrekord_1(envelope: Json, signer: Signer) -> Json:
    digest = hashlib.sha256(encoded(base64.b64decode(envelope["payload"]))).hexdigest()
    return rekor_log.hashedrekord(digest, signature_of(envelope), signer.verifier_pem)


def hashedrekord_2(envelope: Json, signer: Signer) -> Json:
    digest = hashlib.sha256(encoded(base64.b64decode(envelope["payload"]))).digest()
    return rekor_log.hashedrekord_v2(digest, signature_of(envelope), verifier_2(signer))


def dsse_1(envelope: Json, signer: Signer) -> Json:
    return rekor_log.dsse(envelope, signer.verifier_pem)


def dsse_2(envelope: Json, signer: Signer) -> Json:
    return rekor_log.dsse_v2(envelope, verifier_2(signer))


def intoto_1(envelope: Json, signer: Signer) -> Json:
    value = hashlib.sha256(canonical(envelope)).hexdigest()
    content = {"hash": {"algorithm": "sha256", "value": value}}
    spec = {"content": content, "publicKey": b64(signer.verifier_pem)}
    return {"apiVersion": "0.0.1", "kind": "intoto", "spec": spec}


def intoto_2(envelope: Json, signer: Signer) -> Json:
    return rekor_log.intoto(envelope, signer.verifier_pem)


def signature_of(envelope: Json) -> bytes:
    return base64.b64decode(envelope["signatures"][0]["sig"])


def verifier_2(signer: Signer) -> Json:
    return rekor_log.verifier_v2(signer.key, signer.certificates[0] if signer.certificates else None)


Build = Callable[[Json, Signer], Json]
BUILDERS: Mapping[str, Build] = {
    "hashedrekord 0.0.1": hashedrekord_1,
    "hashedrekord 0.0.2": hashedrekord_2,
    "dsse 0.0.1": dsse_1,
    "dsse 0.0.2": dsse_2,
    "intoto 0.0.1": intoto_1,
    "intoto 0.0.2": intoto_2,
}
every_kind = pytest.mark.parametrize(
    "build", [pytest.param(build, id=kind) for kind, build in BUILDERS.items()]
)


def entry(body: Json | bytes, kind: str | None = None, version: str | None = None) -> LogEntry:
    if isinstance(body, bytes):
        return LogEntry(b"", 0, kind or "dsse", version or "0.0.1", body)
    return LogEntry(b"", 0, kind or body["kind"], version or body["apiVersion"], canonical(body))


@every_kind
@pytest.mark.parametrize("signer", ["certificate", "key"])
def test_an_entry_serves_what_it_is_about(build: Build, signer: str) -> None:
    envelope, read = signed(signer, "one", 1)
    match_body(entry(build(envelope, SIGNERS[signer])), read, verifier(signer))


@every_kind
@pytest.mark.parametrize("signer", ["certificate", "key"])
@pytest.mark.parametrize(
    ("payload", "attempt"),
    [
        pytest.param("two", 1, id="other contents by the same signer"),
        pytest.param("one", 2, id="another signature over the same contents"),
    ],
)
def test_an_entry_serves_nothing_else_that_was_signed(
    build: Build, signer: str, payload: str, attempt: int
) -> None:
    logged, _ = signed(signer, "one", 1)
    _, read = signed(signer, payload, attempt)
    with pytest.raises(EvidenceRejectedError) as refused:
        match_body(entry(build(logged, SIGNERS[signer])), read, verifier(signer))
    assert refused.value.check == "log entry"


@every_kind
@pytest.mark.parametrize("signer", ["certificate", "key"])
def test_an_entry_of_another_verifier_serves_nothing(build: Build, signer: str) -> None:
    """The body is right in all but whose key it names (GHSA-fx35-mq7g-6g98)."""
    envelope, read = signed(signer, "one", 1)
    with pytest.raises(EvidenceRejectedError, match="another key or certificate"):
        match_body(entry(build(envelope, SIGNERS[f"another {signer}"])), read, verifier(signer))


@every_kind
def test_a_key_is_not_the_certificate_that_certifies_it(build: Build) -> None:
    envelope, read = signed("certificate", "one", 1)
    body = build(envelope, Signer(SIGNERS["certificate"].key))
    with pytest.raises(EvidenceRejectedError, match="another key or certificate"):
        match_body(entry(body), read, verifier("certificate"))


@pytest.mark.parametrize(
    ("build", "path"),
    [
        pytest.param(hashedrekord_1, "data", id="hashedrekord 0.0.1, digest"),
        pytest.param(hashedrekord_1, "signature.content", id="hashedrekord 0.0.1, signature"),
        pytest.param(hashedrekord_1, "signature.publicKey", id="hashedrekord 0.0.1, key"),
        pytest.param(hashedrekord_2, "hashedRekordV002.data", id="hashedrekord 0.0.2, digest"),
        pytest.param(
            hashedrekord_2, "hashedRekordV002.signature.content", id="hashedrekord 0.0.2, signature"
        ),
        pytest.param(hashedrekord_2, "hashedRekordV002.signature.verifier", id="hashedrekord 0.0.2, key"),
        pytest.param(dsse_1, "payloadHash", id="dsse 0.0.1, digest"),
        pytest.param(dsse_1, "signatures.0.signature", id="dsse 0.0.1, signature"),
        pytest.param(dsse_1, "signatures.0.verifier", id="dsse 0.0.1, key"),
        pytest.param(dsse_2, "dsseV002.payloadHash", id="dsse 0.0.2, digest"),
        pytest.param(dsse_2, "dsseV002.signatures.0.content", id="dsse 0.0.2, signature"),
        pytest.param(dsse_2, "dsseV002.signatures.0.verifier", id="dsse 0.0.2, key"),
        pytest.param(intoto_1, "content.hash", id="intoto 0.0.1, digest"),
        pytest.param(intoto_1, "publicKey", id="intoto 0.0.1, key"),
        pytest.param(intoto_2, "content.payloadHash", id="intoto 0.0.2, digest"),
        pytest.param(intoto_2, "content.envelope.signatures.0.sig", id="intoto 0.0.2, signature"),
        pytest.param(intoto_2, "content.envelope.signatures.0.publicKey", id="intoto 0.0.2, key"),
    ],
)
@pytest.mark.parametrize("change", ["swapped", "left out"])
def test_each_part_has_to_be_right(build: Build, path: str, change: str) -> None:
    """One part alone is another's, and a valid one, or is not there at all (GHSA-whqx-f9j3-ch6m)."""
    envelope, read = signed("certificate", "one", 1)
    other, _ = signed("another certificate", "two", 1)
    body = deepcopy(build(envelope, SIGNERS["certificate"]))
    into, key = field(body, path)
    foreign, _ = field(build(other, SIGNERS["another certificate"]), path)
    if change == "swapped":
        into[key] = foreign[key]
    else:
        del into[key]
    with pytest.raises(EvidenceRejectedError) as refused:
        match_body(entry(body), read, verifier("certificate"))
    assert refused.value.check == "log entry"


def field(body: Json, path: str) -> tuple[Any, Any]:
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    into: Any = body["spec"]
    for part in parents:
        into = into[part]
    return into, last


@pytest.mark.parametrize("build", [dsse_1, dsse_2, intoto_1, intoto_2])
def test_an_entry_of_an_envelope_serves_no_plain_signature(build: Build) -> None:
    envelope, read = signed("key", "one", 1)
    plain = replace(read, dsse=None)
    with pytest.raises(EvidenceRejectedError, match="about a DSSE envelope, and this is none"):
        match_body(entry(build(envelope, SIGNERS["key"])), plain, verifier("key"))


def test_the_type_of_the_payload_is_logged_by_intoto() -> None:
    envelope, read = signed("key", "one", 1)
    body = intoto_2(envelope | {"payloadType": "text/plain"}, SIGNERS["key"])
    with pytest.raises(EvidenceRejectedError, match="payload of another type"):
        match_body(entry(body), read, verifier("key"))


def test_the_first_intoto_serves_only_an_envelope_whose_bytes_are_known() -> None:
    """It names no signature, only the hash of the envelope's bytes; a bundle has these no more."""
    envelope, read = signed("key", "one", 1)
    with pytest.raises(EvidenceRejectedError, match="envelope of other bytes"):
        match_body(
            entry(intoto_1(envelope, SIGNERS["key"])), replace(read, timestamped=None), verifier("key")
        )


def test_one_of_several_signatures_in_an_entry_is_enough() -> None:
    envelope, read = signed("key", "one", 1)
    other, _ = signed("another key", "one", 1)
    body, more = dsse_1(envelope, SIGNERS["key"]), dsse_1(other, SIGNERS["another key"])
    body["spec"]["signatures"] = more["spec"]["signatures"] + body["spec"]["signatures"]
    match_body(entry(body), read, verifier("key"))


def test_signature_and_verifier_have_to_stand_together() -> None:
    envelope, read = signed("key", "one", 1)
    other, _ = signed("another key", "one", 1)
    body = dsse_1(envelope, SIGNERS["another key"])
    body["spec"]["signatures"] += dsse_1(other, SIGNERS["key"])["spec"]["signatures"]
    with pytest.raises(EvidenceRejectedError, match="another key or certificate"):
        match_body(entry(body), read, verifier("key"))


# Signatures over something whose bytes are not here: only its digest is.

KEY = new_key()
CONTENT = b"a manifest"
SIGNATURE = sign(KEY, CONTENT)
MESSAGE = SigstoreEnvelope(
    "sigstore-bundle",
    Message(Kind.SIGNATURE, frozenset({Digest.of(CONTENT)})),
    SIGNATURE,
    None,
    Digest.of(CONTENT),
)


def logged(algorithm: str, value: str) -> LogEntry:
    return entry(rekor_log.hashedrekord(value, SIGNATURE, Signer(KEY).verifier_pem, algorithm))


def test_a_digest_is_compared_where_there_is_nothing_else() -> None:
    match_body(logged("sha256", Digest.of(CONTENT).encoded), MESSAGE, public_der(KEY))


@pytest.mark.parametrize(
    ("algorithm", "value"),
    [
        pytest.param("sha256", hashlib.sha256(b"another").hexdigest(), id="another digest"),
        pytest.param(
            "sha512", hashlib.sha512(CONTENT).hexdigest(), id="an algorithm that cannot be compared"
        ),
        pytest.param("sha512", hashlib.sha256(CONTENT).hexdigest(), id="the wrong algorithm"),
        pytest.param("sha1", hashlib.sha1(CONTENT).hexdigest(), id="an algorithm that is weak"),
        pytest.param("sha256", "zz", id="no hex"),
    ],
)
def test_another_digest_is_refused(algorithm: str, value: str) -> None:
    with pytest.raises(EvidenceRejectedError):
        match_body(logged(algorithm, value), MESSAGE, public_der(KEY))


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_of_bytes_that_are_here_any_strong_hash_will_do(algorithm: str) -> None:
    """A P-384 key's entry has SHA-384."""
    value = hashlib.new(algorithm, CONTENT).hexdigest()
    match_body(logged(algorithm, value), replace(MESSAGE, signed=CONTENT), public_der(KEY))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"", "not JSON", id="nothing"),
        pytest.param(b"[]", "not a JSON object", id="no object"),
        pytest.param(b"[" * 100_000, "nested deeper", id="deep"),
        pytest.param(b" " * (MAX_BODY + 1), "at most", id="long"),
        pytest.param(b"{}", "not the dsse 0.0.1", id="empty"),
        pytest.param(b'{"kind":"dsse","apiVersion":"0.0.2"}', "not the dsse 0.0.1", id="another version"),
        pytest.param(b'{"kind":"dsse","kind":"dsse"}', "stands twice", id="a key that stands twice"),
        pytest.param(b'{"kind":"dsse","apiVersion":"0.0.1"}', "spec is missing", id="no spec"),
        pytest.param(b'{"kind":"dsse","apiVersion":"0.0.1","spec":[]}', "not an object", id="a list"),
    ],
)
def test_a_hostile_body_is_refused(body: bytes, reason: str) -> None:
    _, read = signed("key", "one", 1)
    with pytest.raises(EvidenceRejectedError, match=reason):
        match_body(entry(body), read, verifier("key"))


def test_a_kind_that_is_not_known_is_refused_by_name() -> None:
    _, read = signed("key", "one", 1)
    body = {"kind": "rekord", "apiVersion": "0.0.1", "spec": {}}
    with pytest.raises(EvidenceRejectedError, match=r"rekord 0\.0\.1 are not understood"):
        match_body(entry(body), read, verifier("key"))


def test_a_verifier_is_one_of_certificate_and_key() -> None:
    envelope, read = signed("certificate", "one", 1)
    body = hashedrekord_2(envelope, SIGNERS["certificate"])
    body["spec"]["hashedRekordV002"]["signature"]["verifier"]["publicKey"] = {"rawBytes": b64(b"another")}
    with pytest.raises(EvidenceRejectedError, match="publicKey"):
        match_body(entry(body), read, verifier("certificate"))


def test_pem_of_two_certificates_is_refused() -> None:
    envelope, read = signed("certificate", "one", 1)
    body = dsse_1(envelope, SIGNERS["certificate"])
    both = SIGNERS["certificate"].verifier_pem + SIGNERS["another certificate"].verifier_pem
    body["spec"]["signatures"][0]["verifier"] = b64(both)
    with pytest.raises(EvidenceRejectedError, match="not PEM of one certificate"):
        match_body(entry(body), read, verifier("certificate"))


def test_the_envelope_of_these_tests_is_signed_over_its_encoding() -> None:
    envelope, read = signed("key", "one", 1)
    dsse = parse_dsse(json.dumps(envelope).encode())
    assert read.signed == pae(IN_TOTO, dsse.payload) == encoded(dsse.payload)
