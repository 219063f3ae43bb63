"""Being let in: what to send along with a request, and what to do when it is refused.

One authenticator per origin. Until the first answer nothing is known, so that one request goes first
and the others wait for what its answer tells; from then on each carries what is needed and none is
sent twice. A refusal is answered once per request: with another scope, a fresh token, or credentials
read anew; then it stands.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from regsync.clock import Clock
from regsync.content.single_flight import SingleFlight
from regsync.remote.challenge import Challenge, best, parse_challenges
from regsync.remote.credentials import CredentialSource
from regsync.remote.errors import (
    AnswerError,
    ForbiddenError,
    UnauthorizedError,
)
from regsync.remote.origins import Origin, check_credentials, check_realm
from regsync.remote.request import Headers, Scope
from regsync.remote.tokens import (
    Exchange,
    Realm,
    Token,
    TokenCache,
    ask_for_token,
    basic,
    merged,
    parse_scopes,
    refused_by,
)

_BASIC_FOR = 3600.0  # seconds that credentials are sent before they are looked up again
NONE_FOUND = (
    "no credentials for it were found: not in spec.auth of the Registry, Docker's config.json "
    "(DOCKER_CONFIG, or ~/.docker) or Podman's auth.json (REGISTRY_AUTH_FILE); "
    "set spec.auth, or `docker login`"
)
_EXPIRED = re.compile(rb"(?i)(token|authorization)[^.]{0,80}(expired|no longer valid)")


class Grant(Enum):
    """Whether a registry will let us, as far as it says beforehand."""

    GRANTED = "granted"
    UNKNOWN = "unknown"  # it shows only when it is done


class Scheme(Enum):
    """How a registry wants to be talked to."""

    UNKNOWN = "unknown"
    OPEN = "open"  # it has answered without credentials
    BASIC = "basic"
    BEARER = "bearer"


@dataclass(frozen=True, slots=True)
class Sent:
    """What a request carried: the header's value, and whether it was made for that very request."""

    header: str | None
    is_fresh: bool = False

    @property
    def is_bearer(self) -> bool:
        """Whether it was a token."""
        return self.header is not None and self.header.startswith("Bearer ")


class Authenticator:
    """Authentication at one origin, for all its repositories."""

    def __init__(
        self,
        host: str,
        url: str,
        credentials: CredentialSource,
        exchange: Exchange,
        clock: Clock,
    ) -> None:
        self.host, self._url, self._origin = host, url, Origin.of(url)
        self._credentials, self._exchange, self._clock = credentials, exchange, clock
        self.scheme = Scheme.UNKNOWN
        self.challenge: Challenge | None = None  # the last one that could be answered
        self._realm: Realm | None = None
        self._tokens = TokenCache()
        self._basic: dict[str | None, tuple[str | None, float]] = {}
        self._flights: SingleFlight[tuple[Scope, ...], Token] = SingleFlight()

    def known(self, scopes: Sequence[Scope]) -> Sent | None:
        """What to send, where it is at hand; None where `prepare` has to be awaited."""
        if self.scheme is Scheme.OPEN:
            return Sent(None)
        if self.scheme is Scheme.BEARER:
            token = self._tokens.find(scopes, self._clock.monotonic())
            return Sent("Bearer " + token.value) if token is not None else None
        if self.scheme is Scheme.BASIC:
            kept = self._basic.get(scopes[0].repository)
            if kept is not None and kept[1] > self._clock.monotonic():
                return Sent(kept[0])
        return None

    async def prepare(self, scopes: Sequence[Scope]) -> Sent:
        """What to send for these scopes, the first being the request's own.

        Raises CredentialsError, UnauthorizedError and ForbiddenError of the token server,
        UnsafeRedirectError, and what any request raises.
        """
        if (sent := self.known(scopes)) is not None:
            return sent
        match self.scheme:
            case Scheme.BEARER:
                token = await self._token(tuple(scopes))
                return Sent("Bearer " + token.value, is_fresh=True)
            case Scheme.BASIC:
                return Sent(await self._basic_header(scopes[0].repository), is_fresh=True)
            case _:
                return Sent(None, is_fresh=True)

    def accepted(self) -> None:
        """A request was answered without being asked who we are."""
        if self.scheme is Scheme.UNKNOWN:
            self.scheme = Scheme.OPEN

    def challenged(self, headers: Headers, url: str) -> Challenge | None:
        """Learn from a 401; the challenge that can be answered, or None."""
        challenge = best(parse_challenges(headers.all("www-authenticate")))
        if challenge is None:
            return None
        if challenge.scheme == "basic":
            self.scheme, self.challenge = Scheme.BASIC, challenge
            return challenge
        realm = Realm.of(challenge, url)
        check_realm(self._origin, realm.url, self._credentials.realms, where=self.host)
        self._realm, self.scheme, self.challenge = realm, Scheme.BEARER, challenge
        return challenge

    async def again(self, challenge: Challenge, sent: Sent, scopes: Sequence[Scope]) -> Sent | None:
        """What to send instead after `sent` was refused with `challenge`; None when nothing else is left."""
        if challenge.scheme == "basic":
            return await self._other_basic(sent, scopes[0].repository)
        if sent.is_bearer and sent.header is not None:
            self._tokens.drop(sent.header.removeprefix("Bearer "))
        asked = parse_scopes(challenge.parameters.get("scope"))
        # What is missing goes first: some token servers read only the first scope.
        wanted = merged(asked, scopes)
        if sent.is_bearer and sent.is_fresh and wanted == tuple(scopes):
            return None
        if not sent.is_bearer and _covered(asked, scopes):
            wanted = tuple(scopes)  # the first refusal; these serve later requests too
        # Many may be refused at once, when a token's time is over: the first has it renewed.
        token = self._tokens.find(wanted, self._clock.monotonic()) or await self._token(wanted)
        header = "Bearer " + token.value
        return Sent(header, is_fresh=True) if header != sent.header else None

    def says_expired(self, sent: Sent, status: int, body: bytes) -> bool:
        """Whether a 400 means that a token's time is over, as ECR Public says it (REGISTRIES.md, 21)."""
        if status != 400 or sent.is_fresh or sent.header is None or not sent.is_bearer:
            return False
        if _EXPIRED.search(body) is None:
            return False
        self._tokens.drop(sent.header.removeprefix("Bearer "))
        return True

    async def authorize(self, scope: Scope) -> Grant:
        """Obtain a token for `scope` and say whether it allows it.

        Raises ForbiddenError, or UnauthorizedError without credentials, where it does not.
        """
        if self.scheme is not Scheme.BEARER:
            return Grant.UNKNOWN
        token = self._tokens.find((scope,), self._clock.monotonic()) or await self._token((scope,))
        refused = token.refused(scope)
        if not refused:
            return Grant.UNKNOWN if token.granted is None else Grant.GRANTED
        raise await self._not_granted(scope, refused)

    async def explained(self, error: AnswerError, sent: Sent, scope: Scope) -> AnswerError:
        """The 401 that stands after `sent`, with what is known of why: no credentials, or not the right.

        Raises CredentialsError.
        """
        if not isinstance(error, UnauthorizedError):
            return error
        if sent.is_bearer and sent.header is not None:
            refused = refused_by(sent.header.removeprefix("Bearer "), scope)
            if refused:
                return await self._not_granted(scope, refused)
        if await self._credentials.find(self.host, scope.repository) is None:
            return _without_credentials(error)
        return error

    async def _not_granted(self, scope: Scope, refused: frozenset[str]) -> AnswerError:
        place = f"{self.host}/{scope.repository}" if scope.repository else f"the catalogue of {self.host}"
        message = f"{place}: the token server does not grant {', '.join(sorted(refused))}"
        if await self._credentials.find(self.host, scope.repository) is None:
            return UnauthorizedError(message, status=401, hint=NONE_FOUND)
        return ForbiddenError(message, status=403, hint="these credentials lack the right")

    async def _token(self, scopes: tuple[Scope, ...]) -> Token:
        async def ask() -> Token:
            now = self._clock.monotonic()
            credentials = await self._credentials.find(self.host, scopes[0].repository)
            if credentials is not None and credentials.registry_token is not None:
                token = Token(credentials.registry_token, now + _BASIC_FOR, scopes, None)
                self._tokens.keep(token, now)
                return token
            realm = self._known_realm()
            if credentials is not None:
                check_credentials(self._origin, realm.url, self._credentials.realms, where=self.host)
            try:
                token = await ask_for_token(realm, scopes, credentials, self._exchange, now=now)
            except UnauthorizedError as error:
                if credentials is None:
                    raise _without_credentials(error) from error
                self._credentials.forget(self.host)
                raise
            self._tokens.keep(token, now)
            return token

        return await self._flights.run(scopes, ask)

    def _known_realm(self) -> Realm:
        if self._realm is None:
            raise AssertionError("a realm is known once the scheme is Bearer")
        return self._realm

    async def _basic_header(self, repository: str | None) -> str | None:
        credentials = await self._credentials.find(self.host, repository)
        header = None
        if credentials is not None and credentials.registry_token is not None:
            header = "Bearer " + credentials.registry_token
        elif credentials is not None and credentials.username:
            header = basic(credentials)
        self._basic[repository] = (header, self._clock.monotonic() + _BASIC_FOR)
        return header

    async def _other_basic(self, sent: Sent, repository: str | None) -> Sent | None:
        """Credentials read anew, where they are others than those refused."""
        self._basic.pop(repository, None)
        if sent.header is not None:
            self._credentials.forget(self.host)
        header = await self._basic_header(repository)
        return Sent(header, is_fresh=True) if header is not None and header != sent.header else None


def _without_credentials(error: UnauthorizedError) -> UnauthorizedError:
    return UnauthorizedError(str(error), status=error.status, codes=error.codes, hint=NONE_FOUND)


def _covered(asked: Sequence[Scope], scopes: Sequence[Scope]) -> bool:
    """Whether `scopes` hold all that is asked for."""
    return all(
        any(one.repository == own.repository and one.actions <= own.actions for own in scopes)
        for one in asked
    )
