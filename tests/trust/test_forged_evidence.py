"""Evidence by who holds some of the keys, or leaves something out: refusals name the check that failed."""

import base64
import json
import re

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from regsync.spec.verification import TrustRoot
from regsync.trust.verdict import Result
from tests.support.judging import (
    trust_of,
)
from tests.support.rekor_log import RekorLog, b64
from tests.support.sigstore_evidence import (
    Witness,
)
from tests.support.sigstore_pki import SIGNED_AT, SUBJECT, Leaf, SigstorePki
from tests.support.timestamp_authority import TimestampAuthority
from tests.support.x509_issuing import END, START
from tests.trust.drafts import (
    BOTH,
    LATE,
    LOGGED,
    PKI,
    ROGUE,
    TIMESTAMPS,
    Make,
    bundle,
    certified,
    layer,
    verdict,
)


@BOTH
@pytest.mark.parametrize(
    ("leaf", "check"),
    [
        pytest.param(Leaf(has_sct=False), r"certificate timestamp \(SCT\): 0 logs", id="without an SCT"),
        pytest.param(
            Leaf(sct_of_another=True),
            r"certificate timestamp \(SCT\): the signature is not by the key",
            id="with the SCT of another certificate",
        ),
        pytest.param(
            Leaf(purpose=ExtendedKeyUsageOID.CLIENT_AUTH),
            "extended key usage|certificate usage",
            id="for TLS",
        ),
        pytest.param(Leaf(subject=SUBJECT + "x"), "identity: subject is ", id="of another identity"),
        pytest.param(Leaf(issuer="https://evil.example"), "identity: issuer is ", id="by another issuer"),
        pytest.param(Leaf(start=SIGNED_AT + LATE), "certificate chain: ", id="that was not valid yet"),
        pytest.param(Leaf(start=SIGNED_AT - LATE), "certificate chain: ", id="that was valid no more"),
    ],
)
def test_a_certificate_is_refused(make: Make, leaf: Leaf, check: str) -> None:
    assert verdict(make(certified()))[0] is Result.PASS
    result, reason = verdict(make(certified(leaf)))
    assert result is Result.FAIL
    assert re.search(check, reason), reason


@BOTH
def test_a_certificate_by_another_authority_of_the_same_name_is_refused(make: Make) -> None:
    result, reason = verdict(make(certified(pki=ROGUE)))
    assert result is Result.FAIL
    assert "certificate chain: " in reason


@BOTH
def test_a_certificate_whose_sct_is_of_a_log_that_the_root_lacks_asks_for_a_newer_root(make: Make) -> None:
    pki = SigstorePki(log=PKI.log)
    document = pki.trusted_root_document() | {"ctlogs": PKI.trusted_root_document()["ctlogs"]}
    trust = trust_of(pki, document=json.dumps(document).encode())
    result, reason = verdict(make(certified(pki=pki)), trust)
    assert result is Result.ERROR
    assert "trust root too old: run regsync trust update" in reason


@BOTH
def test_an_entry_in_a_log_that_the_root_lacks_asks_for_a_newer_root(make: Make) -> None:
    result, reason = verdict(make(certified(), Witness(ROGUE.log)))
    assert result is Result.ERROR
    assert "trust root too old: run regsync trust update" in reason


@BOTH
def test_a_log_that_only_calls_itself_like_ours_is_refused(make: Make) -> None:
    impostor = RekorLog()
    impostor.log_id = PKI.log.log_id
    result, reason = verdict(make(certified(), Witness(impostor)))
    assert result is Result.FAIL
    assert "log promise (SET): the signature is not by the key" in reason


@BOTH
def test_a_timestamp_by_an_authority_that_the_root_lacks_asks_for_a_newer_root(make: Make) -> None:
    other = TimestampAuthority("other", START, END)
    result, reason = verdict(make(certified(), Witness(None, other)), TIMESTAMPS)
    assert result is Result.ERROR
    assert "trust root too old: run regsync trust update" in reason


@BOTH
def test_an_authority_that_only_calls_itself_like_ours_is_refused(make: Make) -> None:
    impostor = TimestampAuthority("example", START, END)
    impostor.certificate = PKI.tsa.certificate  # with a key of its own
    result, reason = verdict(make(certified(), Witness(None, impostor)), TIMESTAMPS)
    assert result is Result.FAIL
    assert "timestamp: " in reason


@BOTH
@pytest.mark.parametrize("is_tsa", [True, False])
def test_an_authority_stamps_only_while_it_may_and_if_it_is_one(make: Make, is_tsa: bool) -> None:
    end = SIGNED_AT - LATE if is_tsa else END
    pki = SigstorePki(tsa=TimestampAuthority("example", START, end, is_tsa=is_tsa))
    trust = trust_of(pki, tlog=0, timestamps=1)
    result, reason = verdict(make(certified(pki=pki), Witness(None, pki.tsa)), trust)
    assert result is Result.FAIL
    assert "timestamp: " in reason


@BOTH
@pytest.mark.parametrize(
    ("part", "trust", "check"),
    [
        pytest.param("certificate", None, "certificate: it has none: it was signed by a key|bundle", id="it"),
        pytest.param("log entry", None, "transparency log: 0 vouch for it", id="the log entry"),
        pytest.param("SET", None, r"log promise \(SET\): |trusted time: ", id="the promise"),
        pytest.param("body", None, "log entry: |canonicalizedBody is missing", id="the body"),
        pytest.param("timestamp", TIMESTAMPS, "timestamp: 0 vouch for it|trusted time", id="the timestamp"),
        pytest.param("signature", None, "signature: |DSSE envelope: a signature has no sig", id="signature"),
    ],
)
def test_what_leaves_a_part_out_is_refused(
    make: Make, part: str, trust: TrustRoot | None, check: str
) -> None:
    draft = make(certified(), Witness(None, PKI.tsa) if trust else LOGGED)
    assert verdict(draft, trust)[0] is Result.PASS
    if part == "signature":
        draft.put(part, "")
    elif part == "timestamp" and make is bundle:
        del draft.document["verificationMaterial"]["timestampVerificationData"]
    elif part == "SET" and make is bundle:
        del draft.document["verificationMaterial"]["tlogEntries"][0]["inclusionPromise"]
    else:
        draft.drop(part)
    result, reason = verdict(draft, trust)
    assert result is Result.FAIL
    assert re.search(check, reason), reason


def test_a_proof_is_refused_with_a_checkpoint_of_another_log_or_an_altered_signature() -> None:
    draft = bundle(certified())
    note = draft.get("checkpoint")
    text, line = note.split("\n\n")
    name, signature = line[2:].split()
    blob = bytearray(base64.b64decode(signature))
    blob[-1] ^= 1
    for checkpoint in (
        f"{text}\n\n— {name} {b64(bytes(blob))}\n",
        ROGUE.log.checkpoint() if ROGUE.log.leaves else "",
    ):
        draft.put("checkpoint", checkpoint)
        result, reason = verdict(draft)
        assert result is Result.FAIL
        assert re.search("log checkpoint: |bundle: ", reason), reason


ROOT_ALONE = {"certificates": [{"rawBytes": b64(PKI.root.der)}]}


def trust_without_intermediate() -> TrustRoot:
    document = PKI.trusted_root_document()
    document["certificateAuthorities"][0]["certChain"] = ROOT_ALONE
    return trust_of(PKI, document=json.dumps(document).encode())


def test_a_chain_that_came_with_the_evidence_is_used_and_refused_where_it_is_altered() -> None:
    trust = trust_without_intermediate()
    draft = layer(certified())
    assert verdict(draft, trust) == (Result.PASS, "")
    chain = draft.get("chain")
    altered = bytearray(base64.b64decode(chain))
    altered[-10] ^= 1
    for wrong in (b64(bytes(altered)), b64(ROGUE.intermediate.der)):
        draft.put("chain", wrong)
        result, reason = verdict(draft, trust)
        assert result is Result.FAIL
        assert re.search("certificate( chain)?: ", reason), reason


def test_a_root_that_came_with_the_evidence_is_not_believed() -> None:
    rogue = SigstorePki(log=PKI.log)
    draft = layer(certified(pki=rogue))
    result, reason = verdict(draft)
    assert draft.document["chain"][-1] == b64(rogue.root.der)
    assert (result, "certificate chain: " in reason) == (Result.FAIL, True)
