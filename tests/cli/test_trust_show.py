"""`regsync trust show` says whom roots believe, and until when."""

import json
from hashlib import sha256
from pathlib import Path

from regsync.cli.exit_codes import FAILED, SPEC, USAGE
from tests.cli.command_line import Regsync
from tests.support.signing_keys import certificate_pem
from tests.support.sigstore_pki import SigstorePki

SPEC_FILE = """
apiVersion: regsync.dev/v1
kind: TrustRoot
metadata: {name: example}
spec: {sigstore: {trustedRoot: root.json}}
---
apiVersion: regsync.dev/v1
kind: TrustRoot
metadata: {name: acme-ca}
spec: {notation: {ca: [ca.crt]}}
---
apiVersion: regsync.dev/v1
kind: VerificationPolicy
metadata: {name: prod}
spec:
  images: ["**"]
  authorities:
    ci: {keyless: {trustRoot: example, issuer: https://ci.example, subject: me}}
    vendor: {notation: {trustRoot: acme-ca, trustedIdentities: ["*"]}}
  require:
    any: [{signature: {authority: ci}}, {signature: {authority: vendor}}]
"""


def test_without_a_file_it_is_the_root_that_came_along(regsync: Regsync) -> None:
    ran = regsync("trust", "show")
    assert (ran.code, ran.err) == (0, "")
    first, *found = ran.out.splitlines()
    assert first == "public-good"
    rekor = (
        "  transparency log https://rekor.sigstore.dev (PKIX_ECDSA_P256_SHA_256), "
        "2021-01-12 for ever, key c0d23d6ad406973f"
    )
    assert rekor in found
    assert any(line.endswith(": expired") and "certificate log" in line for line in found)


def test_a_file_is_shown_entry_by_entry(regsync: Regsync, tmp_path: Path) -> None:
    pki = SigstorePki()
    document = pki.trusted_root_document()
    document["ctlogs"][0]["publicKey"]["validFor"] = {"start": "2199-01-01T00:00:00Z"}
    document["tlogs"][0]["publicKey"]["validFor"]["end"] = "2021-01-01T00:00:00Z"
    path = tmp_path / "root.json"
    path.write_text(json.dumps(document))
    ran = regsync("trust", "show", path, "-o", "json")
    found = json.loads(ran.out)
    assert (found["apiVersion"], found["kind"]) == ("regsync.dev/v1", "TrustRoots")
    log, authority, certificates, stamps = found["believed"]
    assert log == {
        "root": str(path),
        "kind": "transparency log",
        "name": "https://rekor.example",
        "key": pki.log.log_id.hex(),
        "detail": "PKIX_ECDSA_P256_SHA_256",
        "start": log["start"],
        "end": "2021-01-01T00:00:00Z",
        "state": "expired",
    }
    assert authority["key"] == sha256(pki.intermediate.der + pki.root.der).hexdigest()
    assert authority["detail"] == "CN=fulcio intermediate,O=example"
    assert authority["end"] is not None  # its certificates' end, where the root names none
    assert certificates["state"] == "not yet valid"
    assert stamps["state"] == "valid"
    shown = regsync("trust", "show", path).out
    assert "2199-01-01 for ever" in shown
    assert ": not yet valid" in shown


def test_every_root_of_a_spec_is_shown(regsync: Regsync, tmp_path: Path) -> None:
    pki = SigstorePki()
    (tmp_path / "root.json").write_bytes(pki.trusted_root())
    (tmp_path / "ca.crt").write_text(certificate_pem(pki.root.der))
    spec = tmp_path / "regsync.yaml"
    spec.write_text(SPEC_FILE)
    ran = regsync("trust", "show", "--spec", spec)
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == "acme-ca"
    assert lines[1].startswith("  notation certificate ca:acme-ca (CN=fulcio root,O=example), ")
    assert lines[1].endswith(f"key {sha256(pki.root.der).hexdigest()[:16]}")
    assert lines[2] == "example"
    assert len(lines) == 7


def test_a_spec_without_roots_says_which_is_believed(regsync: Regsync, quickstart: Path) -> None:
    ran = regsync("trust", "show", "--spec", quickstart)
    assert ran.code == 0
    assert "public-good" in ran.out


def test_what_is_wrong_is_named(regsync: Regsync, tmp_path: Path) -> None:
    path = tmp_path / "root.json"
    path.write_text("{}")
    assert regsync("trust", "show", path).code == FAILED
    assert regsync("trust", "show", tmp_path / "nothing").code == USAGE
    assert regsync("trust", "show", path, "--spec", path).code == USAGE
    (tmp_path / "regsync.yaml").write_text(SPEC_FILE)
    ran = regsync("trust", "show", "--spec", tmp_path)
    assert ran.code == SPEC
    assert "ca.crt" in ran.err
