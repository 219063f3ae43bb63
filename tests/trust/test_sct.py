"""A certificate counts as logged when a log of the root has signed that it saw this very one."""

import base64
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from hypothesis import given, settings
from hypothesis import strategies as st

from regsync.trust.certificates import FulcioCertificate, verify_chain
from regsync.trust.errors import EvidenceRejectedError, TrustRootTooOldError
from regsync.trust.sct import MAX_TIMESTAMPS, verify_sct
from regsync.trust.trusted_root import TrustedRoot, public_good
from tests.support.signing_keys import SigningKey, details, new_key, public_der, sign
from tests.support.sigstore_pki import SIGNED_AT, Leaf, SigstorePki

SUITE = Path(__file__).parents[1] / "data" / "signing" / "conformance" / "bundle-verify"
LIST = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
PKI = SigstorePki()
ROOT = TrustedRoot.parse(PKI.trusted_root())
KEY = new_key()


def certified(leaf: Leaf | None = None) -> FulcioCertificate:
    return verify_chain(PKI.certify(KEY, leaf).certificates, ROOT, SIGNED_AT)


def root_with(*keys: SigningKey, **interval: str) -> TrustedRoot:
    """A root whose certificate logs have these keys."""
    document = PKI.trusted_root_document()
    (log,) = document["ctlogs"]
    document["ctlogs"] = [log | described(key, interval) for key in keys]
    return TrustedRoot.parse(json.dumps(document).encode())


def described(key: SigningKey, interval: dict[str, str]) -> dict[str, Any]:
    raw = base64.b64encode(public_der(key)).decode()
    valid = {"start": "2020-01-01T00:00:00Z"} | interval
    return {
        "publicKey": {"rawBytes": raw, "keyDetails": details(key), "validFor": valid},
        "logId": {"keyId": base64.b64encode(sha256(public_der(key)).digest()).decode()},
    }


def test_a_log_has_seen_the_certificate() -> None:
    assert verify_sct(certified(), ROOT) == 1


def test_without_timestamps_there_are_none() -> None:
    assert verify_sct(certified(Leaf(has_sct=False)), ROOT) == 0


def test_a_timestamp_of_another_certificate_is_refused() -> None:
    with pytest.raises(EvidenceRejectedError, match=r"not by the key of https://ctlog\.example") as refused:
        verify_sct(certified(Leaf(sct_of_another=True)), ROOT)
    assert refused.value.check == "certificate timestamp (SCT)"


def test_a_log_that_the_root_lacks_means_that_the_root_is_too_old() -> None:
    for root in (root_with(), root_with(new_key())):
        with pytest.raises(TrustRootTooOldError, match="run regsync trust update"):
            verify_sct(certified(), root)


def test_the_time_of_a_timestamp_lies_in_the_logs_time_both_ends_included() -> None:
    certificate = certified(Leaf(start=SIGNED_AT))
    for interval in ({"start": "2026-11-01T10:00:00Z"}, {"end": "2026-11-01T10:00:00Z"}):
        assert verify_sct(certificate, root_with(PKI.ct_key, **interval)) == 1
    for interval in ({"start": "2026-11-01T10:00:01Z"}, {"end": "2026-11-01T09:59:59Z"}):
        with pytest.raises(EvidenceRejectedError, match="is outside of"):
            verify_sct(certificate, root_with(PKI.ct_key, **interval))


def with_list(*timestamps: bytes) -> FulcioCertificate:
    """A certificate that bears these timestamps, as they are."""
    value = sized(b"".join(map(sized, timestamps)))
    header = b"\x04\x82" + len(value).to_bytes(2, "big") if len(value) > 255 else bytes([4, 0x81, len(value)])
    return issued((header if len(value) > 127 else bytes([4, len(value)])) + value)


def sized(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


SERIAL = x509.random_serial_number()  # a timestamp is over the serial number as well


def issued(value: bytes | None) -> FulcioCertificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(PKI.intermediate.name)
        .public_key(KEY.public_key())
        .serial_number(SERIAL)
        .not_valid_before(SIGNED_AT)
        .not_valid_after(SIGNED_AT)
    )
    usage = x509.KeyUsage(True, *[False] * 8)
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
    name = x509.SubjectAlternativeName([x509.RFC822Name("ann@example.com")])
    issuer = x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.57264.1.1"), b"https://issuer")
    for extension, critical in ((usage, True), (purpose, False), (name, True), (issuer, False)):
        builder = builder.add_extension(extension, critical)
    if value is not None:
        builder = builder.add_extension(x509.UnrecognizedExtension(LIST, value), critical=False)
    leaf = PKI.intermediate.sign(builder).public_bytes(Encoding.DER)
    return verify_chain((leaf,), ROOT, SIGNED_AT)


def timestamp(key: SigningKey, extensions: bytes = b"") -> bytes:
    """A timestamp of the certificate that `with_list` makes. Source: RFC 6962, section 3.2."""
    entry = x509.load_der_x509_certificate(issued(None).der).tbs_certificate_bytes
    at = int(SIGNED_AT.timestamp() * 1000).to_bytes(8, "big")
    issuer = sha256(public_der(PKI.intermediate.key)).digest()
    signed = (
        b"\x00\x00" + at + b"\x00\x01" + issuer + len(entry).to_bytes(3, "big") + entry + sized(extensions)
    )
    algorithm = b"\x04\x01" if isinstance(key, rsa.RSAPrivateKey) else b"\x04\x03"
    signature = sized(sign(key, signed, hashes.SHA256()))
    return b"\x00" + sha256(public_der(key)).digest() + at + sized(extensions) + algorithm + signature


ONE, TWO = new_key(), new_key()


@pytest.mark.parametrize("kind", ["P-256", "RSA"])
def test_keys_of_logs_are_of_two_kinds(kind: str) -> None:
    """RFC 6962, section 2.1.4."""
    key = new_key(kind)
    assert verify_sct(with_list(timestamp(key)), root_with(key)) == 1


def test_extensions_of_a_timestamp_are_signed() -> None:
    stamp = timestamp(ONE, b"\x00\x00\x05index")
    assert verify_sct(with_list(stamp), root_with(ONE)) == 1
    with pytest.raises(EvidenceRejectedError, match="not by the key"):
        verify_sct(with_list(stamp.replace(b"index", b"other")), root_with(ONE))


def test_several_logs_count_each_once() -> None:
    first, second = timestamp(ONE), timestamp(TWO)
    root = root_with(ONE, TWO)
    assert verify_sct(with_list(first, second), root) == 2
    assert verify_sct(with_list(first, first), root) == 1
    assert verify_sct(with_list(first, second), root_with(TWO)) == 1


def test_a_good_timestamp_does_not_make_up_for_a_bad_one() -> None:
    good, bad = timestamp(ONE), timestamp(TWO)[:-1] + b"\x00"
    with pytest.raises(EvidenceRejectedError):
        verify_sct(with_list(good, bad), root_with(ONE, TWO))


def test_there_are_not_too_many() -> None:
    with pytest.raises(EvidenceRejectedError, match="at most 16"):
        verify_sct(with_list(*[timestamp(ONE)] * (MAX_TIMESTAMPS + 1)), root_with(ONE))


def test_an_empty_list_is_no_timestamp() -> None:
    assert verify_sct(with_list(), ROOT) == 0


TIMESTAMP = timestamp(ONE)


@settings(deadline=None)
@given(st.integers(0), st.integers(1, 255))
def test_with_any_byte_changed_a_timestamp_does_not_count(place: int, change: int) -> None:
    changed = bytearray(TIMESTAMP)
    changed[place % len(changed)] ^= change
    with pytest.raises(EvidenceRejectedError):
        verify_sct(with_list(bytes(changed)), root_with(ONE))


def leaf_of(case: str) -> bytes:
    bundle: dict[str, Any] = json.loads((SUITE / case / "bundle.sigstore.json").read_text())
    return base64.b64decode(bundle["verificationMaterial"]["certificate"]["rawBytes"])


@pytest.mark.parametrize(
    "case",
    [pytest.param("happy-path-v0.3", id="public good"), pytest.param("bundle-with-sct-with-extensions")],
)
def test_certificates_of_the_conformance_suite_were_logged(case: str) -> None:
    path = SUITE / case / "trusted_root.json"
    root = TrustedRoot.parse(path.read_bytes() if path.exists() else public_good())
    leaf = leaf_of(case)
    at = x509.load_der_x509_certificate(leaf).not_valid_before_utc
    assert verify_sct(verify_chain((leaf,), root, at), root) == 1
