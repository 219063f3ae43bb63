"""The access log: one line for each request, as text for people or as JSON for machines.

It holds the path without its query, and no header: tokens and passwords travel in those.
"""

import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import Enum
from json.encoder import encode_basestring_ascii as quoted

from regsync.clock import Clock
from regsync.errors import RegsyncError
from regsync.server.gathered import Gathered
from regsync.server.watch import Exchange

EVERY = 0.2  # seconds from a request to its line, at most
MOST = 200_000  # lines in memory while whoever reads them is slow; a few seconds at full load
MAX_PATH = 2_000  # characters


class LogFormat(Enum):
    """How lines look."""

    TEXT = "text"
    JSON = "json"


class AccessLog:
    """Watches; `tell` takes text, and may block."""

    def __init__(self, tell: Callable[[str], object], clock: Clock, form: LogFormat) -> None:
        self._tell, self._clock = tell, clock
        self._request = _json_request if form is LogFormat.JSON else _text_request
        self._failure = _json_failure if form is LogFormat.JSON else _text_failure
        self._gathered = Gathered(self._write, every=EVERY, most=MOST)
        self._told_lost = 0
        self._second, self._shown, self._offset = -1, "", 0.0

    async def run(self) -> None:
        """Write for ever."""
        await self._gathered.run()

    @property
    def lost(self) -> int:
        """Lines that were not written since whoever reads them was too slow."""
        return self._gathered.lost

    def answered(self, exchange: Exchange) -> None:
        """Note one request."""
        time = self._time(exchange.started + exchange.seconds)
        self._gathered.add(self._request(time, exchange))
        if exchange.failure is not None:
            self._gathered.add(self._failure(time, exchange, exchange.failure))

    def _time(self, moment: float) -> str:
        """RFC 3339 with milliseconds. The wall clock is asked once a second, which may have been set."""
        shown = moment + self._offset
        if int(shown) != self._second:
            self._offset = self._clock.now().timestamp() - self._clock.monotonic()
            shown = moment + self._offset
            self._second = int(shown)
            self._shown = datetime.fromtimestamp(self._second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._shown}.{int((shown - self._second) * 1000):03d}Z"

    def _write(self, lines: Sequence[str]) -> bool:
        self._tell("".join(lines))
        return True


def _json_request(time: str, exchange: Exchange) -> str:
    request, principal, response = exchange.request, exchange.principal, exchange.response
    who = quoted(principal.name) if principal is not None and principal.name else "null"
    status = response.status if response is not None else "null"
    return (
        f'{{"time":"{time}","level":"info","event":"request","id":"{request.id}","who":{who},'
        f'"from":"{request.client}","method":{quoted(request.method)},'
        f'"path":{quoted(request.path[:MAX_PATH])},"status":{status},"received":{request.body.received},'
        f'"sent":{exchange.sent},"seconds":{exchange.seconds:.6f}}}\n'
    )


def _text_request(time: str, exchange: Exchange) -> str:
    request, principal, response = exchange.request, exchange.principal, exchange.response
    who = quoted(principal.name) if principal is not None and principal.name else "-"
    status = response.status if response is not None else "---"
    return (
        f"{time} {status} {quoted(request.method)[1:-1]} {quoted(request.path[:MAX_PATH])[1:-1]}"
        f" {exchange.sent} B {exchange.seconds * 1000:.1f} ms from {request.client or '-'} by {who}"
        f" ({request.id})\n"
    )


def _json_failure(time: str, exchange: Exchange, failure: Exception) -> str:
    return (
        f'{{"time":"{time}","level":"error","event":"request-failed","id":"{exchange.request.id}",'
        f'"message":{quoted(_cause(failure))}}}\n'
    )


def _text_failure(time: str, exchange: Exchange, failure: Exception) -> str:
    return f"{time} error: request {exchange.request.id}: {quoted(_cause(failure))[1:-1]}\n"


def _cause(failure: Exception) -> str:
    if isinstance(failure, RegsyncError):
        return str(failure)
    return "".join(traceback.format_exception(failure))  # a defect: where it is, is what helps
