"""Certificates and keys: those that the TLS library would end the process for are refused with a reason."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from regsync.server.tls_files import TlsFilesError, checked
from regsync.spec.server import ServerTls


def check(tls: ServerTls) -> tuple[bytes, bytes]:
    """What the TLS library would be given."""
    with checked(tls) as held:
        return held.cert.read_bytes(), held.key.read_bytes()


Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
PLAIN = NoEncryption()


def files(
    directory: Path,
    key: Key,
    *,
    form: PrivateFormat = PrivateFormat.PKCS8,
    encryption: KeySerializationEncryption = PLAIN,
) -> ServerTls:
    """A certificate that signs itself, and its key."""
    name, now = x509.Name([]), datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
    signed = made.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    tls = ServerTls(directory / "cert.pem", directory / "key.pem")
    tls.cert.write_bytes(signed.public_bytes(Encoding.PEM))
    tls.key.write_bytes(key.private_bytes(Encoding.PEM, form, encryption))
    return tls


@pytest.mark.parametrize(
    ("key", "form"),
    [
        pytest.param(ec.generate_private_key(ec.SECP256R1()), PrivateFormat.PKCS8, id="P-256"),
        pytest.param(ec.generate_private_key(ec.SECP384R1()), PrivateFormat.TraditionalOpenSSL, id="SEC 1"),
        pytest.param(ed25519.Ed25519PrivateKey.generate(), PrivateFormat.PKCS8, id="Ed25519"),
        pytest.param(rsa.generate_private_key(65537, 2048), PrivateFormat.TraditionalOpenSSL, id="PKCS 1"),
    ],
)
def test_usual_keys_are_good(key: Key, form: PrivateFormat, tmp_path: Path) -> None:
    tls = files(tmp_path, key, form=form)
    assert check(tls) == (tls.cert.read_bytes(), tls.key.read_bytes())


def test_what_was_checked_is_used_whatever_becomes_of_the_files(tmp_path: Path) -> None:
    tls = files(tmp_path, ec.generate_private_key(ec.SECP256R1()))
    before = tls.cert.read_bytes()
    with checked(tls) as held:
        tls.cert.write_text("half a certif")
        assert held.cert.read_bytes() == before


def test_a_key_on_another_curve_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TlsFilesError, match="the key is none of RSA"):
        check(files(tmp_path, ec.generate_private_key(ec.SECP256K1())))


def test_an_encrypted_key_is_refused_and_nobody_asked_for_its_password(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(TlsFilesError, match=r"key\.pem"):
        check(files(tmp_path, key, encryption=BestAvailableEncryption(b"secret")))


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = files(tmp_path / "other", ec.generate_private_key(ec.SECP256R1()))
    own = files(tmp_path, ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(TlsFilesError, match=r"(?i)mismatch"):
        check(ServerTls(own.cert, other.key))


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(TlsFilesError, match="No such file"):
        check(ServerTls(tmp_path / "cert.pem", tmp_path / "key.pem"))
