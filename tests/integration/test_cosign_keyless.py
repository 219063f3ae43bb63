"""Keyless signatures of a private Sigstore, in a registry: cosign accepts and refuses the same."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes

from regsync.trust.verdict import Result
from tests.integration.evidence import attach
from tests.remote.repositories import opened
from tests.support.cosign import Cosign
from tests.support.images import cosign_tag, image
from tests.support.judging import attested, judged_in, keyless, policy_of, trust_of
from tests.support.rekor_log import RekorLog
from tests.support.servers import RegistryServer
from tests.support.signing_keys import new_key
from tests.support.sigstore_evidence import (
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
from tests.support.tools import Tool, ToolError

pytestmark = pytest.mark.anyio

APP = image("keyless")
IDENTITY = ("--certificate-identity", SUBJECT, "--certificate-oidc-issuer", ISSUER)
SIGNED = statement(APP.digest)
SCANNED = statement(APP.digest, VULN, {"scanner": {"result": {}}})


@dataclass(frozen=True)
class Way:
    """A private Sigstore, what witnesses signatures, and the options for it."""

    pki: SigstorePki
    witness: Witness
    options: tuple[str, ...] = ()
    tlog: int = 1
    timestamps: int = 0


def by_log() -> Way:
    pki = SigstorePki(log=RekorLog(before=5))
    return Way(pki, Witness(pki.log, after=3))


def by_timestamp() -> Way:
    pki = SigstorePki()
    options = ("--use-signed-timestamps", "--insecure-ignore-tlog=true")
    return Way(pki, Witness(None, pki.tsa), options, tlog=0, timestamps=1)


def by_both() -> Way:
    pki = SigstorePki()
    return Way(pki, Witness(pki.log, pki.tsa), ("--use-signed-timestamps",), timestamps=1)


def by_log_2() -> Way:
    pki = SigstorePki(log=RekorLog(version=2, before=5))
    return Way(pki, Witness(pki.log, pki.tsa, after=3), ("--use-signed-timestamps",))


def by_log_of_cosign_2() -> Way:
    pki = SigstorePki()
    return Way(pki, Witness(pki.log, entry_kind="intoto"))


def by_log_of_cosign_1() -> Way:
    pki = SigstorePki()
    return Way(pki, Witness(pki.log, entry_kind="intoto-0.0.1"))


WAYS = [by_log, by_timestamp, by_both]


@dataclass
class Signed:
    """The image in a repository, and what two programs say of it."""

    server: RegistryServer
    repository: str
    cosign: Cosign
    way: Way

    def put_layers(self, signer: Signer) -> None:
        # Of layers, cosign verifies SHA-256 alone, also by a key that it would sign SHA-384 with.
        signature = signature_layer(signer, APP.digest, self.way.witness, hash_algorithm=hashes.SHA256())
        self.server.push(self.repository, layers_manifest(signature), cosign_tag(APP))
        attestation = attestation_layer(signer, SCANNED, self.way.witness, hash_algorithm=hashes.SHA256())
        self.server.push(self.repository, layers_manifest(attestation), cosign_tag(APP, "att"))

    def put_bundles(self, signer: Signer) -> None:
        signature = bundle_referrer(APP, dsse_bundle(signer, SIGNED, self.way.witness))
        attestation = bundle_referrer(APP, dsse_bundle(signer, SCANNED, self.way.witness), VULN)
        attach(self.server, self.repository, APP, signature, attestation)

    async def is_signed_and_scanned(self) -> tuple[bool, bool]:
        trust = trust_of(self.way.pki, tlog=self.way.tlog, timestamps=self.way.timestamps)
        async with opened(self.server, self.repository) as store:
            found = [
                await judged_in(store, policy_of(keyless(), trust, *wanted), APP.digest)
                for wanted in ((), (attested(VULN),))
            ]
        return found[0].result is Result.PASS, found[1].result is Result.PASS

    def cosign_says(self, *, of_layers: bool) -> tuple[bool, bool]:
        reference = f"{self.server.host}/{self.repository}@{APP.digest}"
        options = (*IDENTITY, *self.way.options)
        signed = _accepts(lambda: self.cosign.verify(reference, *options))
        if of_layers:
            layers, pki = self.cosign.verify_attestation_layers, self.way.pki
            return signed, _accepts(lambda: layers(reference, "vuln", pki, *options))
        return signed, _accepts(lambda: self.cosign.verify_attestation(reference, "vuln", *options))


def _accepts(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except ToolError as said:
        if "no matching" in said.output or "failed to verify" in said.output:
            return False
        raise
    return True


@pytest.fixture
def put(
    distribution: RegistryServer, repository: str, tool: Callable[[str], Tool], tmp_path: Path
) -> Callable[[Way], Signed]:
    def make(way: Way) -> Signed:
        distribution.push(repository, APP, "v1")
        cosign = Cosign(tool("cosign"), tmp_path, way.pki.trusted_root())
        return Signed(distribution, repository, cosign, way)

    return make


@pytest.mark.parametrize("kind", ["P-256", "P-384", "RSA"])
@pytest.mark.parametrize("way", [*WAYS, by_log_of_cosign_2, by_log_of_cosign_1])
async def test_layers_are_accepted_by_both(
    put: Callable[[Way], Signed], way: Callable[[], Way], kind: str
) -> None:
    signed = put(way())
    signed.put_layers(signed.way.pki.certify(new_key(kind)))
    assert await signed.is_signed_and_scanned() == (True, True)
    assert signed.cosign_says(of_layers=True) == (True, True)


@pytest.mark.parametrize("kind", ["P-256", "P-384", "RSA"])
@pytest.mark.parametrize("way", [*WAYS, by_log_2])
async def test_bundles_are_accepted_by_both(
    put: Callable[[Way], Signed], way: Callable[[], Way], kind: str
) -> None:
    signed = put(way())
    signed.put_bundles(signed.way.pki.certify(new_key(kind)))
    assert await signed.is_signed_and_scanned() == (True, True)
    assert signed.cosign_says(of_layers=False) == (True, True)


@pytest.mark.parametrize("way", [*WAYS, by_log_2])
@pytest.mark.parametrize(
    "leaf",
    [
        pytest.param(Leaf(subject=SUBJECT + "x"), id="another subject"),
        pytest.param(Leaf(issuer="https://evil.example"), id="another issuer"),
        pytest.param(Leaf(has_sct=False), id="no certificate log"),
        pytest.param(Leaf(sct_of_another=True), id="a certificate log's word on another certificate"),
    ],
)
async def test_certificates_that_are_not_right_are_refused_by_both(
    put: Callable[[Way], Signed], way: Callable[[], Way], leaf: Leaf
) -> None:
    signed = put(way())
    signer = signed.way.pki.certify(new_key(), leaf)
    if way is not by_log_2:
        signed.put_layers(signer)
        assert await signed.is_signed_and_scanned() == (False, False)
        assert signed.cosign_says(of_layers=True) == (False, False)
    signed.put_bundles(signer)
    assert await signed.is_signed_and_scanned() == (False, False)
    assert signed.cosign_says(of_layers=False) == (False, False)
