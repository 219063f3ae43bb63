"""What cosign signs and attests with a key is accepted wherever it puts it, and for nothing else."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from regsync.spec.verification import (
    AttestationRequirement,
    KeyAuthority,
    LogUse,
    Material,
    SignatureRequirement,
)
from regsync.trust.policy import CompiledPolicy
from regsync.trust.verdict import Result
from tests.integration.evidence import attach
from tests.remote.repositories import Registry, opened
from tests.support.cosign import Cosign, Form, KeyFiles
from tests.support.images import Content, cosign_tag, image, index, push
from tests.support.judging import AUTHORITY, attested, evidence_of, judged_in, policy_of, trust_of
from tests.support.signing_keys import new_key, public_pem
from tests.support.sigstore_evidence import (
    SLSA,
    SPDX,
    VULN,
    bundle_referrer,
    dsse_bundle,
    layers_manifest,
    signature_layer,
    statement,
)
from tests.support.sigstore_pki import Signer, SigstorePki
from tests.support.tools import Tool, ToolError

pytestmark = pytest.mark.anyio

REGISTRIES = ["regsync_server", "distribution", "debian_registry"]
FORMS = [pytest.param(form, id=form.value) for form in (Form.LEGACY, Form.BUNDLE)]
EVERY_FORM = [pytest.param(form, id=form.value) for form in Form]
APP = index(image("signed", arch="amd64"), image("signed", arch="arm64"))
SCAN = {"scanner": {"result": {}}, "metadata": {"scanFinishedOn": "2026-11-01T10:00:00Z"}}
PREDICATES = {
    "slsaprovenance1": (
        SLSA,
        {"buildDefinition": {"buildType": "x"}, "runDetails": {"builder": {"id": "y"}}},
    ),
    "vuln": (VULN, SCAN),
    "spdxjson": (SPDX, {"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT"}),
}
PKI = SigstorePki()  # no key here is in its log, but a policy names some root


@dataclass
class Signed:
    """An image in a repository of a registry, and who signs there."""

    registry: Registry
    repository: str
    cosign: Cosign
    key: KeyFiles

    @property
    def reference(self) -> str:
        return f"{self.registry.host}/{self.repository}@{APP.digest}"

    def policy(self, *requirements: AttestationRequirement | SignatureRequirement) -> CompiledPolicy:
        return policy_of(authority(self.key.public.read_bytes()), trust_of(PKI), *requirements)

    async def said(
        self, policy: CompiledPolicy, digest: str = APP.digest
    ) -> tuple[Result, str, set[tuple[str, str]]]:
        """Result, reason, and where evidence of which format counted."""
        async with opened(self.registry, self.repository) as store:
            found = await judged_in(store, policy, digest)
        counted = {(seen.location, seen.format) for seen in evidence_of(found) if seen.reason is None}
        return found.result, found.reason or "", counted


def authority(pem: bytes) -> KeyAuthority:
    return KeyAuthority(Material("key.pub", pem), tlog=LogUse.IGNORE)


@pytest.fixture(params=REGISTRIES)
def signed(
    request: pytest.FixtureRequest, repository: str, tool: Callable[[str], Tool], tmp_path: Path
) -> Signed:
    registry = request.getfixturevalue(request.param)
    push(registry.url, repository, APP, "v1")
    cosign = Cosign(tool("cosign"), tmp_path, PKI.trusted_root())
    return Signed(registry, repository, cosign, cosign.generate_key())


@pytest.mark.parametrize("form", EVERY_FORM)
async def test_a_signature_is_accepted_of_its_digest_and_by_no_other_key(signed: Signed, form: Form) -> None:
    unsigned = await signed.said(signed.policy())
    assert (unsigned[0], "found 0" in unsigned[1] or "there is none" in unsigned[1]) == (Result.FAIL, True)
    signed.cosign.sign(signed.reference, signed.key.private, form=form)
    result, reason, _ = await signed.said(signed.policy())
    assert result is Result.PASS, reason
    stranger = policy_of(authority(signed.cosign.generate_key("stranger").public.read_bytes()), trust_of(PKI))
    result, reason, _ = await signed.said(stranger)
    assert (result, "signature: it is not by this key" in reason) == (Result.FAIL, True)
    for child in APP.children:
        result, reason, _ = await signed.said(signed.policy(), child.digest)
        assert (result, "there is none" in reason) == (Result.FAIL, True)


@pytest.mark.parametrize("form", EVERY_FORM)
async def test_annotations_of_a_signature_are_what_cosign_signed(signed: Signed, form: Form) -> None:
    signed.cosign.sign(signed.reference, signed.key.private, form=form, annotations={"team": "core"})
    for wanted, expected in (({"team": "core"}, Result.PASS), ({"team": "other"}, Result.FAIL)):
        result, reason, _ = await signed.said(signed.policy(SignatureRequirement(AUTHORITY, wanted)))
        assert result is expected, reason


@pytest.mark.parametrize("form", FORMS)
async def test_attestations_are_accepted_by_their_types_and_never_as_a_signature(
    signed: Signed, form: Form
) -> None:
    for alias, (_, predicate) in PREDICATES.items():
        signed.cosign.attest(signed.reference, signed.key.private, alias, predicate, form=form)
    wanted = [attested(uri) for uri, _ in PREDICATES.values()]
    result, reason, counted = await signed.said(signed.policy(*wanted))
    assert result is Result.PASS, reason
    assert {form for _, form in counted} == {
        "cosign-attestation" if form is Form.LEGACY else "sigstore-bundle"
    }
    result, reason, _ = await signed.said(signed.policy())
    assert (result, "3 attestations beside it, which never count" in reason) == (Result.FAIL, True)
    result, reason, _ = await signed.said(signed.policy(attested("https://example.com/other")))
    assert (result, f"of other types there are {VULN}" in reason) == (Result.FAIL, True)


async def test_evidence_of_all_forms_is_found_together(signed: Signed) -> None:
    for form in Form:
        signed.cosign.sign(signed.reference, signed.key.private, form=form)
    listed = "referrers" if "regsync" in type(signed.registry).__name__.lower() else "fallback-tag"
    result, reason, counted = await signed.said(signed.policy())
    assert result is Result.PASS, reason
    assert counted == {
        ("tag:.sig", "cosign-signature"),
        (listed, "cosign-signature"),
        (listed, "sigstore-bundle"),
    }


@pytest.mark.parametrize("form", FORMS)
async def test_a_signature_that_was_copied_to_another_image_is_refused(signed: Signed, form: Form) -> None:
    other = image("victim")
    push(signed.registry.url, signed.repository, other, "victim")
    signer = Signer(new_key())
    if form is Form.LEGACY:
        content = layers_manifest(signature_layer(signer, APP.digest))
        push(signed.registry.url, signed.repository, content, cosign_tag(other))
    else:
        content = bundle_referrer(other, dsse_bundle(signer, statement(APP.digest)))
        attach(signed.registry, signed.repository, other, content)
    policy = policy_of(authority(public_pem(signer.key)), trust_of(PKI))
    result, reason, _ = await signed.said(policy, other.digest)
    assert (result, f"it is of another digest: {APP.digest}" in reason) == (Result.FAIL, True)


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        *((kind, form) for kind in ("P-256", "P-384", "P-521", "RSA") for form in (Form.LEGACY, Form.BUNDLE)),
        ("Ed25519", Form.LEGACY),  # cosign makes no bundle that it accepts itself
    ],
)
async def test_keys_made_elsewhere_are_accepted_as_cosign_signs_with_them(
    distribution: Registry,
    repository: str,
    tool: Callable[[str], Tool],
    tmp_path: Path,
    kind: str,
    form: Form,
) -> None:
    push(distribution.url, repository, APP)
    cosign, key = Cosign(tool("cosign"), tmp_path, PKI.trusted_root()), new_key(kind)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    reference = f"{distribution.host}/{repository}@{APP.digest}"
    cosign.sign(reference, cosign.import_key(pem, "elsewhere"), form=form)
    async with opened(distribution, repository) as store:
        found = await judged_in(store, policy_of(authority(public_pem(key)), trust_of(PKI)), APP.digest)
    assert found.result is Result.PASS, found.reason


@pytest.mark.parametrize("form", FORMS)
def test_cosign_accepts_what_the_tests_sign_with_a_key(signed: Signed, form: Form) -> None:
    signer = Signer(new_key())
    public = signed.key.public.with_name("tests.pub")
    public.write_bytes(public_pem(signer.key))
    sign_in_tests(signed, signer, form)
    verified = signed.cosign.verify(signed.reference, "--key", public, "--insecure-ignore-tlog=true")
    assert verified[0]["critical"]["image"]["docker-manifest-digest"] == APP.digest
    with pytest.raises(ToolError):
        signed.cosign.verify(signed.reference, "--key", signed.key.public, "--insecure-ignore-tlog=true")


def sign_in_tests(signed: Signed, signer: Signer, form: Form) -> Content:
    if form is Form.LEGACY:
        content = layers_manifest(signature_layer(signer, APP.digest))
        return push(signed.registry.url, signed.repository, content, cosign_tag(APP))
    content = bundle_referrer(APP, dsse_bundle(signer, statement(APP.digest)))
    attach(signed.registry, signed.repository, APP, content)
    return content
