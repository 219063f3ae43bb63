"""Registries that redirects lead to: asked anonymously, since the credentials are for another.

registry.k8s.io, for one, redirects to registries that may want a token of their own
(REGISTRIES.md, 20).
"""

from regsync.clock import Clock
from regsync.remote.authenticator import Authenticator, Sent
from regsync.remote.credentials import Anonymous
from regsync.remote.origins import Origin
from regsync.remote.request import Headers, Scope
from regsync.remote.tokens import Exchange, parse_scopes

MAX_ORIGINS = 64


class OtherRegistries:
    """Tokens for other origins, by what of ours led there."""

    def __init__(self, exchange: Exchange, clock: Clock) -> None:
        self._exchange, self._clock = exchange, clock
        self._authenticators: dict[Origin, Authenticator] = {}
        self._scopes: dict[tuple[Origin, Scope], tuple[Scope, ...]] = {}

    def authorization(self, origin: Origin, scope: Scope) -> str | None:
        """What to send there, where it was asked for before and is still good."""
        scopes = self._scopes.get((origin, scope))
        if scopes is None:
            return None
        sent = self._authenticators[origin].known(scopes)
        return sent.header if sent is not None else None

    async def challenged(self, origin: Origin, scope: Scope, headers: Headers, url: str) -> bool:
        """Get a token as a 401 asks for it; whether there is something new to send."""
        authenticator = self._authenticators.get(origin)
        if authenticator is None:
            if len(self._authenticators) >= MAX_ORIGINS:
                return False
            authenticator = Authenticator(origin.host, url, Anonymous(), self._exchange, self._clock)
            self._authenticators[origin] = authenticator
        challenge = authenticator.challenged(headers, url)
        if challenge is None or challenge.scheme != "bearer":
            return False
        scopes = parse_scopes(challenge.parameters.get("scope")) or (scope,)
        sent = Sent(self.authorization(origin, scope))
        self._scopes[origin, scope] = scopes
        return await authenticator.again(challenge, sent, scopes) is not None
