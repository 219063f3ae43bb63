"""Requests that were answered, as watches are told of them."""

from collections.abc import Mapping, MutableMapping
from typing import Any

from regsync.server.access import Principal
from regsync.server.message import Request, Response
from regsync.server.routes import route
from regsync.server.watch import Exchange

_CODES = {401: "UNAUTHORIZED", 403: "DENIED", 405: "UNSUPPORTED", 429: "TOOMANYREQUESTS"}


async def nothing() -> MutableMapping[str, Any]:
    """A body that is empty."""
    return {"type": "http.request"}


def request(
    method: str = "GET",
    path: str = "/v2/team/app/manifests/v1",
    *,
    query: str = "",
    client: str = "192.0.2.7",
    headers: Mapping[str, str] | None = None,
) -> Request:
    """A request as the server makes it."""
    scope = {
        "method": method,
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
        "client": (client, 1234),
    }
    return Request(scope, nothing, "id-1")


def exchange(
    asked: Request,
    status: int | None,
    *,
    who: str = "",
    failure: Exception | None = None,
    answered: Mapping[str, str] | None = None,
    code: str | None = None,
) -> Exchange:
    """It, answered; `status` None: the client was gone. Without `code` the usual one of the status."""
    one = Exchange(asked, 0.0, route(asked.path), Principal(who))
    one.code = code or _CODES.get(status)
    if status is not None:
        one.response = Response(status)
        for name, value in (answered or {}).items():
            one.response.add(name.encode(), value)
    one.failure = failure
    return one
