"""A log vouches for a signature by a promise or by a proof; whichever comes with it has to hold."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from regsync.trust.bundles import read_bundle
from regsync.trust.envelopes import LogEntry, SigstoreEnvelope
from regsync.trust.errors import EvidenceRejectedError, TrustRootTooOldError
from regsync.trust.logs.entries import verify_entry
from regsync.trust.trusted_root import TrustedRoot
from tests.support.rekor_log import RekorLog
from tests.support.signing_keys import new_key, public_der
from tests.support.sigstore_evidence import Witness, dsse_bundle, statement
from tests.support.sigstore_pki import SIGNED_AT, Signer, SigstorePki

SUBJECT = "sha256:" + "a" * 64
KEY = new_key()
VERIFIER = public_der(KEY)
V1 = SigstorePki(log=RekorLog(before=9))
V2 = SigstorePki(log=RekorLog(version=2, before=9))


def evidence(pki: SigstorePki, kind: str | None = None) -> SigstoreEnvelope:
    bundle = dsse_bundle(Signer(KEY), statement(SUBJECT), Witness(pki.log, after=3, entry_kind=kind))
    # That a bundle of Rekor v2 has to have a timestamp is not the log's matter.
    return read_bundle(json.dumps(bundle).encode(), manifest_digest=None)


def trusted(pki: SigstorePki, **changes: Any) -> TrustedRoot:
    document = pki.trusted_root_document()
    document["tlogs"][0] |= changes
    return TrustedRoot.parse(json.dumps(document).encode())


ONE, TWO = evidence(V1), evidence(V2)
PROOF = ONE.entries[0].proof
assert PROOF is not None


@pytest.mark.parametrize("kind", ["dsse", "intoto"])
def test_the_first_rekor_vouches_and_says_when(kind: str) -> None:
    envelope = evidence(V1, kind)
    proof = verify_entry(envelope.entries[0], envelope, trusted(V1), VERIFIER)
    assert (proof.log, proof.time) == ("https://rekor.example", SIGNED_AT)
    assert proof.checks[1:] == ("log promise (SET)", "log checkpoint", "log inclusion")
    assert proof.checks[0].startswith(f"log entry ({kind} ")
    assert proof.relaxed == ()


@pytest.mark.parametrize("kind", ["dsse", "hashedrekord"])
def test_the_second_rekor_vouches_and_gives_no_time(kind: str) -> None:
    envelope = evidence(V2, kind)
    proof = verify_entry(envelope.entries[0], envelope, trusted(V2), VERIFIER, at=[SIGNED_AT])
    assert proof.time is None
    assert proof.checks[0] == f"log entry ({kind} 0.0.2)"
    assert proof.checks[1:] == ("log checkpoint", "log inclusion", "log key validity")


def test_a_promise_alone_is_enough_and_it_is_said_that_no_more_was_there() -> None:
    entry = replace(ONE.entries[0], proof=None)
    proof = verify_entry(entry, ONE, trusted(V1), VERIFIER)
    assert proof.time == SIGNED_AT
    assert proof.checks == ("log entry (dsse 0.0.1)", "log promise (SET)")
    assert proof.relaxed == ("log inclusion: the entry has no proof with a checkpoint, only a promise",)


def test_a_proof_alone_is_enough_and_gives_no_time() -> None:
    """Then nothing says at which time the log's key has to be valid, and the verdict says that."""
    entry = replace(ONE.entries[0], promise=None)
    proof = verify_entry(entry, ONE, trusted(V1), VERIFIER)
    assert proof.time is None
    assert len(proof.relaxed) == 1
    assert proof.relaxed[0].startswith("log key validity: no verified time")


def test_neither_is_not_enough() -> None:
    unsigned = replace(PROOF, checkpoint=None)
    for proof in (None, unsigned):
        entry = replace(ONE.entries[0], promise=None, proof=proof)
        with pytest.raises(EvidenceRejectedError, match="neither a promise nor a proof"):
            verify_entry(entry, ONE, trusted(V1), VERIFIER)


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def with_proof(**changes: Any) -> Callable[[LogEntry], LogEntry]:
    def change(entry: LogEntry) -> LogEntry:
        assert entry.proof is not None
        return replace(entry, proof=replace(entry.proof, **changes))

    return change


@pytest.mark.parametrize(
    ("change", "check"),
    [
        pytest.param(
            lambda entry: replace(entry, promise=flipped(entry.promise)), "log promise (SET)", id="SET"
        ),
        pytest.param(
            lambda entry: replace(entry, integrated_time=entry.integrated_time + 1),
            "log promise (SET)",
            id="time",
        ),
        pytest.param(lambda entry: replace(entry, index=entry.index + 1), "log promise (SET)", id="index"),
        pytest.param(with_proof(index=PROOF.index - 1), "log inclusion", id="place in the tree"),
        pytest.param(with_proof(tree_size=PROOF.tree_size + 1), "log inclusion", id="size of the tree"),
        pytest.param(with_proof(root_hash=flipped(PROOF.root_hash)), "log inclusion", id="root"),
        pytest.param(
            with_proof(hashes=(flipped(PROOF.hashes[0]), *PROOF.hashes[1:])), "log inclusion", id="path"
        ),
        pytest.param(with_proof(hashes=()), "log inclusion", id="no path"),
        pytest.param(
            with_proof(checkpoint=RekorLog(before=13).checkpoint()),
            "log checkpoint",
            id="another log's checkpoint",
        ),
        pytest.param(with_proof(checkpoint="nothing"), "log checkpoint", id="no checkpoint"),
        pytest.param(lambda entry: replace(entry, kind="hashedrekord"), "log entry", id="kind"),
        pytest.param(lambda entry: replace(entry, version="0.0.2"), "log entry", id="version"),
    ],
)
def test_what_comes_with_an_entry_has_to_hold(change: Callable[[LogEntry], LogEntry], check: str) -> None:
    """A good promise does not make up for a bad proof, nor the other way round."""
    with pytest.raises(EvidenceRejectedError) as refused:
        verify_entry(change(ONE.entries[0]), ONE, trusted(V1), VERIFIER)
    assert refused.value.check == check


def test_an_older_checkpoint_of_the_same_log_does_not_prove_a_later_entry() -> None:
    pki = SigstorePki(log=RekorLog(before=9))
    older = pki.log.checkpoint()
    envelope = evidence(pki)
    with pytest.raises(EvidenceRejectedError, match="checkpoint is of another tree"):
        verify_entry(with_proof(checkpoint=older)(envelope.entries[0]), envelope, trusted(pki), VERIFIER)


def test_an_entry_of_another_signature_is_refused() -> None:
    with pytest.raises(EvidenceRejectedError, match="about another signature"):
        verify_entry(evidence(V1).entries[0], ONE, trusted(V1), VERIFIER)


def test_an_entry_of_another_key_is_refused() -> None:
    with pytest.raises(EvidenceRejectedError, match="about another key"):
        verify_entry(ONE.entries[0], ONE, trusted(V1), public_der(new_key()))


def test_a_log_that_the_root_lacks_means_that_the_root_is_too_old() -> None:
    with pytest.raises(TrustRootTooOldError, match="run regsync trust update"):
        verify_entry(TWO.entries[0], TWO, trusted(V1), VERIFIER)


def test_a_log_with_a_key_of_an_unknown_kind_vouches_for_nothing() -> None:
    key = V1.trusted_root_document()["tlogs"][0]["publicKey"] | {"keyDetails": "PKIX_MLDSA_65"}
    with pytest.raises(EvidenceRejectedError, match="PKIX_MLDSA_65, which is not supported"):
        verify_entry(ONE.entries[0], ONE, trusted(V1, publicKey=key), VERIFIER)


def test_a_log_whose_tree_has_another_hash_vouches_for_nothing() -> None:
    with pytest.raises(EvidenceRejectedError, match="over a tree of SHA2_512"):
        verify_entry(ONE.entries[0], ONE, trusted(V1, hashAlgorithm="SHA2_512"), VERIFIER)


def valid(pki: SigstorePki, start: str, end: str | None = None) -> dict[str, Any]:
    interval = {"start": start} | ({"end": end} if end else {})
    found: dict[str, Any] = pki.trusted_root_document()["tlogs"][0]["publicKey"] | {"validFor": interval}
    return found


def test_the_key_of_a_log_without_times_has_to_be_valid_when_timestamps_say() -> None:
    root = trusted(V2, publicKey=valid(V2, "2020-01-01T00:00:00Z", "2026-11-01T10:00:00Z"))
    assert verify_entry(TWO.entries[0], TWO, root, VERIFIER, at=[SIGNED_AT]).time is None
    with pytest.raises(EvidenceRejectedError, match=r"outside of https://rekor\.example's time") as refused:
        verify_entry(TWO.entries[0], TWO, root, VERIFIER, at=[SIGNED_AT, SIGNED_AT + timedelta(seconds=1)])
    assert refused.value.check == "log key validity"


def test_a_log_that_a_root_has_for_two_times_is_believed_at_both() -> None:
    document = V1.trusted_root_document()
    (log,) = document["tlogs"]
    log["publicKey"] = valid(V1, "2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z")
    again = log | {"publicKey": valid(V1, "2026-01-01T00:00:00Z")}
    for logs in ([log, again], [again, log]):
        root = TrustedRoot.parse(json.dumps(document | {"tlogs": logs}).encode())
        assert verify_entry(ONE.entries[0], ONE, root, VERIFIER).time == SIGNED_AT
    only = TrustedRoot.parse(json.dumps(document).encode())
    with pytest.raises(EvidenceRejectedError, match="is outside of"):
        verify_entry(ONE.entries[0], ONE, only, VERIFIER)


def test_a_checkpoint_of_the_second_rekor_is_by_the_name_of_its_address() -> None:
    """C2SP binds a key to a name; one key must not speak for a log that the root does not have."""
    with pytest.raises(EvidenceRejectedError, match=r"is not https://elsewhere\.example's"):
        verify_entry(TWO.entries[0], TWO, trusted(V2, baseUrl="https://elsewhere.example"), VERIFIER)
