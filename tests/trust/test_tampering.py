"""Every part of every format, altered or exchanged with a valid one of another image: all of it is refused.

The untouched evidence is accepted first, so that each refusal is for what was done to it.
"""

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from regsync.spec.verification import LogUse, Requirement, SignatureRequirement
from regsync.trust.policy import CompiledPolicy
from regsync.trust.verdict import Result
from tests.support.evidence_drafts import Draft, bundle_draft, layer_draft
from tests.support.evidence_pieces import piece_of
from tests.support.images import Content, image
from tests.support.judging import AUTHORITY, attested, judged, key_of, keyless, policy_of, trust_of
from tests.support.rekor_log import RekorLog, b64
from tests.support.signing_keys import new_key
from tests.support.sigstore_evidence import (
    COSIGN_SIGN,
    IN_TOTO,
    SLSA,
    VULN,
    Witness,
    attestation_layer,
    dsse_bundle,
    message_bundle,
    signature_layer,
    statement,
)
from tests.support.sigstore_pki import Signer, SigstorePki

APP, OTHER = image("app"), image("other")
PKI = SigstorePki(log=RekorLog(before=3))
PKI_2 = SigstorePki(log=RekorLog(version=2, before=3))
ROGUE = SigstorePki()
KEY = Signer(new_key())
LOGGED = Witness(PKI.log, after=2)
LOGGED_2 = Witness(PKI_2.log, PKI_2.tsa, after=2)
STAMPED = Witness(None, PKI.tsa)

TRUST = trust_of(PKI)
TRUST_2 = trust_of(PKI_2)
TRUST_IN_TIMESTAMPS = trust_of(PKI, tlog=0, timestamps=1)


@dataclass(frozen=True)
class Format:
    """A way to sign, and the policy that accepts what is signed so."""

    name: str
    make: Callable[[Content], Draft]
    policy: CompiledPolicy

    def verdict(self, draft: Draft) -> tuple[Result, str]:
        """What becomes of APP with this evidence alone beside it."""
        found = judged(self.policy, [piece_of(draft.content(), APP.digest, draft.location)], APP.digest)
        return found.result, found.reason or ""


def certified(pki: SigstorePki = PKI) -> Signer:
    return pki.certify(new_key())


def scan(image: Content) -> bytes:
    return statement(image.digest, VULN, {"scanner": {"result": {}}})


def tagged(make: Callable[[Content], Any], location: str) -> Callable[[Content], Draft]:
    return lambda image: layer_draft(make(image), location)


def bundled(make: Callable[[Content], Any]) -> Callable[[Content], Draft]:
    return lambda image: bundle_draft(make(image), APP)


SCANNED: Requirement = attested(VULN)
KEYLESS = keyless()
FORMATS = [
    Format(
        "a layer by a key",
        tagged(lambda image: signature_layer(KEY, image.digest), "tag:.sig"),
        policy_of(key_of(KEY), TRUST),
    ),
    Format(
        "a layer by a logged key",
        tagged(lambda image: signature_layer(KEY, image.digest, LOGGED), "tag:.sig"),
        policy_of(key_of(KEY, LogUse.REQUIRED), TRUST),
    ),
    Format(
        "a keyless layer in a log",
        tagged(lambda image: signature_layer(certified(), image.digest, LOGGED), "tag:.sig"),
        policy_of(KEYLESS, TRUST),
    ),
    Format(
        "a keyless layer with a timestamp",
        tagged(lambda image: signature_layer(certified(), image.digest, STAMPED), "tag:.sig"),
        policy_of(KEYLESS, TRUST_IN_TIMESTAMPS),
    ),
    Format(
        "an attestation layer in a log",
        tagged(lambda image: attestation_layer(certified(), scan(image), LOGGED), "tag:.att"),
        policy_of(KEYLESS, TRUST, SCANNED),
    ),
    Format(
        "an attestation layer of cosign 2 in a log",
        tagged(
            lambda image: attestation_layer(certified(), scan(image), Witness(PKI.log, entry_kind="intoto")),
            "tag:.att",
        ),
        policy_of(KEYLESS, TRUST, SCANNED),
    ),
    Format(
        "an attestation layer of cosign 1 in a log",
        tagged(
            lambda image: attestation_layer(
                certified(), scan(image), Witness(PKI.log, entry_kind="intoto-0.0.1")
            ),
            "tag:.att",
        ),
        policy_of(KEYLESS, TRUST, SCANNED),
    ),
    Format(
        "an attestation layer with a timestamp",
        tagged(lambda image: attestation_layer(certified(), scan(image), STAMPED), "tag:.att"),
        policy_of(KEYLESS, TRUST_IN_TIMESTAMPS, SCANNED),
    ),
    Format(
        "a DSSE referrer in a log",
        lambda image: layer_draft(
            attestation_layer(certified(), scan(image), LOGGED, media_type=IN_TOTO), "referrers", APP
        ),
        policy_of(KEYLESS, TRUST, SCANNED),
    ),
    Format(
        "a bundle by a key",
        bundled(lambda image: dsse_bundle(KEY, statement(image.digest))),
        policy_of(key_of(KEY), TRUST),
    ),
    Format(
        "a bundle by a logged key",
        bundled(lambda image: dsse_bundle(KEY, statement(image.digest), LOGGED)),
        policy_of(key_of(KEY, LogUse.REQUIRED), TRUST),
    ),
    Format(
        "a keyless bundle in a log",
        bundled(lambda image: dsse_bundle(certified(), statement(image.digest), LOGGED)),
        policy_of(KEYLESS, TRUST),
    ),
    Format(
        "a keyless bundle in a log of version 2",
        bundled(lambda image: dsse_bundle(certified(PKI_2), statement(image.digest), LOGGED_2)),
        policy_of(KEYLESS, TRUST_2),
    ),
    Format(
        "a keyless bundle with a timestamp",
        bundled(lambda image: dsse_bundle(certified(), statement(image.digest), STAMPED)),
        policy_of(KEYLESS, TRUST_IN_TIMESTAMPS),
    ),
    Format(
        "a message signature in a log",
        bundled(lambda image: message_bundle(certified(), image.data, LOGGED)),
        policy_of(KEYLESS, TRUST),
    ),
    Format(
        "a bundle of an attestation in a log",
        bundled(lambda image: dsse_bundle(certified(), scan(image), LOGGED)),
        policy_of(KEYLESS, TRUST, SCANNED),
    ),
]

# What refuses a part, altered by one bit, and exchanged for the same part of another image's evidence.
NOT_BY_KEY = "signature: it is not by this key over this content"
OF_ANOTHER = "log entry: it is about (another|an envelope of other)"
REFUSED_BY: dict[str, tuple[str, str]] = {
    "payload": (f"{NOT_BY_KEY}|statement: |payload: ", NOT_BY_KEY),
    "signature": (NOT_BY_KEY, NOT_BY_KEY),
    "message digest": ("message digest: ", "message digest: "),
    "message signature": (NOT_BY_KEY, NOT_BY_KEY),
    "certificate": ("certificate|signature: ", NOT_BY_KEY),
    "log entry": ("", OF_ANOTHER),
    "log id": ("trust root too old: run regsync trust update", ""),
    "log index": (r"log promise \(SET\): the signature is not by the key", ""),
    "integrated time": (r"log promise \(SET\): the signature is not by the key", ""),
    "SET": (r"log promise \(SET\): the signature", r"log promise \(SET\): the signature is not by the key"),
    "body": ("log entry: |log promise ", OF_ANOTHER),
    "inclusion proof": ("", "log inclusion: "),
    "proof index": ("log inclusion: the proof does not lead to the root", "log inclusion: "),
    "proof root": ("log inclusion: the checkpoint is of another tree", "log inclusion: "),
    "proof size": ("log inclusion: the checkpoint is of another tree", "log inclusion: "),
    "proof hash": ("log inclusion: the proof does not lead to the root", ""),
    "checkpoint": ("log checkpoint: the signature is not by the key", "log inclusion: the checkpoint is of"),
    "timestamp": ("timestamp: ", "timestamp: "),
}


def altered(part: str, value: Any) -> Any:
    """The value with one bit flipped, or one more than it."""
    if part == "checkpoint":
        origin, size, *rest = value.split("\n")
        return "\n".join([origin, f"{size}0", *rest])
    if part == "log id" and len(value) == 64:
        return "00" + value[2:]
    if isinstance(value, int):
        return value + 1
    if value.isdigit():
        return str(int(value) + 1)
    data = bytearray(base64.b64decode(value))
    if part == "timestamp":
        data[data.index(b"20261101") + 7] ^= 1  # its time
    else:
        data[len(data) // 2] ^= 1
    return b64(bytes(data))


def cases() -> Iterator[Any]:
    for form in FORMATS:
        parts = form.make(APP).parts
        for part in parts:
            if part == "chain" or (part == "log index" and "SET" not in parts):
                continue  # a chain proves nothing by itself; nobody signs, or goes by, an index in version 2
            by_flip, by_swap = REFUSED_BY[part]
            if by_flip:
                yield pytest.param(form, part, altered, by_flip, id=f"{form.name}: {part} altered")
            if by_swap:
                yield pytest.param(form, part, None, by_swap, id=f"{form.name}: {part} of another")


@pytest.mark.parametrize("form", [pytest.param(form, id=form.name) for form in FORMATS])
def test_untouched_evidence_is_accepted(form: Format) -> None:
    assert form.verdict(form.make(APP)) == (Result.PASS, "")


@pytest.mark.parametrize(("form", "part", "alter", "refused_by"), list(cases()))
def test_a_part_that_was_tampered_with_is_refused(
    form: Format, part: str, alter: Callable[[str, Any], Any] | None, refused_by: str
) -> None:
    draft, other = form.make(APP), form.make(OTHER)
    assert form.verdict(draft)[0] is Result.PASS
    draft.put(part, other.get(part) if alter is None else alter(part, draft.get(part)))
    result, reason = form.verdict(draft)
    assert result in (Result.FAIL, Result.ERROR)
    assert re.search(refused_by, reason), reason


@pytest.mark.parametrize("form", [pytest.param(form, id=form.name) for form in FORMATS])
def test_all_evidence_of_another_image_is_refused(form: Format) -> None:
    result, reason = form.verdict(form.make(OTHER))
    assert result is Result.FAIL
    assert re.search(f"it is of another digest: {OTHER.digest}|message digest: ", reason), reason


def rewritten(draft: Draft, old: str, new: str) -> Draft:
    """The draft with other words in what was signed."""
    text = base64.b64decode(draft.get("payload")).decode()
    assert old in text
    draft.put("payload", b64(text.replace(old, new).encode()))
    return draft


@pytest.mark.parametrize("form", [pytest.param(form, id=form.name) for form in FORMATS])
def test_evidence_that_was_rewritten_to_speak_of_this_image_is_refused(form: Format) -> None:
    draft = form.make(OTHER)
    if draft.get("payload") is None:
        draft.put("message digest", form.make(APP).get("message digest"))
    else:
        rewritten(draft, OTHER.digest.removeprefix("sha256:"), APP.digest.removeprefix("sha256:"))
    result, reason = form.verdict(draft)
    assert (result, NOT_BY_KEY in reason) == (Result.FAIL, True)


@pytest.mark.parametrize(
    "form", [pytest.param(form, id=form.name) for form in FORMATS if "attestation" in form.name]
)
def test_an_attestation_that_was_rewritten_to_another_type_is_refused(form: Format) -> None:
    """It was of VULN; the policy that it is made to meet asks for SLSA, or for a signature."""
    for wanted, requirement in ((SLSA, attested(SLSA)), (COSIGN_SIGN, SignatureRequirement(AUTHORITY))):
        policy = policy_of(KEYLESS, TRUST_IN_TIMESTAMPS if "timestamp" in form.name else TRUST, requirement)
        asked = Format(form.name, form.make, policy)
        assert asked.verdict(form.make(APP))[0] is Result.FAIL
        result, reason = asked.verdict(rewritten(form.make(APP), VULN, wanted))
        assert (result, NOT_BY_KEY in reason) == (Result.FAIL, True)


@pytest.mark.parametrize(
    "form",
    [pytest.param(form, id=form.name) for form in FORMATS if "DSSE" in form.name or "bundle" in form.name],
)
def test_a_payload_that_was_declared_another_type_is_refused(form: Format) -> None:
    draft = form.make(APP)
    envelope = draft.document.get("envelope") or draft.document["dsseEnvelope"]
    envelope["payloadType"] = "application/json"
    result, reason = form.verdict(draft)
    assert (result, "payloadType is 'application/json'" in reason) == (Result.FAIL, True)
