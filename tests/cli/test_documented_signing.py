"""The examples of docs/signing.md do what the text around them says, on images signed as it says."""

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from regsync.content.layout import LayoutRepository
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from tests.cli.command_line import QUICKSTART, Regsync
from tests.reconcile.world import once
from tests.support.images import Content, Json, image
from tests.support.signing_keys import new_key, public_pem
from tests.support.sigstore_evidence import (
    SLSA,
    VULN,
    Witness,
    bundle_referrer,
    dsse_bundle,
    statement,
)
from tests.support.sigstore_pki import Leaf, Signer, SigstorePki

ROOT = QUICKSTART.parents[1]
SIGNING = ROOT / "tests" / "data" / "signing"
PAGE = (ROOT / "docs" / "signing.md").read_text(encoding="utf-8")
WORKFLOW = "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.2.3"
GITHUB = "https://token.actions.githubusercontent.com"
NOW = datetime.now(UTC).replace(microsecond=0)


def block(heading: str) -> str:
    """The whole spec of a section of the page."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    return next(one for one in blocks if one.startswith("# regsync.yaml"))


def fragment(heading: str, begins: str) -> str:
    """A part of a policy in a section of the page, by how it begins."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    return next(one for one in blocks if one.lstrip().startswith(begins))


async def _put(path: Path, content: Content, tag: str | None) -> None:
    repository = LayoutRepository(path)
    for node in content.walk():
        for blob in node.blobs:
            desc = Descriptor("application/octet-stream", Digest.of(blob), len(blob))
            await repository.push(desc, once(blob))
        desc = Descriptor(node.media_type, Digest.of(node.data), len(node.data))
        await repository.push_manifest(desc, node.data)
    if tag is not None:
        await repository.push_manifest(desc, content.data, tag=Tag(tag))


def put(path: Path, content: Content, tag: str | None = None) -> None:
    """Put content into a layout."""
    anyio.run(_put, path, content, tag)


def write(tmp_path: Path, text: str, registry: str) -> None:
    """A spec of the page, one registry of it replaced by layouts that are here."""
    assert registry in text
    (tmp_path / "regsync.yaml").write_text(text.replace(registry, "{layout: ./images}"))


def test_i_have_a_cosign_key(regsync: Regsync, tmp_path: Path) -> None:
    shutil.copy(SIGNING / "cosign.pub", tmp_path)
    shutil.copytree(SIGNING / "newfmt", tmp_path / "images" / "acme" / "app")
    write(tmp_path, block("I have a cosign key"), "{url: docker.io}")
    assert regsync("validate", tmp_path).code == 0
    assert regsync("plan", tmp_path).code == 2
    assert regsync("sync", tmp_path).code == 0
    assert regsync("verify", "hub/acme/app:v1", "--policy", "prod", "--spec", tmp_path).code == 0
    shutil.rmtree(tmp_path / "images" / "acme" / "app")
    put(tmp_path / "images" / "acme" / "app", image("unsigned"), "v1")
    assert regsync("sync", tmp_path).code == 3


class Release:
    """What a release workflow of GitHub signs: the image, its provenance, a scan."""

    def __init__(self, tmp_path: Path, *, workflow: str = WORKFLOW, scanned: datetime = NOW) -> None:
        self.pki = SigstorePki()
        extensions = {
            "sourceRepositoryURI": "https://github.com/acme/app",
            "runnerEnvironment": "github-hosted",
        }
        leaf = Leaf(workflow, GITHUB, extensions, NOW - timedelta(minutes=1))
        self.signer = self.pki.certify(new_key(), leaf)
        self.path = tmp_path / "images" / "acme" / "app"
        self.app = image("release")
        put(self.path, self.app, "v1")
        self.attest("https://sigstore.dev/cosign/sign/v1", {})
        self.attest(SLSA, provenance())
        self.attest(VULN, scan(scanned, "CVE-2024-1234"))
        (tmp_path / "private.json").write_bytes(self.pki.trusted_root())

    def attest(self, predicate_type: str, predicate: Json) -> None:
        payload = statement(self.app.digest, predicate_type, predicate)
        bundle = dsse_bundle(self.signer, payload, Witness(self.pki.log, at=NOW))
        put(self.path, bundle_referrer(self.app, bundle, predicate_type))


def provenance() -> Json:
    workflow = {"repository": "https://github.com/acme/app", "ref": "refs/tags/v1.2.3", "path": "x"}
    return {
        "buildDefinition": {"buildType": "t", "externalParameters": {"workflow": workflow}},
        "runDetails": {"builder": {"id": WORKFLOW}},
    }


def scan(when: datetime, *critical: str) -> Json:
    found = [
        {"VulnerabilityID": name, "Severity": "CRITICAL", "FixedVersion": "2.0", "PkgName": "openssl"}
        for name in critical
    ]
    result = {"SchemaVersion": 2, "Results": [{"Target": "app", "Vulnerabilities": found}]}
    finished = when.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "scanner": {"uri": "pkg:github/aquasecurity/trivy@0.60", "result": result},
        "metadata": {"scanStartedOn": finished, "scanFinishedOn": finished},
    }


def with_private_root(text: str) -> str:
    """The spec with the private instance of the test in place of the public one."""
    root = {
        "apiVersion": "regsync.dev/v1",
        "kind": "TrustRoot",
        "metadata": {"name": "private"},
        "spec": {"sigstore": {"trustedRoot": "private.json"}},
    }
    assert "keyless:\n        issuer" in text
    text = text.replace("keyless:\n        issuer", "keyless:\n        trustRoot: private\n        issuer")
    return f"{text}\n---\n{json.dumps(root)}\n"


@pytest.fixture
def github(tmp_path: Path) -> Path:
    write(tmp_path, with_private_root(block("GitHub Actions, keyless")), "{url: ghcr.io}")
    return tmp_path


def test_github_actions_keyless_with_provenance_and_a_scan(regsync: Regsync, github: Path) -> None:
    Release(github)
    assert regsync("validate", github).code == 0
    ran = regsync("sync", github)
    assert ran.code == 0, ran.out + ran.err
    ran = regsync("verify", "mine/acme/app:v1", "--policy", "release", "--spec", github)
    assert ran.code == 0
    assert WORKFLOW in ran.out


def test_another_workflow_of_the_same_repository_is_nobody(regsync: Regsync, github: Path) -> None:
    Release(github, workflow=WORKFLOW.replace("release.yml", "test.yml"))
    ran = regsync("sync", github)
    assert ran.code == 3
    assert "release-ci" in ran.out


def test_a_scan_of_last_month_is_too_old(regsync: Regsync, github: Path) -> None:
    Release(github, scanned=NOW - timedelta(days=30))
    ran = regsync("sync", github)
    assert ran.code == 3
    assert "scan" in ran.out


def test_a_critical_finding_that_nobody_let_pass_is_refused(regsync: Regsync, github: Path) -> None:
    release = Release(github, scanned=NOW - timedelta(hours=1))
    assert regsync("sync", github).code == 0
    shutil.rmtree(github / "data")
    release.attest(VULN, scan(NOW, "CVE-2024-1234", "CVE-2025-9999"))
    ran = regsync("plan", github)
    assert ran.code == 3
    assert "CVE-2025-9999" in ran.out
    assert "CVE-2024-1234" not in ran.out


def test_notation(regsync: Regsync, tmp_path: Path) -> None:
    shutil.copy(SIGNING / "root.crt", tmp_path)
    shutil.copytree(SIGNING / "notation2", tmp_path / "images" / "acme" / "app")
    registry = {
        "apiVersion": "regsync.dev/v1",
        "kind": "Registry",
        "metadata": {"name": "bundle"},
        "spec": {"layout": "./images"},
    }
    (tmp_path / "regsync.yaml").write_text(f"{block('Notation')}\n---\n{json.dumps(registry)}\n")
    ran = regsync("verify", "bundle/acme/app:v1", "--spec", tmp_path)
    assert ran.code == 0, ran.out + ran.err
    assert "revocation" in ran.out


def test_annotations_that_were_signed_along(regsync: Regsync, tmp_path: Path) -> None:
    shutil.copy(SIGNING / "cosign.pub", tmp_path)
    shutil.copytree(SIGNING / "newfmt", tmp_path / "images" / "acme" / "app")
    whole, asked = block("I have a cosign key"), fragment("I have a cosign key", "require:")
    plain = "  require:\n    signature: {authority: ops-key}\n"
    assert plain in whole
    for team, code in (("core", 0), ("other", 3)):
        write(tmp_path, whole.replace(plain, asked.replace("core", team)), "{url: docker.io}")
        assert regsync("verify", "hub/acme/app:v1", "--policy", "prod", "--spec", tmp_path).code == code


def test_a_condition_of_your_own(regsync: Regsync, github: Path) -> None:
    Release(github)
    spec = github / "regsync.yaml"
    condition = fragment("Conditions of your own", "- attestation:")
    text = spec.read_text()
    for ref, code in (("refs/tags/v", 0), ("refs/heads/", 3)):
        spec.write_text(text.replace("    all:\n", "    all:\n" + condition.replace("refs/tags/v", ref), 1))
        ran = regsync("verify", "ghcr/acme/app:v1", "--spec", github)
        assert ran.code == code, ran.out + ran.err


def test_several_signers(regsync: Regsync, tmp_path: Path) -> None:
    names = ("release-ci", "ops-key", "vendor", "ann", "bob", "carol")
    keys = {name: Signer(new_key()) for name in names}
    authorities = {
        name: {"key": {"data": public_pem(signer.key).decode(), "tlog": "ignore"}}
        for name, signer in keys.items()
    }
    (tmp_path / "regsync.yaml").write_text(
        "apiVersion: regsync.dev/v1\nkind: VerificationPolicy\nmetadata: {name: several}\nspec:\n"
        f"  authorities: {json.dumps(authorities)}\n{fragment('Several signers', 'require:')}"
    )
    path, app = tmp_path / "app", image("several")
    put(path, app, "v1")
    for name in ("release-ci", "vendor", "ann"):
        put(path, bundle_referrer(app, dsse_bundle(keys[name], statement(app.digest))))
    verify = ("verify", f"oci:{path}:v1", "--policy", "several", "--spec", tmp_path)
    assert regsync(*verify).code == 3
    put(path, bundle_referrer(app, dsse_bundle(keys["carol"], statement(app.digest))))
    assert regsync(*verify).code == 0


def test_an_instance_without_a_log(regsync: Regsync, tmp_path: Path) -> None:
    pki = SigstorePki()
    signer = pki.certify(new_key(), Leaf(WORKFLOW, GITHUB, start=NOW - timedelta(minutes=1), has_sct=False))
    (tmp_path / "trust").mkdir()
    (tmp_path / "trust" / "github.json").write_bytes(pki.trusted_root("tlogs", "ctlogs"))
    keyless = {"keyless": {"trustRoot": "github-private", "issuer": GITHUB, "subject": WORKFLOW}}
    policy = {
        "apiVersion": "regsync.dev/v1",
        "kind": "VerificationPolicy",
        "metadata": {"name": "private"},
        "spec": {"authorities": {"ci": keyless}, "require": {"signature": {"authority": "ci"}}},
    }
    root = fragment("GitHub's private repositories, and a Sigstore of your own", "apiVersion:")
    (tmp_path / "regsync.yaml").write_text(f"{root}---\n{json.dumps(policy)}\n")
    path, app = tmp_path / "app", image("private")
    put(path, app, "v1")
    put(path, bundle_referrer(app, dsse_bundle(signer, statement(app.digest), Witness(tsa=pki.tsa, at=NOW))))
    ran = regsync("verify", f"oci:{path}:v1", "--policy", "private", "--spec", tmp_path)
    assert ran.code == 0, ran.out + ran.err
    assert "timestamp" in ran.out
