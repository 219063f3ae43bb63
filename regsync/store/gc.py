"""Garbage collection while the store is in use (docs/decisions, "Garbage collection").

Per repository: manifests that nothing leads to, then its blobs that no manifest needs. Then bytes that
no repository has, uploads that have not come further for long, and files of dead processes. Everything is
marked when it is first seen unused and deleted when the mark has stood for long enough, in small
transactions, each of which looks again.
"""

from collections import Counter

from regsync.clock import Clock
from regsync.store import garbage_reading as reading
from regsync.store.blobs import BlobStore
from regsync.store.catalogue import Catalogue
from regsync.store.gc_bytes import collect_bytes, collect_parts, collect_uploads
from regsync.store.gc_pass import Pass
from regsync.store.gc_report import Explain, GarbageReport, Rules, Run
from regsync.store.gc_repository import collect_repository
from regsync.store.leases import forget_ended
from regsync.store.sessions import Sessions


async def collect(
    catalogue: Catalogue,
    blobs: BlobStore,
    sessions: Sessions,
    clock: Clock,
    *,
    rules: Rules,
    run: Run,
    explain: Explain | None = None,
) -> GarbageReport:
    """One run; may be cancelled at any moment. `explain` is told of everything, kept or not.

    Raises StoreError or StorageError; what was deleted until then is deleted.
    """
    started = clock.monotonic()
    report = GarbageReport(run is Run.DRY, rules)
    one = Pass(catalogue, clock, rules, run, report, explain)
    taken: Counter[str] = Counter()
    for key, name in await one.look(reading.keys):
        taken.update(await collect_repository(one, key, name))
        report.repositories += 1
    await collect_bytes(one, blobs, taken)
    await collect_uploads(one, sessions)
    await collect_parts(one, blobs)
    if not one.is_dry:
        await one.change(forget_ended)
    report.seconds = clock.monotonic() - started
    return report
