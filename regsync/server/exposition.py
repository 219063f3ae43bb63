"""The metrics page: what was counted, as Prometheus reads it.

The names are in docs/server.md; people's dashboards and alerts depend on them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regsync.server.garbage import Collected
from regsync.server.metrics import BUCKETS, RequestMetrics
from regsync.store.gc_report import Kind
from regsync.store.queries import StoreStats

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Gauges:
    """What is looked at when somebody asks."""

    uploading: int  # requests whose body is being received
    log_lines_lost: int
    audit_failing: bool
    storage: StoreStats
    free: int  # bytes that the store's file system has left


def exposition(requests: RequestMetrics, gauges: Gauges) -> bytes:
    """The page. Imports the library: call it in a worker thread."""
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.exposition import generate_latest
    from prometheus_client.registry import Collector

    class Counted(Collector):
        def collect(self) -> Iterable["Metric"]:
            yield from _requests(requests)
            yield from _gauges(gauges)
            yield from _garbage(requests.collected)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Counted())
    ProcessCollector(registry=registry)
    return generate_latest(registry)


def _requests(counted: RequestMetrics) -> Iterator["Metric"]:
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    labels = ("endpoint", "method")
    count = CounterMetricFamily(
        "regsync_http_requests", "Requests, by the class of their status.", labels=(*labels, "status")
    )
    took = HistogramMetricFamily(
        "regsync_http_request_seconds", "From a request's head to the end of its answer.", labels=labels
    )
    received = CounterMetricFamily("regsync_http_received_bytes", "Of requests' bodies.", labels=labels)
    sent = CounterMetricFamily("regsync_http_sent_bytes", "Of answers' bodies.", labels=labels)
    for key, kind in sorted(counted.kinds.items()):
        for status, number in _by_class(kind.statuses.copy()):
            count.add_metric((*key, status), number)
        took.add_metric(key, _cumulative(kind.buckets.copy()), kind.seconds)
        received.add_metric(key, kind.received)
        sent.add_metric(key, kind.sent)
    yield from (count, took, received, sent)
    pulls = CounterMetricFamily(
        "regsync_upstream_requests",
        "Requests to repositories of upstreams, by what was done for them.",
        labels=("prefix", "outcome"),
    )
    for pulled, number in sorted(counted.pulls.items()):
        pulls.add_metric(pulled, number)
    yield pulls
    verdicts = CounterMetricFamily(
        "regsync_upstream_verdicts",
        "What policies said of manifests of upstreams.",
        labels=("policy", "result"),
    )
    for said, number in sorted(dict(counted.verdicts).items()):
        verdicts.add_metric(said, number)
    yield verdicts
    failures = CounterMetricFamily("regsync_auth_failures", "Requests refused.", labels=("reason",))
    failures.add_metric(("credentials",), counted.wrong_credentials)
    failures.add_metric(("rate-limited",), counted.rate_limited)
    failures.add_metric(("denied",), counted.denials)
    yield failures


def _gauges(gauges: Gauges) -> Iterator["Metric"]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    storage = gauges.storage
    for name, text, value in (
        ("regsync_uploads_in_flight", "Requests whose body is being received.", gauges.uploading),
        ("regsync_audit_failing", "1 while the audit file cannot be written.", int(gauges.audit_failing)),
        ("regsync_storage_repositories", "Repositories.", storage.repositories),
        ("regsync_storage_tags", "Tags.", storage.tags),
        ("regsync_storage_manifests", "Manifests, those of each repository.", storage.manifests),
        ("regsync_storage_blobs", "Distinct blobs.", storage.blobs),
        ("regsync_storage_bytes", "Distinct blobs and manifests.", storage.bytes),
        ("regsync_storage_free_bytes", "Left on the store's file system.", gauges.free),
    ):
        yield GaugeMetricFamily(name, text, value)
    yield CounterMetricFamily(
        "regsync_access_log_lines_lost", "Since whoever reads them was too slow.", gauges.log_lines_lost
    )


def _garbage(collected: Collected) -> Iterator["Metric"]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    runs = CounterMetricFamily("regsync_gc_runs", "Garbage collections.", labels=("outcome",))
    runs.add_metric(("done",), collected.runs)
    runs.add_metric(("failed",), collected.failures)
    yield runs
    yield CounterMetricFamily("regsync_gc_seconds", "That they took.", collected.seconds)
    yield CounterMetricFamily("regsync_gc_freed_bytes", "That they freed.", collected.freed)
    deleted = CounterMetricFamily("regsync_gc_deleted", "What they deleted.", labels=("kind",))
    waiting = GaugeMetricFamily(
        "regsync_gc_waiting", "What nothing leads to and is kept for its time.", labels=("kind",)
    )
    for kind in Kind:
        deleted.add_metric((kind.value,), collected.deleted[kind])
        waiting.add_metric((kind.value,), collected.waiting[kind])
    yield from (deleted, waiting)


def _by_class(statuses: dict[int, int]) -> Sequence[tuple[str, int]]:
    classes: dict[str, int] = {}
    for status, number in statuses.items():
        name = f"{status // 100}xx" if status else "gone"
        classes[name] = classes.get(name, 0) + number
    return sorted(classes.items())


def _cumulative(buckets: Sequence[int]) -> Sequence[tuple[str, float]]:
    total = 0
    result = []
    for bound, number in zip((*BUCKETS, "+Inf"), buckets, strict=True):
        total += number
        result.append((str(bound), float(total)))
    return result
