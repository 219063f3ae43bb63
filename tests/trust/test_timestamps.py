"""A timestamp counts when an authority of the root, valid at that time, made it over these bytes."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regsync.oci.digest import Digest
from regsync.trust.envelopes import Kind, Message, SigstoreEnvelope
from regsync.trust.errors import EvidenceRejectedError, TrustRootTooOldError
from regsync.trust.timestamps import MAX_SIZE, verify_timestamp
from regsync.trust.trusted_root import TrustedRoot
from regsync.trust.witnesses import SigstoreTrust, seen_by_authorities
from tests.support.rekor_log import b64
from tests.support.sigstore_pki import SigstorePki
from tests.support.timestamp_authority import TimestampAuthority

SUITE = Path(__file__).parents[1] / "data" / "signing" / "conformance" / "bundle-verify"
START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
AT = datetime(2026, 11, 1, 10, tzinfo=UTC)
SECOND = timedelta(seconds=1)
STAMPED = b"a signature"
TSA = TimestampAuthority("one", START, END)
PKI = SigstorePki(tsa=TSA)
ROOT = TrustedRoot.parse(PKI.trusted_root())
STAMP = TSA.stamp(STAMPED, AT)
ENVELOPE = SigstoreEnvelope(
    "sigstore-bundle", Message(Kind.SIGNATURE, frozenset()), STAMPED, None, Digest.of(b"a manifest")
)


def root_with(*authorities: TimestampAuthority, **interval: str) -> TrustedRoot:
    document = PKI.trusted_root_document()
    document["timestampAuthorities"] = [
        {
            "uri": f"https://{number}.example",
            "certChain": {"certificates": [{"rawBytes": b64(one)} for one in authority.chain]},
            "validFor": {"start": "2020-01-01T00:00:00Z"} | interval,
        }
        for number, authority in enumerate(authorities)
    ]
    return TrustedRoot.parse(json.dumps(document).encode())


@pytest.mark.parametrize("with_certificate", [True, False])
def test_an_authority_says_when(with_certificate: bool) -> None:
    stamp = TSA.stamp(STAMPED, AT, with_certificate=with_certificate)
    assert verify_timestamp(stamp, STAMPED, ROOT).time == AT


def test_any_authority_of_the_root_will_do() -> None:
    other = TimestampAuthority("two", START, END)
    assert verify_timestamp(STAMP, STAMPED, root_with(other, TSA)).time == AT


def test_two_timestamps_of_one_authority_are_one_authoritys_word() -> None:
    """A second one is asked for, or made from the first: nobody signs the certificates beside it."""
    other = TimestampAuthority("two", START, END)
    trust = SigstoreTrust(root_with(TSA, other), b"", timestamp_threshold=2)
    again = TSA.stamp(STAMPED, AT, with_certificate=False)
    both = replace(ENVELOPE, timestamps=(STAMP, other.stamp(STAMPED, AT)))
    assert seen_by_authorities(both, trust, needed=2).times == (AT, AT)
    with pytest.raises(EvidenceRejectedError, match="1 vouch for it"):
        seen_by_authorities(replace(ENVELOPE, timestamps=(STAMP, again)), trust, needed=2)


def test_other_bytes_were_not_stamped() -> None:
    with pytest.raises(EvidenceRejectedError, match="Mismatch between messages") as refused:
        verify_timestamp(STAMP, b"another signature", ROOT)
    assert refused.value.check == "timestamp"


def test_an_authority_that_the_root_lacks_means_that_the_root_is_too_old() -> None:
    other = TimestampAuthority("two", START, END)
    for root in (root_with(other), root_with()):
        with pytest.raises(TrustRootTooOldError, match=r"timestamp authority .*one timestamp root"):
            verify_timestamp(STAMP, STAMPED, root)


def test_an_authority_of_the_same_name_is_not_the_same() -> None:
    """Names are anybody's to choose; the key is not."""
    twin = TimestampAuthority("one", START, END)
    with pytest.raises(EvidenceRejectedError):
        verify_timestamp(twin.stamp(STAMPED, AT), STAMPED, ROOT)


@pytest.mark.parametrize("at", [START, END - SECOND])
def test_times_of_the_certificate_are_good(at: datetime) -> None:
    """OpenSSL, below, does not count the last second, which RFC 5280 does."""
    assert verify_timestamp(TSA.stamp(STAMPED, at), STAMPED, ROOT).time == at


@pytest.mark.parametrize("at", [START - SECOND, END + SECOND])
def test_a_time_outside_of_the_certificates_is_refused(at: datetime) -> None:
    with pytest.raises(EvidenceRejectedError, match="timestamping' was not valid at"):
        verify_timestamp(TSA.stamp(STAMPED, at), STAMPED, ROOT)


def test_the_root_may_believe_an_authority_for_a_time_with_both_its_ends() -> None:
    assert verify_timestamp(STAMP, STAMPED, root_with(TSA, start="2026-11-01T10:00:00Z")).time == AT
    assert verify_timestamp(STAMP, STAMPED, root_with(TSA, end="2026-11-01T10:00:00Z")).time == AT
    for interval in ({"start": "2026-11-01T10:00:01Z"}, {"end": "2026-11-01T09:59:59Z"}):
        with pytest.raises(EvidenceRejectedError, match=r"is outside of https://0\.example's time"):
            verify_timestamp(STAMP, STAMPED, root_with(TSA, **interval))


def test_a_certificate_for_something_else_stamps_nothing() -> None:
    signer = TimestampAuthority("one", START, END, is_tsa=False)
    with pytest.raises(EvidenceRejectedError):
        verify_timestamp(signer.stamp(STAMPED, AT), STAMPED, root_with(signer))


@pytest.mark.parametrize(
    "der",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x30\x80", id="no DER"),
        pytest.param(STAMP[:-1], id="cut"),
        pytest.param(STAMP + b"\x00", id="with something behind it"),
        pytest.param(bytes(MAX_SIZE + 1), id="too long"),
        pytest.param(bytes.fromhex("30053003020102"), id="a refusal"),
        pytest.param(
            STAMP.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020107"), 1),
            id="a certificate of a version that there is not",
        ),
    ],
)
def test_what_is_no_timestamp_is_refused(der: bytes) -> None:
    with pytest.raises(EvidenceRejectedError) as refused:
        verify_timestamp(der, STAMPED, ROOT)
    assert refused.value.check == "timestamp"


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0), st.integers(1, 255)), min_size=1, max_size=3))
def test_with_bytes_changed_it_never_says_another_time(changes: list[tuple[int, int]]) -> None:
    """Where a change is let pass, in what nobody signs, the time is the same."""
    der = bytearray(STAMP)
    for place, change in changes:
        der[place % len(der)] ^= change
    try:
        assert verify_timestamp(bytes(der), STAMPED, ROOT).time == AT
    except EvidenceRejectedError as refused:
        assert refused.check == "timestamp"  # noqa: PT017 - either may come


def suite(case: str) -> tuple[bytes, bytes, TrustedRoot]:
    bundle: dict[str, Any] = json.loads((SUITE / case / "bundle.sigstore.json").read_text())
    stamps = bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]
    root = TrustedRoot.parse((SUITE / case / "trusted_root.json").read_bytes())
    signature = base64.b64decode(bundle["messageSignature"]["signature"])
    return base64.b64decode(stamps[0]["signedTimestamp"]), signature, root


@pytest.mark.parametrize(
    "case",
    [
        "rekor2-happy-path",
        "rekor2-timestamp-with-embedded-cert",
        "rekor2-timestamp-without-embedded-cert",
        "rekor2-timestamp-with-expired-cert-chain",
        "trust-root-tsa-validity-end-inclusive",
    ],
)
def test_the_good_timestamps_of_the_conformance_suite_are_good(case: str) -> None:
    assert verify_timestamp(*suite(case)).time.year >= 2025


@pytest.mark.parametrize(
    "case",
    [
        "rekor2-timestamp-outside-trust-root-tsa-validity_fail",
        "rekor2-timestamp-outside-tsa-cert-validity_fail",
        "rekor2-timestamp-payload-mismatch_fail",
        "rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail",
        "rekor2-timestamp-untrusted-tsa-without-embedded-cert_fail",
    ],
)
def test_the_bad_timestamps_of_the_conformance_suite_are_refused(case: str) -> None:
    with pytest.raises(EvidenceRejectedError):
        verify_timestamp(*suite(case))
