"""Which endpoint a path names (distribution-spec, "Endpoints").

Read from its end: `a/manifests` and `blobs/uploads` are legal names of repositories, and the words
that make an endpoint come last. Paths are taken as sent: what is percent-encoded in a repository's
name is refused, in a tag or digest it is decoded.
"""

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from urllib.parse import unquote


class Endpoint(Enum):
    """What can be asked for."""

    BASE = "base"
    CATALOG = "catalog"
    TAGS = "tags"
    MANIFEST = "manifest"
    BLOB = "blob"
    UPLOADS = "uploads"
    UPLOAD = "upload"
    REFERRERS = "referrers"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint, and the name and reference in its path, not yet validated."""

    endpoint: Endpoint
    name: str = ""
    reference: str = ""


REMEMBERED = 4096  # paths; the same few are asked for again and again
MAX_PATH = 768  # characters; the longest name with the longest tag, each of it percent-encoded, takes 654
_BASE = Route(Endpoint.BASE)
_CATALOG = Route(Endpoint.CATALOG)
_STATE = Route(Endpoint.STATE)  # of all repositories
_PAIRS = {
    "manifests": Endpoint.MANIFEST,
    "blobs": Endpoint.BLOB,
    "referrers": Endpoint.REFERRERS,
}


def route(path: str) -> Route | None:
    """The endpoint of a raw path; None for what is no part of the API.

    Nothing in the API has a path longer than MAX_PATH: so what is remembered of paths, by whom it may be, has
    an end in bytes.
    """
    return _route(path) if len(path) <= MAX_PATH else None


@lru_cache(maxsize=REMEMBERED)
def _route(path: str) -> Route | None:
    if not path.startswith("/v2"):
        return None
    rest = path[3:]
    if rest in ("", "/"):
        return _BASE
    if rest[0] != "/":
        return None
    if rest == "/_catalog":
        return _CATALOG
    if rest == "/_regsync/state":
        return _STATE
    parts = rest[1:].split("/")
    return _last_two(parts) or _upload(parts)


def _last_two(parts: list[str]) -> Route | None:
    if len(parts) < 3:
        return None
    word, last = parts[-2:]
    if word == "tags" and last == "list":
        return Route(Endpoint.TAGS, _name(parts, 2))
    if word == "_regsync" and last == "state":
        return Route(Endpoint.STATE, _name(parts, 2))
    if word == "blobs" and last == "uploads":  # clients that leave out the last slash
        return Route(Endpoint.UPLOADS, _name(parts, 2))
    endpoint = _PAIRS.get(word)
    return Route(endpoint, _name(parts, 2), unquote(last)) if endpoint is not None else None


def _upload(parts: list[str]) -> Route | None:
    if len(parts) < 4 or parts[-3:-1] != ["blobs", "uploads"]:
        return None
    if parts[-1] == "":
        return Route(Endpoint.UPLOADS, _name(parts, 3))
    return Route(Endpoint.UPLOAD, _name(parts, 3), parts[-1])


def _name(parts: list[str], words: int) -> str:
    return "/".join(parts[:-words])
