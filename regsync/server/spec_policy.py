"""A `Server` document to the policy that a running server judges by."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
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
from regsync.spec.server import AccessRule, JwtIssuer, Server, ServerAuth

if TYPE_CHECKING:
    from regsync.server.issuer_keys import Fetch, IssuerKeys

Source = tuple[str, str | Path | None, Path | None]  # of an issuer's keys: `issuer`, `jwks` and `ca`


@dataclass(slots=True)
class Means:
    """What judging a login needs beside the spec. It outlives a policy, and so does what was learnt."""

    clock: Clock
    failed: FailedLogins
    fetch: "Fetch"  # for the keys of issuers
    keys: "dict[Source, IssuerKeys]" = field(default_factory=dict)
    judged: tuple[ServerAuth, Sequence[AccessRule], RoleAccess] | None = None  # by the last policy


def policy_of(server: Server, means: Means, without_rules: Access) -> Policy:
    """What a Server document says. Without `access` in it, `without_rules` holds.

    Raises HtpasswdError.
    """
    immutable = Immutability(server.immutable) if server.immutable else nothing_is_immutable
    return Policy(_access(server, means, without_rules), immutable, server.read_only)


def _access(server: Server, means: Means, without_rules: Access) -> Access:
    for keys in means.keys.values():
        keys.look_again()
    if server.access is None:
        return without_rules
    if means.judged is not None and means.judged[:2] == (server.auth, server.access):
        return means.judged[2]  # with the logins that it remembers
    roles = Roles(server.access)
    access = RoleAccess(roles, _logins(server.auth, roles, means))
    means.judged = server.auth, server.access, access
    return access


def _logins(auth: ServerAuth, roles: Roles, means: Means) -> Logins | None:
    if auth.htpasswd is None and not auth.jwt:
        return None
    users = None if auth.htpasswd is None else Htpasswd(auth.htpasswd, means.clock)
    tokens = None
    if auth.jwt:
        from regsync.server.issuer_keys import IssuerKeys  # cryptography takes 60 ms, which only tokens need
        from regsync.server.tokens import Tokens

        before = means.keys
        found = [
            (one, before.get(_source(one)) or IssuerKeys(one, means.fetch, means.clock)) for one in auth.jwt
        ]
        means.keys = {_source(one): keys for one, keys in found}
        tokens = Tokens(found, means.clock)
    return Logins(users, tokens, auth.groups, roles.granted, means.failed, means.clock)


def _source(issuer: JwtIssuer) -> Source:
    return issuer.issuer, issuer.jwks, issuer.ca
