"""References to images, in every form that Docker, skopeo and regctl users type.

Grammar: distribution-spec 1.1, "Pulling manifests", and distribution/reference for the host part
and Docker Hub's short names.
"""

import re
from dataclasses import dataclass, replace
from typing import Self

from regsync.errors import RegsyncError
from regsync.oci.digest import Digest

DOCKER_HUB = "docker.io"
DEFAULT_TAG = "latest"
MAX_REPOSITORY_LENGTH = 255  # characters, as the reference implementations bound it
MAX_REFERENCE_LENGTH = 1024  # characters
MAX_PORT = 65535

_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PATH_PART}(?:/{_PATH_PART})*")
_HOST_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_NO_DIGEST = re.compile(r"@(?!sha\d+:[0-9a-f]+$)")  # an `@` before anything but a digest
_HOST = re.compile(rf"(?:{_HOST_PART}(?:\.{_HOST_PART})*|\[[a-fA-F0-9:]+\])(?::[0-9]{{1,5}})?")
_HUB_ALIASES = frozenset({"index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
_TRANSPORTS = ("docker://",)


class InvalidReferenceError(RegsyncError, ValueError):
    """The text is no tag, repository or reference."""

    def __init__(self, kind: str, text: str, cause: str) -> None:
        super().__init__(f"invalid {kind} {text[:160]!r}: {cause}")


class Tag(str):
    """A valid tag: at most 128 of `[a-zA-Z0-9._-]`, not starting with `.` or `-`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Check `text`; raises InvalidReferenceError."""
        if _TAG.fullmatch(text) is None:
            cause = "at most 128 letters, digits, '_', '.', '-', the first no '.' or '-'"
            raise InvalidReferenceError("tag", text, cause)
        return cls(text)


class RepositoryName(str):
    """A valid repository path, without a host: lower-case parts joined by `/`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Check `text`; raises InvalidReferenceError."""
        if len(text) > MAX_REPOSITORY_LENGTH:
            raise InvalidReferenceError("repository", text, f"longer than {MAX_REPOSITORY_LENGTH} characters")
        if _REPOSITORY.fullmatch(text) is None:
            cause = "lower-case letters and digits, parted by '.', '_', '__', '-' and '/'"
            raise InvalidReferenceError("repository", text, cause)
        return cls(text)


def is_host(part: str) -> bool:
    """Whether the first part of a reference names a host, by the rule that Docker made common."""
    return "." in part or ":" in part or part == "localhost"


def may_hold_a_password(text: str) -> bool:
    """Whether a location or reference has a user in it, so that no message may repeat it.

    A password with an unescaped `/` ends the host early: with a scheme, each `@` but a digest's counts.
    """
    scheme, separator, rest = text.partition("://")
    if "@" in (rest if separator else scheme).partition("/")[0]:
        return True
    return bool(separator) and _NO_DIGEST.search(rest) is not None


def plain_host(text: str) -> str:
    """Normalise `host[:port]`: lower case, the port as a number; raises InvalidReferenceError."""
    if _HOST.fullmatch(text) is None:
        raise InvalidReferenceError("registry host", text, "expected host, host:port or [ipv6]:port")
    host, colon, port = text.lower().rpartition(":")
    if not colon or port.endswith("]"):
        return text.lower()
    if int(port) > MAX_PORT:
        raise InvalidReferenceError("registry host", text, f"a port is at most {MAX_PORT}")
    return f"{host}:{int(port)}"


def parse_host(text: str) -> str:
    """The same, with Docker Hub under one name; raises InvalidReferenceError."""
    host = plain_host(text)
    return DOCKER_HUB if host in _HUB_ALIASES else host


@dataclass(frozen=True, slots=True)
class Reference:
    """A repository at a host, and what is meant in it: a tag, a digest, both, or neither."""

    host: str
    repository: RepositoryName
    tag: Tag | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `[docker://][host[:port]/]repository[:tag][@digest]`; raises InvalidReferenceError.

        Without a host it is Docker Hub's, where a single part is below `library/`. No tag is
        invented: `with_default_tag` adds `latest` where a command wants it.
        """
        if len(text) > MAX_REFERENCE_LENGTH:
            raise InvalidReferenceError("reference", text, f"longer than {MAX_REFERENCE_LENGTH} characters")
        rest = text
        for transport in _TRANSPORTS:
            rest = rest.removeprefix(transport)
        rest, at, digest_text = rest.partition("@")
        digest = Digest.parse(digest_text) if at else None
        tag: Tag | None = None
        colon = rest.rfind(":")
        if colon > rest.rfind("/"):
            rest, tag = rest[:colon], Tag.parse(rest[colon + 1 :])
        first, slash, path = rest.partition("/")
        if slash and is_host(first):
            host = parse_host(first)
        else:
            host, path = DOCKER_HUB, rest
        if host == DOCKER_HUB and "/" not in path:
            path = f"library/{path}"
        return cls(host, RepositoryName.parse(path), tag, digest)

    def with_default_tag(self) -> Self:
        """The same, with `latest` when neither tag nor digest is given."""
        if self.tag is None and self.digest is None:
            return replace(self, tag=Tag(DEFAULT_TAG))
        return self

    @property
    def name(self) -> str:
        """Host and repository, without tag and digest."""
        return f"{self.host}/{self.repository}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag is not None else ""
        digest = f"@{self.digest}" if self.digest is not None else ""
        return f"{self.name}{tag}{digest}"
