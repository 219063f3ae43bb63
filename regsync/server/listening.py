"""The HTTP server, granian's, on a socket that is bound here (docs/decisions/0006-granian-embedded.md).

Binding it here tells of an address in use, lets port 0 choose one, sets what granian has no setting
for, and lets a second server take over the socket when a certificate was renewed.
"""

import os
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

from anyio import Event, move_on_after
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint
from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.server import embed

from regsync.errors import RegsyncError
from regsync.server.message import Receive, Scope, Send
from regsync.server.tls_files import TlsFilesError, checked
from regsync.spec.server import Listen, ServerLimits, ServerTls

BACKLOG = 1024  # connections that the kernel holds until they are accepted
DEAD_AFTER = 60  # seconds until a peer is given up that takes nothing of an answer, or is gone
_FILE_THREADS = 64  # of granian's, that read the files it sends; made when they are needed
_STEPS = 10  # of the event loop, within which a server that cannot start has failed
Application = Callable[[Scope, Receive, Send], Awaitable[None]]  # ASGI
_HOLD: Any = SocketHolder  # its stub lacks the constructor


class AddressError(RegsyncError):
    """An address cannot be listened on."""

    def __init__(self, listen: Listen, cause: OSError) -> None:
        super().__init__(f"{listen}: cannot listen there: {cause.strerror or cause}")

    @property
    def hint(self) -> str:
        """What to do next."""
        return "another process may be listening there; --listen or `listen` chooses another address or port"


class ServerEndedError(RegsyncError):
    """The HTTP server ended by itself."""

    def __init__(self) -> None:
        super().__init__("the HTTP server ended by itself; its last words are above")


def bind(listen: Listen) -> socket.socket:
    """A socket with that address, which does not listen yet: who connects shall find it ready.

    Raises AddressError.
    """
    bound = socket.socket(socket.AF_INET6 if ":" in listen.host else socket.AF_INET)
    # On Linux what is accepted inherits these.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if sys.platform == "linux":
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, DEAD_AFTER)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_AFTER * 1000)
    try:
        bound.bind((listen.host, listen.port))
    except OSError as cause:
        bound.close()
        raise AddressError(listen, cause) from cause
    return bound


class Listening:
    """Accepts connections for an application, until `drain`."""

    def __init__(self, application: Application, bound: socket.socket, group: TaskGroup) -> None:
        self._application, self._bound, self._group = application, bound, group
        self._servers: set[_Server] = set()  # that have connections
        self._current: _Server | None = None
        self._quiet = Event()

    async def start(self, tls: ServerTls | None, limits: ServerLimits) -> None:
        """Accept from now on with these; what was accepted before goes on to its end.

        Raises AddressError and TlsFilesError, and leaves everything as it was.
        """
        with checked(tls) if tls is not None else nullcontext() as held:
            await self._start(_Server(self._application, self._bound, limits, held), tls)

    async def _start(self, server: "_Server", tls: ServerTls | None) -> None:
        self._servers.add(server)
        self._group.start_soon(self._serve, server)
        for _ in range(_STEPS):
            await checkpoint()
        if server.interrupt_children:
            self._check_address()
            raise TlsFilesError(tls, "the TLS library refuses them") if tls is not None else ServerEndedError
        before, self._current = self._current, server
        if before is not None:
            before.end()

    def _check_address(self) -> None:
        """Raise AddressError where another process was first to listen at an address that both have bound."""
        try:
            self._bound.listen(BACKLOG)
        except OSError as cause:
            raise AddressError(Listen(*self._bound.getsockname()[:2]), cause) from cause

    async def drain(self, limit: timedelta) -> bool:
        """Accept no more and let requests in flight end; whether they did within `limit`. Twice: wait on."""
        self._bound.close()
        if self._current is not None:
            current, self._current = self._current, None
            current.end()
        with move_on_after(limit.total_seconds()):
            while self._servers:
                await self._quiet.wait()
        return not self._servers

    async def _serve(self, server: "_Server") -> None:
        await server.serve()
        self._servers.discard(server)
        if not self._servers:
            self._quiet.set()
        if server is self._current:
            raise ServerEndedError


class _Server(embed.Server):
    """granian on a socket that is there already."""

    def __init__(
        self, application: Application, bound: socket.socket, limits: ServerLimits, tls: ServerTls | None
    ) -> None:
        super().__init__(
            application,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            websockets=False,
            backlog=BACKLOG,
            backpressure=limits.connections,
            runtime_blocking_threads=_FILE_THREADS,
            http1_settings=HTTP1Settings(
                header_read_timeout=int(limits.header_timeout.total_seconds() * 1000),
                max_buffer_size=limits.header_size,
            ),
            log_enabled=False,
        )
        if tls is not None:  # as granian makes it of its arguments, whose links it would resolve
            least = str(SSLProtocols.tls12)
            context: Any = (True, str(tls.cert), str(tls.key), None, least, None, [], False)
            self.ssl_ctx = context
        self._own = bound

    def end(self) -> None:
        """Accept no more; `serve` returns when every connection is closed."""
        self.stop()  # type: ignore[no-untyped-call]

    def _init_shared_socket(self) -> None:
        # granian closes what it is given; the one that is kept is for the server after this one.
        self._ssp: Any = None
        self._shd: Any = _HOLD(os.dup(self._own.fileno()), False, BACKLOG)  # noqa: FBT003
        self._sfd = self._shd.get_fd()
