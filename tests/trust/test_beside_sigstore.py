"""What sigstore-python's parts say of the conformance suite's evidence: ours say the same of each.

Its internals are asked, so that a new version may break this test and nothing else.
"""

import base64
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from sigstore import models
from sigstore._internal import merkle, sct
from sigstore._internal.rekor import checkpoint
from sigstore._internal.trust import KeyringPurpose
from sigstore.errors import Error
from sigstore_models.rekor.v1 import TransparencyLogEntry
from sigstore_models.trustroot.v1 import TrustedRoot as TheirRoot

from regsync.errors import RegsyncError
from regsync.trust.bundles import read_bundle
from regsync.trust.certificates import FulcioCertificate
from regsync.trust.envelopes import LogEntry
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.logs.checkpoint import verify_checkpoint
from regsync.trust.logs.merkle import leaf_hash, root_of
from regsync.trust.logs.promise import verify_promise
from regsync.trust.sct import verify_sct
from regsync.trust.trusted_root import TransparencyLog, TrustedRoot, public_good

SUITE = Path(__file__).parents[1] / "data" / "signing" / "conformance" / "bundle-verify"


@cache
def root_document(case: str) -> bytes:
    path = SUITE / case / "trusted_root.json"
    return path.read_bytes() if path.exists() else public_good()


def cases() -> list[str]:
    """Those whose bundle and root can be read, with a log of the root in them."""
    return [path.name for path in sorted(SUITE.iterdir()) if path.is_dir() and ours(path.name) is not None]


@cache
def ours(case: str) -> tuple[LogEntry, TransparencyLog, TrustedRoot] | None:
    try:
        bundle = (SUITE / case / "bundle.sigstore.json").read_bytes()
        entry = read_bundle(bundle, manifest_digest=None).entries[0]
        root = TrustedRoot.parse(root_document(case))
    except RegsyncError:
        return None
    logs = root.logs(entry.log_id)
    return (entry, logs[0], root) if logs and entry.proof is not None else None


@cache
def theirs(case: str) -> tuple[models.TransparencyLogEntry, models.TrustedRoot]:
    material = json.loads((SUITE / case / "bundle.sigstore.json").read_text())["verificationMaterial"]
    entry = TransparencyLogEntry.from_json(json.dumps(material["tlogEntries"][0]))
    return models.TransparencyLogEntry(entry), models.TrustedRoot(TheirRoot.from_json(root_document(case)))


def is_fine(call: Callable[[], object]) -> bool:
    try:
        call()
    except (Error, EvidenceRejectedError, InvalidSignature):
        return False
    return True


every_case = pytest.mark.parametrize("case", cases())


def read(case: str) -> tuple[LogEntry, TransparencyLog, TrustedRoot]:
    found = ours(case)
    assert found is not None
    return found


@every_case
def test_of_inclusion(case: str) -> None:
    entry, _, _ = read(case)
    assert entry.proof is not None
    proof = entry.proof
    root = root_of(leaf_hash(entry.body), proof.index, proof.tree_size, proof.hashes)
    assert (root == proof.root_hash) == is_fine(lambda: merkle.verify_merkle_inclusion(theirs(case)[0]))


@every_case
def test_of_checkpoints(case: str) -> None:
    entry, log, _ = read(case)
    their_entry, their_root = theirs(case)
    proof = entry.proof
    assert proof is not None
    text = proof.checkpoint or ""
    keys = their_root.rekor_keyring(KeyringPurpose.VERIFY)
    mine = (
        is_fine(lambda: verify_checkpoint(text, log)) and verify_checkpoint(text, log).root == proof.root_hash
    )
    assert mine == is_fine(lambda: checkpoint.verify_checkpoint(keys, their_entry))


@pytest.mark.parametrize("case", [case for case in cases() if read(case)[0].promise is not None])
def test_of_promises(case: str) -> None:
    entry, log, _ = read(case)
    their_entry, their_root = theirs(case)
    keys = their_root.rekor_keyring(KeyringPurpose.VERIFY)
    assert is_fine(lambda: verify_promise(entry, log)) == is_fine(lambda: their_entry._verify_set(keys))


def leaf(case: str) -> x509.Certificate | None:
    material: dict[str, Any] = json.loads((SUITE / case / "bundle.sigstore.json").read_text())
    material = material["verificationMaterial"]
    listed = material.get("x509CertificateChain", {}).get("certificates") or [material.get("certificate")]
    return listed[0] and x509.load_der_x509_certificate(base64.b64decode(listed[0]["rawBytes"]))


def issuer_of(certificate: x509.Certificate, root: TrustedRoot) -> x509.Certificate | None:
    for authority in root.certificate_authorities:
        for one in authority.certificates:
            try:
                certificate.verify_directly_issued_by(one)
            except (ValueError, InvalidSignature):
                continue
            return one
    return None


def certified(case: str) -> tuple[x509.Certificate, x509.Certificate] | None:
    """The leaf and its issuer, where an authority of the root has issued it."""
    certificate = leaf(case)
    issuer = certificate and issuer_of(certificate, read(case)[2])
    return (certificate, issuer) if certificate and issuer else None


@pytest.mark.parametrize("case", [case for case in cases() if certified(case)])
def test_of_certificate_timestamps(case: str) -> None:
    found = certified(case)
    assert found is not None
    certificate, issuer = found
    keys = theirs(case)[1].ct_keyring(KeyringPurpose.VERIFY)
    der, chain = certificate.public_bytes(Encoding.DER), (issuer.public_bytes(Encoding.DER),)
    mine = FulcioCertificate(der, certificate.public_key(), "", "", {}, chain)
    their_verdict = is_fine(lambda: sct.verify_sct(certificate, [issuer], keys))
    assert is_fine(lambda: verify_sct(mine, read(case)[2])) == their_verdict
