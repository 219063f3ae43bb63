"""regsync's own verification and sigstore-python's say the same of everything that both can read.

A bundle that sigstore-python covers is accepted only where both accept it, so that the two can be told
apart: what regsync refuses by itself is refused by a check of its own name.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sigstore.errors import Error
from sigstore.hashes import Hashed
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier, policy
from sigstore_models.common.v1 import HashAlgorithm

from regsync.oci.digest import Digest
from regsync.spec.verification import TextMatch
from regsync.trust.bundles import read_bundle
from regsync.trust.envelopes import Image, Question, SigstoreEnvelope
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.keyless import Keyless
from regsync.trust.sigstore_library import NAME, UnreadableForLibraryError, verify_with_library
from regsync.trust.trusted_root import TrustRootError, public_good
from regsync.trust.witnesses import SigstoreTrust
from tests.support.rekor_log import RekorLog
from tests.support.signing_keys import new_key
from tests.support.sigstore_evidence import SLSA, Witness, dsse_bundle, message_bundle, statement
from tests.support.sigstore_pki import ISSUER, SIGNED_AT, SUBJECT, Leaf, SigstorePki

Json = dict[str, Any]

SUITE = Path(__file__).parents[1] / "data" / "signing" / "conformance" / "bundle-verify"
CASES = sorted(path for path in SUITE.iterdir() if path.is_dir() and not (path / "key.pub").exists())
ARTIFACT = b"a manifest"
DIGEST = Digest.of(ARTIFACT)
NOW = SIGNED_AT.replace(year=2027)
IDENTITY = (
    "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/"
    "extremely-dangerous-oidc-beacon.yml@refs/heads/main"
)


def ours(raw: bytes, root: bytes, digest: Digest, subject: str, issuer: str) -> tuple[bool, str]:
    """Whether regsync by itself accepts a bundle, and the check that refused it or the library's part."""
    asked = Keyless("ci", SigstoreTrust.parse(root), TextMatch(issuer), TextMatch(subject))
    envelope = read_bundle(raw, manifest_digest=digest)
    if digest not in envelope.message.subjects:
        return False, "subject"
    try:
        found = asked.verify(envelope, Question(Image("hub", "app", None, digest), NOW))
    except EvidenceRejectedError as refused:
        return refused.check == NAME, refused.check
    return True, NAME if NAME in found.checks else found.relaxed[-1]


def theirs(raw: bytes, root: Path, digest: Digest, subject: str, issuer: str) -> bool:
    """Whether sigstore-python accepts it, on its own."""
    who = policy.Identity(identity=subject, issuer=issuer)
    try:
        verifier = Verifier(trusted_root=TrustedRoot.from_file(str(root)))
        bundle = Bundle.from_json(raw)
        if bundle._dsse_envelope is None:
            hashed = Hashed(algorithm=HashAlgorithm.SHA2_256, digest=bytes.fromhex(digest.encoded))
            verifier.verify_artifact(hashed, bundle, who)
            return True
        _, payload = verifier.verify_dsse(bundle, who)
        return any(one["digest"].get("sha256") == digest.encoded for one in json.loads(payload)["subject"])
    except (Error, ValueError):
        return False


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_say_the_same_of_the_conformance_suite(case: Path, tmp_path: Path) -> None:
    own = case / "artifact"
    digest = Digest.of((own if own.exists() else SUITE / "a.txt").read_bytes())
    names = {"identity": IDENTITY, "issuer": ISSUER}
    for name in names:
        if (case / name).exists():
            names[name] = (case / name).read_text().strip()
    root = case / "trusted_root.json"
    if not root.exists():
        root = tmp_path / "root.json"
        root.write_bytes(public_good())
    line = (digest, names["identity"], names["issuer"])
    raw = (case / "bundle.sigstore.json").read_bytes()
    try:
        accepted, by = ours(raw, root.read_bytes(), *line)
    except (EvidenceRejectedError, TrustRootError):
        accepted, by = False, "reading"
    if not by.startswith("sigstore-python: not asked"):
        assert accepted == theirs(raw, root, *line), by


PKI = SigstorePki()
SECOND = SigstorePki(log=RekorLog(version=2, before=3))
SIGNER = {id(pki): pki.certify(new_key(), Leaf(extensions={"buildTrigger": "push"})) for pki in (PKI, SECOND)}


def made(pki: SigstorePki, witness: Witness, *, is_message: bool = False) -> Json:
    signer = SIGNER[id(pki)]
    if is_message:
        return message_bundle(signer, ARTIFACT, witness)
    return dsse_bundle(signer, statement(str(DIGEST), SLSA), witness)


BUNDLES = {
    "an attestation in Rekor": (PKI, made(PKI, Witness(PKI.log, after=4))),
    "a message in Rekor": (PKI, made(PKI, Witness(PKI.log), is_message=True)),
    "an attestation in Rekor, with a timestamp": (PKI, made(PKI, Witness(PKI.log, PKI.tsa))),
    "an attestation in Rekor 2": (SECOND, made(SECOND, Witness(SECOND.log, SECOND.tsa, after=2))),
    "a message in Rekor 2": (SECOND, made(SECOND, Witness(SECOND.log, SECOND.tsa), is_message=True)),
}


def leaves(value: object, *path: str | int) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The paths of all texts of a document."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from leaves(below, *path, key)
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from leaves(below, *path, number)
    elif isinstance(value, str):
        yield path, value


def altered(bundle: Json) -> Iterator[tuple[str, Json]]:
    """The bundle with each of its texts altered in several places, one at a time, and left out."""
    for path, text in leaves(bundle):
        for place in sorted({0, len(text) // 3, len(text) // 2, max(len(text) - 5, 0)}):
            other = "A" if text[place : place + 1] != "A" else "Q"
            copy: Json = json.loads(json.dumps(bundle))
            put(copy, path, text[:place] + other + text[place + 1 :])
            yield f"{'.'.join(map(str, path))}[{place}]", copy


def put(document: Any, path: tuple[str | int, ...], value: object) -> None:
    for key in path[:-1]:
        document = document[key]
    document[path[-1]] = value


# What regsync is stricter in, and why that is no disagreement over what was signed.
STRICTER = (
    "timestamp",  # beside a promise sigstore-python passes over a timestamp that does not hold
    "transparency log",  # of the id of a log of Rekor 2 it looks at the first four bytes
)


@pytest.mark.parametrize("name", BUNDLES)
def test_both_say_the_same_of_what_was_altered(name: str, tmp_path: Path) -> None:
    pki, bundle = BUNDLES[name]
    root = tmp_path / "root.json"
    root.write_bytes(pki.trusted_root())
    line = (DIGEST, SUBJECT, ISSUER)
    assert ours(json.dumps(bundle).encode(), root.read_bytes(), *line) == (True, NAME)
    apart = []
    for what, copy in altered(bundle):
        raw = json.dumps(copy).encode()
        try:
            accepted, by = ours(raw, root.read_bytes(), *line)
        except EvidenceRejectedError as refused:
            accepted, by = False, refused.check
        if accepted != theirs(raw, root, *line):
            apart.append((what, accepted, by))
    assert [one for one in apart if one[1] or one[2] not in STRICTER] == []


def read(bundle: Json) -> SigstoreEnvelope:
    return read_bundle(json.dumps(bundle).encode(), manifest_digest=DIGEST)


def test_the_library_has_to_see_what_was_verified() -> None:
    """The bytes that it is given are read by a parser of its own."""
    seen, root = read(BUNDLES["an attestation in Rekor"][1]), PKI.trusted_root()
    assert verify_with_library(seen, root) == NAME
    assert seen.dsse is not None
    for other, reason in (
        (replace(seen, certificates=(SIGNER[id(SECOND)].certificates[0],)), "another certificate"),
        (replace(seen, dsse=replace(seen.dsse, payload=b"{}")), "another payload"),
        (replace(seen, dsse=None), "Missing bundle message signature"),
    ):
        with pytest.raises(EvidenceRejectedError, match=reason) as refused:
            verify_with_library(other, root)
        assert refused.value.check == NAME


def test_what_the_library_refuses_is_refused() -> None:
    with pytest.raises(EvidenceRejectedError, match="cert") as refused:
        verify_with_library(read(BUNDLES["an attestation in Rekor"][1]), SECOND.trusted_root())
    assert refused.value.check == NAME


def test_what_is_newer_than_the_library_is_verified_without_it() -> None:
    bundle = {**BUNDLES["an attestation in Rekor"][1], "futureField": 1}
    accepted, by = ours(json.dumps(bundle).encode(), PKI.trusted_root(), DIGEST, SUBJECT, ISSUER)
    assert accepted
    assert by.startswith("sigstore-python: it cannot read this: ")
    root = json.dumps({**PKI.trusted_root_document(), "futureField": 1}).encode()
    with pytest.raises(UnreadableForLibraryError):
        verify_with_library(read(BUNDLES["an attestation in Rekor"][1]), root)


def test_the_library_tells_nothing_on_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    document = PKI.trusted_root_document()
    document["tlogs"][0]["publicKey"]["keyDetails"] = "PKIX_ECDSA_P256_HMAC_SHA_256"
    with pytest.raises(EvidenceRejectedError):
        verify_with_library(read(BUNDLES["an attestation in Rekor"][1]), json.dumps(document).encode())
    assert capfd.readouterr() == ("", "")
