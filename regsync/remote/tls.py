"""The files that TLS needs: a private CA, and who we are by certificate."""

from dataclasses import dataclass, field
from pathlib import Path

from regsync.regular_file import read_regular
from regsync.remote.errors import TlsError

MAX_FILE = 1024 * 1024  # bytes
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. `ca` is trusted besides the system's roots; `key` belongs to `cert` and may be in it."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """Those that there are."""
        return tuple(path for path in (self.ca, self.cert, self.key) if path is not None)

    def read(self) -> "TlsMaterial":
        """Read them; raises TlsError naming the file and what is wrong with it."""
        if self.key is not None and self.cert is None:
            raise TlsError(f"tls.key {self.key} has no tls.cert to go with it")
        authority = _read(self.ca, "tls.ca", _CERTIFICATE) if self.ca else None
        if self.cert is None:
            return TlsMaterial(authority, None)
        certificate = _read(self.cert, "tls.cert", _CERTIFICATE)
        key = _read(self.key, "tls.key", b"PRIVATE KEY-----") if self.key else b""
        identity = key + b"\n" + certificate
        if b"PRIVATE KEY-----" not in identity:
            raise TlsError(f"tls.cert {self.cert} holds no private key, and tls.key is not set")
        if b"ENCRYPTED" in identity:
            message = f"the private key in {self.key or self.cert} is encrypted; there is nobody to ask"
            hint = "decrypt it with `openssl pkey -in KEY -out PLAIN`, readable by regsync alone"
            raise TlsError(message, hint=hint)
        return TlsMaterial(authority, identity)


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """What was in the files."""

    authority: bytes | None
    identity: bytes | None = field(repr=False)  # key and certificates

    def read(self) -> "TlsMaterial":
        """Itself: for who holds no files."""
        return self

    @property
    def files(self) -> tuple[Path, ...]:
        """None: it was given."""
        return ()


def _read(path: Path, key: str, marker: bytes) -> bytes:
    try:
        raw = read_regular(path, MAX_FILE + 1)
    except OSError as cause:
        raise TlsError(f"{key} {path}: {cause.strerror or 'cannot be read'}") from cause
    if len(raw) > MAX_FILE:
        raise TlsError(f"{key} {path}: longer than {MAX_FILE} bytes")
    if marker not in raw:
        raise TlsError(f"{key} {path}: not in PEM form, no {marker.decode().strip('-')} in it")
    return raw
