"""Who may sign: parts of the subject that a signer's certificate has to have.

Source: notaryproject specifications, trust-store-trust-policy.md, "Trusted Identities Constraints";
RFC 4514 for the text of a name.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from cryptography.x509.oid import NameOID

from regsync.trust.notation.certificate import Certificate

ANY = "*"
_PREFIX = "x509.subject"
_OIDS = {
    "CN": NameOID.COMMON_NAME,
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "STREET": NameOID.STREET_ADDRESS,
    "POSTALCODE": NameOID.POSTAL_CODE,
    "SERIALNUMBER": NameOID.SERIAL_NUMBER,
    "DC": NameOID.DOMAIN_COMPONENT,
    "UID": NameOID.USER_ID,
}
_MANDATORY = ("C", "ST", "O")
_ESCAPED = re.compile(rb"\\([0-9A-Fa-f]{2})|\\([ \"#+,;<=>\\])|\\(.?)", re.DOTALL)
_PART = re.compile(r"(?:[^\\,;+\"]|\\.)*", re.DOTALL)


class InvalidIdentityError(ValueError):
    """The text names no identity; says why."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Parts of a subject, by the short names of their types; all have to be there."""

    text: str
    parts: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `x509.subject: C=US, ST=WA, O=Acme, CN=signer`; raises InvalidIdentityError."""
        prefix, colon, name = text.partition(":")
        if not colon or prefix != _PREFIX:
            raise InvalidIdentityError(
                f"{text!r:.200} does not begin with `{_PREFIX}:`; identities of plugins are not supported"
            )
        parts: dict[str, str] = {}
        for kind, value in map(_part, _split(name)):
            if kind in parts:
                raise InvalidIdentityError(f"{text!r:.200} has {kind} twice")
            parts[kind] = value
        if missing := [kind for kind in _MANDATORY if kind not in parts]:
            raise InvalidIdentityError(f"{text!r:.200} lacks {', '.join(missing)}; C, ST and O are needed")
        return cls(text, parts)

    def matches(self, certificate: Certificate) -> bool:
        """Whether the subject has each part, and no second of its type that could be meant instead."""
        return all(
            [attribute.value for attribute in certificate.parsed.subject.get_attributes_for_oid(_OIDS[kind])]
            == [value]
            for kind, value in self.parts.items()
        )

    def is_within(self, other: "Identity") -> bool:
        """Whether `other` trusts all that this one does."""
        return other.parts.items() <= self.parts.items()


def parse_identities(texts: Sequence[str]) -> tuple[Identity, ...] | None:
    """Read a list of identities; None for `*`, whoever the stores vouch for.

    Raises InvalidIdentityError, also where two of them overlap, or `*` stands beside another.
    """
    if list(texts) == [ANY]:
        return None
    if not texts or ANY in texts:
        raise InvalidIdentityError("trusted identities are either `*` alone or one or more subjects")
    found = tuple(map(Identity.parse, texts))
    for index, one in enumerate(found):
        for other in found[:index]:
            if one.is_within(other) or other.is_within(one):
                raise InvalidIdentityError(f"{one.text!r:.200} and {other.text!r:.200} overlap")
    return found


def _split(name: str) -> list[str]:
    """The parts between commas that are not escaped."""
    parts, position = [], 0
    while True:
        matched = _PART.match(name, position)
        end = matched.end() if matched else position
        parts.append(name[position:end])
        if end == len(name):
            return parts
        if name[end] != ",":
            raise InvalidIdentityError(f"{name!r:.200} has {name[end]!r} without a backslash before it")
        position = end + 1


def _part(text: str) -> tuple[str, str]:
    kind, equals, value = text.partition("=")
    kind = kind.strip().upper()
    kind = "ST" if kind == "S" else kind
    if not equals or kind not in _OIDS:
        raise InvalidIdentityError(f"{text.strip()!r:.200} is no part of a subject; known are {_known()}")
    value = _unescape(_strip(value))
    if not value or text.partition("=")[2].lstrip().startswith("#"):
        raise InvalidIdentityError(f"{text.strip()!r:.200} has no text as its value")
    return kind, value


def _strip(value: str) -> str:
    """Without the spaces around it; one after a backslash belongs to it."""
    value = value.lstrip(" ")
    bare = value.rstrip(" ")
    backslashes = len(bare) - len(bare.rstrip("\\"))
    return bare + " " if backslashes % 2 and len(bare) < len(value) else bare


def _unescape(value: str) -> str:
    def character(found: re.Match[bytes]) -> bytes:
        if found[1] is not None:
            return bytes.fromhex(found[1].decode())
        if found[2] is not None:
            return found[2]
        raise InvalidIdentityError(f"{value!r:.200} has a backslash before what needs none")

    try:
        return _ESCAPED.sub(character, value.encode()).decode()
    except UnicodeDecodeError as cause:
        raise InvalidIdentityError(f"{value!r:.200} is no UTF-8 once unescaped") from cause


def _known() -> str:
    return ", ".join(sorted(_OIDS))
