"""What is told of each request when it is answered: the seam for access log, audit and metrics."""

from dataclasses import dataclass
from typing import Protocol

from regsync.oci.reference import RepositoryName
from regsync.server.access import Principal
from regsync.server.message import Request, Response
from regsync.server.pull import Outcome
from regsync.server.required import Denial
from regsync.server.routes import Route


@dataclass(frozen=True, slots=True)
class Pulled:
    """A request to a repository of an upstream, and what it led to."""

    upstream: RepositoryName  # its prefix
    outcome: Outcome = Outcome.FAILED
    denial: Denial | None = None  # what a policy refused meanwhile


@dataclass(slots=True)
class Exchange:
    """One request and what became of it.

    `response` is None where the client went away first; `failure` is what a status of 500 or more is
    the answer to.
    """

    request: Request
    started: float  # seconds, on the clock's monotonic
    route: Route | None = None
    principal: Principal | None = None
    repository: RepositoryName | None = None  # its name here; the path has that which the client used
    response: Response | None = None
    code: str | None = None  # of the error that is the answer
    seconds: float = 0.0
    sent: int = 0  # bytes of the body
    failure: Exception | None = None
    pulled: Pulled | None = None


class Watch(Protocol):
    """Is told, and may neither wait nor fail."""

    def answered(self, exchange: Exchange) -> None:
        """A request was answered, or its client is gone."""
        ...
