"""Logins and roles together: the `Access` of a server whose spec says who may do what."""

from regsync.oci.reference import RepositoryName
from regsync.server.access import Action, Principal
from regsync.server.logins import CHALLENGE, Logins
from regsync.server.message import Request
from regsync.server.roles import Granted, Roles


class RoleAccess:
    """Who may do what by the rules of a spec; without `logins` everybody is anonymous."""

    def __init__(self, roles: Roles, logins: Logins | None = None) -> None:
        self._roles, self._logins = roles, logins
        self.challenge = CHALLENGE if logins is not None else None
        self._anonymous = roles.granted(Principal())

    async def identify(self, request: Request) -> Principal:
        """Who asks. Raises ApiError for credentials that are wrong."""
        if self._logins is None:
            return self._anonymous
        header = request.header(b"authorization")
        if header is None:
            return self._anonymous
        return await self._logins.identify(header, request.client) or self._anonymous

    def allows(self, principal: Principal, action: Action, name: RepositoryName) -> bool:
        """Whether some rule lets them."""
        grants = principal.grants if isinstance(principal, Granted) else self._roles.grants(principal)
        return action in grants.on(name)
