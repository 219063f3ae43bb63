"""The one adapter to sigstore-python: its verdict on a bundle that this package has accepted.

Imported only when there is such a bundle: it takes a fifth of a second and brings an HTTP client along,
which nothing here uses. What it has besides its public interface is used here alone, and the version is
pinned below the next major one.
"""

import logging
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from sigstore import __version__
from sigstore.errors import Error, VerificationError
from sigstore.hashes import Hashed
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier
from sigstore_models.common.v1 import HashAlgorithm
from sigstore_models.trustroot.v1 import TrustedRoot as TrustedRootMessage

from regsync.trust.envelopes import SigstoreEnvelope
from regsync.trust.errors import EvidenceRejectedError

NAME = f"sigstore-python {__version__}"

# What the library and its parsers raise of what they do not like.
_REFUSALS = (
    *(Error, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, UnsupportedAlgorithm),
    *(x509.ExtensionNotFound, x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType),
)
_MAX_REASON = 200  # characters

# A run tells its own story; without a handler of any kind, warnings would go to stderr.
logging.getLogger("sigstore").addHandler(logging.NullHandler())


class UnreadableForLibraryError(Exception):
    """The library does not read a root or a bundle: a field that is newer than it, a spelling."""


class SameCertificate:
    """The identity policy: the certificate is the one whose identity was checked, byte for byte."""

    def __init__(self, der: bytes) -> None:
        self._der = der

    def verify(self, cert: x509.Certificate) -> None:
        """Raise VerificationError for another certificate."""
        if cert.public_bytes(Encoding.DER) != self._der:
            raise VerificationError("the bundle holds another certificate")


def verify_with_library(envelope: SigstoreEnvelope, document: bytes) -> str:
    """The check that was made: all that sigstore-python verifies, by the trusted root in `document`.

    Raises EvidenceRejectedError, and UnreadableForLibraryError where it cannot tell.
    """
    verifier = _verifier(document)
    try:
        bundle = Bundle.from_json(envelope.bundle or b"")
    except _REFUSALS as cause:
        raise UnreadableForLibraryError(_reason(cause)) from cause
    try:
        _verify(verifier, bundle, envelope)
    except _REFUSALS as cause:
        raise EvidenceRejectedError(NAME, _reason(cause)) from cause
    return NAME


def _verify(verifier: Verifier, bundle: Bundle, envelope: SigstoreEnvelope) -> None:
    policy = SameCertificate(envelope.certificates[0])
    if envelope.dsse is None:
        digest = bytes.fromhex(envelope.signed_digest.encoded)
        verifier.verify_artifact(Hashed(algorithm=HashAlgorithm.SHA2_256, digest=digest), bundle, policy)
        return
    if verifier.verify_dsse(bundle, policy) != (envelope.dsse.payload_type, envelope.dsse.payload):
        raise VerificationError("the bundle holds another payload")


@lru_cache(maxsize=16)
def _verifier(document: bytes) -> Verifier:
    try:
        return Verifier(trusted_root=TrustedRoot(TrustedRootMessage.from_json(document)))
    except _REFUSALS as cause:
        raise UnreadableForLibraryError(_reason(cause)) from cause


def _reason(cause: Exception) -> str:
    return " ".join(str(cause).split())[:_MAX_REASON] or type(cause).__name__
