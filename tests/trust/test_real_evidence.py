"""What real instances made in their time is proven by the same parts: GitHub's private one, npm's, a rig."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from regsync.trust.bundles import read_bundle
from regsync.trust.certificates import verify_chain
from regsync.trust.envelopes import SigstoreEnvelope
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.logs.entries import verify_entry
from regsync.trust.sct import verify_sct
from regsync.trust.timestamps import verify_timestamp
from regsync.trust.trusted_root import TrustedRoot, public_good

HERE = Path(__file__).parents[1] / "data" / "signing" / "sigstore-go"


def bundle(name: str) -> SigstoreEnvelope:
    return read_bundle((HERE / f"{name}.bundle.json").read_bytes(), manifest_digest=None)


def root(name: str) -> TrustedRoot:
    return TrustedRoot.parse((HERE / f"{name}.root.json").read_bytes())


def test_github_vouches_for_private_repositories_by_timestamps_alone() -> None:
    """No logs at all, and an authority whose chain in the root ends below its own root certificate."""
    envelope, github = bundle("github-private"), root("github-private")
    assert (github.tlogs, github.ctlogs, envelope.entries) == ((), (), ())
    stamp = verify_timestamp(envelope.timestamps[0], envelope.stamped, github)
    assert stamp.time == datetime(2023, 5, 16, 19, 58, 49, tzinfo=UTC)
    certificate = verify_chain(envelope.certificates, github, stamp.time)
    assert certificate.issuer == "https://github.com/login/oauth"
    assert verify_sct(certificate, github) == 0
    with pytest.raises(EvidenceRejectedError, match="not valid"):
        verify_chain(envelope.certificates, github, datetime(2026, 11, 1, tzinfo=UTC))


def test_npm_logged_its_provenance_as_intoto() -> None:
    envelope, good = bundle("npm-provenance"), TrustedRoot.parse(public_good())
    proof = verify_entry(envelope.entries[0], envelope, good, envelope.certificates[0])
    assert proof.checks[0] == "log entry (intoto 0.0.2)"
    assert proof.time == datetime(2023, 8, 18, 16, 5, 35, tzinfo=UTC)
    certificate = verify_chain(envelope.certificates, good, proof.time)
    assert certificate.extensions["sourceRepositoryURI"] == "https://github.com/sigstore/sigstore-js"
    assert verify_sct(certificate, good) == 1


def test_a_fulcio_may_certify_user_names() -> None:
    envelope, scaffolding = bundle("user-name"), root("user-name")
    proof = verify_entry(envelope.entries[0], envelope, scaffolding, envelope.certificates[0])
    assert proof.time is not None
    certificate = verify_chain(envelope.certificates, scaffolding, proof.time)
    assert (certificate.subject, certificate.issuer) == ("foo!oidc.local", "http://oidc.local:8080")
    assert verify_sct(certificate, scaffolding) == 1
