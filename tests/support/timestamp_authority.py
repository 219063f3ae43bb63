"""An RFC 3161 timestamp authority whose clock is the test's. `openssl ts -verify` accepts its answers.

Sources: RFC 3161, section 2.4.2; RFC 5652, section 5; RFC 5035 (SigningCertificateV2).
"""

import hashlib
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from tests.support.signing_keys import sign
from tests.support.x509_issuing import CertificateAuthority

_SHA256 = "2.16.840.1.101.3.4.2.1"
_ECDSA_SHA256 = "1.2.840.10045.4.3.2"
_SIGNED_DATA = "1.2.840.113549.1.7.2"
_TST_INFO = "1.2.840.113549.1.9.16.1.4"
_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.47"
_POLICY = "1.3.6.1.4.1.57264.2"


class TimestampAuthority:
    """A root and the certificate that stamps, valid from `start` to `end`."""

    def __init__(self, name: str, start: datetime, end: datetime, *, is_tsa: bool = True) -> None:
        self.root = CertificateAuthority(f"{name} timestamp root")
        self.key = ec.generate_private_key(ec.SECP256R1())
        purpose = ExtendedKeyUsageOID.TIME_STAMPING if is_tsa else ExtendedKeyUsageOID.CODE_SIGNING
        builder = self.root.builder(f"{name} timestamping", self.key, start, end)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=True)
        self.certificate = self.root.sign(builder)
        self._serial = 0

    @property
    def chain(self) -> tuple[bytes, bytes]:
        """The leaf, then the root, in DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER), self.root.der

    def stamp(self, data: bytes, at: datetime, *, with_certificate: bool = True) -> bytes:
        """A TimeStampResp over `data`, in DER, that says it was there at `at`."""
        info = self._info(hashlib.sha256(data).digest(), at)
        attributes = self._attributes(info)
        certificate = self.chain[0]
        signer = _sequence(
            _integer(1),
            _sequence(self.certificate.issuer.public_bytes(), _integer(self.certificate.serial_number)),
            _algorithm(_SHA256),
            b"\xa0" + _set(*attributes)[1:],
            _sequence(_oid(_ECDSA_SHA256)),
            _octets(sign(self.key, _set(*attributes))),
        )
        signed_data = _sequence(
            _integer(3),
            _set(_algorithm(_SHA256)),
            _sequence(_oid(_TST_INFO), _tagged(0, _octets(info))),
            *([_tagged(0, certificate)] if with_certificate else []),
            _set(signer),
        )
        return _sequence(_sequence(_integer(0)), _sequence(_oid(_SIGNED_DATA), _tagged(0, signed_data)))

    def _info(self, digest: bytes, at: datetime) -> bytes:
        self._serial += 1
        time = at.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode()
        return _sequence(
            _integer(1),
            _oid(_POLICY),
            _sequence(_algorithm(_SHA256), _octets(digest)),
            _integer(self._serial),
            _der(0x18, time),
        )

    def _attributes(self, info: bytes) -> list[bytes]:
        """The signed attributes, in the order that DER gives to a set."""
        certificate = hashlib.sha256(self.chain[0]).digest()
        return sorted(
            [
                _sequence(_oid(_CONTENT_TYPE), _set(_oid(_TST_INFO))),
                _sequence(_oid(_MESSAGE_DIGEST), _set(_octets(hashlib.sha256(info).digest()))),
                _sequence(
                    _oid(_SIGNING_CERTIFICATE), _set(_sequence(_sequence(_sequence(_octets(certificate)))))
                ),
            ]
        )


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _sequence(*parts: bytes) -> bytes:
    return _der(0x30, b"".join(parts))


def _set(*parts: bytes) -> bytes:
    return _der(0x31, b"".join(parts))


def _tagged(number: int, content: bytes) -> bytes:
    return _der(0xA0 | number, content)


def _octets(data: bytes) -> bytes:
    return _der(0x04, data)


def _integer(number: int) -> bytes:
    return _der(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _algorithm(dotted: str) -> bytes:
    return _sequence(_oid(dotted), b"\x05\x00")


def _oid(dotted: str) -> bytes:
    first, second, *rest = (int(part) for part in ObjectIdentifier(dotted).dotted_string.split("."))
    encoded = bytearray()
    for number in (first * 40 + second, *rest):
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(0x80 | number & 0x7F)
        encoded += bytes(reversed(groups))
    return _der(0x06, bytes(encoded))
