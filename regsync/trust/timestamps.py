"""Timestamps of authorities: that a signature was there at a time. Source: RFC 3161, section 2.4.2."""

import warnings
from dataclasses import dataclass
from datetime import datetime

from rfc3161_client import TimeStampResponse, VerificationError, VerifierBuilder, decode_timestamp_response

from regsync.trust.errors import EvidenceRejectedError, TrustRootTooOldError
from regsync.trust.trusted_root import CertificateAuthority, TrustedRoot
from regsync.trust.x509_reading import UNREADABLE

MAX_SIZE = 64 * 1024  # bytes of a response

_CHECK = "timestamp"
# What the parser raises of hostile input; it reads lazily, so while verifying as well.
_UNREADABLE = (*UNREADABLE, LookupError, OverflowError)


@dataclass(frozen=True, slots=True)
class Timestamp:
    """That an authority saw something, and when (UTC).

    Two of one authority are one authority's word: not every byte of a response is signed, so that one is
    easily made to look like two.
    """

    time: datetime
    authority: str  # its address in the root


def verify_timestamp(der: bytes, stamped: bytes, root: TrustedRoot) -> Timestamp:
    """When an authority of `root` saw `stamped`, by the TimeStampResp in `der`.

    The authority's certificates have to be valid at that time, and the root has to believe it then.
    Raises TrustRootTooOldError where the root lacks the authority, else EvidenceRejectedError.
    """
    if len(der) > MAX_SIZE:
        raise EvidenceRejectedError(_CHECK, f"it has {len(der)} bytes, at most {MAX_SIZE} are read")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are odd; they have to equal the root's
        try:
            return _verify(decode_timestamp_response(der), stamped, root)
        except _UNREADABLE as cause:
            raise EvidenceRejectedError(_CHECK, f"it cannot be read: {str(cause)[:200]}") from cause


def _verify(response: TimeStampResponse, stamped: bytes, root: TrustedRoot) -> Timestamp:
    at = response.tst_info.gen_time
    known = [one for one in root.timestamp_authorities if _signed_as(response, one)]
    if not known:
        signer = ", ".join(one.issuer.rfc4514_string() for one in response.signed_data.signer_infos)
        raise TrustRootTooOldError(_CHECK, f"timestamp authority {signer[:120]!r}")
    reasons = []
    for authority in known:
        reason = _refusal(response, stamped, authority)
        if reason is None:
            return Timestamp(at, authority.url)
        reasons.append(reason)
    raise EvidenceRejectedError(_CHECK, "; ".join(dict.fromkeys(reasons)))


def _signed_as(response: TimeStampResponse, authority: CertificateAuthority) -> bool:
    """Whether the response says that this authority's certificate has signed it."""
    signing = authority.certificates[0]
    return any(
        (one.issuer, one.serial_number) == (signing.issuer, signing.serial_number)
        for one in response.signed_data.signer_infos
    )


def _refusal(response: TimeStampResponse, stamped: bytes, authority: CertificateAuthority) -> str | None:
    """Why this authority's word does not count; None: it does."""
    at = response.tst_info.gen_time
    if not authority.valid.covers(at):
        return f"{at.isoformat()} is outside of {authority.url}'s time, {authority.valid}"
    for one in authority.certificates:
        if not one.not_valid_before_utc <= at <= one.not_valid_after_utc:
            return f"{one.subject.rfc4514_string()[:120]!r} was not valid at {at.isoformat()}"
    signing, *intermediates = authority.certificates
    root = intermediates.pop() if intermediates else signing
    builder = VerifierBuilder(tsa_certificate=signing, roots=[root], intermediates=intermediates)
    try:
        builder.build().verify_message(response, stamped)
    except VerificationError as cause:
        return str(cause).partition(": ErrorStack")[0][:200]
    return None
