"""The private Sigstore is one: sigstore-python, openssl and cosign accept what it makes."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier, policy

from tests.support import tools
from tests.support.rekor_log import RekorLog
from tests.support.signing_keys import certificate_pem, new_key
from tests.support.sigstore_evidence import VULN, Witness, dsse_bundle, message_bundle, statement
from tests.support.sigstore_pki import ISSUER, SIGNED_AT, SUBJECT, Leaf, SigstorePki
from tests.support.tools import Tool

DIGEST = "sha256:" + "ab" * 32
IDENTITY = policy.AllOf(
    [
        policy.Identity(identity=SUBJECT, issuer=ISSUER),
        policy.OIDCSourceRepositoryURI("https://github.com/acme/app"),
    ]
)
LEAF = Leaf(extensions={"sourceRepositoryURI": "https://github.com/acme/app"})


@pytest.fixture
def verifier(tmp_path: Path) -> Callable[[SigstorePki], Verifier]:
    """sigstore-python with the trusted root of a private Sigstore."""

    def make(pki: SigstorePki) -> Verifier:
        path = tmp_path / "trusted_root.json"
        path.write_bytes(pki.trusted_root())
        return Verifier(trusted_root=TrustedRoot.from_file(str(path)))

    return make


def payload_of(verifier: Verifier, bundle: dict[str, object]) -> bytes:
    """What sigstore-python verified."""
    return verifier.verify_dsse(Bundle.from_json(json.dumps(bundle)), IDENTITY)[1]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(0, 0, id="a tree of one leaf"),
        pytest.param(5, 0, id="the last of six"),
        pytest.param(2, 5, id="one of eight"),
    ],
)
def test_sigstore_python_accepts_a_statement_in_a_log_of_version_1(
    verifier: Callable[[SigstorePki], Verifier], before: int, after: int
) -> None:
    pki = SigstorePki(log=RekorLog(before=before))
    payload = statement(DIGEST, VULN, {"scanner": {}})
    bundle = dsse_bundle(pki.certify(new_key(), LEAF), payload, Witness(pki.log, after=after))
    assert payload_of(verifier(pki), bundle) == payload


def test_sigstore_python_accepts_a_statement_in_a_log_of_version_2_with_a_timestamp(
    verifier: Callable[[SigstorePki], Verifier],
) -> None:
    pki = SigstorePki(log=RekorLog(version=2, before=3))
    bundle = dsse_bundle(pki.certify(new_key(), LEAF), statement(DIGEST), Witness(pki.log, pki.tsa))
    assert payload_of(verifier(pki), bundle) == statement(DIGEST)


@pytest.mark.parametrize("version", [1, 2])
def test_sigstore_python_accepts_a_message_signature(
    verifier: Callable[[SigstorePki], Verifier], version: int
) -> None:
    pki = SigstorePki(log=RekorLog(version=version))
    bundle = message_bundle(pki.certify(new_key(), LEAF), b"a manifest", Witness(pki.log, pki.tsa))
    verifier(pki).verify_artifact(b"a manifest", Bundle.from_json(json.dumps(bundle)), IDENTITY)


def test_openssl_accepts_a_timestamp(tmp_path: Path) -> None:
    found = tools.find("openssl")
    if found is None:
        tools.missing("openssl is not installed")
    pki = SigstorePki()
    answer, data = tmp_path / "answer.tsr", tmp_path / "data"
    answer.write_bytes(pki.tsa.stamp(b"a signature", SIGNED_AT))
    data.write_bytes(b"a signature")
    root = tmp_path / "root.pem"
    root.write_text(certificate_pem(pki.tsa.chain[1]))
    openssl = Tool(found, tmp_path)
    said = openssl("ts", "-verify", "-data", data, "-in", answer, "-CAfile", root)
    assert said == "Verification: OK"
    assert "Nov  1 10:00:00 2026 GMT" in openssl("ts", "-reply", "-in", answer, "-text")


@pytest.mark.parametrize(
    "kind",
    ["P-256", "P-384", "RSA"],  # of Ed25519 it accepts the pre-hashed kind alone
)
def test_cosign_accepts_a_message_signature(kind: str, tmp_path: Path, tool: Callable[[str], Tool]) -> None:
    pki = SigstorePki()
    bundle = message_bundle(pki.certify(new_key(kind), LEAF), b"an artifact", Witness(pki.log))
    files = {"bundle": json.dumps(bundle).encode(), "root": pki.trusted_root(), "artifact": b"an artifact"}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    said = tool("cosign")(
        *("verify-blob", "--bundle", tmp_path / "bundle", "--trusted-root", tmp_path / "root"),
        *("--certificate-identity", SUBJECT, "--certificate-oidc-issuer", ISSUER, tmp_path / "artifact"),
    )
    assert said == ""


def test_what_is_altered_is_refused_by_sigstore_python(verifier: Callable[[SigstorePki], Verifier]) -> None:
    pki = SigstorePki()
    late = Leaf(extensions=LEAF.extensions, start=SIGNED_AT + timedelta(hours=1))
    bundle = dsse_bundle(pki.certify(new_key(), late), statement(DIGEST), Witness(pki.log))
    with pytest.raises(Exception, match="cert"):
        payload_of(verifier(pki), bundle)
