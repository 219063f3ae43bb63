"""How `regsync serve` listens, who may do what, and where it stores: a `Server` document, frozen.

Users of `auth.htpasswd` have plain names, which hold no colon. Those of an issuer, and its groups, are
`ISSUER:NAME`, where ISSUER is the name that the spec gives it: nobody whom one issuer vouches for can
be taken for somebody that another, or the htpasswd file, knows by the same name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from ipaddress import ip_address
from pathlib import Path

from regsync.oci.reference import RepositoryName
from regsync.spec.model import Position

DEFAULT_LISTEN = "127.0.0.1:5000"
SECOND = timedelta(seconds=1)
_LISTEN = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[^\[\]:/\s]+)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Listen:
    """An address of this host, without brackets, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_listen(text: str) -> Listen:
    """`ADDRESS:PORT`, `[IPV6]:PORT` or `localhost:PORT`; raises ValueError."""
    found = _LISTEN.fullmatch(text)
    host = (found["v6"] or found["host"]) if found is not None else ""
    if found is None or not _is_address(host) or int(found["port"]) > 65535:
        raise ValueError(
            f"expected an address of this host and a port, such as 0.0.0.0:5000, found {text[:80]!r}"
        )
    return Listen(host, int(found["port"]))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return host == "localhost"
    return True


@dataclass(frozen=True, slots=True)
class ServerTls:
    """The server's certificate chain and key: files in PEM form, absolute."""

    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class JwtIssuer:
    """Whose tokens are logins, and who they make of their bearers."""

    name: str  # of the spec's own; stands before its users and groups
    issuer: str  # the claim `iss`, letter by letter
    audiences: tuple[str, ...]  # one of them has to be in the claim `aud`
    jwks: str | Path | None = None  # a URL, or an absolute path; None: what the issuer's discovery names
    ca: Path | None = None  # trusted besides the system's authorities when keys are fetched
    username: str = "sub"  # the claim that names the user
    groups: str = "groups"  # the claim that names groups
    require: Mapping[str, str] = field(default_factory=dict)  # claims to globs; all of them have to match


@dataclass(frozen=True, slots=True)
class ServerAuth:
    """How people and machines log in. Without any of it there is only anonymous."""

    htpasswd: Path | None = None  # absolute
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # groups to names of users
    jwt: tuple[JwtIssuer, ...] = ()


class SubjectKind(Enum):
    """Whom an access rule is for."""

    ANONYMOUS = "anonymous"
    AUTHENTICATED = "*"
    USER = "user"
    GROUP = "group"
    CLAIM = "claim"


@dataclass(frozen=True, slots=True)
class Subject:
    """One of `anonymous`, `*`, `user:NAME`, `group:NAME` and `claim:KEY=GLOB`."""

    kind: SubjectKind
    name: str = ""  # of the user, the group or the claim
    glob: str = ""  # of the claim's value
    issuer: str = ""  # the name of the issuer whose claim it is


@dataclass(frozen=True, slots=True)
class AccessRule:
    """What `subjects` may do in `repositories`. Rules add up; there is no rule that takes away."""

    subjects: tuple[Subject, ...]
    repositories: tuple[str, ...]  # globs
    actions: frozenset[str]  # of ACTIONS


ACTIONS = ("pull", "push", "overwrite", "delete", "admin")


@dataclass(frozen=True, slots=True)
class ImmutableRule:
    """Tags that nobody moves or deletes, once they are there."""

    repositories: tuple[str, ...]  # globs
    tags: tuple[str, ...]  # globs


class FirstPull(Enum):
    """Who makes the server fetch from an upstream what it does not have."""

    AUTHENTICATED = "authenticated"
    ANYONE = "anyone"  # whoever may pull it


@dataclass(frozen=True, slots=True)
class Upstream:
    """A prefix of repositories that are fetched from a registry when they are first pulled."""

    prefix: RepositoryName
    registry: str  # the name of a Registry of this spec
    first_pull: FirstPull = FirstPull.AUTHENTICATED
    host: str | None = None  # requests to this host name (lower case) need not write the prefix
    max_age: timedelta = 60 * SECOND  # for which a tag is taken to be where it was
    max_stale: timedelta = timedelta(days=7)  # for which a tag is served while the upstream cannot be asked
    verify: tuple[str, ...] = ()  # names of policies, besides those that apply by their globs


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What one client may take of the server."""

    header_timeout: timedelta = 10 * SECOND  # from the connection, or the last answer, to a whole head
    header_size: int = 64 * 1024  # bytes
    body_timeout: timedelta = 60 * SECOND  # in which 16 KiB of a request's body have to come
    body_size: int | None = None  # bytes of one request's body; None: as much as there is room
    connections: int = 4096  # at a time


@dataclass(frozen=True, slots=True)
class ServerGc:
    """When what nothing leads to is deleted."""

    interval: timedelta


@dataclass(frozen=True, slots=True)
class Server:
    """All that a `Server` document says."""

    listen: Listen
    store: Path | None = None  # the directory of the built-in store, absolute; None: the command names it
    tls: ServerTls | None = None
    auth: ServerAuth = ServerAuth()
    access: tuple[AccessRule, ...] | None = None  # None: as without a document
    immutable: tuple[ImmutableRule, ...] = ()
    read_only: bool = False
    limits: ServerLimits = ServerLimits()
    audit: Path | None = None  # a file, absolute
    upstreams: tuple[Upstream, ...] = ()
    gc: ServerGc | None = None  # None: only when somebody asks for it
    position: Position | None = field(default=None, compare=False)
