"""One request on the wire: within the limits, followed along redirects, counted.

Redirects are followed for GET and HEAD alone, five at most, and only to where requests may go.
Authorization goes to the registry's own origin and to no other; what a redirect leads to is asked
without it, and may be another registry with a challenge of its own (`elsewhere`).
"""

import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from regsync.clock import Clock
from regsync.remote.answers import MAX_ERROR_BODY, TEMPORARY_STATUSES, Complaint, error_for
from regsync.remote.errors import (
    AnswerError,
    RegistryError,
    TooLargeError,
    UnsafeRedirectError,
    shown,
    shown_url,
)
from regsync.remote.limits import Limiter, Permit, Verdict
from regsync.remote.origins import Origin, check_reachable, followed
from regsync.remote.request import Kind, Request, Scope
from regsync.remote.retry import read_retry_after
from regsync.remote.transport import Answer, Transport

MAX_REDIRECTS = 5
MAX_WARNINGS = 100
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OVERLOADED = frozenset({429, 503})
_WITH_LENGTH = frozenset({"POST", "PUT", "PATCH"})
_MAX_HOLD = 24 * 3600.0  # seconds
_WARNING = re.compile(r'299\s+\S+\s+"((?:[^"\\]|\\.)*)"')


class Elsewhere(Protocol):
    """Knows what to send to the origins that redirects lead to."""

    def authorization(self, origin: Origin, scope: Scope) -> str | None:
        """The value of an Authorization header, or None."""
        ...


@dataclass(slots=True, eq=False)
class Exchange:
    """An answer, where it came from, and the place in the limits that it holds until it is closed."""

    request: Request
    answer: Answer
    url: str
    origin: Origin
    permit: Permit

    async def read(self, limit: int) -> bytes:
        """The body; raises TooLargeError beyond `limit`, CutShortError, RegistryTimeoutError."""
        if self.request.method == "HEAD":
            return b""
        pieces = []
        size = 0
        async for piece in self.answer.chunks():
            size += len(piece)
            if size > limit:
                raise TooLargeError(f"{self.request.method} {shown_url(self.url)}", limit)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def close(self) -> None:
        """End it; a body that was read whole leaves the connection for the next request."""
        self.permit.close()
        await self.answer.close()

    async def error_body(self) -> bytes:
        """The beginning of an error's body, whatever happens while it is read, and the exchange closed."""
        pieces: list[bytes] = []
        try:
            if self.request.method != "HEAD":
                with suppress(RegistryError):  # an error's body is worth no second error
                    await _gather(self.answer.chunks(), pieces)
        finally:
            await self.close()
        return b"".join(pieces)[:MAX_ERROR_BODY]


class Wire:
    """Puts requests of one registry on the wire, one answer for each."""

    def __init__(
        self, name: str, base_url: str, transport: Transport, limiter: Limiter, clock: Clock
    ) -> None:
        self.name, self.base_url, self.origin = name, base_url, Origin.of(base_url)
        self.transport, self.limiter, self._clock = transport, limiter, clock
        self.counts: Counter[Kind] = Counter()
        self.warnings: dict[str, None] = {}
        self._own_prefix = base_url + "/"

    async def go(
        self,
        request: Request,
        authorization: Callable[[], str | None],
        elsewhere: Elsewhere | None,
        *,
        ahead: int,
    ) -> Exchange:
        """Send, and follow where the answer redirects. The caller closes what it gets.

        `authorization` and the request's guard are asked when it is its turn: it may have waited longer than
        a token lives, or a lease.
        Raises WaitTooLongError, UnsafeRedirectError, what the guard and what the transport raise.
        """
        url, origin = self._target(request.url)
        permit = await self.limiter.enter(request.kind)
        try:
            own = authorization()
            if request.guard is not None:
                request.guard()
            answer = await self._start(request, url, own if origin == self.origin else None, ahead)
            self._learn(request.kind, answer, permit)
            if answer.status in _REDIRECTS and request.method in ("GET", "HEAD") and elsewhere is not None:
                answer, url = await self._follow(request, answer, url, (own, elsewhere), ahead)
                origin = Origin.of(url)
                if answer.status in _OVERLOADED:
                    permit.verdict = Verdict.OVERLOADED
        except BaseException:
            permit.close()
            raise
        return Exchange(request, answer, url, origin, permit)

    def error(self, exchange: Exchange, body: bytes) -> AnswerError:
        """The error that an answer nobody expected is; `body` is what was read of it."""
        answer = exchange.answer
        complaint = Complaint.read(body, answer.headers.get("content-type"))
        wait = read_retry_after(answer.headers.get("retry-after"), self._clock)
        if wait is not None and (answer.status == 429 or answer.status in TEMPORARY_STATUSES):
            self.limiter.hold(exchange.request.kind, min(wait, _MAX_HOLD))
        request = f"{self.name}: {exchange.request.method} {shown_url(exchange.url)}"
        return error_for(request, answer.status, complaint, retry_after=wait)

    def _target(self, url: str) -> tuple[str, Origin]:
        if url.startswith("/"):
            return self.base_url + url, self.origin
        if url.startswith(self._own_prefix):
            return url, self.origin
        try:
            origin = Origin.of(url)
        except ValueError as cause:
            raise UnsafeRedirectError(f"{self.name}: sent to {shown_url(url)}: {cause}") from cause
        check_reachable(self.origin, origin, where=self.name)
        return url, origin

    async def _start(self, request: Request, url: str, authorization: str | None, ahead: int) -> Answer:
        headers = dict(request.headers)
        if authorization is not None:
            headers["Authorization"] = authorization
        content = request.content
        if not content:
            if request.method in _WITH_LENGTH:
                headers["Content-Length"] = "0"  # some servers answer 411 to a POST without a length
        elif request.length is not None and not isinstance(content, bytes):
            headers["Content-Length"] = str(request.length)
        self.counts[request.kind] += 1
        return await self.transport.start(request.method, url, headers, content or None, ahead=ahead)

    async def _follow(
        self, request: Request, answer: Answer, url: str, known: tuple[str | None, Elsewhere], ahead: int
    ) -> tuple[Answer, str]:
        authorization, elsewhere = known
        where = f"{self.name}: {request.method} {shown_url(url)}"
        seen = {url}
        while answer.status in _REDIRECTS:
            try:
                location = answer.headers.get("location", "")
                url = followed(url, location, where=where)
                if url in seen or len(seen) > MAX_REDIRECTS:
                    raise UnsafeRedirectError(
                        f"{where}: redirected in a circle, or more than {MAX_REDIRECTS} times"
                    )
                seen.add(url)
                await _drain(answer)
            finally:
                await answer.close()
            origin = Origin.of(url)
            known_there = (
                authorization if origin == self.origin else elsewhere.authorization(origin, request.scope)
            )
            answer = await self._start(request, url, known_there, ahead)
        return answer, url

    def _learn(self, kind: Kind, answer: Answer, permit: Permit) -> None:
        headers = answer.headers
        if answer.status in _OVERLOADED:
            permit.verdict = Verdict.OVERLOADED
        elif answer.status < 500:
            permit.verdict = Verdict.GOOD
        self.limiter.announced(kind, headers)
        if "warning" in headers and len(self.warnings) < MAX_WARNINGS:
            for value in headers.all("warning"):
                for text in _WARNING.findall(value[:4096]):
                    self.warnings.setdefault(shown(text))


async def _drain(answer: Answer) -> None:
    """Read the little body of a redirect, so that its connection can be used again."""
    await _gather(answer.chunks(), [])


async def _gather(chunks: AsyncIterator[bytes], pieces: list[bytes]) -> None:
    size = 0
    async for piece in chunks:
        pieces.append(piece)
        size += len(piece)
        if size >= MAX_ERROR_BODY:
            return
