"""The row of the daemon that has nothing to do: 1,000 scheduled mirrors, one file each, watched for edits."""

import os
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from tests.bench import contenders, measure
from tests.bench.rows import Goal, Outcome, Result, Run, Settings
from tests.support.processes import wait_until

MIRRORS = 1_000
SECONDS = 60.0  # that it is watched
SHARE = 0.01  # of a core
LIMIT = 60.0  # seconds until it listens, or has taken up an edit


def daemon(settings: Settings) -> Outcome:
    """CPU seconds of a minute; the peak is that after an edit was taken up and metrics were shown."""
    result = Result("regsync")
    with tempfile.TemporaryDirectory(dir=settings.directory) as name:
        directory = Path(name)
        specs = directory / "specs"
        specs.mkdir()
        (specs / "registry.yaml").write_text(_document("Registry", "hub", "{url: registry.example.test}"))
        for number in range(MIRRORS):
            (specs / f"mirror-{number:04d}.yaml").write_text(_mirror(number))
        result.runs.append(_watched(directory))
    title = f"run: {SECONDS:.0f} s with {MIRRORS:,} mirrors and nothing to do, in seconds of CPU"
    outcome = Outcome("idle", title, [result], (Goal(SECONDS * SHARE),))
    outcome.notes.append(f"peak after a reload {result.peak_bytes / 2**20:.0f} MiB; goal 120 MiB")
    return outcome


def _watched(directory: Path) -> Run:
    command = [*contenders.our_program(), "run", str(directory / "specs"), "--listen", "127.0.0.1:0"]
    log = directory / "story.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, env=contenders.our_environment(), stdout=subprocess.PIPE, stderr=sink, text=True
        )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("listening on ").strip()
        before, began = _cpu(process.pid), time.monotonic()
        time.sleep(SECONDS)
        used = (_cpu(process.pid) - before) * SECONDS / (time.monotonic() - began)
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: "taken up" in log.read_text(), what="the spec is read again", limit=LIMIT)
        with urllib.request.urlopen(f"{url}/metrics", timeout=LIMIT) as answer:
            assert answer.status == 200
        return Run(measure.Usage(used, used, _peak(process.pid), 0))
    finally:
        process.terminate()
        process.communicate(timeout=LIMIT)


def _cpu(pid: int) -> float:
    """CPU seconds of a process so far. Source: proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak(pid: int) -> int:
    """Its largest resident size, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _document(kind: str, name: str, spec: str) -> str:
    return f"apiVersion: regsync.dev/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"


def _mirror(number: int) -> str:
    paths = f"source: hub/team/app-{number}, targets: [hub/copy/app-{number}]"
    tags = 'tags: [{semver: ">=1.0", newest: 3, per: minor}, latest]'
    return _document("Mirror", f"app-{number:04d}", f'{{{paths}, {tags}, schedule: "0 3 1 1 *"}}')
