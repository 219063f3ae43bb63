"""JSON Web Tokens of the issuers that the spec names, as logins (RFC 7519, RFC 8725)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from jwt.api_jws import PyJWS
from jwt.exceptions import PyJWTError
from jwt.utils import base64url_decode

from regsync.clock import Clock
from regsync.errors import RegsyncError
from regsync.oci.strict_json import InvalidJSONError, loads
from regsync.server.access import Principal
from regsync.server.issuer_keys import ALGORITHMS, IssuerKeys
from regsync.server.roles import claim_matches
from regsync.spec.globs import compile_glob
from regsync.spec.server import JwtIssuer

LEEWAY = 60.0  # seconds that clocks may differ
MAX_NAME = 512  # characters of a user or group
MAX_GROUPS = 500

Claims = Mapping[str, object]


class InvalidTokenError(RegsyncError):
    """A token is no login here; the message may be shown to its bearer."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a token makes of its bearer, and until when, by the wall clock (seconds)."""

    principal: Principal
    until: float


class Tokens:
    """Reads tokens."""

    def __init__(self, issuers: Sequence[tuple[JwtIssuer, IssuerKeys]], clock: Clock) -> None:
        self._clock = clock
        self._issuers = {issuer.issuer: (issuer, keys) for issuer, keys in issuers}
        self._signatures = PyJWS(list(ALGORITHMS))

    async def bearer(self, token: str) -> Bearer:
        """Who bears it. Raises InvalidTokenError, and IssuerKeysError when nobody can tell."""
        header, unverified = _parts(token)
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise InvalidTokenError("the token's algorithm is none that is taken")
        if "crit" in header:
            raise InvalidTokenError("the token has a critical extension that is not known here")
        # Read before it is verified, only to know whose keys to verify it with.
        claimed = unverified.get("iss")
        if not isinstance(claimed, str) or claimed not in self._issuers:
            raise InvalidTokenError("the token's issuer is none that is known here")
        issuer, keys = self._issuers[claimed]
        key_id = header.get("kid")
        key = await keys.find(key_id if isinstance(key_id, str) else None, algorithm)
        if key is None:
            raise InvalidTokenError("the token is signed with a key that its issuer does not have")
        try:
            verified = self._signatures.decode_complete(token, key, [algorithm])
        except PyJWTError as cause:
            raise InvalidTokenError("the token's signature is wrong") from cause
        return _bearer(issuer, _object(verified["payload"]), self._clock.now())


def _parts(token: str) -> tuple[Claims, Claims]:
    header, _, rest = token.partition(".")
    payload, _, _ = rest.partition(".")
    try:
        return _object(base64url_decode(header)), _object(base64url_decode(payload))
    except ValueError as cause:
        raise InvalidTokenError("the token is malformed") from cause


def _object(raw: bytes) -> Claims:
    try:
        found = loads(raw)
    except InvalidJSONError as cause:
        raise InvalidTokenError("the token is malformed") from cause
    if not isinstance(found, dict):
        raise InvalidTokenError("the token is malformed")
    return found


def _bearer(issuer: JwtIssuer, claims: Claims, now: datetime) -> Bearer:
    moment = now.timestamp()
    until = _time(claims, "exp")
    if until is None:
        raise InvalidTokenError("the token never expires, so it is not taken")
    if until + LEEWAY <= moment:
        raise InvalidTokenError("the token has expired")
    for name in ("nbf", "iat"):
        start = _time(claims, name)
        if start is not None and start - LEEWAY > moment:
            raise InvalidTokenError(f"the token is not valid yet ({name})")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if not any(one in audiences for one in issuer.audiences):
        raise InvalidTokenError("the token is for another audience")
    for name, glob in issuer.require.items():
        if not claim_matches(claims, name, compile_glob(glob)):
            raise InvalidTokenError(f"the token's claim {name[:80]} is not one that is asked for here")
    principal = Principal(
        name=f"{issuer.name}:{_user(issuer, claims)}",
        groups=frozenset(f"{issuer.name}:{one}" for one in _groups(issuer, claims)),
        claims=claims,
        issuer=issuer.name,
    )
    return Bearer(principal, until + LEEWAY)


def _time(claims: Claims, name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**40:
        raise InvalidTokenError(f"the token's claim {name} is no time")
    return float(value)


def _user(issuer: JwtIssuer, claims: Claims) -> str:
    value = claims.get(issuer.username)
    if not isinstance(value, str) or not _is_name(value):
        raise InvalidTokenError(f"the token's claim {issuer.username[:80]} names no user")
    return value


def _groups(issuer: JwtIssuer, claims: Claims) -> Sequence[str]:
    value = claims.get(issuer.groups)
    values = value if isinstance(value, list) else [value]
    return [one for one in values[:MAX_GROUPS] if isinstance(one, str) and _is_name(one)]


def _is_name(text: str) -> bool:
    """Whether it can stand in a log and in a rule."""
    return 0 < len(text) <= MAX_NAME and text.isprintable()
