"""The public keys of an issuer of tokens (RFC 7517): from a file, a URL, or where its discovery says.

They are read when a token first needs them, again once they are REFRESH old, and when a token names a
key that is not among them, so that an issuer may rotate its keys; at most once in RETRY. While the
issuer cannot be reached, the keys that it last had stay good.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from anyio import Lock, to_thread
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from regsync.clock import Clock
from regsync.errors import RegsyncError
from regsync.oci.strict_json import InvalidJSONError, loads
from regsync.spec.server import JwtIssuer
from regsync.spec.server_keys import is_safe_url

MAX_DOCUMENT = 512 * 1024  # bytes of a discovery document or a key set
MAX_KEYS = 200
MIN_RSA_BITS = 2048
REFRESH = 3600.0  # seconds
RETRY = 30.0  # seconds

# What may sign tokens, with the kind of key that it takes. Neither `none` nor any shared secret.
ALGORITHMS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    **{f"{family}{size}": ("RSA", ()) for family in ("RS", "PS") for size in (256, 384, 512)},
    "ES256": ("EC", ("P-256",)),
    "ES384": ("EC", ("P-384",)),
    "ES512": ("EC", ("P-521",)),
    "EdDSA": ("OKP", ("Ed25519", "Ed448")),
}

_log = logging.getLogger(__name__)


class Fetch(Protocol):
    """Gets a small document over HTTPS, following nothing; raises RegsyncError. `ca` is trusted too."""

    async def __call__(self, url: str, *, ca: Path | None, limit: int) -> bytes:
        """The body of a 200 answer, of at most `limit` bytes."""
        ...


class IssuerKeysError(RegsyncError):
    """An issuer's keys cannot be had."""

    def __init__(self, issuer: str, cause: str) -> None:
        super().__init__(f"the keys of issuer {issuer}: {cause}")


class IssuerKeys:
    """The keys of one issuer."""

    def __init__(self, issuer: JwtIssuer, fetch: Fetch, clock: Clock) -> None:
        self._issuer, self._fetch, self._clock = issuer, fetch, clock
        self._keys: Sequence[Mapping[str, object]] = ()
        self._error: RegsyncError | None = None
        self._tried: float | None = None
        self._lock = Lock()

    async def find(self, key_id: str | None, algorithm: str) -> PyJWK | None:
        """The key that a token names, or the only one that fits; None where there is none.

        Raises IssuerKeysError when the keys could never be read.
        """
        await self._refresh(REFRESH)
        found = self._find(key_id, algorithm)
        if found is None:
            await self._refresh(RETRY)
            found = self._find(key_id, algorithm)
        if found is None and not self._keys and self._error is not None:
            raise IssuerKeysError(self._issuer.issuer, str(self._error)) from self._error
        return found

    def look_again(self) -> None:
        """Take what is in a file for changed: it may have been edited with the spec. From any thread."""
        if isinstance(self._issuer.jwks, Path):
            self._tried = None

    def _find(self, key_id: str | None, algorithm: str) -> PyJWK | None:
        fitting = [one for one in self._keys if _fits(one, algorithm)]
        if key_id is not None:
            fitting = [one for one in fitting if one.get("kid") == key_id]
        elif len(fitting) > 1:
            return None
        return _public_key(fitting[0], algorithm) if fitting else None

    async def _refresh(self, age: float) -> None:
        """Read the keys again when they are older than `age` seconds, or could not be read that long ago."""
        if not self._is_due(age):
            return
        if self._keys and self._lock.locked():
            return  # those that there are will do until somebody else has read the new ones
        async with self._lock:
            if not self._is_due(age):
                return
            self._tried = self._clock.monotonic()
            try:
                self._keys = await self._read()
                self._error = None
            except RegsyncError as error:
                self._error = error
                _log.warning("keys of issuer %s are not read: %s", self._issuer.issuer, error)

    def _is_due(self, age: float) -> bool:
        tried = self._tried
        if tried is None:
            return True
        return self._clock.monotonic() - tried >= (RETRY if self._error is not None else age)

    async def _read(self) -> Sequence[Mapping[str, object]]:
        jwks = self._issuer.jwks
        if isinstance(jwks, Path):
            return _parse_keys(self._issuer, await to_thread.run_sync(_read_file, self._issuer, jwks))
        url = jwks or await self._discover()
        return _parse_keys(self._issuer, await self._fetch(url, ca=self._issuer.ca, limit=MAX_DOCUMENT))

    async def _discover(self) -> str:
        """OpenID Connect Discovery 1.0, section 4."""
        issuer = self._issuer.issuer
        url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        document = _parse(self._issuer, await self._fetch(url, ca=self._issuer.ca, limit=MAX_DOCUMENT))
        if document.get("issuer") != issuer:
            raise IssuerKeysError(issuer, f"{url} speaks of another issuer, {document.get('issuer')!r:.200}")
        found = document.get("jwks_uri")
        if not isinstance(found, str) or not is_safe_url(found):
            raise IssuerKeysError(issuer, f"{url} has no jwks_uri with https")
        return found


def _read_file(issuer: JwtIssuer, path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_DOCUMENT + 1)
    except OSError as cause:
        raise IssuerKeysError(issuer.issuer, f"{path}: {cause.strerror or 'cannot be read'}") from cause
    if len(raw) > MAX_DOCUMENT:
        raise IssuerKeysError(issuer.issuer, f"{path}: longer than {MAX_DOCUMENT} bytes")
    return raw


def _parse(issuer: JwtIssuer, raw: bytes) -> Mapping[str, object]:
    try:
        document = loads(raw)
    except InvalidJSONError as cause:
        raise IssuerKeysError(issuer.issuer, str(cause)) from cause
    if not isinstance(document, dict):
        raise IssuerKeysError(issuer.issuer, "expected an object of JSON")
    return document


def _parse_keys(issuer: JwtIssuer, raw: bytes) -> Sequence[Mapping[str, object]]:
    keys = _parse(issuer, raw).get("keys")
    if not isinstance(keys, list):
        raise IssuerKeysError(issuer.issuer, "expected a set of keys, `keys`, in JSON")
    return [one for one in keys[:MAX_KEYS] if isinstance(one, dict)]


def _fits(key: Mapping[str, object], algorithm: str) -> bool:
    """Whether a key may be used with an algorithm, by what it says of itself."""
    kind, curves = ALGORITHMS[algorithm]
    return (
        key.get("kty") == kind
        and (not curves or key.get("crv") in curves)
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
    )


def _public_key(key: Mapping[str, object], algorithm: str) -> PyJWK | None:
    """The key itself; None for one that is malformed, or too short to mean anything."""
    public = {name: value for name, value in key.items() if name not in ("d", "p", "q", "dp", "dq", "qi")}
    try:
        found = PyJWK(public, algorithm)
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    bits = getattr(found.key, "key_size", MIN_RSA_BITS)
    return None if public.get("kty") == "RSA" and bits < MIN_RSA_BITS else found
