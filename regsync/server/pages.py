"""What there is beside the API: whether the process lives, whether it is ready, and its metrics.

The first two say a word to anyone, since orchestrators ask from wherever they run. Metrics are for
this host, and for whom the policy lets administrate the repository `regsync/metrics`.
"""

import os
import tempfile
from collections.abc import Mapping, Sequence

from anyio import Lock
from anyio.to_thread import run_sync

from regsync.clock import Clock
from regsync.content.durable import StorageError
from regsync.oci.reference import RepositoryName
from regsync.server.access import Action, is_local
from regsync.server.access_log import AccessLog
from regsync.server.app import Page
from regsync.server.audit import AuditLog
from regsync.server.exposition import CONTENT_TYPE, Gauges, exposition
from regsync.server.failures import ApiError
from regsync.server.message import Response
from regsync.server.metrics import RequestMetrics
from regsync.server.policy import Policy
from regsync.server.stalled import Bodies
from regsync.server.watch import Exchange
from regsync.store.builtin import BuiltinStore
from regsync.store.errors import StoreError
from regsync.store.queries import StoreStats

COUNT_EVERY = 60.0  # seconds; in a large store counting takes a worker a second
LOOK_EVERY = 1.0  # seconds; who asks more often whether it is ready gets the last answer
METRICS = RepositoryName.parse("regsync/metrics")
_BLOCK = b"\0" * 4096  # what has to find room
_TEXT = (b"content-type", b"text/plain; charset=utf-8")


class Readiness:
    """Whether requests should be sent here. `draining` is set when the process is told to end."""

    def __init__(self, store: BuiltinStore, audit: AuditLog | None, clock: Clock) -> None:
        self._store, self._audit, self._clock = store, audit, clock
        self._lock = Lock()
        self._looked = float("-inf")
        self._storage: Sequence[str] = ()
        self.draining = False

    async def page(self, exchange: Exchange, policy: Policy) -> Response:
        """`/readyz`: 200, or 503 with a line for each thing that is wrong."""
        wrong = ["draining"] if self.draining else []
        if self._audit is not None and self._audit.failure is not None:
            wrong.append("audit file")
        wrong += await self._wrong_with_storage(policy)
        if wrong:
            return Response(503, [_TEXT], "".join(f"not ready: {one}\n" for one in wrong).encode())
        return Response(200, [_TEXT], b"ready\n")

    async def _wrong_with_storage(self, policy: Policy) -> Sequence[str]:
        async with self._lock:
            now = self._clock.monotonic()
            if now - self._looked >= LOOK_EVERY:
                self._looked = now
                self._storage = [
                    *([] if await self._answers() else ["catalogue"]),
                    *([] if policy.read_only or await run_sync(self._takes) else ["storage"]),
                ]
        return self._storage

    async def _answers(self) -> bool:
        try:
            await self._store.repository_page("", 1)
        except StoreError:
            return False
        return True

    def _takes(self) -> bool:
        try:
            with tempfile.TemporaryFile(dir=self._store.path, buffering=0) as file:
                file.write(_BLOCK)
        except (OSError, StorageError):
            return False
        return True


class MetricsPage:
    """`/metrics`."""

    def __init__(
        self,
        store: BuiltinStore,
        requests: RequestMetrics,
        log: AccessLog,
        audit: AuditLog | None,
        bodies: Bodies,
        clock: Clock,
    ) -> None:
        self._store, self._requests, self._log, self._audit = store, requests, log, audit
        self._bodies, self._clock = bodies, clock
        self._lock = Lock()
        self._stats: StoreStats | None = None
        self._counted = 0.0

    async def page(self, exchange: Exchange, policy: Policy) -> Response:
        """All that is counted and measured. Raises ApiError for who may not see it, StoreError."""
        if not is_local(exchange.request.client):
            await self._judge(exchange, policy)
        gauges = Gauges(
            uploading=len(self._bodies),
            log_lines_lost=self._log.lost,
            audit_failing=self._audit is not None and self._audit.failure is not None,
            storage=await self._count(),
            free=_free(self._store),
        )
        raw = await run_sync(exposition, self._requests, gauges)
        return Response(200, [(b"content-type", CONTENT_TYPE.encode())], raw)

    async def _judge(self, exchange: Exchange, policy: Policy) -> None:
        access = policy.access
        principal = exchange.principal = await access.identify(exchange.request)
        if access.allows(principal, Action.ADMIN, METRICS):
            return
        if principal.is_anonymous and access.challenge is not None:
            headers = {"WWW-Authenticate": access.challenge}
            raise ApiError(401, "UNAUTHORIZED", "log in to read metrics", headers=headers)
        raise ApiError(403, "DENIED", "metrics are for this host and for administrators")

    async def _count(self) -> StoreStats:
        async with self._lock:
            now = self._clock.monotonic()
            if self._stats is None or now - self._counted >= COUNT_EVERY:
                self._stats = await self._store.stats()
                self._counted = now
        return self._stats


async def health(exchange: Exchange, policy: Policy) -> Response:
    """`/healthz`: that somebody answers."""
    return Response(200, [_TEXT], b"alive\n")


def pages(readiness: Readiness, metrics: MetricsPage) -> Mapping[str, Page]:
    """The pages by their paths."""
    return {"/healthz": health, "/readyz": readiness.page, "/metrics": metrics.page}


def _free(store: BuiltinStore) -> int:
    found = os.statvfs(store.path)
    return found.f_bavail * found.f_frsize
