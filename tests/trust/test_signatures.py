"""A signature holds by the key, over the bytes and with the hash that made it, and by nothing else."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa

from regsync.oci.digest import Digest
from regsync.spec.verification import HashChoice
from regsync.trust.ed25519ph import has_signed
from regsync.trust.envelopes import Kind, Message, SigstoreEnvelope
from regsync.trust.errors import EvidenceRejectedError
from regsync.trust.signatures import (
    UnusableKeyError,
    usable,
    verify_signature,
)

CONTENT = b"what is signed"
P256, P384, P521 = (
    ec.generate_private_key(curve) for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())
)
RSA = rsa.generate_private_key(65537, 2048)
ED25519 = ed25519.Ed25519PrivateKey.generate()

# The last half of the table is from Go's crypto/ed25519, by ed25519.Options{Hash: crypto.SHA512}.
PREHASHED = [
    pytest.param(
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        b"abc",
        "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41"
        "31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406",
        id="RFC 8032, section 7.3",
    ),
    pytest.param(
        "936682803416875c9d62094490dd6dee7d81ecc747f26f1aebdd949299c0dda6",
        b"message 0",
        "84165b4580998ed1febb0d3bb760aa378caaedc2cf4f56fd278da9e028d6bccee203dbad3e7c03a377dfe6813cf23f057b0fbdd2712d69f04e29803a30e19809",
        id="Go, 0",
    ),
    pytest.param(
        "31a1f9d97a4116723bdf3bc434035367177da65f768303c16f12959d93139283",
        b"message 6",
        "adb34e69e067beeccb80813b6782555ba60b8698014fcd0a7e2d5a85e6ba5cd469821f2b11e27df5254a8829aee2e79d48f330c4b381ee7de7ff62f56f88470e",
        id="Go, 6",
    ),
    pytest.param(
        "5f61ebb1bf4d97b2eca51a8bd94179af0249dfc33b05d53d1e20c20d28a3be37",
        b"message 22",
        "9cf89e906ff4892f54abfe48508f360302f722be8f7677ba17b883aea35763c510193334fb8e8fef2d25dc70c8895d1cf37b057d73926778deb20dd05f44cf07",
        id="Go, 22",
    ),
]


def envelope(
    signature: bytes, content: bytes | None = CONTENT, *, algorithm: str = "sha256"
) -> SigstoreEnvelope:
    digest = Digest.of(CONTENT, algorithm)
    return SigstoreEnvelope("dsse", Message(Kind.SIGNATURE, frozenset()), signature, content, digest)


def ecdsa(key: ec.EllipticCurvePrivateKey, algorithm: hashes.HashAlgorithm) -> bytes:
    return key.sign(CONTENT, ec.ECDSA(algorithm))


MADE: list[tuple[str, object, Callable[[], bytes]]] = [
    ("ECDSA P-256, SHA-256", P256.public_key(), lambda: ecdsa(P256, hashes.SHA256())),
    ("ECDSA P-384, SHA-384", P384.public_key(), lambda: ecdsa(P384, hashes.SHA384())),
    ("ECDSA P-384, SHA-256", P384.public_key(), lambda: ecdsa(P384, hashes.SHA256())),
    ("ECDSA P-521, SHA-512", P521.public_key(), lambda: ecdsa(P521, hashes.SHA512())),
    ("ECDSA P-521, SHA-256", P521.public_key(), lambda: ecdsa(P521, hashes.SHA256())),
    ("RSA 2048, SHA-256", RSA.public_key(), lambda: RSA.sign(CONTENT, padding.PKCS1v15(), hashes.SHA256())),
    ("Ed25519", ED25519.public_key(), lambda: ED25519.sign(CONTENT)),
]


@pytest.mark.parametrize(("manner", "key", "sign"), [pytest.param(*row, id=row[0]) for row in MADE])
def test_the_check_says_how_it_was_signed(manner: str, key: object, sign: Callable[[], bytes]) -> None:
    assert verify_signature(usable(key), envelope(sign())) == f"signature ({manner})"


@pytest.mark.parametrize(("manner", "key", "sign"), [pytest.param(*row, id=row[0]) for row in MADE])
def test_what_was_changed_is_refused(manner: str, key: object, sign: Callable[[], bytes]) -> None:
    signature = sign()
    for wrong in (
        envelope(signature, CONTENT + b"."),
        envelope(bytes([signature[0] ^ 1]) + signature[1:]),
        envelope(signature[:-1] + bytes([signature[-1] ^ 1])),
        envelope(signature[:-1]),
        envelope(b""),
    ):
        with pytest.raises(EvidenceRejectedError, match=f"not by this key over this content.*{manner}"):
            verify_signature(usable(key), wrong)


def test_a_message_of_which_only_the_digest_is_known_can_be_verified() -> None:
    assert verify_signature(usable(P384.public_key()), envelope(ecdsa(P384, hashes.SHA256()), None))
    assert verify_signature(usable(P256.public_key()), envelope(ecdsa(P256, hashes.SHA256()), None))


@pytest.mark.parametrize("key", [P256, ED25519], ids=["P-256", "Ed25519"])
def test_a_digest_of_another_hash_than_the_keys_proves_nothing(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
) -> None:
    algorithm = "sha512" if key is P256 else "sha256"
    with pytest.raises(EvidenceRejectedError, match="signs another digest"):
        verify_signature(usable(key.public_key()), envelope(b"x", None, algorithm=algorithm))


def test_the_hash_that_a_policy_chose_is_the_only_one() -> None:
    made = envelope(ecdsa(P256, hashes.SHA512()))
    assert (
        verify_signature(usable(P256.public_key()), made, HashChoice.SHA512)
        == "signature (ECDSA P-256, SHA-512)"
    )
    with pytest.raises(EvidenceRejectedError):
        verify_signature(usable(P256.public_key()), made)
    with pytest.raises(EvidenceRejectedError):
        verify_signature(usable(P256.public_key()), made, HashChoice.SHA384)


@pytest.mark.parametrize(("public", "message", "signature"), PREHASHED)
def test_ed25519ph_holds(public: str, message: bytes, signature: str) -> None:
    assert has_signed(bytes.fromhex(public), bytes.fromhex(signature), hashlib.sha512(message).digest())
    key = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
    found = envelope(bytes.fromhex(signature), message)
    assert verify_signature(key, found) == "signature (Ed25519ph)"
    digest = Digest.of(message, "sha512")
    assert verify_signature(key, replace(found, signed=None, signed_digest=digest)) == "signature (Ed25519ph)"


@pytest.mark.parametrize(("public", "message", "signature"), PREHASHED)
def test_ed25519ph_refuses_what_was_changed(public: str, message: bytes, signature: str) -> None:
    key, signed, digest = bytes.fromhex(public), bytes.fromhex(signature), hashlib.sha512(message).digest()
    for place in (0, 31, 32, 62):
        flipped = signed[:place] + bytes([signed[place] ^ 1]) + signed[place + 1 :]
        assert not has_signed(key, flipped, digest)
    assert not has_signed(bytes([key[0] ^ 1]) + key[1:], signed, digest)
    assert not has_signed(key, signed, hashlib.sha512(message + b".").digest())


def test_ed25519ph_takes_no_second_form_of_a_signature() -> None:
    """S and S + L are the same scalar; RFC 8032, section 5.1.7, has the second refused."""
    public, message, signature = PREHASHED[0].values
    assert isinstance(public, str)
    assert isinstance(message, bytes)
    assert isinstance(signature, str)
    key, signed, digest = bytes.fromhex(public), bytes.fromhex(signature), hashlib.sha512(message).digest()
    order = 2**252 + 27742317777372353535851937790883648493
    other = (int.from_bytes(signed[32:], "little") + order).to_bytes(32, "little")
    assert not has_signed(key, signed[:32] + other, digest)
    assert not has_signed(key, b"\xff" * 32 + signed[32:], digest)  # no point
    assert not has_signed(key, signed + b"\0", digest)
    assert not has_signed(key, signed, digest[:32])


def test_ed25519ph_takes_no_second_form_of_a_point() -> None:
    """The neutral point, of y = 1, as y = 1 + p; RFC 8032, section 5.1.3, has the second refused."""
    prime, order = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
    key, digest = ED25519.public_key().public_bytes_raw(), hashlib.sha512(CONTENT).digest()
    hashed = bytearray(hashlib.sha512(ED25519.private_bytes_raw()).digest()[:32])
    hashed[0] &= 248
    hashed[31] = hashed[31] & 127 | 64
    secret = int.from_bytes(hashed, "little")
    for y, holds in ((1, True), (1 + prime, False)):
        point = y.to_bytes(32, "little")
        domain = b"SigEd25519 no Ed25519 collisions\x01\x00"
        challenge = int.from_bytes(hashlib.sha512(domain + point + key + digest).digest(), "little")
        signature = point + (challenge * secret % order).to_bytes(32, "little")
        assert has_signed(key, signature, digest) is holds


def test_ed25519ph_is_not_ed25519() -> None:
    digest = hashlib.sha512(CONTENT).digest()
    assert not has_signed(ED25519.public_key().public_bytes_raw(), ED25519.sign(digest), digest)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        pytest.param(ec.generate_private_key(ec.SECP256K1()).public_key(), "secp256k1", id="another curve"),
        pytest.param(dsa.generate_private_key(2048).public_key(), "neither", id="DSA"),
        pytest.param(
            rsa.generate_private_key(65537, 1024).public_key(),
            "1024 bits",
            id="a short RSA key",
        ),
    ],
)
def test_other_keys_are_refused(key: object, reason: str) -> None:
    with pytest.raises(UnusableKeyError, match=reason):
        usable(key)
