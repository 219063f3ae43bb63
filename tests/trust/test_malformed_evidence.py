"""What is malformed in evidence makes it unreadable, with a reason that says what."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from regsync.trust.envelopes import (
    UnreadableEnvelope,
)
from regsync.trust.formats import read_piece
from tests.support.evidence_pieces import piece_of
from tests.support.images import Content, image
from tests.support.signing_keys import new_key
from tests.support.sigstore_evidence import (
    DSSE,
    IN_TOTO,
    Layer,
    bundle_referrer,
    dsse_bundle,
    dsse_envelope,
    layers_manifest,
    signature_layer,
    statement,
)
from tests.support.sigstore_pki import Signer

APP = image("malformed")
KEY = Signer(new_key())


def reason(content: Content, location: str = "tag:.sig") -> str:
    (envelope,) = read_piece(piece_of(content, APP.digest, location))
    assert isinstance(envelope, UnreadableEnvelope), envelope
    return envelope.reason


def altered(layer: Layer, **annotations: str) -> Content:
    names = {"signature": "dev.cosignproject.cosign/signature"}
    changes = {names.get(key, f"dev.sigstore.cosign/{key}"): value for key, value in annotations.items()}
    return layers_manifest(replace(layer, annotations=layer.annotations | changes))


SIGNED = signature_layer(KEY, APP.digest)
ENTRY: dict[str, Any] = {"body": "e30=", "integratedTime": 1, "logID": "ab" * 32, "logIndex": 0}


def payload(**image: Any) -> bytes:
    critical = {"type": "cosign container image signature", "image": image, "identity": {}}
    return json.dumps({"critical": critical, "optional": None}).encode()


def promised(**changes: Any) -> str:
    return json.dumps({"SignedEntryTimestamp": "YQ==", "Payload": ENTRY | changes})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(
            altered(SIGNED, signature=""), "signature: the layer has no annotation", id="no signature"
        ),
        pytest.param(altered(SIGNED, signature="no base64"), "signature: not base64", id="signature"),
        pytest.param(altered(SIGNED, certificate="---"), "certificate: .*not PEM", id="certificate"),
        pytest.param(
            altered(SIGNED, certificate="-----BEGIN CERTIFICATE-----\nYQ\n-----END CERTIFICATE-----\n"),
            "certificate: not base64",
            id="base64 of a certificate",
        ),
        pytest.param(
            altered(
                SIGNED, certificate="-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n" * 17
            ),
            "17 certificates, at most 16",
            id="too many certificates",
        ),
        pytest.param(altered(SIGNED, bundle="{"), "log entry: not JSON", id="bundle"),
        pytest.param(altered(SIGNED, bundle="[]"), "log entry: .*not a JSON object", id="a list as bundle"),
        pytest.param(altered(SIGNED, bundle="{}"), "log entry: Payload is missing", id="empty bundle"),
        pytest.param(altered(SIGNED, bundle=promised(body=5)), "log entry: .*no string", id="no body"),
        pytest.param(altered(SIGNED, bundle=promised()), "log entry: .*kind", id="a body that says nothing"),
        pytest.param(altered(SIGNED, bundle=promised(body="YQ==")), "log entry: not JSON", id="body"),
        pytest.param(altered(SIGNED, bundle=promised(logID="AB" * 32)), "logID", id="log in capitals"),
        pytest.param(altered(SIGNED, bundle=promised(logIndex=-1)), "logIndex", id="a negative index"),
        pytest.param(altered(SIGNED, bundle=promised(integratedTime=True)), "integratedTime", id="no time"),
        pytest.param(altered(SIGNED, bundle=promised(integratedTime=2**64)), "integratedTime", id="too late"),
        pytest.param(
            altered(SIGNED, rfc3161timestamp="{}"),
            "timestamp: SignedRFC3161Timestamp is missing",
            id="timestamp",
        ),
        pytest.param(
            layers_manifest(replace(SIGNED, data=b"{}")), "payload: critical is missing", id="empty"
        ),
        pytest.param(
            layers_manifest(replace(SIGNED, data=payload())), "docker-manifest-digest", id="no image"
        ),
        pytest.param(
            layers_manifest(
                replace(
                    SIGNED,
                    data=payload(
                        **{"docker-manifest-digest": APP.digest, "Docker-Manifest-Digest": APP.digest}
                    ),
                )
            ),
            "not exactly one",
            id="two images",
        ),
        pytest.param(
            layers_manifest(replace(SIGNED, data=payload(**{"docker-manifest-digest": "sha256:0"}))),
            "invalid digest",
            id="no digest",
        ),
        pytest.param(
            layers_manifest(replace(SIGNED, data=SIGNED.data.replace(b"cosign container", b"a contrary"))),
            "critical.type",
            id="a statement of another use",
        ),
        pytest.param(
            layers_manifest(replace(SIGNED, data=b" " * 300_000 + SIGNED.data)), "at most 262144", id="large"
        ),
        pytest.param(layers_manifest(Layer(DSSE, b"null")), "DSSE envelope: it is not", id="null for DSSE"),
        pytest.param(
            layers_manifest(
                Layer(
                    DSSE,
                    json.dumps(dsse_envelope(KEY, statement(APP.digest), payload_type="text/x")).encode(),
                )
            ),
            "payloadType is 'text/x'",
            id="a payload of another type",
        ),
        pytest.param(layers_manifest(Layer(IN_TOTO, b"{")), "statement: not JSON", id="broken statement"),
        pytest.param(bundle_referrer(APP, b"{}"), "bundle", id="an empty bundle"),
        pytest.param(bundle_referrer(APP, dsse_bundle(KEY, b"{}")), "statement", id="a bundle of nothing"),
        pytest.param(layers_manifest(Layer("application/jose+json", b"{}")), "", id="notation, JWS"),
        pytest.param(layers_manifest(Layer("application/cose", b"\xff")), "", id="notation, COSE"),
    ],
)
def test_malformed_evidence_is_unreadable_with_its_reason(content: Content, expected: str) -> None:
    assert re.search(expected, reason(content)), reason(content)


def test_a_reason_is_bounded_whatever_stands_in_the_evidence() -> None:
    long = json.dumps({"_type": "x" * 100_000}).encode()
    content = layers_manifest(Layer(DSSE, json.dumps(dsse_envelope(KEY, long)).encode()))
    assert len(reason(content)) <= 500
