"""Handing a response over to the server (ASGI)."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from anyio import CancelScope, create_task_group

from regsync.errors import RegsyncError
from regsync.server.message import Request, Response, Send
from regsync.server.watch import Exchange

# What is sent at once: for a client that does not read, the server holds about eight of them.
PIECE = 128 * 1024  # bytes
_API_VERSION = (b"docker-distribution-api-version", b"registry/2.0")


async def send_response(exchange: Exchange, response: Response, send: Send) -> int:
    """Send it; returns how many bytes of a body."""
    request = exchange.request
    length = response.length if response.length is not None else len(response.body)
    headers = [_API_VERSION, *response.headers]
    if response.status not in (204, 304):
        headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if request.method == "HEAD" or response.status in (204, 304):
        await send({"type": "http.response.body", "body": b""})
        return 0
    if response.chunks is not None:
        return await _stream(exchange, response.chunks, send)
    if response.file is not None:
        await send({"type": "http.response.pathsend", "path": str(response.file)})
    else:
        await send({"type": "http.response.body", "body": response.body})
    return length


async def _stream(exchange: Exchange, chunks: AsyncGenerator[bytes, None], send: Send) -> int:
    """Send what comes, until it ends or the client is gone.

    Where it fails nothing more is sent: the server then cuts the connection, since the body is shorter
    than its Content-Length, and no client takes it for whole.
    """
    sent = 0
    async with create_task_group() as group:
        group.start_soon(_cancel_when_gone, exchange.request, group.cancel_scope)
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    for start in range(0, len(chunk), PIECE):
                        piece = chunk[start : start + PIECE]
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
                    sent += len(chunk)
            await send({"type": "http.response.body", "body": b""})
        except RegsyncError as error:
            exchange.failure = error
        group.cancel_scope.cancel()
    return sent


async def _cancel_when_gone(request: Request, scope: CancelScope) -> None:
    """The server takes and drops what is sent to a client that is gone, so it has to be asked."""
    await request.body.gone()
    scope.cancel()
