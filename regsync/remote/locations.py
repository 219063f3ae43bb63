"""`Location` of an upload: where a registry may send a blob's bytes.

It may be relative, absolute, on another host, and hold a query that has to come back as it is
(REGISTRIES.md, 28). The rules are those of redirects: never from HTTPS to HTTP, and never from a public
registry to a private address, which would have us write where the registry itself could not.
"""

from urllib.parse import urljoin, urlsplit

from regsync.remote.endpoint import Endpoint
from regsync.remote.errors import UnexpectedAnswerError, shown_url
from regsync.remote.request import Response

MAX_LOCATION = 16 * 1024  # characters; signed URLs are long


def location_of(endpoint: Endpoint, response: Response) -> str | None:
    """The absolute URL in the answer's Location, or None where it has none.

    Raises UnsafeRedirectError where requests must not go, UnexpectedAnswerError where it is no URL.
    """
    text = response.headers.get("location")
    if not text:
        return None
    try:
        url = urljoin(response.url, text)
        parts = urlsplit(url)
        if len(url) > MAX_LOCATION or not parts.hostname or parts.username is not None:
            raise ValueError(text)
    except ValueError as cause:
        raise UnexpectedAnswerError(
            f"{endpoint.name}: the Location of an upload, {shown_url(text)}, is no URL to send it to",
            status=response.status,
        ) from cause
    return url
