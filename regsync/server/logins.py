"""Who logged in: users of the htpasswd file, and bearers of tokens.

Checking a password costs as much as it should cost who guesses it. A login that was right is therefore
remembered for a while, by a keyed hash that means nothing outside of this process; so is one that was
right earlier, though it is checked again: failures of others behind the same address hold it up not at all.
"""

import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING

from regsync.clock import Clock
from regsync.content.single_flight import SingleFlight
from regsync.server.access import Principal
from regsync.server.credentials import MalformedCredentialsError, Password, Token, parse_authorization
from regsync.server.failed_logins import FailedLogins
from regsync.server.failures import TOO_MANY, ApiError
from regsync.server.htpasswd import BusyError, Htpasswd

if TYPE_CHECKING:
    from regsync.server.tokens import Tokens

_log = logging.getLogger(__name__)
CHALLENGE = 'Basic realm="regsync"'
REMEMBERED = 300.0  # seconds that a login which was right is not checked again
MAX_REMEMBERED = 10_000  # logins
RETRY_AFTER = 10  # seconds, when logins cannot be checked now


@dataclass(frozen=True, slots=True)
class _Login:
    principal: Principal
    until: float  # on the monotonic clock
    user: str = ""  # of the htpasswd file, with
    hashed: bytes = b""  # its hash when the password was checked


class Logins:
    """Checks `Authorization` headers, and remembers those that were right."""

    def __init__(
        self,
        users: Htpasswd | None,
        tokens: "Tokens | None",
        groups: Mapping[str, Sequence[str]],
        granted: Callable[[Principal], Principal],
        failed: FailedLogins,
        clock: Clock,
    ) -> None:
        self._granted = granted
        self._users, self._tokens, self._failed, self._clock = users, tokens, failed, clock
        self._groups: dict[str, frozenset[str]] = {}
        for group, members in groups.items():
            for member in members:
                self._groups[member] = self._groups.get(member, frozenset()) | {group}
        self._secret = os.urandom(32)  # a key, so from the system; never what a test may say
        self._known: OrderedDict[bytes, _Login] = OrderedDict()
        self._flights: SingleFlight[bytes, Principal | None] = SingleFlight()

    async def identify(self, header: str, client: str) -> Principal | None:
        """Who that is; None for credentials that say nothing. Raises ApiError for any that are wrong."""
        key = blake2b(header.encode("utf-8", "replace"), key=self._secret, digest_size=32).digest()
        known = self._known.get(key)
        if known is not None and self._holds(known):
            return known.principal
        return await self._flights.run(key, lambda: self._check(key, header, client))

    def _holds(self, login: _Login) -> bool:
        if self._clock.monotonic() >= login.until:
            return False
        return not login.user or self._users is None or self._users.hash_of(login.user) == login.hashed

    async def _check(self, key: bytes, header: str, client: str) -> Principal | None:
        was_right = self._known.pop(key, None) is not None
        try:
            given = parse_authorization(header)
        except MalformedCredentialsError as cause:
            raise refused(str(cause)) from cause
        match given:
            case None:
                return None
            case Token():
                login = await self._token(given)
            case Password():
                login = await (self._password(given) if was_right else self._guess(given, client))
        self._known[key] = login
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
        return login.principal

    async def _guess(self, given: Password, client: str) -> _Login:
        """A password that was not right before: slowed where others failed."""
        wait = self._failed.attempt(client, given.user)
        if wait > 0:
            raise _too_many(wait)
        try:
            login = await self._password(given)
        except BusyError:
            self._failed.forget(client, given.user)
            raise
        self._failed.succeeded(client, given.user)
        return login

    async def _password(self, given: Password) -> _Login:
        if self._users is None:
            raise refused("there are no passwords here; log in with a token")
        hashed = await self._users.check(given.user, given.password)
        if hashed is None:
            raise refused("user or password is wrong")
        principal = self._granted(Principal(given.user, self._groups.get(given.user, frozenset())))
        return _Login(principal, self._clock.monotonic() + REMEMBERED, given.user, hashed)

    async def _token(self, given: Token) -> _Login:
        if self._tokens is None:
            raise refused("tokens are no logins here")
        from regsync.server.issuer_keys import IssuerKeysError
        from regsync.server.tokens import InvalidTokenError

        try:
            bearer = await self._tokens.bearer(given.text)
        except InvalidTokenError as error:
            raise refused(str(error)) from error
        except IssuerKeysError as error:
            _log.error("a login cannot be checked: %s", error)
            raise ApiError(
                503,
                "UNAVAILABLE",
                "the keys of the token's issuer cannot be had now",
                headers={"Retry-After": str(RETRY_AFTER)},
            ) from error
        left = bearer.until - self._clock.now().timestamp()
        found = bearer.principal
        groups = found.groups | self._groups.get(found.name, frozenset())
        principal = self._granted(replace(found, groups=groups))
        return _Login(principal, self._clock.monotonic() + min(left, REMEMBERED))


def refused(message: str) -> ApiError:
    """401, with the challenge that asks for another login."""
    return ApiError(401, "UNAUTHORIZED", message, headers={"WWW-Authenticate": CHALLENGE})


def _too_many(wait: float) -> ApiError:
    return ApiError(
        429,
        TOO_MANY,
        "too many logins failed; wait before the next",
        headers={"Retry-After": str(int(wait) + 1)},
    )
