"""Who signed without a key of their own: proven by a private Sigstore, offline."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from regsync.oci.digest import Digest
from regsync.spec.verification import TextMatch
from regsync.trust.bundles import read_bundle
from regsync.trust.cosign import read_signature
from regsync.trust.envelopes import (
    Image,
    Kind,
    Message,
    NotationEnvelope,
    Proven,
    Question,
    SigstoreEnvelope,
)
from regsync.trust.errors import EvidenceRejectedError, TrustRootTooOldError
from regsync.trust.keyless import Keyless
from regsync.trust.witnesses import SigstoreTrust
from tests.support.rekor_log import RekorLog
from tests.support.signing_keys import KINDS, new_key
from tests.support.sigstore_evidence import (
    SLSA,
    Witness,
    dsse_bundle,
    message_bundle,
    signature_layer,
    statement,
)
from tests.support.sigstore_pki import ISSUER, SIGNED_AT, SUBJECT, Leaf, Signer, SigstorePki
from tests.support.timestamp_authority import TimestampAuthority

Json = dict[str, Any]

MANIFEST = b'{"schemaVersion": 2}'
DIGEST = Digest.of(MANIFEST)
REPOSITORY = "https://github.com/acme/app"
LEAF = Leaf(extensions={"sourceRepositoryURI": REPOSITORY, "runnerEnvironment": "github-hosted"})
NOW = SIGNED_AT + timedelta(days=20)
QUESTION = Question(Image("hub", "acme/app", "v1", DIGEST), NOW)
LIBRARY = "sigstore-python 4.5.1"
FIRST = ("signature (ECDSA P-256, SHA-256)",)
LOGGED = ("log promise (SET)", "log checkpoint", "log inclusion")
CHAIN = f"certificate chain ({SIGNED_AT.isoformat()})"
STAMPED = f"timestamp ({SIGNED_AT.isoformat()})"
ACTIONS, WORKFLOW = TextMatch(ISSUER), TextMatch(SUBJECT)
WHO = ("certificate timestamp (SCT)", "identity (issuer, subject)")


def authority(
    root: bytes,
    *,
    issuer: TextMatch = ACTIONS,
    subject: TextMatch | None = WORKFLOW,
    extensions: dict[str, str] | None = None,
    **thresholds: int,
) -> Keyless:
    return Keyless("ci", SigstoreTrust.parse(root, **thresholds), issuer, subject, extensions or {})


def read(bundle: Json) -> SigstoreEnvelope:
    return read_bundle(json.dumps(bundle).encode(), manifest_digest=DIGEST)


def verified(pki: SigstorePki, bundle: Json, **thresholds: int) -> Proven:
    return authority(pki.trusted_root(), **thresholds).verify(read(bundle), QUESTION)


@pytest.fixture
def pki() -> SigstorePki:
    return SigstorePki()


def test_an_attestation_in_a_log_is_proven_and_every_check_is_named(pki: SigstorePki) -> None:
    signer = pki.certify(new_key(), LEAF)
    found = verified(pki, dsse_bundle(signer, statement(str(DIGEST), SLSA), Witness(pki.log)))
    assert found.checks == (*FIRST, "log entry (dsse 0.0.1)", *LOGGED, CHAIN, *WHO, LIBRARY)
    assert found.relaxed == ()
    assert found.signed_at == SIGNED_AT
    assert found.expires is None
    assert (found.signer.authority, found.signer.issuer, found.signer.subject) == ("ci", ISSUER, SUBJECT)
    assert found.signer.identity == f"{ISSUER} {SUBJECT}"
    assert found.signer.extensions == LEAF.extensions


def test_a_log_without_times_takes_a_timestamp_authority() -> None:
    pki = SigstorePki(log=RekorLog(version=2, before=3))
    signer = pki.certify(new_key(), LEAF)
    found = verified(pki, message_bundle(signer, MANIFEST, Witness(pki.log, pki.tsa)))
    entry = ("log entry (hashedrekord 0.0.2)", "log checkpoint", "log inclusion", "log key validity")
    assert found.checks == (*FIRST, STAMPED, *entry, CHAIN, *WHO, LIBRARY)
    with pytest.raises(EvidenceRejectedError, match="no log and no timestamp authority says when") as refused:
        verified(pki, message_bundle(signer, MANIFEST, Witness(pki.log)))
    assert refused.value.check == "trusted time"


def test_an_instance_with_timestamps_alone_is_believed_where_its_root_says_so(pki: SigstorePki) -> None:
    """GitHub's for private repositories: no transparency log, no certificate log."""
    signer = pki.certify(new_key(), replace(LEAF, has_sct=False))
    bundle = dsse_bundle(signer, statement(str(DIGEST), SLSA), Witness(tsa=pki.tsa))
    root = pki.trusted_root("tlogs", "ctlogs")
    asked = authority(root, tlog_threshold=0, timestamp_threshold=1, ctlog_threshold=0)
    found = asked.verify(read(bundle), QUESTION)
    assert found.checks == (*FIRST, STAMPED, CHAIN, WHO[1])
    assert found.relaxed == (
        "transparency log: none vouches for it, and none has to",
        "certificate timestamp (SCT): not looked at, the trust root wants none",
        "sigstore-python: not asked, it does not cover 0 log entries, it takes one",
    )
    with pytest.raises(EvidenceRejectedError, match="transparency log: 0 vouch"):
        authority(root).verify(read(bundle), QUESTION)


def test_a_layer_of_cosign_2_is_proven_by_the_promise_of_the_log(pki: SigstorePki) -> None:
    layer = signature_layer(pki.certify(new_key(), LEAF), str(DIGEST), Witness(pki.log))
    envelope = read_signature(layer.data, layer.annotations)
    found = authority(pki.trusted_root()).verify(envelope, QUESTION)
    entry = ("log entry (hashedrekord 0.0.1)", "log promise (SET)")
    assert found.checks == (*FIRST, *entry, CHAIN, *WHO)
    assert found.relaxed == (
        "log inclusion: the entry has no proof with a checkpoint, only a promise",
        "sigstore-python: not asked, it does not cover no Sigstore bundle",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_certificates_have_keys_of_every_kind(pki: SigstorePki, kind: str) -> None:
    bundle = dsse_bundle(pki.certify(new_key(kind), LEAF), statement(str(DIGEST)), Witness(pki.log))
    found = verified(pki, bundle)
    assert kind.partition(" ")[0] in found.checks[0]
    assert (LIBRARY in found.checks) == (kind == "P-256")
    altered = read(bundle)
    with pytest.raises(EvidenceRejectedError, match="not by this key") as refused:
        authority(pki.trusted_root()).verify(
            replace(altered, signed=(altered.signed or b"") + b" "), QUESTION
        )
    assert refused.value.check == "signature"


@pytest.mark.parametrize(
    ("issuer", "subject", "extensions"),
    [
        pytest.param(ACTIONS, WORKFLOW, {}, id="exact"),
        pytest.param(
            TextMatch(regex=r"https://token\.actions\.githubusercontent\.com"),
            TextMatch(regex=r"https://github\.com/acme/app/\.github/workflows/.+@refs/tags/v[0-9.]+"),
            {},
            id="by regular expressions",
        ),
        pytest.param(ACTIONS, None, {"sourceRepositoryURI": REPOSITORY}, id="by an extension"),
        pytest.param(ACTIONS, WORKFLOW, dict(LEAF.extensions), id="by all"),
    ],
)
def test_it_is_whom_the_policy_means(
    pki: SigstorePki, issuer: TextMatch, subject: TextMatch | None, extensions: dict[str, str]
) -> None:
    bundle = dsse_bundle(pki.certify(new_key(), LEAF), statement(str(DIGEST)), Witness(pki.log))
    asked = authority(pki.trusted_root(), issuer=issuer, subject=subject, extensions=extensions)
    what = ["issuer", *(["subject"] if subject else []), *extensions]
    assert f"identity ({', '.join(what)})" in asked.verify(read(bundle), QUESTION).checks


@pytest.mark.parametrize(
    ("issuer", "subject", "extensions", "reason"),
    [
        pytest.param(TextMatch("https://example.org"), WORKFLOW, {}, "issuer is", id="the issuer"),
        pytest.param(
            TextMatch(ISSUER), TextMatch(SUBJECT[:-1]), {}, "subject is", id="a part of the subject"
        ),
        pytest.param(
            ACTIONS,
            TextMatch(regex=r"https://github\.com/acme/app/"),
            {},
            r"subject is .*, not one that matches",
            id="a regular expression that matches a part",
        ),
        pytest.param(
            ACTIONS,
            TextMatch(regex=r"github\.com/acme/app/.*|x"),
            {},
            "subject is",
            id="an alternative that matches a part",
        ),
        pytest.param(
            ACTIONS,
            WORKFLOW,
            {"sourceRepositoryURI": "https://github.com/acme/other"},
            f"extension sourceRepositoryURI is {REPOSITORY}",
            id="another value of an extension",
        ),
        pytest.param(
            ACTIONS,
            WORKFLOW,
            {"buildTrigger": "push"},
            "extension buildTrigger has none",
            id="an extension that is not there",
        ),
    ],
)
def test_anybody_else_is_refused(
    pki: SigstorePki,
    issuer: TextMatch,
    subject: TextMatch | None,
    extensions: dict[str, str],
    reason: str,
) -> None:
    bundle = dsse_bundle(pki.certify(new_key(), LEAF), statement(str(DIGEST)), Witness(pki.log))
    asked = authority(pki.trusted_root(), issuer=issuer, subject=subject, extensions=extensions)
    with pytest.raises(EvidenceRejectedError, match=reason) as refused:
        asked.verify(read(bundle), QUESTION)
    assert refused.value.check == "identity"


def two_logs() -> tuple[SigstorePki, RekorLog, bytes]:
    """An instance with two logs."""
    pki, second = SigstorePki(), RekorLog("second.example")
    document = pki.trusted_root_document()
    document["tlogs"] += SigstorePki(log=second).trusted_root_document()["tlogs"]
    return pki, second, json.dumps(document).encode()


def with_entries(first: Json, second: Json) -> Json:
    """A bundle with the log entries of two, which are otherwise the same."""
    material = dict(first["verificationMaterial"])
    material["tlogEntries"] = material["tlogEntries"] + second["verificationMaterial"]["tlogEntries"]
    return first | {"verificationMaterial": material}


def test_a_threshold_counts_different_logs() -> None:
    pki, second, root = two_logs()
    signer = pki.certify(new_key("RSA"), LEAF)  # which signs the same twice
    bundles = [
        dsse_bundle(signer, statement(str(DIGEST)), Witness(log)) for log in (pki.log, pki.log, second)
    ]
    asked = authority(root, tlog_threshold=2)
    found = asked.verify(read(with_entries(bundles[0], bundles[2])), QUESTION)
    assert found.checks.count("log inclusion") == 2
    with pytest.raises(
        EvidenceRejectedError, match="transparency log: 1 vouch for it, the trust root wants 2"
    ):
        asked.verify(read(bundles[0]), QUESTION)
    with pytest.raises(
        EvidenceRejectedError, match="transparency log: 1 vouch for it, the trust root wants 2"
    ):
        asked.verify(read(with_entries(bundles[0], bundles[1])), QUESTION)


def test_a_log_that_the_root_lacks_is_an_error_where_it_is_needed_and_told_where_it_is_not() -> None:
    pki, second, _ = two_logs()
    signer = pki.certify(new_key("RSA"), LEAF)
    known, strange = (dsse_bundle(signer, statement(str(DIGEST)), Witness(log)) for log in (pki.log, second))
    with pytest.raises(TrustRootTooOldError, match="run regsync trust update"):
        verified(pki, strange)
    with pytest.raises(TrustRootTooOldError):
        verified(pki, with_entries(known, strange), tlog_threshold=2)
    with pytest.raises(TrustRootTooOldError):
        verified(pki, strange, tlog_threshold=0)  # nothing else says when it was signed
    found = verified(pki, with_entries(known, strange))
    assert any(second.log_id.hex() in one for one in found.relaxed)


def test_a_timestamp_beside_a_log_has_to_be_right(pki: SigstorePki) -> None:
    signer = pki.certify(new_key(), LEAF)
    bundle, other = (
        dsse_bundle(signer, statement(str(DIGEST), SLSA, {"n": number}), Witness(pki.log, pki.tsa))
        for number in range(2)
    )
    assert STAMPED in verified(pki, bundle, timestamp_threshold=1).checks
    bundle["verificationMaterial"]["timestampVerificationData"] = other["verificationMaterial"][
        "timestampVerificationData"
    ]
    with pytest.raises(EvidenceRejectedError) as refused:
        verified(pki, bundle)
    assert refused.value.check == "timestamp"


def test_a_timestamp_of_an_authority_that_the_root_lacks_does_not_count(pki: SigstorePki) -> None:
    stranger = TimestampAuthority("stranger", SIGNED_AT - timedelta(days=9), SIGNED_AT + timedelta(days=9))
    signer = pki.certify(new_key(), LEAF)
    bundle = dsse_bundle(signer, statement(str(DIGEST)), Witness(pki.log, stranger))
    found = verified(pki, bundle)
    assert STAMPED not in found.checks
    assert any("stranger" in one for one in found.relaxed)
    with pytest.raises(TrustRootTooOldError):
        verified(pki, bundle, timestamp_threshold=1)


def test_certificates_hold_only_in_their_minutes(pki: SigstorePki) -> None:
    for start in (SIGNED_AT - timedelta(hours=1), SIGNED_AT + timedelta(hours=1)):
        signer = pki.certify(new_key(), replace(LEAF, start=start))
        with pytest.raises(EvidenceRejectedError) as refused:
            verified(pki, dsse_bundle(signer, statement(str(DIGEST)), Witness(pki.log)))
        assert refused.value.check == "certificate chain"


def test_a_certificate_has_to_hold_at_every_time_that_is_vouched_for(pki: SigstorePki) -> None:
    late = SIGNED_AT + timedelta(hours=1)
    envelope = read(
        dsse_bundle(pki.certify(new_key(), LEAF), statement(str(DIGEST)), Witness(pki.log, at=late))
    )
    stamped = replace(envelope, timestamps=(pki.tsa.stamp(envelope.signature, SIGNED_AT),))
    with pytest.raises(EvidenceRejectedError) as refused:
        authority(pki.trusted_root()).verify(stamped, QUESTION)
    assert refused.value.check == "certificate chain"


def test_nothing_is_signed_in_the_future(pki: SigstorePki) -> None:
    bundle = dsse_bundle(pki.certify(new_key(), LEAF), statement(str(DIGEST)), Witness(pki.log))
    asked = authority(pki.trusted_root())
    assert asked.verify(read(bundle), replace(QUESTION, now=SIGNED_AT - timedelta(minutes=4)))
    with pytest.raises(EvidenceRejectedError, match="still to come") as refused:
        asked.verify(read(bundle), replace(QUESTION, now=SIGNED_AT - timedelta(minutes=6)))
    assert refused.value.check == "trusted time"


REFUSED: list[tuple[str, Callable[[SigstorePki], Signer], str]] = [
    (
        "a certificate that no log has seen",
        lambda pki: pki.certify(new_key(), replace(LEAF, has_sct=False)),
        "SCT",
    ),
    (
        "a certificate with another one's timestamp",
        lambda pki: pki.certify(new_key(), replace(LEAF, sct_of_another=True)),
        "SCT",
    ),
    (
        "a certificate of another instance",
        lambda _: SigstorePki().certify(new_key(), LEAF),
        "certificate chain",
    ),
    (
        "another certificate of the same subject",
        lambda pki: replace(pki.certify(new_key(), LEAF), key=new_key()),
        "signature",
    ),
]


@pytest.mark.parametrize(("make", "check"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED])
def test_certificates_are_refused(
    pki: SigstorePki, make: Callable[[SigstorePki], Signer], check: str
) -> None:
    with pytest.raises(EvidenceRejectedError) as refused:
        verified(pki, dsse_bundle(make(pki), statement(str(DIGEST)), Witness(pki.log)))
    assert check in refused.value.check


def test_what_has_no_certificate_is_by_no_identity(pki: SigstorePki) -> None:
    bundle = dsse_bundle(Signer(new_key()), statement(str(DIGEST)), Witness(pki.log))
    with pytest.raises(EvidenceRejectedError, match="signed by a key"):
        verified(pki, bundle)
    notation = NotationEnvelope("notation-jws", Message(Kind.SIGNATURE, frozenset({DIGEST})), b"")
    with pytest.raises(EvidenceRejectedError, match="notation"):
        authority(pki.trusted_root()).verify(notation, QUESTION)


def test_a_certificate_that_cannot_be_read_is_refused(pki: SigstorePki) -> None:
    envelope = read(dsse_bundle(pki.certify(new_key(), LEAF), statement(str(DIGEST)), Witness(pki.log)))
    for der in (b"", b"\x30\x03\x02\x01\x01", envelope.certificates[0][:-9]):
        with pytest.raises(EvidenceRejectedError, match="cannot be used"):
            authority(pki.trusted_root()).verify(replace(envelope, certificates=(der,)), QUESTION)


def test_the_earliest_verified_time_is_when_it_was_signed(pki: SigstorePki) -> None:
    later = SIGNED_AT + timedelta(minutes=3)
    signer = pki.certify(new_key(), LEAF)
    bundle = dsse_bundle(signer, statement(str(DIGEST)), Witness(pki.log, at=later))
    envelope = read(bundle)
    stamped = replace(envelope, timestamps=(pki.tsa.stamp(envelope.signature, SIGNED_AT),))
    found = authority(pki.trusted_root()).verify(replace(stamped, bundle=None), QUESTION)
    assert found.signed_at == SIGNED_AT
    assert f"certificate chain ({SIGNED_AT.isoformat()}, {later.isoformat()})" in found.checks
    assert found.signed_at < datetime(2026, 12, 1, tzinfo=UTC)


def places(value: object, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """The paths of everything in a document."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inside in below:
        yield (*path, key)
        yield from places(inside, *path, key)


STRANGE = (None, True, -1, 2**70, 1.5, "", "x", "AAAA", "\x00", [], {}, [None], [{}], {"rawBytes": "AAAA"})


@pytest.mark.parametrize("version", [1, 2])
def test_whatever_stands_in_a_bundle_it_is_proven_or_refused(version: int) -> None:
    pki = SigstorePki(log=RekorLog(version=version))
    signer = pki.certify(new_key(), LEAF)
    witness = Witness(pki.log, pki.tsa)
    asked = authority(pki.trusted_root())
    for bundle in (
        dsse_bundle(signer, statement(str(DIGEST)), witness),
        message_bundle(signer, MANIFEST, witness),
    ):
        for path in places(bundle):
            for strange in STRANGE:
                copy = json.loads(json.dumps(bundle))
                holder = copy
                for key in path[:-1]:
                    holder = holder[key]
                holder[path[-1]] = strange
                with suppress(EvidenceRejectedError):
                    asked.verify(read(copy), QUESTION)
