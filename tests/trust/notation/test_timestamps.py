"""A timestamp proves that a signature was there while its certificates were valid, and nothing else does."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from regsync.spec.verification import NotationLevel
from regsync.trust.envelopes import Proven
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.notation.certificate import Certificate
from regsync.trust.notation.der import SEQUENCE, elements, wrap
from regsync.trust.notation.timestamp import MAX_TOKEN_SIZE, verify_token
from tests.support.notation_pki import Holder, issue, make_chain, make_root, name, new_ec_key, usage
from tests.support.notation_signing import COSE, JWS, Request, sign
from tests.support.timestamp_authority import TimestampAuthority

Prove = Callable[..., Proven]
BOTH = pytest.mark.parametrize("media_type", [JWS, COSE], ids=["jws", "cose"])
START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
ENDED = datetime(2026, 6, 15, tzinfo=UTC)  # when the signers' certificates of these tests end
BEFORE, AFTER = ENDED - timedelta(days=1), ENDED + timedelta(days=1)
TSA = TimestampAuthority("acme", START, END)
OTHER_TSA = TimestampAuthority("acme", START, END)
SIGNATURE = b"the bytes of a signature"


def token_of(response: bytes) -> bytes:
    """What notation keeps of a response."""
    (whole,) = elements(response)
    return whole.children()[1].whole


def stamped(at: datetime, authority: TimestampAuthority = TSA) -> Callable[[bytes], bytes]:
    return lambda signature: token_of(authority.stamp(signature, at))


def stores(root: Holder, authority: TimestampAuthority = TSA) -> Mapping[str, bytes]:
    return {"ca:acme": root.pem, "tsa:acme": authority.root.der}


def signed(media_type: str, root: Holder, timestamp: Callable[[bytes], bytes] | None) -> bytes:
    return sign(media_type, Request(timestamp=timestamp), make_chain(root=root, end=ENDED))


def policy(use: str) -> Mapping[str, Any]:
    return {
        "version": "1.0",
        "trustPolicies": [
            {
                "name": "all",
                "registryScopes": ["*"],
                "signatureVerification": {"level": "strict", "verifyTimestamp": use},
                "trustStores": ["ca:acme", "tsa:acme"],
                "trustedIdentities": ["*"],
            }
        ],
    }


@BOTH
def test_a_signature_outlives_its_certificates_by_a_timestamp(
    media_type: str, root: Holder, prove: Prove
) -> None:
    proven = prove(signed(media_type, root, stamped(BEFORE)), media_type, stores=stores(root))
    assert proven.signed_at == BEFORE
    assert proven.expires is None
    assert proven.checks[-1] == "certificates valid at the time of CN=acme timestamping"


@BOTH
def test_a_timestamp_from_after_the_end_saves_nothing(media_type: str, root: Holder, prove: Prove) -> None:
    with pytest.raises(EvidenceRejectedError, match="not valid at the time of CN=acme timestamping"):
        prove(signed(media_type, root, stamped(AFTER)), media_type, stores=stores(root))


@BOTH
def test_a_timestamp_of_an_authority_that_is_not_trusted_saves_nothing(
    media_type: str, root: Holder, prove: Prove
) -> None:
    with pytest.raises(EvidenceRejectedError, match=r"timestamp: .*not under a root of the tsa stores"):
        prove(signed(media_type, root, stamped(BEFORE, OTHER_TSA)), media_type, stores=stores(root))


@BOTH
def test_a_timestamp_over_another_signature_saves_nothing(
    media_type: str, root: Holder, prove: Prove
) -> None:
    swapped = signed(media_type, root, lambda _signature: token_of(TSA.stamp(SIGNATURE, BEFORE)))
    with pytest.raises(EvidenceRejectedError, match="timestamp: Mismatch between messages"):
        prove(swapped, media_type, stores=stores(root))


@BOTH
def test_where_a_policy_names_a_tsa_store_a_timestamp_has_to_be_there(
    media_type: str, root: Holder, prove: Prove
) -> None:
    with pytest.raises(EvidenceRejectedError, match="authenticTimestamp: the signature has no timestamp"):
        prove(signed(media_type, root, None), media_type, stores=stores(root), now=BEFORE)


@BOTH
def test_without_a_tsa_store_a_timestamp_counts_for_nothing_and_that_is_said(
    media_type: str, root: Holder, prove: Prove
) -> None:
    raw = signed(media_type, root, stamped(BEFORE))
    with pytest.raises(EvidenceRejectedError, match="was not valid now"):
        prove(raw, media_type)
    proven = prove(raw, media_type, now=BEFORE)
    assert proven.relaxed[0] == "timestamp: not looked at, since the policy names no tsa store"
    assert proven.signed_at is None


@BOTH
def test_a_policy_may_ask_for_timestamps_once_certificates_have_ended(
    media_type: str, root: Holder, prove: Prove
) -> None:
    late = policy("afterCertExpiry")
    without, within = signed(media_type, root, None), signed(media_type, root, stamped(BEFORE))
    proven = prove(without, media_type, stores=stores(root), policy=late, now=BEFORE)
    assert proven.expires == ENDED
    with pytest.raises(EvidenceRejectedError, match="has no timestamp"):
        prove(without, media_type, stores=stores(root), policy=policy("always"), now=BEFORE)
    with pytest.raises(EvidenceRejectedError, match="has no timestamp"):
        prove(without, media_type, stores=stores(root), policy=late, now=AFTER)
    assert prove(within, media_type, stores=stores(root), policy=late, now=AFTER).signed_at == BEFORE
    early = prove(within, media_type, stores=stores(root), policy=late, now=BEFORE)
    assert early.relaxed[0].startswith("timestamp: not looked at, since the policy asks for it once")


def test_what_is_wrong_with_a_timestamp_is_logged_where_the_level_says_so(root: Holder, prove: Prove) -> None:
    raw = signed(JWS, root, lambda _signature: b"no token")
    proven = prove(raw, JWS, stores=stores(root), level=NotationLevel.PERMISSIVE)
    assert proven.relaxed[0].startswith("timestamp: it cannot be read")
    assert proven.signed_at is None


def refusal(token: bytes, *roots: TimestampAuthority) -> str:
    trusted = [Certificate.parse(one.root.der) for one in roots or (TSA,)]
    with pytest.raises(EvidenceRejectedError) as caught:
        verify_token(token, SIGNATURE, trusted)
    assert caught.value.check == "timestamp"
    return caught.value.reason


def test_an_authority_for_something_else_does_not_stamp() -> None:
    signer = TimestampAuthority("acme", START, END, is_tsa=False)
    token = token_of(signer.stamp(SIGNATURE, BEFORE))
    assert "extended key usage is not timeStamping alone" in refusal(token, signer)


def test_an_authority_stamps_with_a_key_of_the_specification() -> None:
    authority = TimestampAuthority("acme", START, END)
    authority.key = ec.generate_private_key(ec.SECP256K1())
    builder = authority.root.builder("acme timestamping", authority.key, START, END)
    extended = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
    authority.certificate = authority.root.sign(builder.add_extension(extended, critical=True))
    token = token_of(authority.stamp(SIGNATURE, BEFORE))
    assert "its key is none of RSA 2048, 3072, 4096 and EC" in refusal(token, authority)


def test_an_authority_stamps_while_its_certificate_is_valid() -> None:
    reason = refusal(token_of(TSA.stamp(SIGNATURE, START - timedelta(days=1))))
    assert reason == "the certificate of CN=acme timestamping was not valid then"


def test_a_token_without_its_certificate_is_refused() -> None:
    assert "cannot be read" in refusal(token_of(TSA.stamp(SIGNATURE, BEFORE, with_certificate=False)))


def test_a_token_that_is_too_large_is_not_read() -> None:
    assert f"at most {MAX_TOKEN_SIZE} are read" in refusal(bytes(MAX_TOKEN_SIZE + 1))


class _Names(TimestampAuthority):
    """An authority that names, by its hash, another certificate than the one that signs."""

    def __init__(self, named: bytes, held: bytes) -> None:
        super().__init__("acme", START, END)
        self.named, self.held = named, held

    @property
    def chain(self) -> tuple[bytes, bytes]:
        return self.held, self.root.der

    def _attributes(self, info: bytes) -> list[bytes]:
        ours, theirs = hashlib.sha256(self.held).digest(), hashlib.sha256(self.named).digest()
        return [attribute.replace(ours, theirs) for attribute in super()._attributes(info)]


def test_the_certificate_that_is_named_has_to_be_the_one_that_signs() -> None:
    """Otherwise anybody puts a true authority's certificate beside their own."""
    genuine = TSA.chain[0]
    liar = _Names(genuine, b"")
    liar.held = _together(genuine, liar.certificate.public_bytes(Encoding.DER))
    assert "its signature names is not in it" in refusal(token_of(liar.stamp(SIGNATURE, BEFORE)))
    liar.held = genuine
    assert "its signature names is not in it" in refusal(token_of(liar.stamp(SIGNATURE, BEFORE)))


def test_two_certificates_of_one_name_and_number_are_one_too_many() -> None:
    """Libraries look for the signer by name and number, and each may find another one."""
    liar = _Names(b"", b"")
    twin = _twin(liar.certificate)
    liar.held = _together(liar.certificate.public_bytes(Encoding.DER), twin)
    liar.named = liar.certificate.public_bytes(Encoding.DER)
    assert "or not alone" in refusal(token_of(liar.stamp(SIGNATURE, BEFORE)), liar)
    liar.held = liar.named
    trusted = [Certificate.parse(liar.root.der)]
    assert verify_token(token_of(liar.stamp(SIGNATURE, BEFORE)), SIGNATURE, trusted).latest == BEFORE


def _together(*certificates: bytes) -> bytes:
    """In the order that DER gives to a set."""
    return b"".join(sorted(certificates))


def _twin(certificate: x509.Certificate) -> bytes:
    """A certificate by nobody with the issuer, in capitals, and the number of another."""
    upper = x509.Name([x509.NameAttribute(part.oid, str(part.value).upper()) for part in certificate.issuer])
    builder = (
        x509.CertificateBuilder()
        .subject_name(certificate.subject)
        .issuer_name(upper)
        .public_key(certificate.public_key())
        .serial_number(certificate.serial_number)
        .not_valid_before(START)
        .not_valid_after(END)
    )
    return builder.sign(new_ec_key(), SHA256()).public_bytes(Encoding.DER)


class _Unnamed(TimestampAuthority):
    """An authority that does not say which certificate it signs with."""

    def _attributes(self, info: bytes) -> list[bytes]:
        version_2 = bytes.fromhex("2a864886f70d010910022f")
        return [attribute for attribute in super()._attributes(info) if version_2 not in attribute]


def test_a_token_has_to_name_its_certificate() -> None:
    silent = _Unnamed("acme", START, END)
    assert "no signing-certificate-v2" in refusal(token_of(silent.stamp(SIGNATURE, BEFORE)), silent)


class _Accurate(TimestampAuthority):
    """An authority that says how exact its clock is."""

    accuracy = wrap(SEQUENCE, b"\x02\x01\x02", b"\x80\x02\x01\xf4")  # 2 s and 500 ms

    def _info(self, digest: bytes, at: datetime) -> bytes:
        (info,) = elements(super()._info(digest, at))
        return wrap(SEQUENCE, info.body, self.accuracy)


def test_the_exactness_of_a_clock_belongs_to_the_time() -> None:
    authority = _Accurate("acme", START, END)
    trusted = [Certificate.parse(authority.root.der)]
    found = verify_token(token_of(authority.stamp(SIGNATURE, BEFORE)), SIGNATURE, trusted)
    assert (BEFORE - found.earliest, found.latest - BEFORE) == (timedelta(seconds=2.5),) * 2


def test_a_time_that_may_lie_outside_of_the_certificates_is_outside(root: Holder, prove: Prove) -> None:
    authority = _Accurate("acme", START, END)
    just_before = signed(JWS, root, stamped(ENDED - timedelta(seconds=2), authority))
    with pytest.raises(EvidenceRejectedError, match="not valid at the time of"):
        prove(just_before, JWS, stores=stores(root, authority))
    well_before = signed(JWS, root, stamped(ENDED - timedelta(seconds=3), authority))
    assert prove(well_before, JWS, stores=stores(root, authority))


def test_a_leaf_under_the_root_that_is_no_stamper_is_refused_whatever_it_says() -> None:
    """A code signer's certificate under the authority's root, as one vendor's PKI may have it."""
    top = make_root()
    extended = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), False)
    leaf = issue(name("stamper"), top, extensions=((usage("digital_signature"), True), extended))
    authority = TimestampAuthority("acme", START, END)
    authority.certificate, authority.key = leaf.certificate, leaf.key  # type: ignore[assignment]
    token = token_of(authority.stamp(SIGNATURE, BEFORE))
    with pytest.raises(EvidenceRejectedError, match="extended key usage is not critical"):
        verify_token(token, SIGNATURE, [Certificate.parse(top.der)])


_TOKEN = token_of(TSA.stamp(SIGNATURE, BEFORE))


@given(data=st.data())
def test_no_changed_token_is_believed(data: st.DataObject) -> None:
    changed = bytearray(_TOKEN)
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] ^= data.draw(st.integers(1, 255))
    try:
        found = verify_token(bytes(changed), SIGNATURE, [Certificate.parse(TSA.root.der)])
    except EvidenceRejectedError:
        return
    assert found.latest == BEFORE  # some bytes of CMS say nothing, such as the NULL of an algorithm
