"""`WWW-Authenticate`: which schemes a registry offers, and with what parameters.

One header may hold several challenges, and several headers may come; values may be quoted, hold
commas, escapes and blanks. Source: RFC 9110, section 11; distribution, "Token Authentication".
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urljoin

MAX_HEADER = 8 * 1024  # characters of one header that are read
MAX_CHALLENGES = 16
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word for a name
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))\s*(?:,|$)', re.DOTALL)
_UNCLOSED = re.compile(rf'\s*({_TOKEN})\s*=\s*"((?:[^"\\]|\\.)*)$', re.DOTALL)
_SCHEME = re.compile(rf"[\s,]*({_TOKEN})(?:(\s*,|\s*$)|\s+)")
_TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*\s*(?:,|$)")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One scheme, lower case, and its parameters by lower-case name."""

    scheme: str
    parameters: Mapping[str, str]

    @property
    def error(self) -> str | None:
        """Why a token was refused, such as `insufficient_scope`. Source: RFC 6750, section 3.1."""
        return self.parameters.get("error")

    def realm(self, url: str) -> str:
        """The realm as an absolute URL, resolved against the URL that was asked for."""
        return urljoin(url, self.parameters.get("realm", ""))


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Every challenge in the headers, in the order offered. What cannot be read is left out."""
    found: list[Challenge] = []
    for header in headers:
        found += _parse(header[:MAX_HEADER])
        if len(found) >= MAX_CHALLENGES:
            break
    return found[:MAX_CHALLENGES]


def best(challenges: Iterable[Challenge]) -> Challenge | None:
    """The challenge that is answered: a Bearer with a realm, else Basic; None where neither is offered."""
    basic = None
    for challenge in challenges:
        if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
            return challenge
        if challenge.scheme == "basic" and basic is None:
            basic = challenge
    return basic


def _parse(header: str) -> list[Challenge]:
    found: list[Challenge] = []
    position = 0
    while (scheme := _SCHEME.match(header, position)) is not None:
        position = scheme.end()
        parameters: dict[str, str] = {}
        stands_alone = scheme[2] is not None
        if not stands_alone and (blob := _TOKEN68.match(header, position)) is not None:
            position = blob.end()  # `Negotiate <base64>`
        elif not stands_alone:
            position = _parameters(header, position, parameters)
        found.append(Challenge(scheme[1].lower(), parameters))
    return found


def _parameters(header: str, position: int, into: dict[str, str]) -> int:
    """Read `name=value` pairs from `position` on; where they end."""
    while (parameter := _PARAMETER.match(header, position)) is not None:
        position = parameter.end()
        name, quoted, bare = parameter.groups()
        into.setdefault(name.lower(), _ESCAPED.sub(r"\1", quoted) if quoted is not None else bare)
    if (unclosed := _UNCLOSED.match(header, position)) is not None:
        position = unclosed.end()
        into.setdefault(unclosed[1].lower(), _ESCAPED.sub(r"\1", unclosed[2]))
    return position
