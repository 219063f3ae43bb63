"""Conditional and partial requests (RFC 9110, sections 13 and 14)."""

import re
from dataclasses import dataclass

from regsync.oci.digest import Digest
from regsync.server.message import Request

_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})")


def etag(digest: Digest) -> bytes:
    """The entity tag of content that a digest names."""
    return f'"{digest}"'.encode()


def is_unchanged(request: Request, tag: bytes) -> bool:
    """Whether the client has it: `If-None-Match` names it, or anything."""
    given = request.header(b"if-none-match")
    if given is None:
        return False
    known = {one.strip().removeprefix("W/") for one in given.split(",")}
    return "*" in known or tag.decode() in known


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes `start` to `end`, both included."""

    start: int
    end: int


class UnsatisfiableError(Exception):
    """No part of the content is in the range."""


def wanted_part(request: Request, size: int, tag: bytes) -> Part | None:
    """The part that is asked for, None for all of it.

    What is no single range of bytes is ignored, as RFC 9110 has it (14.2), and so is one whose
    `If-Range` names another version. Raises UnsatisfiableError.
    """
    header = request.header(b"range")
    if header is None:
        return None
    version = request.header(b"if-range")
    if version is not None and version != tag.decode():
        return None
    found = _RANGE.fullmatch(header.strip())
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found[1], found[2]
    if not first:
        count = min(int(last), size)
        if count == 0:
            raise UnsatisfiableError
        return Part(size - count, size - 1)
    start, end = int(first), int(last) if last else size - 1
    if start >= size or end < start:
        raise UnsatisfiableError
    return Part(start, min(end, size - 1))
