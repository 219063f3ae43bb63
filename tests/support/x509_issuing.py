"""Certificate authorities for tests: roots, intermediates, and what they issue."""

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.signing_keys import SigningKey

START, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)


class CertificateAuthority:
    """A self-signed root, or an intermediate below `issuer`."""

    def __init__(
        self,
        name: str,
        issuer: "CertificateAuthority | None" = None,
        *,
        start: datetime = START,
        end: datetime = END,
        purpose: x509.ObjectIdentifier | None = None,
    ) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "example"),
                x509.NameAttribute(NameOID.COMMON_NAME, name),
            ]
        )
        signer = issuer or self
        usage = _usage(signs_certificates=True)
        builder = signer._builder(self.name, self.key, start, end).add_extension(usage, critical=True)
        constraints = x509.BasicConstraints(ca=True, path_length=1 if issuer is None else 0)
        builder = builder.add_extension(constraints, critical=True)
        if purpose is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        self.certificate = signer.sign(builder)

    @property
    def der(self) -> bytes:
        """Its certificate."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def builder(
        self, name: str | None, key: SigningKey, start: datetime, end: datetime
    ) -> x509.CertificateBuilder:
        """A certificate for a key that signs data; who calls adds extensions and has it signed.

        Without a name the subject is empty, as in Fulcio's certificates.
        """
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else []
        builder = self._builder(x509.Name(subject), key, start, end)
        return builder.add_extension(_usage(signs_certificates=False), critical=True)

    def _builder(
        self, subject: x509.Name, key: SigningKey, start: datetime, end: datetime
    ) -> x509.CertificateBuilder:
        public = key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
        )

    def sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        """Issue it."""
        return builder.sign(self.key, hashes.SHA256())


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
