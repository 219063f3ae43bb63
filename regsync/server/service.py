"""The registry as a service: what runs beside the requests, from the first to the last of them."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from anyio import Event, create_task_group

from regsync.clock import Clock
from regsync.server.access_log import AccessLog
from regsync.server.app import Application
from regsync.server.audit import AuditFileError, AuditLog
from regsync.server.audit_record import nowhere
from regsync.server.configured import Configuration, Story
from regsync.server.garbage import Collected, GarbageCollection
from regsync.server.listening import Listening, bind
from regsync.server.metrics import RequestMetrics
from regsync.server.pages import MetricsPage, Readiness, pages
from regsync.server.renewal import Renewal
from regsync.server.stalled import Bodies
from regsync.spec.server import Listen, Server
from regsync.store.builtin import BuiltinStore

LAST_WORDS = timedelta(seconds=2)  # for uploads that are cut to keep what came


class Service:
    """One store, served until `stop` is set."""

    def __init__(self, configuration: Configuration, story: Story, clock: Clock) -> None:
        self._configuration, self._story, self._clock = configuration, story, clock
        self._configured = configuration.read()

    async def run(self, stop: Event, *, drain: timedelta, ready: Callable[[str], object]) -> bool:
        """Serve; `ready` is given the URL. Whether all requests in flight ended within `drain`.

        Raises AddressError, TlsFilesError, AuditFileError, StoreError, StorageError.
        """
        server = self._configured.server
        audit = self._audit(server)
        note = audit.note if audit is not None else nowhere
        with bind(server.listen) as bound:
            address = Listen(*bound.getsockname()[:2])
            async with BuiltinStore.open(self._configured.store, clock=self._clock) as store:
                garbage = GarbageCollection(store, self._story.show, note)
                readiness, application, log = self._application(store, audit, garbage.collected)
                async with create_task_group() as tasks:
                    listening = Listening(application, bound, tasks)
                    renewal = Renewal(
                        self._configuration, self._configured, application, listening, self._story, note
                    )
                    await renewal.start()
                    works = [log.run, application.bodies.watch, application.pull_through.run, renewal.run]
                    works += [
                        application.promises.run,
                        store.pulls.run,
                        partial(garbage.run, lambda: renewal.gc_interval),
                    ]
                    for work in works if audit is None else [*works, audit.run]:
                        tasks.start_soon(work)
                    ready(f"{'http' if server.tls is None else 'https'}://{address}")
                    await stop.wait()
                    readiness.draining = True
                    drained = await listening.drain(drain)
                    if not drained:
                        application.bodies.end()
                        await listening.drain(LAST_WORDS)
                    tasks.cancel_scope.cancel()
        return drained

    def _audit(self, server: Server) -> AuditLog | None:
        if server.audit is None:
            return None
        audit = AuditLog(server.audit, self._clock, self._tell_of_audit)
        audit.open()
        return audit

    def _application(
        self, store: BuiltinStore, audit: AuditLog | None, collected: Collected
    ) -> tuple[Readiness, Application, AccessLog]:
        log = AccessLog(self._story.write, self._clock, self._story.log_format)
        metrics, bodies = RequestMetrics(collected), Bodies(self._clock)
        readiness = Readiness(store, audit, self._clock)
        shown = MetricsPage(store, metrics, log, audit, bodies, self._clock)
        application = Application(
            store,
            self._configured.policy,
            self._clock,
            watches=(metrics, log, audit) if audit is not None else (metrics, log),
            pages=pages(readiness, shown),
            bodies=bodies,
            before_change=audit.require if audit is not None else lambda: None,
        )
        metrics.verdicts = application.pull_through.verdicts
        return readiness, application, log

    def _tell_of_audit(self, failure: AuditFileError | None) -> None:
        if failure is not None:
            self._story.show(failure)
        else:
            self._story.note("audit", "the file is written again; nothing was lost")
