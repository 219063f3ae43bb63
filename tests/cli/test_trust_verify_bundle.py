"""`regsync trust verify-bundle` is right in every public case of the Sigstore conformance suite, offline."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from regsync.cli.exit_codes import FAILED, USAGE
from regsync.oci.digest import Digest
from tests.cli.command_line import Ran, Regsync
from tests.support.signing_keys import new_key, public_pem
from tests.support.sigstore_evidence import COSIGN_SIGN, SLSA, Witness, dsse_bundle, message_bundle, statement
from tests.support.sigstore_pki import ISSUER, SUBJECT, Leaf, Signer, SigstorePki

SUITE = Path(__file__).parents[1] / "data" / "signing" / "conformance" / "bundle-verify"
CASES = sorted(path for path in SUITE.iterdir() if path.is_dir())
IDENTITY = (
    "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/"
    "extremely-dangerous-oidc-beacon.yml@refs/heads/main"
)
ACTIONS = "https://token.actions.githubusercontent.com"
ARTIFACT = b"an artifact"


def arguments(case: Path) -> list[object]:
    """What the suite gives to a client, in its order, less the artifact."""
    found: list[object] = ["trust", "verify-bundle", "--bundle", case / "bundle.sigstore.json"]
    if (case / "key.pub").exists():
        found += ["--key", case / "key.pub"]
    else:
        found += ["--certificate-identity", text(case / "identity", IDENTITY)]
        found += ["--certificate-oidc-issuer", text(case / "issuer", ACTIONS)]
    if (case / "trusted_root.json").exists():
        found += ["--trusted-root", case / "trusted_root.json"]
    return found


def text(path: Path, default: str) -> str:
    return path.read_text().strip() if path.exists() else default


def artifact(case: Path) -> Path:
    own = case / "artifact"
    return own if own.exists() else SUITE / "a.txt"


def check(case: Path, ran: Ran) -> None:
    if case.name.endswith("_fail"):
        assert (ran.code, ran.out) == (FAILED, "")
        assert ran.err.startswith("error: ")
    else:
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.startswith("verified: sha256:")


def test_the_suite_is_whole() -> None:
    assert len(CASES) == 70
    assert sum(case.name.endswith("_fail") for case in CASES) == 49


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_conformance_by_path(case: Path, regsync: Regsync) -> None:
    check(case, regsync(*arguments(case), artifact(case)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_conformance_by_digest(case: Path, regsync: Regsync) -> None:
    check(case, regsync(*arguments(case), Digest.of(artifact(case).read_bytes())))


@pytest.fixture
def pki() -> SigstorePki:
    return SigstorePki()


def written(tmp_path: Path, root: bytes, bundle: dict[str, object]) -> list[object]:
    """The command line for a bundle and a root, less who signed."""
    files = {"root": root, "bundle": json.dumps(bundle).encode(), "artifact": ARTIFACT}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    names = ["--bundle", tmp_path / "bundle", "--trusted-root", tmp_path / "root"]
    return ["trust", "verify-bundle", *names, tmp_path / "artifact"]


WHO = ("--certificate-identity", SUBJECT, "--certificate-oidc-issuer", ISSUER)


def test_the_answer_names_who_signed_when_and_every_check(
    pki: SigstorePki, tmp_path: Path, regsync: Regsync
) -> None:
    signer = pki.certify(new_key(), Leaf(extensions={"buildTrigger": "push"}))
    bundle = dsse_bundle(signer, statement(str(Digest.of(ARTIFACT)), SLSA), Witness(pki.log))
    ran = regsync(*written(tmp_path, pki.trusted_root(), bundle), *WHO, "-o", "json")
    found = json.loads(ran.out)
    assert found["kind"] == "VerifiedBundle"
    assert found["digest"] == str(Digest.of(ARTIFACT))
    assert (found["evidence"], found["predicateType"]) == ("attestation", SLSA)
    assert found["signer"] == {
        "identity": f"{ISSUER} {SUBJECT}",
        "issuer": ISSUER,
        "subject": SUBJECT,
        "extensions": {"buildTrigger": "push"},
    }
    assert found["signedAt"] == "2026-11-01T10:00:00Z"
    assert found["checks"][0] == "signature (ECDSA P-256, SHA-256)"
    assert found["relaxed"] == []


@pytest.mark.parametrize(
    ("predicate_type", "said"),
    [
        pytest.param(SLSA, f"by attestation of type {SLSA}", id="an attestation"),
        pytest.param(COSIGN_SIGN, f"by signature of type {COSIGN_SIGN}", id="a signature"),
    ],
)
def test_the_answer_says_whether_it_is_a_signature(
    predicate_type: str, said: str, pki: SigstorePki, tmp_path: Path, regsync: Regsync
) -> None:
    payload = statement(str(Digest.of(ARTIFACT)), predicate_type)
    bundle = dsse_bundle(pki.certify(new_key()), payload, Witness(pki.log))
    ran = regsync(*written(tmp_path, pki.trusted_root(), bundle), *WHO)
    assert ran.out.splitlines()[1] == f"  {said}"


def test_an_instance_without_logs_is_believed_by_its_timestamps(
    pki: SigstorePki, tmp_path: Path, regsync: Regsync
) -> None:
    root = pki.trusted_root("tlogs", "ctlogs")
    signer = pki.certify(new_key(), Leaf(has_sct=False))
    ran = regsync(*written(tmp_path, root, message_bundle(signer, ARTIFACT, Witness(tsa=pki.tsa))), *WHO)
    assert ran.code == 0
    assert "not counted: certificate timestamp (SCT)" in ran.out
    ran = regsync(*written(tmp_path, root, message_bundle(signer, ARTIFACT)), *WHO)
    assert (ran.code, ran.err) == (FAILED, "error: timestamp: 0 vouch for it, the trust root wants 1\n")


@pytest.mark.parametrize("kind", ["P-384", "P-521", "RSA", "Ed25519"])
def test_a_file_can_be_signed_over_another_hash(
    kind: str, pki: SigstorePki, tmp_path: Path, regsync: Regsync
) -> None:
    key = new_key(kind)
    line = written(tmp_path, pki.trusted_root(), message_bundle(Signer(key), ARTIFACT, Witness(pki.log)))
    (tmp_path / "key.pub").write_bytes(public_pem(key))
    assert regsync(*line, "--key", tmp_path / "key.pub").code == 0


def test_a_log_is_required_of_a_key_unless_one_says_otherwise(
    pki: SigstorePki, tmp_path: Path, regsync: Regsync
) -> None:
    key = new_key()
    line = written(tmp_path, pki.trusted_root(), message_bundle(Signer(key), ARTIFACT))
    (tmp_path / "key.pub").write_bytes(public_pem(key))
    ran = regsync(*line, "--key", tmp_path / "key.pub")
    assert (ran.code, ran.err) == (
        FAILED,
        "error: transparency log: 0 vouch for it, the trust root wants 1\n",
    )
    for use in ("optional", "ignore"):
        ran = regsync(*line, "--key", tmp_path / "key.pub", "--tlog", use)
        assert ran.code == 0
        assert "not counted: transparency log" in ran.out


def test_a_log_that_was_asked_for_is_required_where_the_root_has_none(
    pki: SigstorePki, tmp_path: Path, regsync: Regsync
) -> None:
    key = new_key()
    bundle = message_bundle(Signer(key), ARTIFACT, Witness(tsa=pki.tsa))
    line = written(tmp_path, pki.trusted_root("tlogs"), bundle)
    (tmp_path / "key.pub").write_bytes(public_pem(key))
    assert regsync(*line, "--key", tmp_path / "key.pub").code == 0
    ran = regsync(*line, "--key", tmp_path / "key.pub", "--tlog", "required")
    assert (ran.code, ran.err) == (
        FAILED,
        "error: transparency log: 0 vouch for it, the trust root wants 1\n",
    )


def test_an_attestation_of_something_else_is_refused(
    pki: SigstorePki, tmp_path: Path, regsync: Regsync
) -> None:
    bundle = dsse_bundle(pki.certify(new_key()), statement("sha256:" + "ab" * 32), Witness(pki.log))
    ran = regsync(*written(tmp_path, pki.trusted_root(), bundle), *WHO)
    assert ran.code == FAILED
    assert "error: subject: the bundle is not of sha256:" in ran.err


def test_staging_is_another_instance(regsync: Regsync) -> None:
    case = SUITE / "happy-path-v0.3"
    ran = regsync(*arguments(case), "--staging", artifact(case))
    assert ran.code == FAILED
    assert "is not in the trust root" in ran.err


@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="nobody"),
        pytest.param(["--certificate-identity", "x"], id="no issuer"),
        pytest.param(["--certificate-oidc-issuer", "x"], id="no identity"),
        pytest.param(["--key", "k", "--certificate-identity", "x"], id="a key and an identity"),
        pytest.param(["--key", "k", "--certificate-oidc-issuer", "x"], id="a key and an issuer"),
        pytest.param(
            ["--certificate-identity", "x", "--certificate-oidc-issuer", "x", "--tlog", "ignore"],
            id="a log for no key",
        ),
    ],
)
def test_who_has_to_have_signed_must_be_said(options: list[str], regsync: Regsync) -> None:
    ran = regsync("trust", "verify-bundle", "--bundle", "b", *options, "artifact")
    assert ran.code == USAGE
    assert "give either --key, or --certificate-identity" in ran.err


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        pytest.param("bundle", "bundle: not JSON", id="a bundle"),
        pytest.param("root", "invalid trusted root", id="a root"),
        pytest.param("key.pub", "invalid public key", id="a key"),
    ],
)
def test_files_that_are_something_else_are_named(
    broken: str, reason: str, pki: SigstorePki, tmp_path: Path, regsync: Regsync
) -> None:
    key = new_key()
    line = written(tmp_path, pki.trusted_root(), message_bundle(Signer(key), ARTIFACT))
    (tmp_path / "key.pub").write_bytes(public_pem(key))
    (tmp_path / broken).write_bytes(b"something else")
    ran = regsync(*line, "--key", tmp_path / "key.pub")
    assert ran.code == FAILED
    assert reason in ran.err


def test_what_looks_like_a_digest_but_is_none_names_a_file(
    pki: SigstorePki, tmp_path: Path, regsync: Regsync, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = pki.certify(new_key())
    *line, _ = written(tmp_path, pki.trusted_root(), message_bundle(signer, ARTIFACT, Witness(pki.log)))
    monkeypatch.chdir(tmp_path)
    ran = regsync(*line, *WHO, "sha256:abc")
    assert ran.code == USAGE
    assert "sha256:abc" in ran.err
    for name in ("sha256:abc", str(Digest.of(b"another"))):
        Path(name).write_bytes(ARTIFACT)
        assert regsync(*line, *WHO, name).code == 0


def loaded(*line: object) -> set[str]:
    """The top-level packages that a process loads to run a command."""
    command = [sys.executable, "-X", "importtime", "-m", "regsync", *map(str, line)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    names = (line.rpartition("|")[2].strip() for line in ended.stderr.splitlines() if "|" in line)
    return {name.partition(".")[0] for name in names}


WEIGHTS = {"sigstore", "sigstore_models", "rekor_types", "requests", "urllib3", "tuf", "pydantic"}


def loaded_for(case: Path) -> set[str]:
    return loaded(*arguments(case), artifact(case))


def test_a_key_is_verified_without_sigstore_python() -> None:
    assert loaded_for(SUITE / "managed-key-happy-path") & WEIGHTS == set()


def test_what_sigstore_python_lacks_is_verified_without_it() -> None:
    assert loaded_for(SUITE / "intoto-with-custom-trust-root") & WEIGHTS == set()


def test_what_sigstore_python_covers_is_verified_by_it_too() -> None:
    assert "sigstore" in loaded_for(SUITE / "happy-path-v0.3")


POLICY = """
apiVersion: regsync.dev/v1
kind: VerificationPolicy
metadata: {name: prod}
spec:
  images: ["**"]
  authorities:
    ci: {keyless: {issuer: https://ci.example, subject: me}}
    ops: {key: {file: ops.pub}}
  require:
    any: [{signature: {authority: ci}}, {signature: {authority: ops}}]
"""


def test_policies_are_understood_without_sigstore_python(tmp_path: Path) -> None:
    (tmp_path / "ops.pub").write_bytes(public_pem(new_key()))
    (tmp_path / "regsync.yaml").write_text(POLICY)
    assert loaded("validate", tmp_path) & (WEIGHTS - {"pydantic"}) == set()
