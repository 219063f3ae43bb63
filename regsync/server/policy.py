"""What an operator decided, as one value: replaced as a whole when the spec is read again."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from regsync.clock import Clock
from regsync.oci.reference import RepositoryName, Tag
from regsync.server.access import Access, Action, AnonymousAccess

if TYPE_CHECKING:
    from regsync.server.failed_logins import FailedLogins
    from regsync.server.issuer_keys import Fetch
    from regsync.server.logins import Logins
    from regsync.server.roles import Roles
    from regsync.spec.server import Server, ServerAuth
from regsync.server.upstreams import NO_UPSTREAMS, Upstreams


def nothing_is_immutable(name: RepositoryName, tag: Tag) -> bool:
    """No rule."""
    return False


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may do what, and what nobody may."""

    access: Access
    is_immutable: Callable[[RepositoryName, Tag], bool] = nothing_is_immutable
    read_only: bool = False  # pulls alone are served
    upstreams: Upstreams = NO_UPSTREAMS


class Anonymous(Enum):
    """What anybody may do where no spec has rules: `--anonymous`."""

    NONE = "none"
    PULL = "pull"
    PUSH = "push"  # and pull, and move tags
    ALL = "all"  # and delete


_ACTIONS: dict[Anonymous, frozenset[Action]] = {
    Anonymous.NONE: frozenset(),
    Anonymous.PULL: frozenset({Action.PULL}),
    Anonymous.PUSH: frozenset({Action.PULL, Action.PUSH, Action.OVERWRITE}),
    Anonymous.ALL: frozenset(Action),
}


def anonymous_access(level: Anonymous | None = None) -> AnonymousAccess:
    """Anybody may do that; without a word for it anybody on this host may pull."""
    if level is None:
        return AnonymousAccess(_ACTIONS[Anonymous.PULL], local_only=True)
    return AnonymousAccess(_ACTIONS[level])


@dataclass(frozen=True, slots=True)
class Means:
    """What judging a login needs beside the spec; it outlives a policy, and so do failed logins."""

    clock: Clock
    failed: "FailedLogins"
    fetch: "Fetch"  # for the keys of issuers


def policy_of(server: "Server", means: Means, without_rules: Access) -> Policy:
    """What a Server document says. Without `access` in it, `without_rules` holds.

    Raises HtpasswdError.
    """
    immutable = nothing_is_immutable
    if server.immutable:
        from regsync.server.immutability import Immutability

        immutable = Immutability(server.immutable)
    return Policy(_access(server, means, without_rules), immutable, server.read_only)


def _access(server: "Server", means: Means, without_rules: Access) -> Access:
    if server.access is None:
        return without_rules
    from regsync.server.role_access import RoleAccess
    from regsync.server.roles import Roles

    roles = Roles(server.access)
    return RoleAccess(roles, _logins(server.auth, roles, means))


def _logins(auth: "ServerAuth", roles: "Roles", means: Means) -> "Logins | None":
    if auth.htpasswd is None and not auth.jwt:
        return None
    from regsync.server.htpasswd import Htpasswd
    from regsync.server.logins import Logins

    users = None if auth.htpasswd is None else Htpasswd(auth.htpasswd, means.clock)
    tokens = None
    if auth.jwt:
        from regsync.server.tokens import Tokens

        tokens = Tokens(auth.jwt, means.fetch, means.clock)
    return Logins(users, tokens, auth.groups, roles.granted, means.failed, means.clock)
