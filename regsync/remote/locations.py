"""`Location` of an upload: where a registry may send a blob's bytes.

It may be relative, absolute, on another host, and hold a query that has to come back as it is
(REGISTRIES.md, 28). The rules are those of redirects (`origins`): never from HTTPS to HTTP, and never
from a public registry to a private address, which would have us write where the registry cannot.
"""

from regsync.remote.endpoint import Endpoint
from regsync.remote.origins import followed
from regsync.remote.request import Response


def location_of(endpoint: Endpoint, response: Response) -> str | None:
    """The absolute URL in the answer's Location, or None where it has none.

    Raises UnsafeRedirectError where requests must not go.
    """
    text = response.headers.get("location")
    return followed(response.url, text, where=f"{endpoint.name}: an upload's Location") if text else None
