"""Bearer tokens: asking a realm for one, and keeping those that are still good.

Sources: distribution, "Token Authentication" and "OAuth2 Token Authentication"; REGISTRIES.md, 14-16.
Nothing of a token is ever shown. A JWT is looked into, unverified, only to say beforehand what a
server will refuse; a token of another make says nothing.
"""

import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from regsync.oci.strict_json import InvalidJSONError, loads
from regsync.remote.challenge import Challenge
from regsync.remote.credentials import Credentials
from regsync.remote.errors import NotFoundError, RejectedError, UnexpectedAnswerError, shown_url
from regsync.remote.request import Kind, Request, Response, Scope

MAX_BODY = 64 * 1024  # bytes of a token server's answer
DEFAULT_LIFE = 60.0  # seconds, where the answer does not say
MAX_LIFE = 24 * 3600.0  # seconds; a token said to be good for longer is asked for again all the same
_MARGIN = 10.0  # seconds before its end that a token is no longer used; half its life if that is less
_CLIENT_ID = "regsync"
_MAX_SCOPES = 16  # of one challenge or token
_MAX_SCOPE = 1024  # characters

Exchange = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Token:
    """A token, until when it is used (on the monotonic clock), and what it says it allows."""

    value: str = field(repr=False)
    expires: float
    scopes: tuple[Scope, ...]  # that were asked for
    granted: frozenset[tuple[str, str, str]] | None  # (type, name, action); None: it does not say

    def covers(self, wanted: Iterable[Scope]) -> bool:
        """Whether it was asked for with at least these scopes."""
        return all(
            any(scope.repository == own.repository and scope.actions <= own.actions for own in self.scopes)
            for scope in wanted
            if scope.actions
        )

    def refused(self, scope: Scope) -> frozenset[str]:
        """The actions of `scope` that the token says it does not allow; empty where it does not say."""
        if self.granted is None:
            return frozenset()
        kind, name = ("registry", "catalog") if scope.repository is None else ("repository", scope.repository)
        has = {action for granted, named, action in self.granted if (granted, named) == (kind, name)}
        return frozenset() if "*" in has else frozenset(scope.actions - has)


def refused_by(value: str, scope: Scope) -> frozenset[str]:
    """The actions of `scope` that a token says it does not allow; empty where it does not say."""
    return Token(value, 0.0, (), _granted(value)).refused(scope)


class TokenCache:
    """Tokens of one registry, by the repository that they are for first."""

    def __init__(self) -> None:
        self._tokens: dict[str | None, list[Token]] = {}

    def find(self, scopes: Sequence[Scope], now: float) -> Token | None:
        """A token that was asked for with these scopes or more and is good at `now`."""
        kept = self._tokens.get(scopes[0].repository)
        if kept is None:
            return None
        for token in kept:
            if token.expires > now and token.covers(scopes):
                return token
        return None

    def keep(self, token: Token, now: float) -> None:
        """Keep it, in place of those that it covers and those whose time is over."""
        # Under each repository: a registry may ask for another name than the one it is asked by.
        for key in {scope.repository for scope in token.scopes}:
            others = (other for other in self._tokens.get(key, ()) if other.expires > now)
            self._tokens[key] = [token, *(other for other in others if not token.covers(other.scopes))]

    def drop(self, value: str) -> None:
        """Forget a token that was refused."""
        for kept in self._tokens.values():
            kept[:] = [token for token in kept if token.value != value]


@dataclass(frozen=True, slots=True)
class Realm:
    """Where tokens of a registry are given out, and under which name the registry is known there."""

    url: str
    service: str | None

    @classmethod
    def of(cls, challenge: Challenge, url: str) -> "Realm":
        """The realm that a challenge in the answer from `url` names."""
        return cls(challenge.realm(url), challenge.parameters.get("service"))


async def ask_for_token(
    realm: Realm, scopes: Sequence[Scope], credentials: Credentials | None, exchange: Exchange, *, now: float
) -> Token:
    """Exchange credentials (None: anonymously) for a token; `now` is before the request.

    Raises what `exchange` raises for an answer that is not 200, and UnexpectedAnswerError for one that
    holds no token.
    """
    if credentials is not None and credentials.identity_token is not None:
        try:
            response = await exchange(_refresh(realm, scopes, credentials.identity_token))
        except (NotFoundError, RejectedError) as error:
            if error.status not in (404, 405):
                raise
            # A server without the OAuth2 endpoint may take the token as a password.
            by_password = Credentials("<token>", credentials.identity_token)
            response = await exchange(_get(realm, scopes, by_password))
    else:
        response = await exchange(_get(realm, scopes, credentials))
    return _token(response, scopes, now)


def parse_scopes(text: str | None) -> tuple[Scope, ...]:
    """The scopes in a challenge, those that are not for a repository or the catalogue left out."""
    found = []
    for part in (text or "")[: _MAX_SCOPE * _MAX_SCOPES].split(" ")[:_MAX_SCOPES]:
        kind, _, rest = part.partition(":")
        name, _, actions = rest.rpartition(":")
        kind = kind.partition("(")[0]  # "repository(plugin)"
        wanted = frozenset(action for action in actions.split(",") if action)
        if not wanted or len(part) > _MAX_SCOPE or not part.isprintable():
            continue
        if kind == "repository" and name:
            found.append(Scope(name, wanted))
        elif kind == "registry" and name == "catalog":
            found.append(Scope(None, wanted))
    return tuple(found)


def merged(first: Iterable[Scope], then: Iterable[Scope]) -> tuple[Scope, ...]:
    """Both in order, one scope per repository: some servers read only the first (REGISTRIES.md, 16)."""
    actions: dict[str | None, frozenset[str]] = {}
    for scope in (*first, *then):
        actions[scope.repository] = actions.get(scope.repository, frozenset()) | scope.actions
    return tuple(Scope(repository, wanted) for repository, wanted in actions.items())


def basic(credentials: Credentials) -> str:
    """The value of an Authorization header."""
    pair = f"{credentials.username}:{credentials.password}".encode()
    return "Basic " + base64.b64encode(pair).decode("ascii")


def _get(realm: Realm, scopes: Sequence[Scope], credentials: Credentials | None) -> Request:
    parameters = [("service", realm.service)] if realm.service else []
    parameters += [("scope", str(scope)) for scope in scopes if scope.actions]
    parts = urlsplit(realm.url)
    # Scopes stay readable, as every client sends them: some servers do not decode ":" and ",".
    query = "&".join(filter(None, (parts.query, urlencode(parameters, safe=":/,*", quote_via=quote))))
    url = urlunsplit((parts.scheme, parts.netloc, parts.path or "/", query, ""))
    headers = {"Accept": "application/json"}
    if credentials is not None and credentials.username:
        headers["Authorization"] = basic(credentials)
    return Request(Kind.TOKEN, "GET", url, Scope.none(), headers, limit=MAX_BODY)


def _refresh(realm: Realm, scopes: Sequence[Scope], identity_token: str) -> Request:
    form = {
        "grant_type": "refresh_token",
        "refresh_token": identity_token,
        "client_id": _CLIENT_ID,
        "scope": " ".join(str(scope) for scope in scopes if scope.actions),
    }
    if realm.service:
        form["service"] = realm.service
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    content = urlencode(form).encode("ascii")
    return Request(Kind.TOKEN, "POST", realm.url, Scope.none(), headers, content, limit=MAX_BODY)


def _token(response: Response, scopes: Sequence[Scope], now: float) -> Token:
    try:
        document = loads(response.body)
    except InvalidJSONError:
        document = None  # and nothing of it is shown, since it may be a token
    if not isinstance(document, dict):
        raise UnexpectedAnswerError(f"{shown_url(response.url)} gave no token but something that is not JSON")
    value = document.get("token") or document.get("access_token")
    if not isinstance(value, str) or not value.isascii() or any(character <= " " for character in value):
        raise UnexpectedAnswerError(f"{shown_url(response.url)} gave no token that a header can hold")
    life = _life(document.get("expires_in"))
    # Times in the answer are by another clock; the life is counted from before we asked.
    expires = now + life - min(_MARGIN, life / 2)
    return Token(value, expires, tuple(scopes), _granted(value))


def _life(value: object) -> float:
    try:
        seconds = float(value) if isinstance(value, int | float | str) else 0.0
    except ValueError:
        seconds = 0.0
    return min(seconds, MAX_LIFE) if seconds > 0 else DEFAULT_LIFE


def _granted(value: str) -> frozenset[tuple[str, str, str]] | None:
    """What a JWT's `access` says; an empty list is an answer too, no such claim (ACR) is none."""
    claims = _claims(value)
    access = claims.get("access") if claims is not None else None
    return _access(access) if isinstance(access, list) else None


def _access(access: Iterable[object]) -> frozenset[tuple[str, str, str]]:
    found = set()
    for entry in access:
        if isinstance(entry, dict) and isinstance(actions := entry.get("actions"), list):
            kind, name = str(entry.get("type")), str(entry.get("name"))
            found |= {(kind, name, str(action)) for action in actions}
    return frozenset(found)


def _claims(value: str) -> Mapping[str, object] | None:
    parts = value.split(".")
    if len(parts) != 3:  # no JWT
        return None
    try:
        document = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
