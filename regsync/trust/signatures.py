"""Public keys, and whether one of them made a signature: ECDSA, RSA and Ed25519 as cosign signs with them."""

import hashlib
from collections.abc import Iterator

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from regsync.spec.verification import HashChoice
from regsync.trust.ed25519ph import has_signed
from regsync.trust.envelopes import SigstoreEnvelope
from regsync.trust.errors import EvidenceRejectedError

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
LEAST_RSA_BITS = 2048
MOST_RSA_BITS = 8192  # more takes long, and nobody has it

CHECK = "signature"
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
# cosign signs with the first, and programs that know but one hash with the second.
_HASHES_BY_CURVE = {
    "secp256r1": ("sha256",),
    "secp384r1": ("sha384", "sha256"),
    "secp521r1": ("sha512", "sha256"),
}
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_SHOWN = {"sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}


class UnusableKeyError(ValueError):
    """A key is of a kind that is not verified with. For whoever reads keys to name."""


def usable(key: object) -> PublicKey:
    """The key, if it is of a kind that is verified with; raises UnusableKeyError."""
    match key:
        case ec.EllipticCurvePublicKey():
            if key.curve.name not in _CURVES:
                raise UnusableKeyError(f"curve {key.curve.name} is not one of {', '.join(_CURVES.values())}")
            return key
        case rsa.RSAPublicKey():
            if not LEAST_RSA_BITS <= key.key_size <= MOST_RSA_BITS:
                wanted = f"{LEAST_RSA_BITS} to {MOST_RSA_BITS}"
                raise UnusableKeyError(f"an RSA key of {key.key_size} bits, {wanted} are taken")
            return key
        case ed25519.Ed25519PublicKey():
            return key
    raise UnusableKeyError("neither an ECDSA, an RSA nor an Ed25519 key")


def subject_public_key_info(key: PublicKey) -> bytes:
    """The key in DER."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def kind_of(key: PublicKey) -> str:
    """`ECDSA P-256`, `RSA 3072` or `Ed25519`."""
    match key:
        case ec.EllipticCurvePublicKey():
            return f"ECDSA {_CURVES[key.curve.name]}"
        case rsa.RSAPublicKey():
            return f"RSA {key.key_size}"
    return "Ed25519"


def verify_signature(key: PublicKey, envelope: SigstoreEnvelope, choice: HashChoice = HashChoice.AUTO) -> str:
    """The check that was made, such as `signature (ECDSA P-256, SHA-256)`. Raises EvidenceRejectedError.

    AUTO is by the kind of key (SIGNING.md, section 1.2). Of an Ed25519 key it stands for Ed25519 and
    Ed25519ph, and there is no other choice.
    """
    tried: list[str] = []
    for manner, holds in _attempts(key, envelope, choice):
        if holds:
            return f"{CHECK} ({manner})"
        tried.append(manner)
    if not tried:
        reason = (
            f"{kind_of(key)} signs another digest than the {envelope.signed_digest.algorithm} that is known"
        )
        raise EvidenceRejectedError(CHECK, reason)
    raise EvidenceRejectedError(CHECK, f"it is not by this key over this content ({' or '.join(tried)})")


def _attempts(key: PublicKey, envelope: SigstoreEnvelope, choice: HashChoice) -> Iterator[tuple[str, bool]]:
    """Ways in which the key may have signed, and whether it did."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        yield from _ed25519_attempts(key, envelope)
        return
    names = _HASHES_BY_CURVE[key.curve.name] if isinstance(key, ec.EllipticCurvePublicKey) else ("sha256",)
    for name in names if choice is HashChoice.AUTO else (choice.value,):
        digest = _digest(envelope, name)
        if digest is not None:
            yield f"{kind_of(key)}, {_SHOWN[name]}", _is_over(key, envelope.signature, digest, _HASHES[name])


def _is_over(
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    signature: bytes,
    digest: bytes,
    algorithm: hashes.HashAlgorithm,
) -> bool:
    hashed = utils.Prehashed(algorithm)
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, digest, padding.PKCS1v15(), hashed)
        else:
            key.verify(signature, digest, ec.ECDSA(hashed))
    except InvalidSignature:
        return False
    return True


def _ed25519_attempts(
    key: ed25519.Ed25519PublicKey, envelope: SigstoreEnvelope
) -> Iterator[tuple[str, bool]]:
    if envelope.signed is not None:
        try:
            key.verify(envelope.signature, envelope.signed)
        except InvalidSignature:
            yield "Ed25519", False
        else:
            yield "Ed25519", True
    digest = _digest(envelope, "sha512")
    if digest is not None:
        yield "Ed25519ph", has_signed(key.public_bytes_raw(), envelope.signature, digest)


def _digest(envelope: SigstoreEnvelope, algorithm: str) -> bytes | None:
    """The digest of what was signed; None where that is known by another algorithm only."""
    if envelope.signed is not None:
        return hashlib.new(algorithm, envelope.signed).digest()
    if envelope.signed_digest.algorithm == algorithm:
        return bytes.fromhex(envelope.signed_digest.encoded)
    return None
