"""`POST /hooks/<mirror>`: whoever knows a secret has a mirror run at once.

A request says when it was made and is signed: HMAC-SHA256, by the secret, of its time, the mirror's name
and its body, each of the first two with a newline behind it. Names and times hold no newline, so no two
requests are signed alike. A request is good for five minutes around its time, and once.
"""

import hmac
import json
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Final

from anyio import fail_after
from anyio.to_thread import run_sync

from regsync.clock import Clock
from regsync.errors import RegsyncError
from regsync.server.failed_logins import network_of
from regsync.server.message import BodyTooLargeError, Request, Response

TIMESTAMP: Final = b"x-regsync-timestamp"  # seconds since 1970
SIGNATURE: Final = b"x-regsync-signature"  # `sha256=` and 64 hex characters
MAX_BODY: Final = 64 * 1024  # bytes; nothing in it is read but by the signature
BODY_TIMEOUT: Final = 10.0  # seconds for all of it
WINDOW: Final = 300  # seconds that a request's time may differ from ours
MAX_SEEN: Final = 20_000  # requests that are remembered, so that none is taken twice
LEAST_SECRET: Final = 16  # characters; a shorter one can be guessed from one request that was overheard
READ_EVERY: Final = 5.0  # seconds after which a secret is read anew, since it may have been changed
RATE, BURST = 5.0, 50.0  # requests a second of one client, and at once
MAX_CLIENTS: Final = 4096
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_TIME = re.compile(r"[0-9]{1,12}")
_SIGNED = re.compile(r"sha256=([0-9a-f]{64})")
_JSON = (b"content-type", b"application/json")

Ask = Callable[[str], str | None]
"""Has a mirror run, and says in a word what becomes of that; None where there is no such mirror."""


class WeakHookSecretError(RegsyncError):
    """A secret of webhooks can be guessed."""

    def __init__(self, wanted_by: str) -> None:
        super().__init__(f"{wanted_by}: shorter than {LEAST_SECRET} characters")

    @property
    def hint(self) -> str:
        """What to do next."""
        return "make one with `openssl rand -hex 32`"


def sign(secret: str, timestamp: str, mirror: str, body: bytes) -> str:
    """The value of the signature's header."""
    signed = f"{timestamp}\n{mirror}\n".encode() + body
    return f"sha256={hmac.new(secret.encode(), signed, sha256).hexdigest()}"


class Hooks:
    """Checks requests. `secrets` reads them, and may block; any of them signs a request.

    `answers` counts what became of requests, for metrics.
    """

    def __init__(self, secrets: Callable[[], Sequence[str]], ask: Ask, clock: Clock) -> None:
        self._secrets, self._ask, self._clock = secrets, ask, clock
        self._read: Sequence[str] = ()
        self._read_at = float("-inf")
        self._seen: OrderedDict[str, float] = OrderedDict()  # signatures, and until when
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what is left, and since when
        self.answers: dict[int, int] = {}

    async def receive(self, request: Request, mirror: str) -> Response:
        """The answer to a request to start `mirror`."""
        response = await self._answer(request, mirror)
        self.answers[response.status] = self.answers.get(response.status, 0) + 1
        return response

    async def _answer(self, request: Request, mirror: str) -> Response:
        if not self._within_rate(request.client):
            return _refused(429, "too many requests", {b"retry-after": "1"})
        timestamp, signature = request.header(TIMESTAMP) or "", request.header(SIGNATURE) or ""
        signed = _SIGNED.fullmatch(signature)
        if _NAME.fullmatch(mirror) is None or signed is None or _TIME.fullmatch(timestamp) is None:
            return _refused(401, "a time and a signature are needed, see docs/run.md")
        try:
            with fail_after(BODY_TIMEOUT):
                body = await request.body.read(MAX_BODY)
        except BodyTooLargeError as error:
            return _refused(413, str(error))
        except TimeoutError:
            return _refused(408, f"the body did not come within {BODY_TIMEOUT:.0f} s")
        try:
            secrets = await self._current()
        except RegsyncError:
            return _refused(503, "the secret cannot be read here")
        expected = [sign(secret, timestamp, mirror, body) for secret in secrets]
        # Every secret is compared, and each in constant time: no answer tells how near a guess came.
        if not any([hmac.compare_digest(one, signature) for one in expected]):
            return _refused(401, "the signature is not right")
        return self._genuine(mirror, int(timestamp), signed[1])

    def _genuine(self, mirror: str, timestamp: int, signature: str) -> Response:
        now = self._clock.now().timestamp()
        if abs(now - timestamp) > WINDOW:
            return _refused(401, f"the request's time differs by more than {WINDOW} s from the time here")
        if not self._is_first(signature):
            return _refused(409, "this very request was taken before")
        became = self._ask(mirror)
        if became is None:
            return _refused(404, "there is no such mirror")
        return _json(202, {"mirror": mirror, "state": became})

    def _is_first(self, signature: str) -> bool:
        """Whether this is no replay; only genuine requests come here, so nobody else can fill the memory."""
        now = self._clock.monotonic()
        while self._seen and next(iter(self._seen.values())) <= now:
            self._seen.popitem(last=False)
        if signature in self._seen or len(self._seen) >= MAX_SEEN:
            return False
        self._seen[signature] = now + 2 * WINDOW
        return True

    def _within_rate(self, client: str) -> bool:
        now, key = self._clock.monotonic(), network_of(client)
        left, since = self._buckets.pop(key, (BURST, now))
        left = min(BURST, left + (now - since) * RATE)
        self._buckets[key] = (left - 1 if left >= 1 else left, now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return left >= 1

    async def _current(self) -> Sequence[str]:
        now = self._clock.monotonic()
        if now - self._read_at >= READ_EVERY:
            self._read = await run_sync(self._secrets)
            self._read_at = now
        return self._read


def _refused(status: int, message: str, headers: Mapping[bytes, str] | None = None) -> Response:
    response = _json(status, {"error": message})
    for name, value in (headers or {}).items():
        response.add(name, value)
    return response


def _json(status: int, document: Mapping[str, str]) -> Response:
    return Response(status, [_JSON], json.dumps(document).encode() + b"\n")
