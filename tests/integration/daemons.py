"""`regsync run` as a process of its own, asked over HTTP and watched by its log.

with Daemons(workspace) as start:
    daemon = start("--hook-secret", "env:HOOK")
    daemon.event("run-finished", mirrors=["app"])
    assert daemon.metric("regsync_mirror_pending", mirror="app") == 0
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from prometheus_client.parser import text_string_to_metric_families

from regsync.clock import SystemClock
from regsync.reconcile.ledger_sqlite import open_ledger
from regsync.reconcile.ledger_tasks import TaskState
from regsync.server.hooks import sign
from tests.integration.workspace import Workspace
from tests.support.processes import wait_until

DAILY = "0 3 * * *"
SECRET = "a secret that nobody knows"
LIMIT = 30.0  # seconds for anything to happen
# A daemon whose lease ends within a second of its holder's silence, so that no test waits for half a minute.
QUICK = """
from regsync import __main__
from regsync.cli import daemon_service
from regsync.reconcile.lease import Terms
daemon_service.TERMS = Terms(expiry=1.5, renewal=0.2, poll=0.05, sight=0.2)
__main__.main()
"""


class Daemon:
    """One process. Its story is read from a file, which never blocks it."""

    def __init__(self, workspace: Workspace, log: Path, options: Sequence[str]) -> None:
        self._log = log
        command = [sys.executable, "-c", QUICK, "run", str(workspace.path), "--log-format", "json"]
        command += ["--listen", "127.0.0.1:0", "--jitter", "0s", *options]
        with log.open("wb") as sink:
            self.process = subprocess.Popen(
                command,
                env={**workspace.whole_environment(), "HOOK": SECRET},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=sink,
                text=True,
                cwd=workspace.path,
            )
        self.http = httpx.Client(timeout=LIMIT, trust_env=False)

    def wait(self) -> Self:
        """Itself, once it listens; AssertionError with its story when it ends before."""
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        assert first.startswith("listening on http://"), self.log()
        self.http.base_url = first.removeprefix("listening on ").strip()
        return self

    def log(self) -> str:
        """All of its story so far."""
        return self._log.read_text(errors="replace")

    def events(self, name: str, **values: Any) -> list[dict[str, Any]]:
        """What it told of by that name, with these values."""
        found = []
        for line in self.log().splitlines():
            with suppress(json.JSONDecodeError):
                event = json.loads(line)
                if event.get("event") == name and values.items() <= event.items():
                    found.append(event)
        return found

    def event(self, name: str, *, count: int = 1, **values: Any) -> dict[str, Any]:
        """Wait for the `count`-th such event."""
        try:
            wait_until(
                lambda: len(self.events(name, **values)) >= count, what=f"{name} {values}", limit=LIMIT
            )
        except AssertionError as cause:
            raise AssertionError(f"{cause}\n{self.log()}") from cause
        return self.events(name, **values)[count - 1]

    def notes(self, text: str) -> bool:
        """Whether it noted something with these words in it."""
        return any(text in event["message"] for event in self.events("note"))

    def metric(self, name: str, **labels: str) -> float | None:
        """The value of one sample of its metrics page."""
        for family in text_string_to_metric_families(self.http.get("/metrics").raise_for_status().text):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return None

    def hook(
        self, mirror: str, *, body: bytes = b"{}", secret: str = SECRET, at: int | None = None
    ) -> httpx.Response:
        """Ask for a mirror, signed."""
        return self.http.post(f"/hooks/{mirror}", content=body, headers=signed(mirror, body, secret, at))

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code after a signal."""
        self.send(number)
        return self.process.wait(LIMIT)

    def close(self) -> None:
        """Kill it if it still runs."""
        self.http.close()
        self.process.kill()
        self.process.communicate()


def signed(mirror: str, body: bytes, secret: str = SECRET, at: int | None = None) -> dict[str, str]:
    """The headers of a webhook."""
    stamp = str(int(time.time()) if at is None else at)
    return {"X-Regsync-Timestamp": stamp, "X-Regsync-Signature": sign(secret, stamp, mirror, body)}


class Daemons:
    """Starts daemons over one workspace, and ends them all."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._started: list[Daemon] = []

    def __call__(self, *options: str) -> Daemon:
        log = self._workspace.home / f"daemon-{len(self._started)}.log"
        self._started.append(Daemon(self._workspace, log, options))
        return self._started[-1].wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for daemon in self._started:
            daemon.close()


def missed(
    workspace: Workspace, *mirrors: str, cron: str = DAILY, ago: timedelta = timedelta(days=2)
) -> None:
    """Have the ledger say that the schedules of these mirrors were last served so long ago."""
    clock = SystemClock()
    with open_ledger(workspace.ledger, clock) as ledger:
        state = TaskState(f"{cron} (UTC)", clock.now() - ago)
        ledger.write_tasks({f"mirror:{name}": state for name in mirrors})


def handled(workspace: Workspace, mirror: str) -> datetime:
    """Up to when the ledger says that a mirror's schedule was served."""
    with open_ledger(workspace.ledger, SystemClock()) as ledger:
        return ledger.read_tasks()[f"mirror:{mirror}"].handled
