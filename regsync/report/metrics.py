"""The daemon's metrics page, as Prometheus reads it.

The names are in docs/run.md; people's dashboards and alerts depend on them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from regsync.reconcile.standing import Ending, Standing

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class DaemonState:
    """All that is shown, as it is at one moment."""

    now: datetime
    mirrors: Mapping[str, Standing]
    retention: Mapping[str, Standing]  # policies
    due: Mapping[str, datetime]  # mirrors
    running: frozenset[str]  # mirrors
    holds_lease: bool
    ledger_works: bool
    spec_is_current: bool  # False: its files were edited, and are refused
    spec_taken: datetime
    requests: Mapping[tuple[str, str], int]  # by registry and kind
    quotas: Mapping[str, int] = field(default_factory=dict)  # what is left, by host
    notifications_lost: int = 0
    hooks: Mapping[int, int] = field(default_factory=dict)  # requests by status


def exposition(state: DaemonState) -> bytes:
    """The page. Imports the library: call it in a worker thread."""
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.exposition import generate_latest
    from prometheus_client.registry import Collector

    class Shown(Collector):
        def collect(self) -> Iterable["Metric"]:
            yield from _daemon(state)
            yield from _runs("mirror", "mirror", state.mirrors)
            yield from _runs("retention", "policy", state.retention)
            yield from _mirrors(state)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Shown())
    ProcessCollector(registry=registry)
    return generate_latest(registry)


def _daemon(state: DaemonState) -> Iterator["Metric"]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    for name, text, value in (
        (
            "regsync_lease_held",
            "1 while this process works, and no other over its ledger.",
            state.holds_lease,
        ),
        ("regsync_ledger_works", "1 unless the ledger cannot be read or written.", state.ledger_works),
        ("regsync_spec_current", "0 while an edit of the spec is refused.", state.spec_is_current),
    ):
        yield GaugeMetricFamily(name, text, int(value))
    yield GaugeMetricFamily(
        "regsync_spec_taken_timestamp_seconds",
        "When the spec in force was taken up.",
        state.spec_taken.timestamp(),
    )
    requests = CounterMetricFamily("regsync_requests", "Requests to registries.", labels=("registry", "kind"))
    for key, count in sorted(state.requests.items()):
        requests.add_metric(key, count)
    yield requests
    quota = GaugeMetricFamily(
        "regsync_quota_left", "Of the tightest that a registry tells of.", labels=("host",)
    )
    for host, left in sorted(state.quotas.items()):
        quota.add_metric((host,), left)
    yield quota
    yield CounterMetricFamily(
        "regsync_notifications_lost", "Messages that nobody got.", state.notifications_lost
    )
    hooks = CounterMetricFamily("regsync_hook_requests", "Webhooks, by their answer.", labels=("status",))
    for status, count in sorted(state.hooks.items()):
        hooks.add_metric((str(status),), count)
    yield hooks


def _runs(kind: str, label: str, standings: Mapping[str, Standing]) -> Iterator["Metric"]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    runs = CounterMetricFamily(f"regsync_{kind}_runs", "Runs, by how they ended.", labels=(label, "outcome"))
    success = GaugeMetricFamily(
        f"regsync_{kind}_last_success_timestamp_seconds",
        "When a run last went well; absent where none did.",
        labels=(label,),
    )
    for name, standing in standings.items():
        for ending in Ending:
            if ending is Ending.DONE or standing.runs[ending]:
                runs.add_metric((name, ending.value), standing.runs[ending])
        if standing.last_success is not None:
            success.add_metric((name,), standing.last_success.timestamp())
    yield from (runs, success)


def _mirrors(state: DaemonState) -> Iterator["Metric"]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    copied = CounterMetricFamily("regsync_mirror_copied_bytes", "Sent to targets.", labels=("mirror",))
    for name, standing in state.mirrors.items():
        copied.add_metric((name,), standing.copied)
    yield copied
    for metric, text, values in (
        ("staleness_seconds", "Since a run went well, or since this process began.", _staleness(state)),
        ("running", "1 while it runs.", {name: float(name in state.running) for name in state.mirrors}),
        ("due_timestamp_seconds", "When it runs next.", {n: at.timestamp() for n, at in state.due.items()}),
        *((name, text, _of_last_run(state, name)) for name, text in _LAST_RUN),
    ):
        gauge = GaugeMetricFamily(f"regsync_mirror_{metric}", text, labels=("mirror",))
        for name, value in values.items():
            gauge.add_metric((name,), value)
        yield gauge


_LAST_RUN = (
    ("pending", "Tags that were not as they should be after the last run."),
    ("blocked", "Of those, the ones that a rule or a registry's abilities keep so."),
    ("drift", "Tags that the last run found moved or deleted at a target by somebody else."),
)


def _staleness(state: DaemonState) -> Mapping[str, float]:
    return {
        name: max(0.0, (state.now - (one.last_success or one.since)).total_seconds())
        for name, one in state.mirrors.items()
    }


def _of_last_run(state: DaemonState, name: str) -> Mapping[str, float]:
    return {
        mirror: float(getattr(standing.last, name))
        for mirror, standing in state.mirrors.items()
        if standing.last is not None
    }
