"""A changed configuration, or a renewed certificate, taken up while requests go on.

Something that is wrong is told of, and everything stays as it was.
"""

import signal
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from anyio import create_task_group, open_signal_receiver
from anyio.to_thread import run_sync

from regsync.errors import RegsyncError
from regsync.server.app import Application
from regsync.server.audit_record import DONE, FAILED, Note
from regsync.server.configured import Configuration, Configured, Story
from regsync.server.listening import Listening
from regsync.server.reloading import FileStates, Reloading, states_of
from regsync.spec.server import Server, ServerLimits, ServerTls


@dataclass(frozen=True, slots=True)
class _Accepting:
    """What new connections are accepted with."""

    limits: ServerLimits
    tls: ServerTls | None
    files: FileStates

    @classmethod
    def of(cls, server: Server) -> "_Accepting":
        """That which a document and the files that it names give now. Blocking."""
        return cls(server.limits, server.tls, states_of(_tls_files(server)))


class Renewal:
    """Looks at the configuration's files every second, and when SIGHUP comes; `note` is for the audit log."""

    def __init__(
        self,
        configuration: Configuration,
        configured: Configured,
        application: Application,
        listening: Listening,
        story: Story,
        note: Note,
    ) -> None:
        self._configuration, self._configured = configuration, configured
        self._application, self._listening, self._story = application, listening, story
        self._note = note
        self._accepting: _Accepting | None = None
        self._reloading = Reloading(self._files, self._renew)

    @property
    def gc_interval(self) -> timedelta | None:
        """How often garbage is to be collected now; None: not at all, also while nothing may change."""
        server = self._configured.server
        return None if server.gc is None or self._application.policy.read_only else server.gc.interval

    async def start(self) -> None:
        """Accept connections. Raises TlsFilesError."""
        await self._accept(self._configured.server)

    async def run(self) -> None:
        """Look for ever."""
        certificates = self._accepting.files if self._accepting is not None else frozenset()
        taken = self._configured.files | certificates
        with open_signal_receiver(signal.SIGHUP) as signals:
            async with create_task_group() as tasks:
                tasks.start_soon(self._hear, signals)
                await self._reloading.run(taken)

    async def _hear(self, signals: AsyncIterator[signal.Signals]) -> None:
        async for _ in signals:
            self._reloading.ask()

    def _files(self) -> Iterable[Path]:
        yield from self._configuration.files()
        yield from _tls_files(self._configured.server)

    async def _renew(self) -> None:
        try:
            found = await run_sync(self._configuration.read)
            await self._accept(found.server)
        except RegsyncError as error:
            self._story.show(error)
            self._story.note("reload", "refused; everything stays as it was")
            self._note({"event": "reload", "outcome": FAILED})
            return
        self._application.policy = found.policy
        later = _needs_restart(self._configured, found)
        self._configured = found
        self._note({"event": "reload", "outcome": DONE})
        self._story.note(
            "reload", f"taken up, but for what needs a restart: {later}" if later else "taken up"
        )

    async def _accept(self, server: Server) -> None:
        wanted = await run_sync(_Accepting.of, server)
        if wanted != self._accepting:
            await self._listening.start(server.tls, server.limits)
            self._accepting = wanted
        bodies, limits = self._application.bodies, server.limits
        bodies.patience, bodies.limit = limits.body_timeout.total_seconds(), limits.body_size


def _tls_files(server: Server) -> Iterable[Path]:
    return (server.tls.cert, server.tls.key) if server.tls is not None else ()


def _needs_restart(before: Configured, after: Configured) -> str:
    changed = {
        "listen": before.server.listen != after.server.listen,
        "storage": before.store != after.store,
        "audit": before.server.audit != after.server.audit,
    }
    return ", ".join(name for name, is_changed in changed.items() if is_changed)
