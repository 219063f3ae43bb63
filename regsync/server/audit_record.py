"""What the audit log says of a request: who did, or was not let do, what to which content."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice

from regsync.oci.reference import InvalidReferenceError, Tag
from regsync.server.failures import TOO_MANY
from regsync.server.message import QueryTooLongError, Request, Response
from regsync.server.pull import Outcome
from regsync.server.routes import Endpoint, Route
from regsync.server.watch import Exchange

DONE, DENIED, RATE_LIMITED, FAILED = "done", "denied", "rate-limited", "failed"
CHANGED_NOTHING = frozenset({DENIED, RATE_LIMITED, FAILED})  # outcomes
MAX_TEXT = 256  # characters of what a client makes up: no name and no reference that is valid has more
MAX_ASKED_TAGS = 16  # tags besides the one in the path, of a push that was not done
_READING = ("GET", "HEAD")
_DIGEST, _TAG = b"docker-content-digest", b"oci-tag"
_REFUSALS = {
    "UNAUTHORIZED": DENIED,
    "DENIED": DENIED,  # no right, read-only, immutable, in use
    "TAG_IMMUTABLE": DENIED,
    TOO_MANY: RATE_LIMITED,
}


Note = Callable[[Mapping[str, object]], object]  # takes the fields of a line


def nowhere(fields: Mapping[str, object]) -> None:
    """Where there is no audit log."""


def record(exchange: Exchange) -> Mapping[str, object] | None:
    """The fields of its line; None where there is nothing to record."""
    outcome = _outcome(exchange)
    if outcome is None:
        return None
    denial = exchange.pulled.denial if exchange.pulled is not None else None
    request, principal, route, response = (
        exchange.request,
        exchange.principal,
        exchange.route or Route(Endpoint.BASE),
        exchange.response,
    )
    return {
        "event": _event(exchange),
        "outcome": outcome,
        "who": principal.name or None if principal is not None else None,
        "from": request.client,
        "repository": (exchange.repository or route.name)[:MAX_TEXT] or None,
        "tags": _tags(request, route, response),
        "digest": _digest(route, response) if denial is None else str(denial.digest),
        "status": response.status if response is not None else None,
        "id": request.id,
        **({} if denial is None else {"policy": denial.policy, "reason": denial.reason}),
    }


def _outcome(exchange: Exchange) -> str | None:
    status = exchange.response.status if exchange.response is not None else None
    if exchange.pulled is not None and exchange.pulled.denial is not None:
        return DENIED
    changing = exchange.request.method not in _READING or _is_fetched(exchange)
    if exchange.code in _REFUSALS:
        return _REFUSALS[exchange.code] if _is_denial(exchange) else None
    if not changing or not _is_final(exchange, status):
        return None
    if status is None:
        return "unknown"  # the client was gone before it could be told
    if status >= 500 or exchange.failure is not None:  # what was fetched may have been no good
        return FAILED
    return DONE if status < 400 else None


def _is_fetched(exchange: Exchange) -> bool:
    """Whether a pull brought something from an upstream into the store."""
    return exchange.pulled is not None and exchange.pulled.outcome is Outcome.FETCHED


def _is_denial(exchange: Exchange) -> bool:
    """Not so where a client only asks how to log in."""
    asks = exchange.route is not None and exchange.route.endpoint is Endpoint.BASE
    return not asks or exchange.request.header(b"authorization") is not None


def _is_final(exchange: Exchange, status: int | None) -> bool:
    """Whether such a request, if it works, makes, moves or removes content: a chunk of a blob does not."""
    route, method = exchange.route, exchange.request.method
    if route is None:
        return False
    match route.endpoint:
        case Endpoint.MANIFEST | Endpoint.BLOB:
            return True
        case Endpoint.UPLOADS:
            return status == 201 or (status or 0) >= 400
        case Endpoint.UPLOAD:
            return method == "PUT" or (status or 0) >= 500
    return False


def _event(exchange: Exchange) -> str:
    request, route = exchange.request, exchange.route
    if route is None:
        return "metrics"  # of the pages beside the API the only one that is not for everybody
    if exchange.pulled is not None and exchange.pulled.denial is not None:
        return "verify"
    if _is_fetched(exchange):
        return "fetch"
    is_digest, is_mount = ":" in route.reference, b"mount=" in request.raw_query
    match route.endpoint, request.method:
        case (Endpoint.BASE, _):
            return "login"
        case (_, "GET" | "HEAD"):
            return "pull"
        case (Endpoint.MANIFEST, "DELETE"):
            return "delete-manifest" if is_digest else "delete-tag"
        case (Endpoint.MANIFEST, _):
            return "push-manifest"
        case (Endpoint.BLOB, _):
            return "delete-blob"
        case (Endpoint.UPLOADS, _) if is_mount:
            return "mount-blob"
    return "push-blob"


def _tags(request: Request, route: Route, response: Response | None) -> Sequence[str]:
    """Those that it set or removed, or would have."""
    if route.endpoint is not Endpoint.MANIFEST:
        return []
    first = [] if ":" in route.reference else [route.reference[:MAX_TEXT]]
    if response is not None and response.status < 400:
        return [*first, *_headers(response, _TAG)]
    return [*first, *(islice(_asked_tags(request), MAX_ASKED_TAGS) if request.method == "PUT" else ())]


def _asked_tags(request: Request) -> Iterator[str]:
    try:
        asked = request.query.get("tag", ())
    except QueryTooLongError:
        return
    for text in asked:
        with suppress(InvalidReferenceError):
            yield Tag.parse(text)


def _digest(route: Route, response: Response | None) -> str | None:
    if response is not None and response.status < 400:
        for value in _headers(response, _DIGEST):
            return value
    return route.reference[:MAX_TEXT] if ":" in route.reference else None


def _headers(response: Response | None, name: bytes) -> Sequence[str]:
    found = response.headers if response is not None else ()
    return [value.decode("latin-1") for key, value in found if key == name]
