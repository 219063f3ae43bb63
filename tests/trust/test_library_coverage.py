"""What sigstore-python is not asked about, each with its reason; everything else it verifies as well."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from regsync.oci.digest import Digest
from regsync.trust.bundles import read_bundle
from regsync.trust.certificates import FulcioCertificate, verify_chain
from regsync.trust.envelopes import LogEntry, SigstoreEnvelope
from regsync.trust.library_coverage import why_not_covered
from regsync.trust.witnesses import SigstoreTrust
from tests.support.signing_keys import new_key
from tests.support.sigstore_evidence import Witness, dsse_bundle, message_bundle, statement
from tests.support.sigstore_pki import SIGNED_AT, SigstorePki

MANIFEST = b"a manifest"
DIGEST = Digest.of(MANIFEST)
PKI = SigstorePki()
SIGNER = PKI.certify(new_key())
TRUST = SigstoreTrust.parse(PKI.trusted_root())
END = SIGNED_AT + timedelta(days=1)


def read(bundle: dict[str, object]) -> SigstoreEnvelope:
    return read_bundle(json.dumps(bundle).encode(), manifest_digest=DIGEST)


STATEMENT = read(dsse_bundle(SIGNER, statement(str(DIGEST)), Witness(PKI.log, PKI.tsa)))
MESSAGE = read(message_bundle(SIGNER, MANIFEST, Witness(PKI.log, PKI.tsa)))


def certificate(kind: str = "P-256") -> FulcioCertificate:
    found = SIGNER if kind == "P-256" else PKI.certify(new_key(kind))
    return verify_chain(found.certificates, TRUST.root, SIGNED_AT)


def why(
    envelope: SigstoreEnvelope = STATEMENT,
    trust: SigstoreTrust = TRUST,
    kind: str = "P-256",
    times: tuple[datetime, ...] = (SIGNED_AT,),
) -> str | None:
    return why_not_covered(envelope, trust, certificate(kind), times)


def with_entry(
    change: Callable[[LogEntry], LogEntry], envelope: SigstoreEnvelope = STATEMENT
) -> SigstoreEnvelope:
    return replace(envelope, entries=(change(envelope.entries[0]),))


def without_checkpoint(entry: LogEntry) -> LogEntry:
    assert entry.proof is not None
    return replace(entry, proof=replace(entry.proof, checkpoint=None))


def ending(end: datetime) -> SigstoreTrust:
    document = PKI.trusted_root_document()
    document["timestampAuthorities"][0]["validFor"]["end"] = end.isoformat().replace("+00:00", "Z")
    return SigstoreTrust.parse(json.dumps(document).encode())


def test_what_sigstore_and_cosign_write_is_covered() -> None:
    assert why() is None
    assert why(MESSAGE) is None
    assert why(trust=ending(END)) is None


@pytest.mark.parametrize(
    ("ask", "reason"),
    [
        pytest.param(
            lambda: why(replace(STATEMENT, bundle=None)), "no Sigstore bundle", id="cosign's layers"
        ),
        pytest.param(lambda: why(replace(STATEMENT, entries=())), "0 log entries", id="no log"),
        pytest.param(
            lambda: why(replace(STATEMENT, entries=STATEMENT.entries * 2)), "2 log entries", id="two logs"
        ),
        pytest.param(
            lambda: why(trust=replace(TRUST, ctlog_threshold=0)), "asks no certificate log", id="no CT log"
        ),
        pytest.param(
            lambda: why(with_entry(lambda one: replace(one, kind="intoto", version="0.0.2"))),
            "kind intoto 0.0.2",
            id="intoto",
        ),
        pytest.param(
            lambda: why(with_entry(lambda one: replace(one, kind="dsse"), MESSAGE)),
            "kind dsse 0.0.1",
            id="an entry of an envelope for a message",
        ),
        pytest.param(
            lambda: why(with_entry(lambda one: replace(one, proof=None))),
            "without an inclusion proof",
            id="no proof",
        ),
        pytest.param(
            lambda: why(with_entry(without_checkpoint)), "without an inclusion proof", id="no checkpoint"
        ),
        pytest.param(
            lambda: why(with_entry(lambda one: replace(one, log_id=bytes(32)))),
            "a log that the trust root lacks",
            id="a strange log",
        ),
        pytest.param(lambda: why(kind="P-384"), "another key than ECDSA P-256", id="P-384"),
        pytest.param(lambda: why(kind="RSA"), "another key than ECDSA P-256", id="RSA"),
        pytest.param(
            lambda: why(replace(MESSAGE, signed_digest=Digest.of(MANIFEST, "sha512"))),
            "a message signature over sha512",
            id="SHA-512",
        ),
        pytest.param(
            lambda: why(trust=SigstoreTrust.parse(PKI.trusted_root("timestampAuthorities"))),
            "a timestamp, and no authority for it",
            id="no authority",
        ),
        pytest.param(
            lambda: why(trust=ending(END), times=(SIGNED_AT, END)), "the last moment", id="the last moment"
        ),
    ],
)
def test_what_it_lacks_is_named(ask: Callable[[], str | None], reason: str) -> None:
    assert reason in (ask() or "")
