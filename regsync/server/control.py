"""The small HTTP application beside a daemon: its pages, and webhooks."""

from collections.abc import Awaitable, Callable, Mapping

from regsync.clock import Clock
from regsync.server.hooks import Hooks
from regsync.server.message import ClientGoneError, Receive, Request, Response, Scope, Send

Page = Callable[[], Awaitable[Response]]
HOOKS = "/hooks/"
_TEXT = (b"content-type", b"text/plain; charset=utf-8")


def words(status: int, *lines: str) -> Response:
    """An answer that a person reads."""
    return Response(status, [_TEXT], "".join(f"{line}\n" for line in lines).encode())


class Control:
    """Answers GET and HEAD for `pages` by their paths, and POST for hooks (None: there are none)."""

    def __init__(self, pages: Mapping[str, Page], hooks: Hooks | None, clock: Clock) -> None:
        self._pages, self._hooks, self._clock = pages, hooks, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive, self._clock.new_id())
        try:
            response = await self._answer(request)
        except ClientGoneError:
            response = words(400, "the request is not whole")
        if request.is_unread:
            response.add(b"connection", "close")
        await _send(request, response, send)

    async def _answer(self, request: Request) -> Response:
        if not request.has_one_host:
            return words(400, "a request has one Host header")
        if request.path.startswith(HOOKS) and self._hooks is not None:
            if request.method != "POST":
                return words(405, "POST starts a mirror").add(b"allow", "POST")
            return await self._hooks.receive(request, request.path.removeprefix(HOOKS))
        page = self._pages.get(request.path)
        if page is None:
            return words(404, "there is no such page")
        if request.method not in ("GET", "HEAD"):
            return words(405, "GET shows it").add(b"allow", "GET, HEAD")
        return await page()


async def _send(request: Request, response: Response, send: Send) -> None:
    headers = [*response.headers, (b"content-length", str(len(response.body)).encode())]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    body = b"" if request.method == "HEAD" else response.body
    await send({"type": "http.response.body", "body": body})
