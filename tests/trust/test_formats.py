"""Pieces of evidence become envelopes by what lies in them, and what cannot be read says why."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from regsync.content.errors import ContentTooLargeError
from regsync.oci.digest import Digest
from regsync.trust.envelopes import (
    Envelope,
    Kind,
    SigstoreEnvelope,
    UnreadableEnvelope,
    UnsignedEnvelope,
)
from regsync.trust.formats import read_piece, wants
from tests.support.evidence_pieces import FIXTURE_SUBJECT, piece_of, pieces_in
from tests.support.images import Content, artifact, buildkit_index, image, referrer
from tests.support.rekor_log import RekorLog
from tests.support.signing_keys import new_key
from tests.support.sigstore_evidence import (
    DSSE,
    IN_TOTO,
    SLSA,
    SPDX,
    VULN,
    Layer,
    Witness,
    attestation_layer,
    bundle_referrer,
    dsse_envelope,
    layers_manifest,
    message_bundle,
    signature_layer,
    statement,
)
from tests.support.sigstore_pki import Signer, SigstorePki

APP = image("formats")
SUBJECT = Digest.parse(APP.digest)
KEY = Signer(new_key())


def read(content: Content, location: str = "referrers") -> tuple[Envelope, ...]:
    return tuple(read_piece(piece_of(content, APP.digest, location)))


def one(content: Content, location: str = "referrers") -> SigstoreEnvelope:
    (envelope,) = read(content, location)
    assert isinstance(envelope, SigstoreEnvelope), envelope
    return envelope


def reason(content: Content, location: str = "tag:.sig") -> str:
    (envelope,) = read(content, location)
    assert isinstance(envelope, UnreadableEnvelope), envelope
    return envelope.reason


def altered(layer: Layer, **annotations: str) -> Content:
    names = {"signature": "dev.cosignproject.cosign/signature"}
    changes = {names.get(key, f"dev.sigstore.cosign/{key}"): value for key, value in annotations.items()}
    return layers_manifest(replace(layer, annotations=layer.annotations | changes))


def said(envelope: Envelope) -> tuple[str, str, str | None]:
    assert isinstance(envelope, SigstoreEnvelope)
    assert envelope.message.subjects == {Digest.parse(FIXTURE_SUBJECT)}
    return envelope.format, envelope.message.kind.value, envelope.message.predicate_type


def test_what_cosign_signed_and_attested_in_digest_tags_is_read() -> None:
    found = [envelope for piece in pieces_in("legacy") for envelope in read_piece(piece)]
    assert Counter(map(said, found)) == Counter(
        [
            ("cosign-signature", "signature", None),
            ("cosign-attestation", "attestation", SLSA),
            ("cosign-attestation", "attestation", VULN),
            ("cosign-attestation", "attestation", SPDX),
        ]
    )


def test_what_cosign_signed_and_attested_in_bundles_is_read() -> None:
    found = [envelope for piece in pieces_in("newfmt") for envelope in read_piece(piece)]
    assert Counter(map(said, found)) == Counter(
        [
            ("sigstore-bundle", "signature", "https://sigstore.dev/cosign/sign/v1"),
            ("sigstore-bundle", "attestation", SLSA),
            ("sigstore-bundle", "attestation", VULN),
            ("sigstore-bundle", "attestation", SPDX),
        ]
    )


@pytest.mark.parametrize("layout", ["legacy", "newfmt"])
def test_the_annotations_that_cosign_signed_are_read(layout: str) -> None:
    found = [envelope for piece in pieces_in(layout) for envelope in read_piece(piece)]
    signatures = [one for one in found if isinstance(one, SigstoreEnvelope) and not one.message.statement]
    assert [one.message.annotations for one in signatures] == [{"team": "core"}]


def test_an_image_that_has_an_attestation_alone_has_no_signature() -> None:
    (envelope,) = (envelope for piece in pieces_in("attonly") for envelope in read_piece(piece))
    assert said(envelope) == ("sigstore-bundle", "attestation", VULN)


def test_every_signature_over_one_payload_is_an_envelope_of_its_own() -> None:
    layers = [signature_layer(Signer(new_key()), APP.digest) for _ in range(3)]
    found = read(layers_manifest(*layers), "tag:.sig")
    assert len({one.signature for one in found if isinstance(one, SigstoreEnvelope)}) == 3


def test_every_signature_of_a_dsse_envelope_is_an_envelope_of_its_own() -> None:
    envelope = dsse_envelope(KEY, statement(APP.digest, VULN))
    envelope["signatures"] += dsse_envelope(Signer(new_key()), statement(APP.digest, VULN))["signatures"]
    found = read(layers_manifest(Layer(DSSE, json.dumps(envelope).encode())), "tag:.att")
    assert len({one.signature for one in found if isinstance(one, SigstoreEnvelope)}) == 2


def test_materials_of_a_keyless_signature_come_from_the_annotations() -> None:
    pki = SigstorePki(log=RekorLog(before=3))
    signer = pki.certify(new_key())
    layer = signature_layer(signer, APP.digest, Witness(pki.log, pki.tsa))
    envelope = one(layers_manifest(layer), "tag:.sig")
    assert envelope.certificates == signer.certificates
    assert (envelope.signed, envelope.stamped) == (layer.data, envelope.signature)
    (entry,) = envelope.entries
    assert (entry.log_id, entry.index, entry.kind, entry.version) == (
        pki.log.log_id,
        3,
        "hashedrekord",
        "0.0.1",
    )
    assert (bool(entry.promise), bool(entry.integrated_time), entry.proof) == (True, True, None)
    assert len(envelope.timestamps) == 1


def test_timestamps_of_an_attestation_are_over_the_whole_layer() -> None:
    pki = SigstorePki()
    layer = attestation_layer(pki.certify(new_key()), statement(APP.digest, VULN), Witness(None, pki.tsa))
    envelope = one(layers_manifest(layer), "tag:.att")
    assert envelope.stamped == layer.data
    assert envelope.timestamps


def test_annotations_that_go_writes_for_nothing_are_nothing() -> None:
    layer = signature_layer(KEY, APP.digest)
    envelope = one(altered(layer, certificate="", chain="", bundle="null", rfc3161timestamp=""), "tag:.sig")
    assert (envelope.certificates, envelope.entries, envelope.timestamps) == ((), (), ())


def test_the_payload_of_the_specification_is_read_like_that_of_cosign() -> None:
    payload = {
        "critical": {
            "type": "cosign container image signature",
            "image": {"Docker-manifest-digest": APP.digest},
            "identity": {"docker-reference": ""},
        },
        "optional": {"team": "core", "timestamp": 1},
    }
    layer = signature_layer(KEY, APP.digest)
    envelope = one(layers_manifest(replace(layer, data=json.dumps(payload).encode())), "tag:.sig")
    assert (envelope.message.subjects, envelope.message.annotations) == ({SUBJECT}, {"team": "core"})


def test_a_signature_as_a_referrer_is_read_whatever_its_artifact_type() -> None:
    layer = signature_layer(KEY, APP.digest)
    for artifact_type in (
        "application/vnd.dev.cosign.artifact.sig.v1+json",
        "application/vnd.oci.empty.v1+json",
    ):
        content = layers_manifest(layer, subject=APP, artifact_type=artifact_type)
        assert one(content).message.kind is Kind.SIGNATURE


@pytest.mark.parametrize("media_type", [DSSE, IN_TOTO, "application/vnd.in-toto.provenance+dsse"])
@pytest.mark.parametrize("location", ["referrers", "index"])
def test_dsse_envelopes_of_referrers_are_attestations(media_type: str, location: str) -> None:
    layer = attestation_layer(KEY, statement(APP.digest, SLSA), media_type=media_type)
    envelope = one(layers_manifest(layer, subject=APP, artifact_type=IN_TOTO), location)
    assert (envelope.format, envelope.message.kind) == ("dsse", Kind.ATTESTATION)


def test_attestations_that_buildkit_put_into_an_index_are_unsigned() -> None:
    attestation = buildkit_index().children[1]
    assert read(attestation, "index") == (UnsignedEnvelope("in-toto-unsigned"),)
    content = artifact("application/vnd.example", {IN_TOTO: statement(APP.digest, SLSA)})
    (envelope,) = read(content, "index")
    assert isinstance(envelope, UnsignedEnvelope)
    assert envelope.message is not None
    assert envelope.message.predicate_type == SLSA


def test_a_bare_statement_that_calls_itself_a_signature_is_unsigned() -> None:
    (envelope,) = read(artifact(IN_TOTO, {IN_TOTO: statement(APP.digest)}, subject=APP))
    assert isinstance(envelope, UnsignedEnvelope)


@pytest.mark.parametrize(
    "media_type",
    ["text/spdx+json", "text/spdx", "application/vnd.cyclonedx+xml", "application/vnd.syft+json"],
)
def test_sboms_of_cosign_are_unsigned_and_not_read(media_type: str) -> None:
    assert not wants(media_type)
    content = artifact("application/vnd.example", {media_type: b"{}"})
    assert read(content, "tag:.sbom") == (UnsignedEnvelope("sbom-unsigned"),)


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.dev.cosign.simplesigning.v1+json",
        "application/vnd.dsse.envelope.v1+json",
        "application/vnd.in-toto+json",
        "application/vnd.in-toto.spdx+dsse",
        "application/vnd.dev.sigstore.bundle.v0.3+json",
        "application/vnd.dev.sigstore.bundle+json;version=0.1",
        "application/jose+json",
        "application/cose",
    ],
)
def test_layers_that_may_prove_something_are_wanted(media_type: str) -> None:
    assert wants(media_type)


def test_a_referrer_of_another_use_is_no_evidence() -> None:
    assert not wants("application/vnd.oci.image.layer.v1.tar+gzip")
    assert read(referrer(APP, artifact_type="application/vnd.example")) == ()


def test_a_message_signature_is_of_the_manifest_beside_which_it_was_found() -> None:
    bundle = message_bundle(KEY, APP.data)
    assert one(bundle_referrer(APP, bundle)).message.subjects == {SUBJECT}
    other = message_bundle(KEY, image("another").data)
    assert "message digest" in reason(bundle_referrer(APP, other), "referrers")


def test_a_layer_that_was_not_read_says_why() -> None:
    layer = signature_layer(KEY, APP.digest)
    content = layers_manifest(layer)
    digest = Digest.of(layer.data)
    failed = piece_of(
        content, APP.digest, "tag:.sig", layers={digest: ContentTooLargeError("a layer", 5, where="hub/app")}
    )
    absent = piece_of(content, APP.digest, "tag:.sig", layers={})
    for piece, expected in ((failed, "hub/app"), (absent, "was not read")):
        (envelope,) = read_piece(piece)
        assert isinstance(envelope, UnreadableEnvelope)
        assert expected in envelope.reason


def test_a_manifest_that_was_not_read_says_why() -> None:
    piece = piece_of(layers_manifest(signature_layer(KEY, APP.digest)), APP.digest)
    (envelope,) = read_piece(
        replace(piece, manifest=None, failed=ContentTooLargeError("a layer", 5, where="hub/app"))
    )
    assert isinstance(envelope, UnreadableEnvelope)
    assert "hub/app" in envelope.reason


def test_a_digest_tag_with_something_else_in_it_says_so() -> None:
    assert "application/octet-stream" in reason(artifact("x/y", {"application/octet-stream": b"?"}))


def test_layers_named_over_and_over_are_read_up_to_a_bound() -> None:
    large = attestation_layer(KEY, statement(APP.digest, VULN, {"pad": "x" * 3_000_000}))
    found = read(layers_manifest(*[large] * 100), "tag:.att")
    assert isinstance(found[-1], UnreadableEnvelope)
    assert "256 MiB" in found[-1].reason
    assert len(found) < 100
