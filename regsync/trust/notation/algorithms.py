"""The six signature algorithms of the Notary Project; a signer's key alone says which.

Source: signature-specification.md, "Algorithm Selection"; the names are those of RFC 7518, the numbers
those of RFC 9053.
"""

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm

from regsync.trust.errors import EvidenceRejectedError

INTEGRITY = "integrity"


@dataclass(frozen=True, slots=True)
class Algorithm:
    """RSASSA-PSS with a salt as long as the hash, or ECDSA with the curve as long as the key."""

    name: str  # in JWS
    label: int  # in COSE
    kind: str  # RSA | EC
    bits: int  # of the key
    digest: type[SHA256 | SHA384 | SHA512]

    def __str__(self) -> str:
        return f"{self.name}, {self.kind} {self.bits}"


ALGORITHMS = (
    Algorithm("PS256", -37, "RSA", 2048, SHA256),
    Algorithm("PS384", -38, "RSA", 3072, SHA384),
    Algorithm("PS512", -39, "RSA", 4096, SHA512),
    Algorithm("ES256", -7, "EC", 256, SHA256),
    Algorithm("ES384", -35, "EC", 384, SHA384),
    Algorithm("ES512", -36, "EC", 521, SHA512),
)
_CURVES = {"secp256r1": 256, "secp384r1": 384, "secp521r1": 521}


def algorithm_of(key: CertificatePublicKeyTypes) -> Algorithm | None:
    """The algorithm that a key signs with; None for a key that the specification does not take."""
    if isinstance(key, rsa.RSAPublicKey):
        kind, bits = "RSA", key.key_size
    elif isinstance(key, ec.EllipticCurvePublicKey):
        kind, bits = "EC", _CURVES.get(key.curve.name, 0)
    else:
        return None
    return next((found for found in ALGORITHMS if (found.kind, found.bits) == (kind, bits)), None)


def verify_signature(
    key: CertificatePublicKeyTypes, named: Algorithm, signature: bytes, signed: bytes
) -> Algorithm:
    """Check a signature with the one algorithm of `key`, which `named` by the envelope has to be.

    Raises EvidenceRejectedError.
    """
    algorithm = algorithm_of(key)
    if algorithm is None:
        size = getattr(key, "key_size", "")
        raise EvidenceRejectedError(INTEGRITY, f"{type(key).__name__} {size} is no key of the specification")
    if algorithm != named:
        reason = f"the envelope names {named.name}, and the signer's key is for {algorithm}"
        raise EvidenceRejectedError(INTEGRITY, reason)
    try:
        if isinstance(key, rsa.RSAPublicKey):
            _verify_pss(key, algorithm.digest(), signature, signed)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(_as_der(signature, algorithm.bits), signed, ec.ECDSA(algorithm.digest()))
    except InvalidSignature as cause:
        raise EvidenceRejectedError(INTEGRITY, f"the signature is wrong ({algorithm})") from cause
    return algorithm


def _verify_pss(key: rsa.RSAPublicKey, digest: HashAlgorithm, signature: bytes, signed: bytes) -> None:
    scheme = padding.PSS(padding.MGF1(digest), digest.digest_size)
    key.verify(signature, signed, scheme, digest)


def _as_der(signature: bytes, bits: int) -> bytes:
    """From `r || s`, both as long as the curve's order, to what the library takes."""
    half = (bits + 7) // 8
    if len(signature) != 2 * half:
        raise EvidenceRejectedError(INTEGRITY, f"the signature has {len(signature)} bytes, not {2 * half}")
    r, s = int.from_bytes(signature[:half]), int.from_bytes(signature[half:])
    return encode_dss_signature(r, s)
