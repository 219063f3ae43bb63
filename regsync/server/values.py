"""Names, tags and digests out of paths and queries, checked where they come in."""

from functools import lru_cache

from regsync.oci.digest import HEX_LENGTH, SHA256, Digest, InvalidDigestError
from regsync.oci.reference import InvalidReferenceError, RepositoryName, Tag
from regsync.server.failures import ApiError, name_invalid
from regsync.server.message import Request
from regsync.server.routes import REMEMBERED

MAX_PAGE = 1000  # entries in one page of a listing


@lru_cache(maxsize=REMEMBERED)
def parse_name(text: str) -> RepositoryName:
    """A repository's name; raises NAME_INVALID."""
    try:
        return RepositoryName.parse(text)
    except InvalidReferenceError as cause:
        raise name_invalid(str(cause)) from cause


@lru_cache(maxsize=REMEMBERED)
def parse_reference(text: str) -> Tag | Digest:
    """What a manifest is asked for by; raises DIGEST_INVALID or TAG_INVALID."""
    if ":" in text:
        return parse_digest(text)
    return parse_tag(text)


def parse_tag(text: str) -> Tag:
    """A tag; raises TAG_INVALID."""
    try:
        return Tag.parse(text)
    except InvalidReferenceError as cause:
        raise ApiError(400, "TAG_INVALID", str(cause)) from cause


def parse_digest(text: str) -> Digest:
    """A digest; raises DIGEST_INVALID."""
    try:
        return Digest.parse(text)
    except InvalidDigestError as cause:
        raise ApiError(400, "DIGEST_INVALID", str(cause)) from cause


def digest_algorithm(request: Request) -> str:
    """What names new content, sha256 unless the query says another; raises DIGEST_INVALID."""
    algorithm = request.parameter("digest-algorithm") or SHA256
    if algorithm not in HEX_LENGTH:
        known = ", ".join(HEX_LENGTH)
        raise ApiError(400, "DIGEST_INVALID", f"digest-algorithm {algorithm[:40]!r} is not one of {known}")
    return algorithm


def page_of(request: Request, most: int = MAX_PAGE) -> tuple[int, str]:
    """`n` and `last` of a listing: how many entries, at most `most`, and after which; raises ApiError."""
    text = request.parameter("n")
    last = request.parameter("last") or ""
    if text is None:
        return most, last
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ApiError(400, "PAGINATION_NUMBER_INVALID", f"n is {text[:40]!r}, expected a number from 0 on")
    return min(int(text), most), last
