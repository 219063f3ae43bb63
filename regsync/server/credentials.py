"""What an `Authorization` header says, before anybody has checked it (RFC 7617, RFC 6750)."""

import base64
import binascii
import re
from dataclasses import dataclass, field

MAX_HEADER = 24 * 1024  # characters; tokens of issuers that list many groups have 16 KiB
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class MalformedCredentialsError(ValueError):
    """The header is neither Basic nor Bearer credentials."""


@dataclass(frozen=True, slots=True)
class Password:
    """A user name and a password."""

    user: str
    password: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """A JSON Web Token, by its looks."""

    text: str = field(repr=False)


def parse_authorization(header: str) -> Password | Token | None:
    """Read it; raises MalformedCredentialsError.

    A token may also be the password of any user, since that is all that clients of registries can be
    told. None: neither user nor password, which some clients send when they have none.
    """
    scheme, _, rest = header.partition(" ")
    rest = rest.strip()
    if len(header) > MAX_HEADER:
        raise MalformedCredentialsError(f"credentials are longer than {MAX_HEADER} characters")
    match scheme.lower():
        case "bearer":
            if _TOKEN.fullmatch(rest) is None:
                raise MalformedCredentialsError("the bearer token is no JSON Web Token")
            return Token(rest)
        case "basic":
            return _basic(rest)
        case _:
            raise MalformedCredentialsError("expected Basic or Bearer credentials")


def _basic(text: str) -> Password | Token | None:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as cause:
        raise MalformedCredentialsError("Basic credentials are not in base64") from cause
    user, colon, password = raw.partition(b":")
    if not colon:
        raise MalformedCredentialsError("Basic credentials have no colon")
    if not user and not password:
        return None
    if password.startswith(b"eyJ") and _TOKEN.fullmatch(found := password.decode("latin-1")):
        return Token(found)
    return Password(user.decode("utf-8", "replace"), password)
