"""References to images on the command line (DESIGN.md, end of section 4).

    host/repository:tag[@digest]          a registry; without a host, Docker Hub
    docker://host/repository:tag          the same, as skopeo writes it
    http://127.0.0.1:5000/repository:tag  a registry without TLS; https:// is taken too
    oci:PATH[:tag]  ocidir://PATH[:tag]   an OCI image layout, as skopeo and regctl write it
    store:PATH/repository:tag             a built-in store; PATH is the longest leading part that is one
    store:PATH//repository:tag            the same, the end of PATH marked; needed for a new store

`@sha256:…` may follow each of them.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from regsync.errors import UsageError
from regsync.oci.digest import Digest, InvalidDigestError
from regsync.oci.reference import (
    DEFAULT_TAG,
    InvalidReferenceError,
    Reference,
    RepositoryName,
    Tag,
    may_hold_a_password,
)
from regsync.spec.model import LayoutPlace, Place, RemotePlace, StorePlace

FORMS = (
    "host/repository:tag, http://host:port/repository:tag, oci:PATH[:tag], "
    "store:PATH/repository:tag; each may end with @sha256:…"
)
MAX_LENGTH = 8 * 1024  # characters, paths included
_USER = re.compile(r"[^/@\s]*:[^@]*@(?=[^@]*/)")  # name:password@host/
_SCHEMES = ("http://", "https://")
_LAYOUTS = ("ocidir://", "oci:")
_STORE = "store:"
_COLONS_OF_OTHERS = ("docker-archive:", "oci-archive:", "docker-daemon:", "containers-storage:", "dir:")


class BadReferenceError(UsageError):
    """The text on the command line is no reference in a form that regsync knows."""

    def __init__(self, text: str, cause: str) -> None:
        super().__init__(f"reference {_USER.sub('…@', text)[:300]!r}: {_USER.sub('…@', cause)}")
        self.cause = cause

    @property
    def hint(self) -> str:
        """What is known."""
        return f"forms: {FORMS}"


@dataclass(frozen=True, slots=True)
class ImageReference:
    """A repository at a place, and what is meant in it: a tag, a digest, both, or neither.

    `repository` is None for an OCI layout, which is one repository and has no name.
    """

    text: str
    place: Place
    repository: RepositoryName | None
    tag: Tag | None = None
    digest: Digest | None = None

    @property
    def wanted(self) -> Tag | Digest:
        """What to resolve: the digest if there is one, else the tag, else `latest`."""
        if self.digest is not None:
            return self.digest
        return self.tag if self.tag is not None else Tag(DEFAULT_TAG)


def parse(text: str, is_store: Callable[[Path], bool]) -> ImageReference:
    """Read one reference; `is_store` says whether a directory is a built-in store.

    Raises BadReferenceError.
    """
    if len(text) > MAX_LENGTH:
        raise BadReferenceError(text, f"longer than {MAX_LENGTH} characters")
    for prefix in _COLONS_OF_OTHERS:
        if text.startswith(prefix):
            raise BadReferenceError(text, f"{prefix} is not read by regsync")
    try:
        return _parse(text, is_store)
    except (InvalidReferenceError, InvalidDigestError) as cause:
        raise BadReferenceError(text, str(cause)) from cause


def _parse(text: str, is_store: Callable[[Path], bool]) -> ImageReference:
    for prefix in _LAYOUTS:
        if text.startswith(prefix):
            return _layout(text, text.removeprefix(prefix))
    if text.startswith(_STORE):
        return _store(text, text.removeprefix(_STORE), is_store)
    for prefix in _SCHEMES:
        if text.startswith(prefix):
            return _with_scheme(text, prefix)
    return _remote(text, "https", text)


def _with_scheme(text: str, prefix: str) -> ImageReference:
    rest = text.removeprefix(prefix)
    host, slash, _ = rest.partition("/")
    if not slash or not host:
        raise BadReferenceError(text, "expected a repository after the host")
    if may_hold_a_password(text):
        cause = "a password on the command line is seen by everyone; use `docker login` or a spec"
        raise BadReferenceError(f"{prefix}…", cause)
    if not _is_qualified(host):
        # Reference.parse would take `registry/app` for a repository of Docker Hub.
        return _remote(text, prefix.removesuffix("://"), f"{host}:{_default_port(prefix)}{rest[len(host) :]}")
    return _remote(text, prefix.removesuffix("://"), rest)


def _is_qualified(host: str) -> bool:
    return "." in host or ":" in host or host == "localhost"


def _default_port(prefix: str) -> int:
    return 80 if prefix == "http://" else 443


def _remote(text: str, scheme: str, rest: str) -> ImageReference:
    reference = Reference.parse(rest)
    place = RemotePlace(scheme, reference.host)
    return ImageReference(text, place, reference.repository, reference.tag, reference.digest)


def _layout(text: str, rest: str) -> ImageReference:
    path, tag, digest = _split_path(text, rest)
    return ImageReference(text, LayoutPlace(_absolute(path)), None, tag, digest)


def _store(text: str, rest: str, is_store: Callable[[Path], bool]) -> ImageReference:
    path, tag, digest = _split_path(text, rest)
    directory, marked, repository = path.rpartition("//")
    if not marked:
        directory, repository = _longest_store(text, path, is_store)
    if not directory:
        raise BadReferenceError(text, "expected the directory of a store before //")
    name = RepositoryName.parse(repository)
    return ImageReference(text, StorePlace(_absolute(directory)), name, tag, digest)


def _longest_store(text: str, path: str, is_store: Callable[[Path], bool]) -> tuple[str, str]:
    parts = path.split("/")
    for end in range(len(parts) - 1, 0, -1):
        directory = "/".join(parts[:end]) or "/"
        if is_store(Path(directory)):
            return directory, "/".join(parts[end:])
    cause = "no leading part of the path is a store; for a new one write store:PATH//repository:tag"
    raise BadReferenceError(text, cause)


def _split_path(text: str, rest: str) -> tuple[str, Tag | None, Digest | None]:
    """Path, tag and digest. A path may hold `@` and `:`; what follows the last `/` decides."""
    digest: Digest | None = None
    path, at, digest_text = rest.rpartition("@")
    if at and ":" in digest_text and "/" not in digest_text:
        rest, digest = path, Digest.parse(digest_text)
    path, colon, tag_text = rest.rpartition(":")
    if not colon or "/" in tag_text:
        path, tag_text = rest, ""
    if not path:
        raise BadReferenceError(text, "expected a path")
    return path, Tag.parse(tag_text) if tag_text else None, digest


def _absolute(path: str) -> Path:
    return Path(
        os.path.expanduser(path)
    ).absolute()  # unlike Path.expanduser it leaves an unknown ~user alone
