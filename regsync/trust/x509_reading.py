"""Certificates from outside, read whole at once so that nothing in them can fail later.

`cryptography` parses lazily: a certificate with a broken name or extension loads, and raises when asked.
"""

import warnings

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

MAX_CERTIFICATE = 64 * 1024  # bytes; Fulcio's have 2 KiB
# What `cryptography` raises of a certificate that is not as it should be.
UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


class InvalidCertificateError(ValueError):
    """The bytes are no certificate, or hold something that cannot be read. For the caller to name."""


def read_certificate(der: bytes) -> x509.Certificate:
    """The certificate in `der`; raises InvalidCertificateError."""
    if len(der) > MAX_CERTIFICATE:
        raise InvalidCertificateError(f"it has {len(der)} bytes, at most {MAX_CERTIFICATE} are read")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is odd but readable is judged by the checks that follow
            certificate = x509.load_der_x509_certificate(der)
            _ = certificate.extensions, certificate.public_key(), certificate.issuer, certificate.subject
            _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except UNREADABLE as cause:
        raise InvalidCertificateError(str(cause)[:200]) from cause
    return certificate
