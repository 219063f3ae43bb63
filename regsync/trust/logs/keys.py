"""Public keys of logs, and what they sign with.

Source: sigstore/protobuf-specs, `PublicKeyDetails`; architecture-docs, `algorithm-registry.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from regsync.trust.signatures import LEAST_RSA_BITS, PublicKey

_EC: Mapping[str, tuple[str, hashes.HashAlgorithm]] = {
    "PKIX_ECDSA_P256_SHA_256": ("secp256r1", hashes.SHA256()),
    "PKIX_ECDSA_P384_SHA_384": ("secp384r1", hashes.SHA384()),
    "PKIX_ECDSA_P521_SHA_512": ("secp521r1", hashes.SHA512()),
}
_ED25519 = "PKIX_ED25519"
_RSA = {
    "PKCS1_RSA_PKCS1V5",
    "PKIX_RSA_PKCS1V5",
    "PKIX_RSA_PKCS1V15_2048_SHA256",
    "PKIX_RSA_PKCS1V15_3072_SHA256",
    "PKIX_RSA_PKCS1V15_4096_SHA256",
}


class InvalidLogKeyError(ValueError):
    """The bytes are no key, or another one than their details say. For the parser of the trusted root."""


@dataclass(frozen=True, slots=True)
class LogKey:
    """A log's key. `public` is None where it is of a kind that this version does not know."""

    details: str
    public: PublicKey | None

    @classmethod
    def parse(cls, der: bytes, details: str) -> "LogKey":
        """Read a key as `details` describe it; raises InvalidLogKeyError.

        Details that are not known here make a key that verifies nothing: a root that gains a log of a new
        kind stays good for the logs it had.
        """
        if details not in _EC and details not in _RSA and details != _ED25519:
            return cls(details, None)
        try:
            key = load_der_public_key(der)
        except (ValueError, UnsupportedAlgorithm) as cause:
            raise InvalidLogKeyError(f"no public key: {cause}") from cause
        if not isinstance(key, PublicKey) or not _is_of(key, details):
            raise InvalidLogKeyError(f"the key is not {details}")
        return cls(details, key)

    def has_signed(self, signature: bytes, data: bytes) -> bool:
        """Whether `signature` over `data` is by this key."""
        try:
            match self.public:
                case ec.EllipticCurvePublicKey() as key:
                    key.verify(signature, data, ec.ECDSA(_EC[self.details][1]))
                case ed25519.Ed25519PublicKey() as key:
                    key.verify(signature, data)
                case rsa.RSAPublicKey() as key:
                    key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
                case None:
                    return False
        except InvalidSignature:
            return False
        return True


def _is_of(key: PublicKey, details: str) -> bool:
    match key:
        case ec.EllipticCurvePublicKey():
            return details in _EC and key.curve.name == _EC[details][0]
        case ed25519.Ed25519PublicKey():
            return details == _ED25519
        case rsa.RSAPublicKey():
            return details in _RSA and key.key_size >= LEAST_RSA_BITS
