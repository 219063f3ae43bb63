"""Mirrors with policies, whole: what a private Sigstore signed is copied with its evidence, nothing else."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.integration.evidence import attach
from tests.integration.workspace import Workspace
from tests.support.cosign import Cosign, Form
from tests.support.images import Content, cosign_tag, image, index
from tests.support.registry_state import read_digest
from tests.support.servers import RegistryServer
from tests.support.signing_keys import new_key
from tests.support.sigstore_evidence import (
    SLSA,
    VULN,
    Witness,
    attestation_layer,
    bundle_referrer,
    dsse_bundle,
    layers_manifest,
    signature_layer,
    statement,
)
from tests.support.sigstore_pki import ISSUER, SUBJECT, Leaf, Signer, SigstorePki
from tests.support.tools import Tool

SOURCE = "https://github.com/acme/app"
IDENTITY = ("--certificate-identity", SUBJECT, "--certificate-oidc-issuer", ISSUER)
POLICY = {
    "authorities": {
        "release-ci": {
            "keyless": {
                "trustRoot": "private",
                "issuer": ISSUER,
                "subjectRegExp": r"https://github\.com/acme/app/\.github/workflows/release\.yml@refs/tags/v[0-9.]+",
                "extensions": {"sourceRepositoryURI": SOURCE},
            }
        }
    },
    "require": {
        "all": [
            {"signature": {"authority": "release-ci"}},
            {
                "attestation": {
                    "predicateType": "slsaprovenance1",
                    "authority": "release-ci",
                    "slsa": {"sourceRepository": SOURCE},
                }
            },
            {
                "attestation": {
                    "name": "scan",
                    "predicateType": "vuln",
                    "authority": "release-ci",
                    "select": "newest",
                    "maxAge": "7d",
                    "vulnerabilities": {"maxSeverity": "MEDIUM"},
                }
            },
        ]
    },
}


class Registry(Protocol):
    @property
    def host(self) -> str: ...

    @property
    def url(self) -> str: ...


class Signing:
    """A private Sigstore that signs now, and puts what it signs into a repository."""

    def __init__(self, registry: RegistryServer, repository: str) -> None:
        self.pki, self.registry, self.repository = SigstorePki(), registry, repository
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.witness = Witness(self.pki.log, at=self.now)

    def signer(self) -> Signer:
        leaf = Leaf(start=self.now - timedelta(minutes=1), extensions={"sourceRepositoryURI": SOURCE})
        return self.pki.certify(new_key(), leaf)

    def put(self, name: str, tag: str) -> Content:
        return self.registry.push(self.repository, index(image(name), image(name, arch="arm64")), tag)

    def bundles(self, image: Content, *, severity: str = "LOW", days: int = 1) -> None:
        signed = [
            bundle_referrer(image, dsse_bundle(self.signer(), payload, self.witness))
            for payload in (statement(image.digest), *self.attestations(image, severity, days))
        ]
        attach(self.registry, self.repository, image, *signed)

    def layers(self, image: Content) -> None:
        signature = signature_layer(self.signer(), image.digest, self.witness)
        self.registry.push(self.repository, layers_manifest(signature), cosign_tag(image))
        attested = [
            attestation_layer(self.signer(), payload, self.witness)
            for payload in self.attestations(image, "LOW", 1)
        ]
        self.registry.push(self.repository, layers_manifest(*attested), cosign_tag(image, "att"))

    def attestations(self, image: Content, severity: str, days: int) -> tuple[bytes, bytes]:
        workflow = {"repository": SOURCE, "ref": "refs/tags/v1.0.0", "path": ".github/workflows/release.yml"}
        provenance = {
            "buildDefinition": {"buildType": "x", "externalParameters": {"workflow": workflow}},
            "runDetails": {"builder": {"id": "https://github.com/actions/runner"}},
        }
        found = [{"VulnerabilityID": "CVE-2026-0001", "Severity": severity, "PkgName": "zlib"}]
        scan: dict[str, Any] = {
            "scanner": {
                "uri": "trivy",
                "result": {"SchemaVersion": 2, "Results": [{"Vulnerabilities": found}]},
            },
            "metadata": {"scanFinishedOn": (self.now - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")},
        }
        return statement(image.digest, SLSA, provenance), statement(image.digest, VULN, scan)

    def declare(self, workspace: Workspace, target: Registry) -> None:
        (workspace.path / "root.json").write_bytes(self.pki.trusted_root())
        workspace.registry("hub", self.registry.url).registry("edge", target.url)
        workspace.document("TrustRoot", "private", {"sigstore": {"trustedRoot": "root.json"}})
        workspace.document("VerificationPolicy", "prod", POLICY)
        source, copy = f"hub/{self.repository}", f"edge/{self.repository}/copy"
        workspace.mirror("app", source, copy, tags=["v*"], verify=["prod"])


@pytest.fixture(params=["regsync_server", "distribution", "debian_registry"])
def target(request: pytest.FixtureRequest) -> Registry:
    registry: Registry = request.getfixturevalue(request.param)
    return registry


def test_what_meets_the_policy_is_copied_so_that_cosign_accepts_it_there(
    workspace: Workspace,
    distribution: RegistryServer,
    repository: str,
    target: Registry,
    tool: Callable[[str], Tool],
    tmp_path: Path,
) -> None:
    signing = Signing(distribution, repository)
    signing.declare(workspace, target)
    good = {"v1": signing.put("bundles", "v1"), "v2": signing.put("layers", "v2")}
    signing.bundles(good["v1"])
    signing.layers(good["v2"])
    unsigned, scanned = signing.put("unsigned", "v3"), signing.put("attested alone", "v4")
    attach(
        distribution,
        repository,
        scanned,
        *(
            bundle_referrer(scanned, dsse_bundle(signing.signer(), payload, signing.witness))
            for payload in signing.attestations(scanned, "LOW", 1)
        ),
    )
    copy = f"{repository}/copy"
    ran = workspace.run("sync").exited(3)
    assert ran.summary == {"create": 2, "blocked": 2}
    for tag, content in good.items():
        assert read_digest(target.url, copy, tag) == content.digest
    assert [read_digest(target.url, copy, tag) for tag in ("v3", "v4")] == [None, None]
    assert unsigned.digest != scanned.digest
    cosign = Cosign(tool("cosign"), tmp_path, signing.pki.trusted_root())
    for content in good.values():
        cosign.verify(f"{target.host}/{copy}@{content.digest}", *IDENTITY)
    asked = ("--spec", workspace.path, "--policy", "prod")
    workspace.call("verify", f"edge/{copy}:v1", f"edge/{copy}:v2", *asked).exited(0)
    workspace.call("verify", f"hub/{repository}:v3", *asked).exited(3)
    assert workspace.run("sync").exited(3).summary == {"unchanged": 2, "blocked": 2}


@pytest.mark.parametrize(
    ("severity", "days", "reason"),
    [("CRITICAL", 1, "CVE-2026-0001"), ("LOW", 30, "it is 30d old, at most 7d is let pass")],
)
def test_a_tag_that_moved_to_what_does_not_meet_the_policy_stays_where_it_was(
    workspace: Workspace,
    distribution: RegistryServer,
    repository: str,
    regsync_server: Registry,
    severity: str,
    days: int,
    reason: str,
) -> None:
    signing = Signing(distribution, repository)
    signing.declare(workspace, regsync_server)
    before = signing.put("before", "v1")
    signing.bundles(before)
    workspace.run("sync").exited(0)
    signing.bundles(signing.put("after", "v1"), severity=severity, days=days)
    ran = workspace.run("sync").exited(3)
    assert read_digest(regsync_server.url, f"{repository}/copy", "v1") == before.digest
    assert reason in json.dumps(ran.report)


@pytest.mark.parametrize("form", [pytest.param(form, id=form.value) for form in Form])
def test_evidence_that_is_kept_in_another_repository_is_found_there_and_copied_beside_the_image(
    workspace: Workspace,
    distribution: RegistryServer,
    repository: str,
    regsync_server: Registry,
    tool: Callable[[str], Tool],
    tmp_path: Path,
    form: Form,
) -> None:
    app, kept, copy = (
        distribution.push(repository, image("app"), "v1"),
        f"{repository}/kept",
        f"{repository}/copy",
    )
    cosign = Cosign(tool("cosign"), tmp_path, SigstorePki().trusted_root())
    key = cosign.generate_key()
    # Layers as referrers stay beside the image all the same.
    reference = f"{distribution.host}/{repository}@{app.digest}"
    cosign.sign(reference, key.private, form=form, kept_in=f"{distribution.host}/{kept}")
    shutil.copy(key.public, workspace.path / "cosign.pub")
    workspace.registry("hub", distribution.url).registry("edge", regsync_server.url)
    policy = {
        "evidence": [f"hub/{kept}"],
        "authorities": {"ops": {"key": {"file": "cosign.pub", "tlog": "ignore"}}},
        "require": {"signature": {"authority": "ops"}},
    }
    workspace.document("VerificationPolicy", "prod", policy)
    workspace.mirror("app", f"hub/{repository}", f"edge/{copy}", tags=["v1"], verify=["prod"])
    workspace.run("sync").exited(0)
    workspace.clear().registry("edge", regsync_server.url)
    workspace.document(
        "VerificationPolicy", "prod", {name: policy[name] for name in ("authorities", "require")}
    )
    workspace.call("verify", f"edge/{copy}:v1", "--spec", workspace.path, "--policy", "prod").exited(0)
