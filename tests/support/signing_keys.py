"""Keys of every kind that sign images, and signatures as cosign and Sigstore make them."""

import base64
from functools import cache

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

KINDS = ("P-256", "P-384", "P-521", "RSA", "Ed25519")


def new_key(kind: str = "P-256") -> SigningKey:
    """A key of one of KINDS. RSA keys are the same one again: making one takes a second."""
    if kind == "RSA":
        return _rsa_key()
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    curves = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
    return ec.generate_private_key(curves[kind])


@cache
def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=3072)


def hash_of(key: SigningKey) -> hashes.HashAlgorithm:
    """The hash that Sigstore's algorithm registry gives to the kind of key."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}[key.curve.key_size]
    return hashes.SHA256()


def sign(key: SigningKey, data: bytes, hash_algorithm: hashes.HashAlgorithm | None = None) -> bytes:
    """A signature over `data`; by default with the hash that goes with the key."""
    chosen = hash_algorithm or hash_of(key)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(chosen))
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), chosen)
    return key.sign(data)


def public_der(key: SigningKey) -> bytes:
    """The public key as SubjectPublicKeyInfo."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.DER, form)


def public_pem(key: SigningKey) -> bytes:
    """The public key in PEM."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


def details(key: SigningKey) -> str:
    """The name of the key's kind in Sigstore's protobuf messages, `PublicKeyDetails`."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        bits, size = {256: (256, 256), 384: (384, 384), 521: (521, 512)}[key.curve.key_size]
        return f"PKIX_ECDSA_P{bits}_SHA_{size}"
    return "PKIX_RSA_PKCS1V15_3072_SHA256" if isinstance(key, rsa.RSAPrivateKey) else "PKIX_ED25519"


def certificate_pem(der: bytes) -> str:
    """A certificate in PEM."""
    body = base64.encodebytes(der).decode().replace("\n", "")
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""])
