"""Certificates and keys, checked before the TLS library sees them: what it does not take ends the process.

It gets copies in memory: whatever renews the files may be at work, and what was checked has to be what
is used.
"""

import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from regsync.errors import RegsyncError
from regsync.spec.server import ServerTls

_RSA = range(2048, 8193)  # bits
_CURVES = ("secp256r1", "secp384r1")


class TlsFilesError(RegsyncError):
    """A certificate and its key cannot be used."""

    usual_hint = "tls.cert has to hold the chain in PEM form, tls.key the key of its first, not encrypted"

    def __init__(self, tls: ServerTls, cause: str) -> None:
        super().__init__(f"certificate {tls.cert} with key {tls.key}: {cause}")


@contextmanager
def checked(tls: ServerTls) -> Iterator[ServerTls]:
    """The same certificate and key, as files that nobody changes while inside.

    Raises TlsFilesError. Blocking; imports cryptography (60 ms).
    """
    with ExitStack() as stack:
        try:
            held = ServerTls(*(_in_memory(path, stack) for path in (tls.cert, tls.key)))
            cause = _refused(held.cert, held.key)
        except OSError as error:  # SSLError is one
            raise TlsFilesError(tls, error.strerror or str(error)) from error
        except (ValueError, TypeError) as error:
            raise TlsFilesError(tls, str(error)) from error
        if cause is not None:
            raise TlsFilesError(tls, cause)
        yield held


def _in_memory(path: Path, stack: ExitStack) -> Path:
    content = path.read_bytes()
    if sys.platform != "linux":
        return path
    file = os.memfd_create("tls")
    stack.callback(os.close, file)
    os.write(file, content)
    return Path(f"/proc/self/fd/{file}")


def _refused(cert: Path, key: Path) -> str | None:
    """Why rustls with ring, granian's, would refuse what OpenSSL takes; None if it would not."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key, password=lambda: "")  # asks no terminal
    if x509.load_pem_x509_certificates(cert.read_bytes())[0].version is not x509.Version.v3:
        return "the certificate is of version 1; version 3 is needed"
    match load_pem_private_key(key.read_bytes(), None):
        case RSAPrivateKey(key_size=bits) if bits in _RSA:
            return None
        case EllipticCurvePrivateKey(curve=curve) if curve.name in _CURVES:
            return None
        case Ed25519PrivateKey():
            return None
    return "the key is none of RSA with 2048 to 8192 bits, ECDSA on P-256 or P-384, and Ed25519"
