"""A directory with a spec, and `regsync` run over it as a process of its own, as a pipeline runs it.

workspace.registry("hub", hub.url).registry("edge", edge.url)
workspace.mirror("app", "hub/team/app", "edge/team/app", tags=["v*"])
ran = workspace.run("sync").exited(0)
assert ran.report["summary"]["create"] == 1
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

LIMIT = 120.0  # seconds that one run may take before it counts as hanging

BRIEF = {"maxWait": "1s"}  # `limits` of a registry that is not going to answer

Json = dict[str, Any]


@dataclass(frozen=True)
class Ran:
    """What a run answered; `exited` shows all of it."""

    code: int
    out: str
    err: str
    seconds: float = 0.0

    @cached_property
    def report(self) -> Json:
        """Its stdout as JSON: a plan or a report."""
        parsed: Json = json.loads(self.out)
        return parsed

    @property
    def actions(self) -> list[Json]:
        """The actions of its plan or report."""
        actions: list[Json] = self.report["actions"]
        return actions

    @property
    def summary(self) -> Json:
        """How many tags did what; keys with zero or null left out."""
        return {key: value for key, value in self.report["summary"].items() if value and key != "bytes"}

    def outcomes(self) -> dict[str, str]:
        """What became of each tag, by `registry/repository:tag` of its target."""
        return {f"{one['target']}:{one['tag'] or one['digest']}": one["outcome"] for one in self.actions}

    def requests(self, registry: str) -> dict[str, int]:
        """Requests of the run to one registry, by kind."""
        found: dict[str, int] = self.report["run"]["requests"].get(registry, {})
        return found

    def exited(self, code: int) -> Self:
        """Itself; an AssertionError that shows all when the exit code was another."""
        assert self.code == code, str(self)
        return self

    def __str__(self) -> str:
        return f"exit code {self.code} after {self.seconds:.1f} s\n{self.out}\n--- stderr\n{self.err}"


class Workspace:
    """Spec documents of one directory; each call writes one."""

    def __init__(self, path: Path, home: Path) -> None:
        self.path, self.home = path, home
        self.environment: dict[str, str] = {}  # added to a bare one
        self._count = 0
        self._started: list[subprocess.Popen[str]] = []

    def registry(self, name: str, url: str | None = None, **spec: Any) -> Self:
        """Declare a registry, by its URL unless `spec` says `store` or `layout`."""
        return self.document("Registry", name, {"url": url, **spec} if url else spec)

    def mirror(self, name: str, source: str | Sequence[str], *targets: str, **spec: Any) -> Self:
        """Declare a mirror of one source, or several tried in order."""
        origin = source if isinstance(source, str) else list(source)
        return self.document("Mirror", name, {"source": origin, "targets": list(targets), **spec})

    def document(self, kind: str, name: str | None, spec: Json) -> Self:
        """Write one document to a file of its own."""
        self._count += 1
        document: Json = {"apiVersion": "regsync.dev/v1", "kind": kind, "spec": spec}
        if name is not None:
            document["metadata"] = {"name": name}
        path = self.path / f"{self._count:03}-{kind.lower()}.yaml"
        path.write_text(json.dumps(document, indent=1))  # JSON is YAML
        return self

    def clear(self) -> Self:
        """Remove the documents, keep the ledger and everything else."""
        for path in self.path.glob("*.yaml"):
            path.unlink()
        return self

    @property
    def ledger(self) -> Path:
        """Where the ledger is by default."""
        return self.path / ".regsync" / "ledger.db"

    def files(self) -> dict[str, bytes]:
        """Every file below the directory with its bytes."""
        return {
            str(path.relative_to(self.path)): path.read_bytes()
            for path in sorted(self.path.rglob("*"))
            if path.is_file()
        }

    def run(self, command: str, *arguments: str | Path, output: str = "json", limit: float = LIMIT) -> Ran:
        """Run `regsync COMMAND` over this directory to its end."""
        options: list[str | Path] = ["-o", output] if command in ("plan", "sync", "apply", "check") else []
        return self.call(command, *arguments, self.path, *options, limit=limit)

    def call(self, *arguments: str | Path, stdin: str | None = None, limit: float = LIMIT) -> Ran:
        """Run `regsync` with exactly these arguments; subprocess.TimeoutExpired beyond `limit` seconds."""
        began = time.monotonic()
        done = subprocess.run(
            self.command(*arguments),
            env=self.whole_environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=limit,
            cwd=self.path,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr, time.monotonic() - began)

    def start(self, command: str, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start `regsync COMMAND` over this directory; its events come on stderr as JSON lines."""
        process = subprocess.Popen(
            self.command(command, *arguments, self.path, "-o", "json", "--log-format", "json"),
            env=self.whole_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.path,
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        """Kill what was started and still runs."""
        for process in self._started:
            process.kill()
            process.communicate()

    def command(self, *arguments: str | Path) -> list[str]:
        """The command line of the interpreter that runs the tests."""
        return [sys.executable, "-m", "regsync", *map(str, arguments)]

    def whole_environment(self) -> Mapping[str, str]:
        """An environment without credentials or proxies of the person who runs the tests."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "NO_COLOR": "1",
            "REGSYNC_DEBUG": "1",  # a defect shows its traceback
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            **self.environment,
        }


def finished(process: subprocess.Popen[str], *, limit: float = LIMIT) -> Ran:
    """Wait for a started run."""
    out, err = process.communicate(timeout=limit)
    return Ran(process.returncode, out, err)
