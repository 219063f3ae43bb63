"""Who asks, and what they may do: the seam behind which logins and roles stand."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import ip_address
from typing import Protocol

from regsync.oci.reference import RepositoryName
from regsync.server.message import Request


class Action(Enum):
    """What may be allowed on a repository."""

    PULL = "pull"
    PUSH = "push"  # new content and new tags
    OVERWRITE = "overwrite"  # move a tag
    DELETE = "delete"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `name` is empty for anonymous; for the bearer of a token it is `ISSUER:USER`."""

    name: str = ""
    groups: frozenset[str] = frozenset()  # those of an issuer are `ISSUER:GROUP`
    claims: Mapping[str, object] = field(default_factory=dict)  # of a token
    issuer: str = ""  # the spec's name of the issuer of that token
    is_local: bool = False  # the request came from this host

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody logged in."""
        return not self.name


class Access(Protocol):
    """Identifies and decides."""

    @property
    def challenge(self) -> str | None:
        """The `WWW-Authenticate` that asks for a login; None where nobody can log in."""
        ...

    async def identify(self, request: Request) -> Principal:
        """Who asks. Raises ApiError for credentials that are wrong."""
        ...

    def allows(self, principal: Principal, action: Action, name: RepositoryName) -> bool:
        """Whether `principal` may do that there."""
        ...


class AnonymousAccess:
    """No logins: whoever reaches the server may do `actions`; `local_only`: from this host alone."""

    challenge: str | None = None

    def __init__(self, actions: Collection[Action], *, local_only: bool = False) -> None:
        self._actions, self._local_only = frozenset(actions), local_only

    async def identify(self, request: Request) -> Principal:
        """Nobody in particular."""
        return _LOCAL if is_local(request.client) else _REMOTE

    def allows(self, principal: Principal, action: Action, name: RepositoryName) -> bool:
        """The same everywhere."""
        return action in self._actions and (principal.is_local or not self._local_only)


_LOCAL, _REMOTE = Principal(is_local=True), Principal()


def is_local(client: str) -> bool:
    """Whether an address is this host's own; a Unix socket has none and is."""
    if client == "127.0.0.1" or not client:
        return True
    try:
        return ip_address(client).is_loopback
    except ValueError:
        return False
