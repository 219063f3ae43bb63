"""A `Server` document to the policy that a running server judges by."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from regsync.clock import Clock
from regsync.server.access import Access
from regsync.server.failed_logins import FailedLogins
from regsync.server.htpasswd import Htpasswd
from regsync.server.immutability import Immutability
from regsync.server.logins import Logins
from regsync.server.policy import Policy, nothing_is_immutable
from regsync.server.role_access import RoleAccess
from regsync.server.roles import Roles
from regsync.spec.server import Server, ServerAuth

if TYPE_CHECKING:
    from regsync.server.issuer_keys import Fetch


@dataclass(frozen=True, slots=True)
class Means:
    """What judging a login needs beside the spec. It outlives a policy, and so do failed logins."""

    clock: Clock
    failed: FailedLogins
    fetch: "Fetch"  # for the keys of issuers


def policy_of(server: Server, means: Means, without_rules: Access) -> Policy:
    """What a Server document says. Without `access` in it, `without_rules` holds.

    Raises HtpasswdError.
    """
    immutable = Immutability(server.immutable) if server.immutable else nothing_is_immutable
    return Policy(_access(server, means, without_rules), immutable, server.read_only)


def _access(server: Server, means: Means, without_rules: Access) -> Access:
    if server.access is None:
        return without_rules
    roles = Roles(server.access)
    return RoleAccess(roles, _logins(server.auth, roles, means))


def _logins(auth: ServerAuth, roles: Roles, means: Means) -> Logins | None:
    if auth.htpasswd is None and not auth.jwt:
        return None
    users = None if auth.htpasswd is None else Htpasswd(auth.htpasswd, means.clock)
    tokens = None
    if auth.jwt:
        from regsync.server.tokens import Tokens  # cryptography takes 60 ms, which only tokens need

        tokens = Tokens(auth.jwt, means.fetch, means.clock)
    return Logins(users, tokens, auth.groups, roles.granted, means.failed, means.clock)
