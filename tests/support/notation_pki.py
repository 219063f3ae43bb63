"""Chains of certificates as notation signs with them, and broken in every way that a test asks for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
Extensions = Sequence[tuple[x509.ExtensionType, bool]]  # with whether it is critical

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)
KEY_KINDS = ("RSA 2048", "RSA 3072", "RSA 4096", "EC 256", "EC 384", "EC 521")

_CURVES: dict[int, ec.EllipticCurve] = {256: ec.SECP256R1(), 384: ec.SECP384R1(), 521: ec.SECP521R1()}
_TYPES = {
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "CN": NameOID.COMMON_NAME,
}


@cache
def key_of(kind: str) -> PrivateKey:
    """A key such as `RSA 2048` or `EC 256`, the same one at each call: RSA keys take long to make."""
    family, _, bits = kind.partition(" ")
    if family == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if family == "RSA":
        return rsa.generate_private_key(public_exponent=65537, key_size=int(bits))
    return new_ec_key(int(bits))


def new_ec_key(bits: int = 256) -> ec.EllipticCurvePrivateKey:
    """A key of its own."""
    return ec.generate_private_key(_CURVES[bits])


def name(common: str, *others: tuple[str, str]) -> x509.Name:
    """`C=US, ST=WA, O=Acme, CN=common`, with `others` after them."""
    parts = (("C", "US"), ("ST", "WA"), ("O", "Acme"), ("CN", common), *others)
    return x509.Name([x509.NameAttribute(_TYPES[kind], value) for kind, value in parts])


def usage(*bits: str) -> x509.KeyUsage:
    """A key usage with these bits alone, as the library names them."""
    names = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{bit: bit in bits for bit in names})


SIGNER: Extensions = (
    (usage("digital_signature"), True),
    (x509.BasicConstraints(ca=False, path_length=None), True),
)
AUTHORITY: Extensions = (
    (usage("key_cert_sign", "crl_sign"), True),
    (x509.BasicConstraints(ca=True, path_length=None), True),
)


@dataclass(frozen=True)
class Holder:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def issue(
    subject: x509.Name,
    issuer: Holder | None = None,
    *,
    key: PrivateKey | None = None,
    extensions: Extensions = SIGNER,
    start: datetime = START,
    end: datetime = END,
    serial: int | None = None,
) -> Holder:
    """A certificate by `issuer`, or self-signed."""
    own = key or new_ec_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(own.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    signing = issuer.key if issuer else own
    chosen = None if isinstance(signing, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Holder(builder.sign(signing, chosen), own)


@dataclass(frozen=True)
class Chain:
    """A leaf, what issued it, and so on to the root."""

    holders: tuple[Holder, ...]

    @property
    def leaf(self) -> Holder:
        return self.holders[0]

    @property
    def root(self) -> Holder:
        return self.holders[-1]

    @property
    def ders(self) -> tuple[bytes, ...]:
        return tuple(holder.der for holder in self.holders)


def make_root(
    common: str = "acme-root", *, key: PrivateKey | None = None, start: datetime = START, end: datetime = END
) -> Holder:
    """A root that signed itself."""
    return issue(name(common), key=key, extensions=AUTHORITY, start=start, end=end)


def make_chain(
    kind: str = "EC 256",
    *,
    root: Holder | None = None,
    between: Iterable[str] = (),
    subject: x509.Name | None = None,
    extensions: Extensions = SIGNER,
    start: datetime = START,
    end: datetime = END,
) -> Chain:
    """A signer's chain; `between` names the authorities below the root, from above."""
    holders = [root or make_root()]
    for common in between:
        holders.insert(0, issue(name(common), holders[0], extensions=AUTHORITY))
    leaf = issue(
        subject or name("acme-signer"),
        holders[0],
        key=key_of(kind),
        extensions=extensions,
        start=start,
        end=end,
    )
    return Chain((leaf, *holders))
