"""A private Sigstore: a Fulcio with its certificate log, a Rekor, a timestamp authority, a trusted root.

    pki = SigstorePki()
    signer = pki.certify(new_key())                     # a leaf, as Fulcio issues one for ten minutes
    root = pki.trusted_root()                           # for sigstore-python, cosign and us alike

`tests/support/sigstore_evidence.py` signs with it. Sources: Fulcio's `docs/certificate-specification.md` and
`oid-info.md`; RFC 6962, section 3; sigstore/protobuf-specs `sigstore_trustroot.proto`.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from tests.support.rekor_log import RekorLog, b64
from tests.support.signing_keys import SigningKey, details, new_key, public_der, public_pem, sign
from tests.support.timestamp_authority import TimestampAuthority
from tests.support.x509_issuing import END, START, CertificateAuthority

Json = dict[str, Any]

SUBJECT = "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.0.0"
ISSUER = "https://token.actions.githubusercontent.com"
SIGNED_AT = datetime(2026, 11, 1, 10, tzinfo=UTC)
EXTENSIONS = {  # of what certify() takes, the number below 1.3.6.1.4.1.57264.1
    "buildSignerURI": 9,
    "runnerEnvironment": 11,
    "sourceRepositoryURI": 12,
    "sourceRepositoryDigest": 13,
    "sourceRepositoryRef": 14,
    "buildTrigger": 20,
}

_FULCIO = "1.3.6.1.4.1.57264.1"
_SCT_LIST = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")


@dataclass(frozen=True)
class Signer:
    """Who signs: a key, and the certificates for it, the leaf first; none for a managed key."""

    key: SigningKey
    certificates: tuple[bytes, ...] = ()

    @property
    def verifier_pem(self) -> bytes:
        """What a log entry names: the certificate, or else the key, in PEM."""
        if not self.certificates:
            return public_pem(self.key)
        leaf = x509.load_der_x509_certificate(self.certificates[0])
        return leaf.public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True)
class Leaf:
    """How a certificate is to be; by default as Fulcio issues one."""

    subject: str = SUBJECT
    issuer: str = ISSUER
    extensions: Mapping[str, str] = field(default_factory=dict)
    start: datetime = SIGNED_AT - timedelta(minutes=1)
    lifetime: timedelta = timedelta(minutes=10)
    purpose: ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING
    has_sct: bool = True
    sct_of_another: bool = False  # a valid one, of a certificate for another name


class SigstorePki:
    """Everything that a Sigstore instance has keys for; two instances trust nothing of each other."""

    def __init__(self, *, log: RekorLog | None = None, tsa: TimestampAuthority | None = None) -> None:
        purpose = ExtendedKeyUsageOID.CODE_SIGNING
        self.root = CertificateAuthority("fulcio root")
        self.intermediate = CertificateAuthority("fulcio intermediate", self.root, purpose=purpose)
        self.ct_key = new_key()
        self.log = log or RekorLog()
        self.tsa = tsa or TimestampAuthority("example", START, END)

    def certify(self, key: SigningKey, leaf: Leaf | None = None) -> Signer:
        """A certificate for `key`, with the intermediate above it."""
        wanted = leaf or Leaf()
        builder = self._builder(key, wanted)
        if wanted.has_sct:
            logged = self._builder(new_key(), wanted) if wanted.sct_of_another else builder
            precertificate = self.intermediate.sign(logged).tbs_certificate_bytes
            sct = self._sct(precertificate, wanted.start)
            builder = builder.add_extension(x509.UnrecognizedExtension(_SCT_LIST, sct), critical=False)
        certificate = self.intermediate.sign(builder)
        return Signer(
            key, (certificate.public_bytes(serialization.Encoding.DER), self.intermediate.der, self.root.der)
        )

    def _builder(self, key: SigningKey, leaf: Leaf) -> x509.CertificateBuilder:
        name: x509.GeneralName = (
            x509.UniformResourceIdentifier(leaf.subject)
            if "://" in leaf.subject
            else x509.RFC822Name(leaf.subject)
        )
        builder = self.intermediate.builder(None, key, leaf.start, leaf.start + leaf.lifetime)
        builder = builder.add_extension(x509.ExtendedKeyUsage([leaf.purpose]), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=True)
        values = {1: leaf.issuer.encode(), 8: _utf8_string(leaf.issuer)}
        values |= {EXTENSIONS[key]: _utf8_string(value) for key, value in leaf.extensions.items()}
        for number, value in values.items():
            extension = x509.UnrecognizedExtension(ObjectIdentifier(f"{_FULCIO}.{number}"), value)
            builder = builder.add_extension(extension, critical=False)
        return builder

    def _sct(self, precertificate: bytes, at: datetime) -> bytes:
        """A list of one signed certificate timestamp, as the extension holds it."""
        issuer = hashlib.sha256(public_der(self.intermediate.key)).digest()
        log_id = hashlib.sha256(public_der(self.ct_key)).digest()
        milliseconds = struct.pack(">Q", int(at.timestamp() * 1000))
        size = struct.pack(">I", len(precertificate))[1:]
        signed = b"\x00\x00" + milliseconds + b"\x00\x01" + issuer + size + precertificate + b"\x00\x00"
        signature = sign(self.ct_key, signed)
        sct = b"\x00" + log_id + milliseconds + b"\x00\x00" + b"\x04\x03" + _sized(signature)
        listed = _sized(_sized(sct))
        return _der_long(0x04, listed)

    def trusted_root_document(self) -> Json:
        """The trusted root, for tests that leave something out of it."""
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [_log(f"https://{self.log.host}", self.log.key, self.log.log_id)],
            "certificateAuthorities": [
                _authority("https://fulcio.example", self.intermediate.der, self.root.der)
            ],
            "ctlogs": [
                _log("https://ctlog.example", self.ct_key, hashlib.sha256(public_der(self.ct_key)).digest())
            ],
            "timestampAuthorities": [_authority("https://tsa.example", *self.tsa.chain)],
        }

    def trusted_root(self, *without: str) -> bytes:
        """The trusted root as a file; `without` empties lists, such as `tlogs`."""
        return json.dumps(self.trusted_root_document() | {key: [] for key in without}).encode()


def _log(url: str, key: SigningKey, log_id: bytes) -> Json:
    public = {
        "rawBytes": b64(public_der(key)),
        "keyDetails": details(key),
        "validFor": {"start": _time(START)},
    }
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": public,
        "logId": {"keyId": b64(log_id)},
    }


def _authority(uri: str, *chain: bytes) -> Json:
    return {
        "subject": {"organization": "example", "commonName": "example"},
        "uri": uri,
        "certChain": {"certificates": [{"rawBytes": b64(one)} for one in chain]},
        "validFor": {"start": _time(START)},
    }


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _sized(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def _utf8_string(text: str) -> bytes:
    return _der_long(0x0C, text.encode())


def _der_long(tag: int, content: bytes) -> bytes:
    """DER of one tag, for fewer than 256 bytes."""
    size = bytes([len(content)]) if len(content) < 0x80 else bytes([0x81, len(content)])
    return bytes([tag]) + size + content
