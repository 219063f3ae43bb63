"""Garbage collection on an interval, beside the requests; what the runs did, for the metrics."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import anyio

from regsync.errors import RegsyncError
from regsync.server.audit_record import DONE, FAILED, Note
from regsync.store.builtin import BuiltinStore
from regsync.store.gc_report import Kind, Rules, Run

_LOOK_EVERY = 60.0  # seconds, whether an interval was configured meanwhile


@dataclass(slots=True)
class Collected:
    """Sums over all runs of this process."""

    runs: int = 0
    failures: int = 0
    seconds: float = 0.0
    freed: int = 0  # bytes
    deleted: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))
    waiting: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))  # after the last run


class CollectionFailedError(RegsyncError):
    """A garbage collection ended with what nobody foresaw."""

    usual_hint = "report this; the store is served on, and the next collection begins anew"

    def __init__(self, cause: Exception) -> None:
        last = traceback.extract_tb(cause.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        super().__init__(f"garbage collection failed: {type(cause).__name__}: {cause} ({where})")
        self.__cause__ = cause


class GarbageCollection:
    """Collects; `tell` is told of runs that failed, `note` of what was deleted."""

    def __init__(
        self,
        store: BuiltinStore,
        tell: Callable[[RegsyncError], object],
        note: Note,
        rules: Rules | None = None,
    ) -> None:
        self._store, self._tell, self._note = store, tell, note
        self._rules = rules or Rules()
        self.collected = Collected()

    async def run(self, current: Callable[[], timedelta | None]) -> None:
        """Wait and collect, until cancelled; `current` is the interval as it is now, None: not at all."""
        while True:
            interval = current()
            await anyio.sleep(interval.total_seconds() if interval is not None else _LOOK_EVERY)
            if interval is not None:
                await self.collect()

    async def collect(self) -> None:
        """One run; raises nothing, since whoever serves goes on without it."""
        try:
            report = await self._store.collect_garbage(self._rules, Run.FOR_REAL)
        except Exception as error:  # noqa: BLE001 - a defect here must not end the requests beside it
            self.collected.failures += 1
            self._tell(error if isinstance(error, RegsyncError) else CollectionFailedError(error))
            self._note({"event": "gc", "outcome": FAILED})  # it may have deleted a part
            return
        done = self.collected
        done.runs += 1
        done.seconds += report.seconds
        done.freed += report.freed
        for kind, count in report.counts.items():
            done.deleted[kind] += count.deleted
            done.waiting[kind] = count.waiting
        deleted = {kind.value: count.deleted for kind, count in report.counts.items() if count.deleted}
        if deleted:
            self._note({"event": "gc", "outcome": DONE, "deleted": deleted, "freed": report.freed})
