"""A small document from a URL that somebody trusted: the keys of an issuer of tokens, for example."""

from pathlib import Path

import anyio

from regsync.remote.errors import RegistryTimeoutError, TooLargeError, UnexpectedAnswerError, shown_url
from regsync.remote.tls import TlsFiles
from regsync.remote.transport import NativeTransport

TIME_LIMIT = 10.0  # seconds for all of it


async def fetch_document(url: str, *, ca: Path | None, limit: int) -> bytes:
    """The body of a 200 answer, of at most `limit` bytes. Sends no credentials and follows nothing.

    `ca` is trusted besides the system's authorities. Raises RegistryError.
    """
    where = f"GET {shown_url(url)}"
    transport = NativeTransport(TlsFiles(ca))
    try:
        with anyio.fail_after(TIME_LIMIT):
            return await _get(transport, url, where, limit)
    except TimeoutError as cause:
        raise RegistryTimeoutError(f"{where}: no whole answer within {TIME_LIMIT:.0f} s") from cause
    finally:
        with anyio.CancelScope(shield=True):
            await transport.close()


async def _get(transport: NativeTransport, url: str, where: str, limit: int) -> bytes:
    answer = await transport.start("GET", url, {"Accept": "application/json"})
    try:
        if answer.status != 200:
            raise UnexpectedAnswerError(f"{where}: expected 200, found {answer.status}", status=answer.status)
        body = bytearray()
        async for chunk in answer.chunks():
            body += chunk
            if len(body) > limit:
                raise TooLargeError(where, limit)
        return bytes(body)
    finally:
        await answer.close()
