"""What the daemon offers over HTTP: its health, its metrics, and webhooks that start a mirror."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from anyio import Event, Lock, create_task_group
from anyio.to_thread import run_sync

from regsync.cli.daemon_files import DaemonFiles
from regsync.cli.daemon_outside import RunsOutside
from regsync.clock import Clock
from regsync.reconcile.daemon import Daemon
from regsync.reconcile.notifying import Notifier
from regsync.reconcile.scheduled import MIRROR, RETENTION
from regsync.reconcile.standing import Standing
from regsync.reconcile.timetable import Asked
from regsync.report.metrics import CONTENT_TYPE, DaemonState, exposition
from regsync.server.control import Control, words
from regsync.server.hooks import LEAST_SECRET, Hooks, WeakHookSecretError
from regsync.server.listening import Listening, bind
from regsync.server.message import Response
from regsync.spec.secret import SecretRef
from regsync.spec.server import Listen, ServerLimits

LIMITS = ServerLimits(header_size=16 * 1024, connections=256)
LAST_ANSWERS = timedelta(seconds=2)


class DaemonListener:
    """The pages, as the daemon stands when somebody asks."""

    def __init__(
        self, daemon: Daemon, files: DaemonFiles, outside: RunsOutside, notifier: Notifier, clock: Clock
    ) -> None:
        self._daemon, self._files, self._outside = daemon, files, outside
        self._notifier, self._clock = notifier, clock
        self._hooks: Hooks | None = None
        self._draining = False
        self._showing = Lock()  # one at a time: with many mirrors the page is long

    @asynccontextmanager
    async def open(self, listen: Listen | None, secrets: Sequence[SecretRef]) -> AsyncIterator[str | None]:
        """Listen for the body, at the URL that is given.

        Raises AddressError, MissingSecretError, WeakHookSecretError.
        """
        if listen is None:
            yield None
            return
        if secrets:
            await run_sync(_read, secrets)  # at the start: a secret that is missing is found here
            self._hooks = Hooks(lambda: _read(secrets), self._ask, self._clock)
        pages = {"/healthz": self._health, "/readyz": self._ready, "/metrics": self._metrics}
        control = Control(pages, self._hooks, self._clock)
        with bind(listen) as bound:
            address = Listen(*bound.getsockname()[:2])
            async with create_task_group() as group:
                listening = Listening(control, bound, group)
                await listening.start(None, LIMITS)
                yield f"http://{address}"
                await listening.drain(LAST_ANSWERS)
                group.cancel_scope.cancel()

    async def drain_at(self, stop: Event) -> None:
        """Say on `/readyz` that the end is near."""
        await stop.wait()
        self._draining = True

    def _ask(self, mirror: str) -> str | None:
        asked = self._daemon.ask(mirror)
        return None if asked is Asked.UNKNOWN else asked.value

    async def _health(self) -> Response:
        return words(200, "alive")

    async def _ready(self) -> Response:
        wrong = ["draining"] if self._draining else []
        if self._daemon.ledger_trouble is not None:
            wrong.append("ledger")
        return words(503, *(f"not ready: {one}" for one in wrong)) if wrong else words(200, "ready")

    async def _metrics(self) -> Response:
        async with self._showing:
            page = await run_sync(exposition, self._state())
        return Response(200, [(b"content-type", CONTENT_TYPE.encode())], page)

    def _state(self) -> DaemonState:
        table, hooks = self._daemon.timetable, self._hooks
        mirrors = self._standings(MIRROR)
        due = {name: table.due_of(f"{MIRROR}{name}") for name in mirrors}
        return DaemonState(
            now=self._clock.now(),
            mirrors=mirrors,
            retention=self._standings(RETENTION),
            due={name: when for name, when in due.items() if when is not None},
            running=frozenset(task.removeprefix(MIRROR) for task in table.running),
            holds_lease=self._daemon.holds_lease,
            ledger_works=self._daemon.ledger_trouble is None,
            spec_is_current=self._files.is_current,
            spec_taken=self._files.taken,
            requests=dict(self._daemon.requests),
            quotas=self._outside.limiters.quotas(),
            notifications_lost=self._notifier.lost,
            hooks=dict(hooks.answers) if hooks is not None else {},
        )

    def _standings(self, kind: str) -> dict[str, Standing]:
        found = self._daemon.timetable.standings.items()
        return {task.removeprefix(kind): one for task, one in found if task.startswith(kind)}


def _read(secrets: Sequence[SecretRef]) -> Sequence[str]:
    found = [secret.read() for secret in secrets]
    for secret, value in zip(secrets, found, strict=True):
        if len(value) < LEAST_SECRET:
            raise WeakHookSecretError(f"{secret.wanted_by}: {secret}")
    return found
