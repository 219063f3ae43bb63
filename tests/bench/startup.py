"""The rows without a copy: starting up, validating, planning 100,000 tags."""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench import contenders, measure
from tests.bench.rows import Goal, Outcome, Result, Run, Settings

MIRRORS = 100
SHORT_ROUNDS = 10  # runs of what takes tenths of a second
EXIT_PENDING = 2
READY_LIMIT = 60  # seconds for the listing server to fill itself


def version(settings: Settings) -> Outcome:
    """`regsync --version`."""
    result = Result("regsync")
    with tempfile.TemporaryDirectory(dir=settings.directory) as name:
        command = [*contenders.our_program(), "--version"]
        for _ in range(max(settings.rounds, SHORT_ROUNDS)):
            usage = measure.run(command, directory=Path(name), env=contenders.our_environment())
            result.runs.append(Run(usage))
    return Outcome("version", "start: --version", [result], (Goal(0.1),))


def validate(settings: Settings) -> Outcome:
    """`regsync validate` of 100 mirrors in one file each."""
    result = Result("regsync")
    with tempfile.TemporaryDirectory(dir=settings.directory) as name:
        specs = Path(name) / "specs"
        specs.mkdir()
        registries = (("source", "registry.example.test"), ("target", "mirror.example.test"))
        for registry, host in registries:
            (specs / f"registry-{registry}.yaml").write_text(_registry(registry, host))
        for number in range(MIRRORS):
            (specs / f"mirror-{number:03d}.yaml").write_text(_mirror(number))
        command = [*contenders.our_program(), "validate", str(specs)]
        for _ in range(max(settings.rounds, SHORT_ROUNDS)):
            usage = measure.run(command, directory=Path(name), env=contenders.our_environment())
            result.runs.append(Run(usage))
    return Outcome("validate", f"validate {MIRRORS} mirrors", [result], (Goal(0.4),))


def plan_newest(settings: Settings) -> Outcome:
    """Plan the newest ten of 100,000 tags of one repository."""
    return _plan(
        settings, "plan-newest", "plan: newest 10 of 100,000 tags", {"semver": "*", "newest": 10}, None
    )


def plan_all(settings: Settings) -> Outcome:
    """Plan all of 100,000 tags, listed with their digests as GAR does."""
    return _plan(settings, "plan-all", "plan: all of 100,000 tags, listed with digests", "*", "gar")


def _plan(settings: Settings, row: str, title: str, rule: object, provider: str | None) -> Outcome:
    result = Result("regsync")
    with (
        tempfile.TemporaryDirectory(dir=settings.directory) as name,
        _listing_server(provider) as (source, target),
    ):
        home = Path(name)
        mirror = {"source": "source/many/app", "targets": ["target/many/app"], "tags": [rule]}
        documents = [
            _document("Registry", "source", {"url": source, **({"provider": provider} if provider else {})}),
            _document("Registry", "target", {"url": target}),
            _document("Mirror", "bench", mirror),
        ]
        spec = home / "regsync.yaml"
        spec.write_text("\n---\n".join(json.dumps(one) for one in documents))
        options = ["--state", str(home / "state"), "--out", str(home / "plan.json")]
        command = [*contenders.our_program(), "plan", str(spec), *options]
        environment = contenders.our_environment()
        for _ in range(settings.rounds):
            usage = measure.run(command, directory=home, env=environment, accept=(0, EXIT_PENDING))
            result.runs.append(Run(usage))
    outcome = Outcome(row, title, [result], (Goal(10.0),), tags=100_000)
    outcome.notes.append(f"memory goal of this row: 200 MiB; peak {result.peak_bytes / (1 << 20):.0f} MiB")
    return outcome


@contextlib.contextmanager
def _listing_server(provider: str | None) -> Iterator[tuple[str, str]]:
    """A source that lists 100,000 tags fast and an empty target, in a process of their own; their URLs."""
    command = [
        sys.executable,
        "-m",
        "tests.bench.listing_server",
        *(["digests"] if provider == "gar" else []),
    ]
    with subprocess.Popen(
        command, cwd=contenders.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        source, target = process.stdout.readline().split()
        yield source, target
        process.stdin.close()  # its sign to end
        process.wait(READY_LIMIT)


def _registry(name: str, url: str) -> str:
    return f"apiVersion: regsync.dev/v1\nkind: Registry\nmetadata: {{name: {name}}}\nspec: {{url: {url}}}\n"


def _mirror(number: int) -> str:
    return f"""\
apiVersion: regsync.dev/v1
kind: Mirror
metadata: {{name: mirror-{number:03d}, labels: {{team: t{number % 10}}}}}
spec:
  source: source/team{number:03d}/{{repository}}
  targets: ["target/team{number:03d}/{{repository}}"]
  repositories: [app, {{name: web, tags: [{{semver: ">=1.2 <3", newest: 3, per: minor}}]}}]
  tags:
    - {{semver: ">=1.25 <2", newest: 3, per: minor}}
    - {{regex: "(?P<version>.+)-alpine", semver: {{of: version, range: ">=1.25"}}, newest: 3}}
    - latest
  excludeTags: ["*-windows*"]
  immutable: ["v*"]
  platforms: [linux/amd64, linux/arm64]
"""


def _document(kind: str, name: str, spec: object) -> object:
    return {"apiVersion": "regsync.dev/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
