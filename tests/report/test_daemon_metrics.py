from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from regsync.reconcile.standing import Ended, Ending, Standing
from regsync.report.metrics import DaemonState, exposition

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PAGE = Path(__file__).parents[2] / "docs" / "run.md"


def state() -> DaemonState:
    standing, fresh = Standing(NOW - timedelta(hours=2)), Standing(NOW - timedelta(hours=1))
    standing.add(Ended("r1", Ending.DONE, NOW, NOW - timedelta(minutes=30), copied=10))
    standing.add(Ended("r2", Ending.REFUSED, NOW, NOW, pending=3, blocked=2, drift=1, copied=5))
    return DaemonState(
        now=NOW,
        mirrors={'a"b\\c': standing, "fresh": fresh},
        retention={"old": standing},
        due={"fresh": NOW},
        running=frozenset({"fresh"}),
        holds_lease=True,
        ledger_works=True,
        spec_is_current=False,
        spec_taken=NOW,
        requests={("hub", "list"): 4},
        quotas={"docker.io": 76},
        notifications_lost=2,
        hooks={202: 5},
    )


def samples() -> dict[tuple[str, tuple[str, ...]], float]:
    families = text_string_to_metric_families(exposition(state()).decode())
    return {
        (one.name, tuple(one.labels.values())): one.value for family in families for one in family.samples
    }


def test_how_mirrors_stand_is_read_back_by_a_parser() -> None:
    found, name = samples(), 'a"b\\c'
    assert found["regsync_mirror_staleness_seconds", (name,)] == 1800
    assert found["regsync_mirror_staleness_seconds", ("fresh",)] == 3600
    assert found["regsync_mirror_pending", (name,)] == 3
    assert found["regsync_mirror_blocked", (name,)] == 2
    assert found["regsync_mirror_drift", (name,)] == 1
    assert found["regsync_mirror_copied_bytes_total", (name,)] == 15
    assert found["regsync_mirror_runs_total", (name, "refused")] == 1
    assert found["regsync_mirror_runs_total", ("fresh", "done")] == 0
    assert ("regsync_mirror_last_success_timestamp_seconds", ("fresh",)) not in found
    assert found["regsync_mirror_running", ("fresh",)] == 1
    assert found["regsync_quota_left", ("docker.io",)] == 76
    assert found["regsync_lease_held", ()] == 1
    assert found["regsync_spec_current", ()] == 0
    assert found["regsync_hook_requests_total", ("202",)] == 5


def test_every_metric_is_in_the_documentation() -> None:
    page = PAGE.read_text(encoding="utf-8")
    names = {name for name, _ in samples() if name.startswith("regsync_")}
    assert {name for name in names if f"`{name}`" not in page} == set()
