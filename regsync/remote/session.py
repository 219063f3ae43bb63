"""A registry over HTTP: requests go in, answers or the matching error come out.

One session per registry (host and credentials), shared by all its repositories. A request passes, from
outside in: attempts (`retry`), authentication (`authenticator`), limits and redirects (`wire`), HTTP
(`transport`).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self, TypeVar

import anyio

from regsync.clock import Clock, SystemClock
from regsync.content.single_flight import SingleFlight
from regsync.errors import TemporaryError
from regsync.remote import metering
from regsync.remote.authenticator import Authenticator, Grant, Scheme, Sent
from regsync.remote.credentials import Anonymous, CredentialSource
from regsync.remote.elsewhere import OtherRegistries
from regsync.remote.errors import (
    AnswerError,
    CutShortError,
    ExpiredTokenError,
    RateLimitedError,
    RegistryFailedError,
    RegistryTimeoutError,
    RegistryUnreachableError,
)
from regsync.remote.limits import Limiter, Sleep
from regsync.remote.request import Kind, Request, Response, Scope, StreamedResponse
from regsync.remote.retry import Attempts, asked_pause
from regsync.remote.transport import STREAMED, WHOLE, NativeTransport, Transport
from regsync.remote.wire import Exchange, Wire

OK = frozenset({200})
FRESH_FOR = 1.0  # seconds after which a token that was just obtained may have ended
MAX_REFUSALS = 2  # of one request: not known yet, then another scope
_MAY_PASS = (
    RegistryUnreachableError,
    RegistryTimeoutError,
    CutShortError,
    RateLimitedError,
    RegistryFailedError,
)
_PING = Request(Kind.PING, "GET", "/v2/", Scope.none())

Result = TypeVar("Result")


class Session:
    """Talks to one registry. `name` is the host as a person knows it, `base_url` where its API is.

    Without `transport`, `limiter` and `credentials` it has ones of its own, and is anonymous.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        transport: Transport | None = None,
        credentials: CredentialSource | None = None,
        limiter: Limiter | None = None,
        clock: Clock | None = None,
        sleep: Sleep = anyio.sleep,
    ) -> None:
        self.name, self.base_url = name, base_url.rstrip("/")
        self._clock, self._sleep = clock or SystemClock(), sleep
        self._own_transport = NativeTransport() if transport is None else None
        self._limiter = limiter or Limiter(name, self._clock, sleep=sleep)
        used = transport or self._own_transport
        assert used is not None  # noqa: S101 - one of the two is there
        self._wire = Wire(name, self.base_url, used, self._limiter, self._clock)
        source = credentials or Anonymous()
        self._auth = Authenticator(name, self.base_url, source, self._exchange_token, self._clock)
        self._others = OtherRegistries(self._exchange_token, self._clock)
        self._first: anyio.Event | None = None  # set once the first request has told how to authenticate
        self._pings: SingleFlight[str, None] = SingleFlight()
        self._is_pinged = False
        self._is_down = False  # nothing was heard of it for as long as one request may try
        self._failing: set[Kind] = set()  # kinds of request that it could not do for that long

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._own_transport is not None:
            with anyio.CancelScope(shield=True):
                await self._own_transport.close()

    @property
    def counters(self) -> Mapping[Kind, int]:
        """Requests sent so far, by kind; every attempt and every step of a redirect is one."""
        return dict(self._wire.counts)

    @property
    def warnings(self) -> Collection[str]:
        """What the registry asked to be told to people (`Warning: 299`), each once."""
        return tuple(self._wire.warnings)

    async def send(self, request: Request, *, expect: Collection[int] = OK) -> Response:
        """Send, and read the answer whole.

        Raises the error of `errors` that fits a status not in `expect`, TooLargeError beyond
        `request.limit`, RegistryUnreachableError, UnknownHostError, RegistryTimeoutError, CutShortError,
        WaitTooLongError, UnsafeRedirectError, TlsError, CredentialsError, and what iterating a streamed
        content raises.
        """

        async def once() -> Response:
            exchange = await self._let_in(request, expect, WHOLE)
            try:
                body = await exchange.read(request.limit)
            finally:
                await exchange.close()
            return Response(exchange.answer.status, exchange.answer.headers, body, exchange.url)

        return await self._repeat(request, once)

    def stream(
        self, request: Request, *, expect: Collection[int] = OK
    ) -> AbstractAsyncContextManager[StreamedResponse]:
        """Send, and give the answer's body while it comes. Raises on entering what `send` raises.

        Nothing is tried again once the answer's head is there: `chunks` raises CutShortError or
        RegistryTimeoutError after what came before.
        """
        return self._stream(request, expect)

    async def authorize(self, scope: Scope) -> Grant:
        """Ask for what requests of `scope` will need, without making them.

        Raises UnauthorizedError or ForbiddenError where the registry says that it will not do;
        Grant.UNKNOWN where it only says so when it is done.
        """
        if self._auth.scheme in (Scheme.UNKNOWN, Scheme.OPEN):
            await self._ask_for_scheme()
        if self._auth.scheme is Scheme.BASIC:
            await self.send(_PING)  # refuses credentials that are wrong
        return await self._auth.authorize(scope)

    @asynccontextmanager
    async def _stream(self, request: Request, expect: Collection[int]) -> AsyncIterator[StreamedResponse]:
        exchange = await self._repeat(request, lambda: self._let_in(request, expect, STREAMED))
        try:
            answer = exchange.answer
            chunks = metering.received(answer.chunks(), self._limiter)
            yield StreamedResponse(answer.status, answer.headers, exchange.url, chunks)
        finally:
            await exchange.close()

    async def _repeat(self, request: Request, once: Callable[[], Awaitable[Result]]) -> Result:
        """Do it until it works, the time is over, or the error is one that stays."""
        attempts: Attempts | None = None
        started = self._clock.monotonic()
        while True:
            try:
                result = await once()
            except _MAY_PASS as error:
                is_silent = isinstance(error, RegistryUnreachableError | RegistryTimeoutError)
                asked = asked_pause(error, self._limiter.quota_wait(request.kind))
                is_hopeless = self._is_down if is_silent else asked is None and request.kind in self._failing
                if is_hopeless or not _may_repeat(request, error, asked):
                    raise
                if attempts is None:
                    limit, troubles = self._limiter.settings.max_wait, self._limiter.troubles
                    attempts = Attempts(self.name, self._clock, started, limit, troubles)
                pause = attempts.pause(error, asked=asked)
                if pause is None:
                    # One request has waited long enough for all: the others need not.
                    self._is_down = is_silent
                    if not is_silent:
                        self._failing.add(request.kind)
                    error.is_exhausted = True
                    raise
            else:
                self._is_down = False
                self._failing.discard(request.kind)
                return result
            await self._sleep(pause)

    async def _let_in(self, request: Request, expect: Collection[int], ahead: int) -> Exchange:
        """Send with what the registry wants to see, at most MAX_REFUSALS times more when it wants another."""
        scopes = (request.scope, *request.extra_scopes)
        request = self._metered(request)
        sent: Sent | None = None
        refusals = 0
        while True:
            if sent is None:
                sent = self._auth.known(scopes) or await self._auth_for(request, scopes)
            exchange, sent = await self._attempt(request, sent, ahead)
            status = exchange.answer.status
            if status in expect:
                return exchange
            refusals += 1
            if status == 401:
                sent = await self._refused(exchange, sent, scopes, is_last=refusals > MAX_REFUSALS)
                continue
            body = await exchange.error_body()
            error = self._wire.error(exchange, body)
            if refusals > 1 or not request.is_repeatable or not self._auth.says_expired(sent, status, body):
                raise error
            sent = None

    async def _attempt(self, request: Request, sent: Sent, ahead: int) -> tuple[Exchange, Sent]:
        """Send once. The first request of all tells the others how to authenticate.

        Also gives what was sent in the end: who waited long for a place takes the newest token there is.
        """
        began = self._clock.monotonic()
        used = sent

        def authorization() -> str | None:
            nonlocal used
            if self._clock.monotonic() - began > FRESH_FOR:
                scopes = (request.scope, *request.extra_scopes)
                used = self._auth.known(scopes) or replace(sent, is_fresh=False)
            return used.header

        if self._auth.scheme is not Scheme.UNKNOWN:
            return await self._wire.go(request, authorization, self._others, ahead=ahead), used
        self._first = first = anyio.Event()
        try:
            exchange = await self._wire.go(request, authorization, self._others, ahead=ahead)
            await self._learn_scheme(exchange)
            return exchange, used
        finally:
            self._first = None
            first.set()

    async def _learn_scheme(self, exchange: Exchange) -> None:
        answer = exchange.answer
        if exchange.origin != self._wire.origin:
            self._auth.accepted()  # it redirected us, and did not ask who we are
        elif answer.status == 401:
            try:
                self._auth.challenged(answer.headers, exchange.url)
            except BaseException:
                await exchange.close()
                raise
        elif answer.status < 500 and answer.status != 429:
            self._auth.accepted()

    async def _auth_for(self, request: Request, scopes: Sequence[Scope]) -> Sent:
        while self._auth.scheme is Scheme.UNKNOWN and self._first is not None:
            await self._first.wait()
        if self._auth.scheme is Scheme.UNKNOWN and not request.is_repeatable:
            await self._ask_for_scheme()
        return await self._auth.prepare(scopes)

    async def _refused(
        self, exchange: Exchange, sent: Sent, scopes: Sequence[Scope], *, is_last: bool
    ) -> Sent:
        """What to send after a 401, or the error that it is."""
        request, headers, url = exchange.request, exchange.answer.headers, exchange.url
        error = self._wire.error(exchange, await exchange.error_body())
        if is_last:
            raise await self._explained(error, exchange, sent)
        if exchange.origin != self._wire.origin:
            if not await self._others.challenged(exchange.origin, request.scope, headers, url):
                raise error
            other: Sent | None = sent
        else:
            challenge = self._auth.challenged(headers, url)
            if challenge is None:  # gcr.io says only at /v2/ how (REGISTRIES.md, 12)
                await self._ask_for_scheme()
                challenge = self._auth.challenge
            other = await self._auth.again(challenge, sent, scopes) if challenge is not None else None
        if other is None:
            raise await self._explained(error, exchange, sent)
        if not request.is_repeatable:
            raise ExpiredTokenError(f"{error}; the body cannot be sent twice", status=401) from error
        return other

    async def _explained(self, error: AnswerError, exchange: Exchange, sent: Sent) -> AnswerError:
        if exchange.origin != self._wire.origin:
            return error
        return await self._auth.explained(error, sent, exchange.request.scope)

    async def _ask_for_scheme(self) -> None:
        """Ask at /v2/, once, whether and how to authenticate."""

        async def ping() -> None:
            exchange = await self._wire.go(_PING, _nobody, self._others, ahead=WHOLE)
            body = await exchange.error_body()
            if exchange.answer.status >= 500 or exchange.answer.status == 429:
                raise self._wire.error(exchange, body)
            await self._learn_scheme(exchange)
            self._is_pinged = True

        if not self._is_pinged:
            await self._pings.run("/v2/", lambda: self._repeat(_PING, ping))

    async def _exchange_token(self, request: Request) -> Response:
        """A request to a token server: no credentials but its own, no redirects."""

        async def once() -> Response:
            exchange = await self._wire.go(request, _nobody, None, ahead=WHOLE)
            if exchange.answer.status != 200:
                raise self._wire.error(exchange, await exchange.error_body())
            try:
                body = await exchange.read(request.limit)
            finally:
                await exchange.close()
            return Response(200, exchange.answer.headers, body, exchange.url)

        return await self._repeat(request, once)

    def _metered(self, request: Request) -> Request:
        if request.content is None or isinstance(request.content, bytes):
            return request
        return replace(request, content=metering.sent(request.content, self._limiter))


def _nobody() -> None:
    """No credentials: it is asked who we have to be, or they are in the request's body."""


def _may_repeat(request: Request, error: TemporaryError, asked: float | None) -> bool:
    if not request.is_repeatable or error.is_exhausted:
        return False
    if request.kind is Kind.UPLOAD and request.method in ("PUT", "PATCH"):
        # It may have been carried out; whoever uploads asks for the offset. What was put off was not.
        return asked is not None or isinstance(error, RateLimitedError)
    return True
