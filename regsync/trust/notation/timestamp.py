"""The time at which a signature was there, by an authority of timestamps that a tsa store trusts.

Source: RFC 3161, RFC 5816; notaryproject specifications, trust-store-trust-policy.md, "Validate Authentic
Timestamp". `rfc3161_client` checks the CMS signature and what was stamped; which certificate made it, and
what that certificate is for, is decided here, by the bytes that the signature covers.
"""

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import rfc3161_client
from cryptography import x509
from rfc3161_client.errors import VerificationError
from rfc3161_client.tsp import SignedData, TimeStampTokenInfo

from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.notation import der
from regsync.trust.notation.certificate import Certificate
from regsync.trust.notation.chain import Purpose, check_chain, outside_validity

TIMESTAMP = "timestamp"
MAX_TOKEN_SIZE = 256 * 1024  # bytes
MAX_CERTIFICATES = 20  # in one token
MAX_CHAIN = 10  # certificates

_GRANTED = bytes.fromhex("3003020100")  # PKIStatusInfo, status 0
_SIGNING_CERTIFICATE_V2 = bytes.fromhex("2a864886f70d010910022f")  # 1.2.840.113549.1.9.16.2.47
_Digester = Callable[[bytes], "hashlib._Hash"]
_HASHES: Mapping[bytes, _Digester] = {
    bytes.fromhex("608648016503040201"): hashlib.sha256,
    bytes.fromhex("608648016503040202"): hashlib.sha384,
    bytes.fromhex("608648016503040203"): hashlib.sha512,
}
# What the parser raises of hostile input; it reads lazily, so while verifying as well.
_UNREADABLE = (ValueError, LookupError, TypeError, OverflowError)
_BASELINE_POLICY = "0.4.0.2023.1.1"  # RFC 3628, section 5.2: accurate to a second


@dataclass(frozen=True, slots=True)
class Timestamp:
    """The signature was there at some moment between these two, both included."""

    earliest: datetime
    latest: datetime
    authority: str  # the subject of its certificate


def verify_token(token: bytes, signature: bytes, roots: Sequence[Certificate]) -> Timestamp:
    """Check that an authority under `roots` stamped `signature`. Raises EvidenceRejectedError.

    `token` is a TimeStampToken, DER, as notation keeps it: without the response around it.
    """
    if len(token) > MAX_TOKEN_SIZE:
        raise _refused(f"it has {len(token)} bytes; at most {MAX_TOKEN_SIZE} are read")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are odd; they have to lead to a root all the same
        try:
            return _verify(token, signature, roots)
        except VerificationError as cause:
            raise _refused(f"{cause!s:.200}") from cause
        except _UNREADABLE as cause:
            raise _refused(f"it cannot be read: {cause!s:.200}") from cause


def _verify(token: bytes, signature: bytes, roots: Sequence[Certificate]) -> Timestamp:
    response = rfc3161_client.decode_timestamp_response(der.wrap(der.SEQUENCE, _GRANTED, token))
    signer, others = _signer(token, response.signed_data)
    chain = _chain_to(signer, others, roots)
    try:
        check_chain(chain, Purpose.TIMESTAMPING)
    except EvidenceRejectedError as cause:
        raise _refused(str(cause)) from cause
    stamped = _period(response.tst_info, signer)
    if outside := outside_validity(chain, stamped.earliest, stamped.latest):
        raise _refused(f"the certificate of {outside.subject:.200} was not valid then")
    verifier = rfc3161_client.VerifierBuilder(roots=[chain[-1].parsed]).build()
    verifier.verify_message(response, signature)
    return stamped


def _signer(token: bytes, signed: SignedData) -> tuple[Certificate, tuple[Certificate, ...]]:
    """The certificate that made the signature, and the others of a token.

    It is the one that the signed attributes name by its hash; name and serial number, by which libraries
    look for it, must lead to the same one and to no other.
    """
    (content,) = der.elements(token)
    signed_data = content.child(der.CONTEXT_0).child(der.SEQUENCE)
    held = signed_data.child(der.CONTEXT_0).children(der.SEQUENCE)
    if len(held) > MAX_CERTIFICATES:
        raise ValueError(f"it holds {len(held)} certificates; at most {MAX_CERTIFICATES} are read")
    _, signer_infos = signed_data.children(der.SET)
    (signer_info,) = signer_infos.children()
    (named,) = signed.signer_infos
    digest_of, digest = _named_certificate(signer_info.child(der.CONTEXT_0))
    certificates = [Certificate.parse(element.whole) for element in held]
    by_name = [
        found
        for found in certificates
        if _loosely(found.parsed.issuer) == _loosely(named.issuer)
        and found.parsed.serial_number == named.serial_number
    ]
    if len(by_name) != 1 or digest_of(by_name[0].der).digest() != digest:
        raise ValueError("the certificate that its signature names is not in it, or not alone")
    certificates.remove(by_name[0])
    return by_name[0], tuple(certificates)


def _loosely(name: x509.Name) -> str:
    """A name as OpenSSL compares it: without regard to case and to the number of spaces."""
    return " ".join(name.rfc4514_string().casefold().split())


def _named_certificate(attributes: der.Element) -> tuple[_Digester, bytes]:
    """Algorithm and hash of the first certificate in SigningCertificateV2. Source: RFC 5035, section 3."""
    values = [
        attribute.child(der.SET)
        for attribute in attributes.children(der.SEQUENCE)
        if attribute.child(der.OBJECT_ID).body == _SIGNING_CERTIFICATE_V2
    ]
    if len(values) != 1:
        raise ValueError("it has no signing-certificate-v2, or several")
    first = values[0].child(der.SEQUENCE).child(der.SEQUENCE).child(der.SEQUENCE)
    parts = first.children()
    algorithm = next(iter(_HASHES))  # by default SHA-256
    if parts and parts[0].tag == der.SEQUENCE:
        algorithm = parts[0].child(der.OBJECT_ID).body
    if algorithm not in _HASHES:
        raise ValueError("it names its certificate by a hash other than SHA-256, SHA-384 and SHA-512")
    return _HASHES[algorithm], first.child(der.OCTETS).body


def _chain_to(
    signer: Certificate, others: Sequence[Certificate], roots: Sequence[Certificate]
) -> tuple[Certificate, ...]:
    """From the signer to one of `roots`."""
    trusted = {root.der for root in roots}
    chain = [signer]
    while chain[-1].der not in trusted:
        issuer = next(
            (other for other in (*roots, *others) if other not in chain and chain[-1].is_issued_by(other)),
            None,
        )
        if issuer is None or len(chain) == MAX_CHAIN:
            raise _refused(f"{signer.subject:.200} is not under a root of the tsa stores")
        chain.append(issuer)
    return tuple(chain)


def _period(info: TimeStampTokenInfo, signer: Certificate) -> Timestamp:
    accuracy = info.accuracy
    spread = timedelta()
    if accuracy is not None:
        spread = timedelta(
            seconds=accuracy.seconds or 0,
            milliseconds=accuracy.millis or 0,
            microseconds=accuracy.micros or 0,
        )
    if not spread and info.policy.dotted_string == _BASELINE_POLICY:
        spread = timedelta(seconds=1)
    return Timestamp(info.gen_time - spread, info.gen_time + spread, signer.subject)


def _refused(reason: str) -> EvidenceRejectedError:
    return EvidenceRejectedError(TIMESTAMP, reason)
