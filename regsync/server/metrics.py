"""What is counted of requests: in plain integers, since a request has no microseconds to spare for locks."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

from regsync.server.failures import TOO_MANY
from regsync.server.garbage import Collected
from regsync.server.watch import Exchange

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # s
METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"})
OTHER = "other"  # an endpoint or method that there is not: nobody can make up endless labels


@dataclass(slots=True)
class Requests:
    """What became of the requests of one method to one endpoint."""

    statuses: dict[int, int] = field(default_factory=dict)  # 0: the client went away first
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    seconds: float = 0.0
    received: int = 0  # bytes of bodies
    sent: int = 0


class RequestMetrics:
    """Watches, and counts: `kinds` by endpoint and method."""

    def __init__(self, collected: Collected) -> None:
        self.collected = collected  # garbage
        self.kinds: dict[tuple[str, str], Requests] = {}
        self.pulls: dict[tuple[str, str], int] = {}  # by the prefix of an upstream and the outcome
        self.verdicts: Mapping[tuple[str, str], int] = {}  # by policy and result; counted elsewhere
        self.wrong_credentials = 0  # logins that failed
        self.rate_limited = 0  # logins that came too soon after others that failed
        self.denials = 0  # of what who asked may not do

    def answered(self, exchange: Exchange) -> None:
        """Count one request."""
        request, response, route = exchange.request, exchange.response, exchange.route
        key = (route.endpoint.value if route is not None else OTHER, request.method)
        kind = self.kinds.get(key)
        if kind is None:
            kind = self._kind(*key)
        status = response.status if response is not None else 0
        kind.statuses[status] = kind.statuses.get(status, 0) + 1
        kind.buckets[bisect_left(BUCKETS, exchange.seconds)] += 1
        kind.seconds += exchange.seconds
        kind.received += request.body.received
        kind.sent += exchange.sent
        if exchange.pulled is not None:
            pulled = (str(exchange.pulled.upstream), exchange.pulled.outcome.value)
            self.pulls[pulled] = self.pulls.get(pulled, 0) + 1
        if status == 403:
            self.denials += 1
        elif exchange.code == TOO_MANY:
            self.rate_limited += 1
        elif status == 401 and request.header(b"authorization") is not None:
            self.wrong_credentials += 1

    def _kind(self, endpoint: str, method: str) -> Requests:
        return self.kinds.setdefault((endpoint, method if method in METHODS else OTHER), Requests())
