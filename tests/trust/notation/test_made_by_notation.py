"""Envelopes that notation itself made are proven by their root, and by nothing else."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from regsync.oci.digest import Digest
from regsync.trust.envelopes import Proven
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.notation.reading import read_notation
from tests.support.notation_pki import make_root
from tests.support.notation_signing import COSE, JWS

Prove = Callable[..., Proven]
DATA = Path(__file__).parents[2] / "data/signing"
INDEX = Digest.parse("sha256:3b0523e210a3186b571718ccbca97b4fde092716eca735a287e40d11f198519f")
ROOT = (DATA / "root.crt").read_bytes()
NOW = datetime(2026, 12, 1, tzinfo=UTC)


def envelope(media_type: str) -> bytes:
    """The layer of this type among the signatures of the layout."""
    blobs = DATA / "notation2/blobs/sha256"
    for described in json.loads((DATA / "notation2/index.json").read_bytes())["manifests"]:
        manifest = json.loads((blobs / described["digest"].removeprefix("sha256:")).read_bytes())
        for layer in manifest.get("layers", ()):
            if layer["mediaType"] == media_type:
                return (blobs / layer["digest"].removeprefix("sha256:")).read_bytes()
    raise AssertionError(f"no {media_type}")


@pytest.mark.parametrize(("media_type", "metadata"), [(JWS, {"buildId": "101"}), (COSE, {})])
def test_it_is_proven_with_its_metadata(media_type: str, metadata: dict[str, str], prove: Prove) -> None:
    raw = envelope(media_type)
    read = read_notation(raw, media_type)
    assert (read.message.subjects, read.message.annotations) == (frozenset({INDEX}), metadata)
    identity = "x509.subject: C=US, ST=WA, O=Acme, CN=acme-signer"
    proven = prove(raw, media_type, stores={"ca:acme": ROOT}, identities=[identity], now=NOW)
    assert proven.signer.subject == "CN=acme-signer,O=Acme,ST=WA,C=US"


@pytest.mark.parametrize("media_type", [JWS, COSE])
def test_another_root_or_identity_does_not_prove_it(media_type: str, prove: Prove) -> None:
    with pytest.raises(EvidenceRejectedError, match="authenticity"):
        prove(envelope(media_type), media_type, stores={"ca:acme": make_root().pem}, now=NOW)
    other = "x509.subject: C=US, ST=WA, O=Acme, CN=somebody-else"
    with pytest.raises(EvidenceRejectedError, match="trusted identities"):
        prove(envelope(media_type), media_type, stores={"ca:acme": ROOT}, identities=[other], now=NOW)
