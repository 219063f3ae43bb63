"""One request, who makes it, and the rules it is judged by."""

from collections.abc import Callable
from dataclasses import dataclass

from regsync.oci.reference import RepositoryName, Tag
from regsync.server.access import Action, Principal
from regsync.server.failures import ApiError
from regsync.server.message import Request
from regsync.server.policy import Policy, nothing_is_immutable
from regsync.server.upstreams import Upstream
from regsync.spec.server import FirstPull


@dataclass(slots=True)
class Asks:
    """See above."""

    request: Request
    principal: Principal
    policy: Policy

    def may(self, action: Action, name: RepositoryName) -> bool:
        """Whether the client may do that there."""
        return self.policy.access.allows(self.principal, action, name)

    def require(self, action: Action, name: RepositoryName) -> None:
        """Raises DENIED, or UNAUTHORIZED to who may yet log in, unless the client may do that there."""
        if not self.may(action, name):
            raise self.denied(action, name)

    def denied(self, action: Action, what: str) -> ApiError:
        """The answer to who may not do that: DENIED, or UNAUTHORIZED to who may yet log in."""
        who = self.principal.name or "anonymous"
        denied = ApiError(403, "DENIED", f"{who} may not {action.value} {what}")
        return self.login(f"log in to {action.value} {what}") or denied

    def login(self, message: str) -> ApiError | None:
        """The answer that asks for a login; None to who has logged in, and where nobody can."""
        challenge = self.policy.access.challenge
        if not self.principal.is_anonymous or challenge is None:
            return None
        return ApiError(401, "UNAUTHORIZED", message, headers={"WWW-Authenticate": challenge})

    def stranger(self, upstream: Upstream, name: RepositoryName) -> ApiError | None:
        """Why an upstream is asked nothing for this request; None where it is."""
        if not self.principal.is_anonymous or upstream.first_pull is not FirstPull.AUTHENTICATED:
            return None
        said = f"that is not here, and {upstream.namespace} is asked only for those who are logged in"
        return self.login(said) or ApiError(404, "NAME_UNKNOWN", f"{name}: {said}")

    def refusal(
        self, upstream: Upstream, name: RepositoryName, before_change: Callable[[], None]
    ) -> ApiError | None:
        """Why nothing is fetched from an upstream for this request; None where it is."""
        stranger = self.stranger(upstream, name)
        if stranger is not None:
            return stranger
        if self.policy.read_only:
            return ApiError(
                404, "NAME_UNKNOWN", f"{name}: that is not here, and the registry is read-only now"
            )
        try:
            before_change()
        except ApiError as error:
            return error
        return None

    def fixed(self, name: RepositoryName) -> Callable[[Tag], bool] | None:
        """Which tags a push may not move; None when it may move all."""
        if not self.may(Action.OVERWRITE, name):
            return lambda tag: True
        immutable = self.policy.is_immutable
        return None if immutable is nothing_is_immutable else lambda tag: immutable(name, tag)
