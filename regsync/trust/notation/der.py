"""Just enough DER to take a list apart: certificates in a file, the attributes of a CMS signature.

Source: ITU-T X.690, section 10. Tags of one byte and definite lengths of up to four bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

SEQUENCE = 0x30
SET = 0x31
OCTETS = 0x04
OBJECT_ID = 0x06
CONTEXT_0 = 0xA0


class InvalidDerError(ValueError):
    """The bytes are no DER of the kind that is read here."""


@dataclass(frozen=True, slots=True)
class Element:
    """One value with its tag."""

    tag: int
    body: bytes
    whole: bytes

    def children(self, tag: int | None = None) -> tuple["Element", ...]:
        """The values inside of it, of one tag alone if it is given; raises InvalidDerError."""
        return tuple(child for child in elements(self.body) if tag in (None, child.tag))

    def child(self, tag: int) -> "Element":
        """The first value inside of it that has this tag; raises InvalidDerError."""
        for found in elements(self.body):
            if found.tag == tag:
                return found
        raise InvalidDerError(f"no value with tag {tag:#04x} where one belongs")


def elements(data: bytes) -> Iterator[Element]:
    """The values that `data` is made of, one after another; raises InvalidDerError."""
    start = 0
    while start < len(data):
        body, end = _extent(data, start)
        yield Element(data[start], data[body:end], data[start:end])
        start = end


def wrap(tag: int, *parts: bytes) -> bytes:
    """A value made of `parts`."""
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes((tag, len(body))) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + body


def _extent(data: bytes, start: int) -> tuple[int, int]:
    """Where the body of the value at `start` begins and ends."""
    if start + 2 > len(data) or data[start] & 0x1F == 0x1F:
        raise InvalidDerError("truncated, or with a tag of several bytes")
    first, body = data[start + 1], start + 2
    if first < 0x80:
        length = first
    else:
        octets = first & 0x7F
        if not 1 <= octets <= 4 or body + octets > len(data):
            raise InvalidDerError("with a length that is indefinite, too large or truncated")
        length, body = int.from_bytes(data[body : body + octets]), body + octets
    if body + length > len(data):
        raise InvalidDerError("truncated")
    return body, body + length
