"""Digests: `algorithm:encoded`, the name of content (image-spec, "Digests")."""

import hashlib
import re
from dataclasses import dataclass
from typing import Protocol, Self

from regsync.errors import RegsyncError

SHA256 = "sha256"
SHA512 = "sha512"
HEX_LENGTH = {SHA256: 64, SHA512: 128}  # characters

_GRAMMAR = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")
_HEX = re.compile(r"[a-f0-9]+")


class InvalidDigestError(RegsyncError, ValueError):
    """The text is no digest, or one of an algorithm that we cannot compute."""

    def __init__(self, text: str, cause: str) -> None:
        super().__init__(f"invalid digest {text[:160]!r}: {cause}")


class Hasher(Protocol):
    """What hashlib returns."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take more bytes."""
        ...

    def hexdigest(self) -> str:
        """The hash of what was taken so far, in lower-case hex."""
        ...


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """The hash that names content. Values come from `parse`, `of` or `from_hasher` only."""

    algorithm: str
    encoded: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `sha256:<64 hex>` or `sha512:<128 hex>`; raises InvalidDigestError."""
        algorithm, colon, encoded = text.partition(":")
        length = HEX_LENGTH.get(algorithm)
        if length is None or not colon:
            if _GRAMMAR.fullmatch(text) is None:
                raise InvalidDigestError(text, "expected algorithm:hex, such as sha256:4355a46b…")
            raise InvalidDigestError(text, f"algorithm {algorithm!r} is not one of sha256, sha512")
        if len(encoded) != length or _HEX.fullmatch(encoded) is None:
            raise InvalidDigestError(text, f"{algorithm} takes {length} lower-case hex characters")
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, data: bytes, algorithm: str = SHA256) -> Self:
        """The digest of `data`."""
        return cls(algorithm, hashlib.new(algorithm, data).hexdigest())

    @classmethod
    def from_hasher(cls, hasher: Hasher, algorithm: str) -> Self:
        """The digest of what `hasher`, made for `algorithm`, was fed."""
        return cls(algorithm, hasher.hexdigest())

    def hasher(self) -> Hasher:
        """A fresh hash object of this digest's algorithm."""
        return hashlib.new(self.algorithm)

    def short(self, characters: int = 12) -> str:
        """The first `characters` of the hex, for people."""
        return self.encoded[:characters]

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.encoded}"
