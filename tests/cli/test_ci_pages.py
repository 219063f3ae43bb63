"""The GitHub action and what docs/ci/ gives to copy do what they say."""

import json
import os
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import click
import pytest
import yaml

from regsync.cli.main import HELP_OPTIONS, root
from tests.support import tools

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github" / "actions" / "regsync"
CI = ROOT / "docs" / "ci"


@dataclass(frozen=True)
class Step:
    code: int
    outputs: dict[str, str]
    summary: str
    log: str

    @property
    def directory(self) -> Path:
        return Path(self.outputs["directory"])


@pytest.fixture
def action(tmp_path: Path) -> Callable[..., Step]:
    """The action's script, run as a runner runs it."""
    program = tmp_path / "bin" / "regsync"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m regsync "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def run(command: str, specs: Path | str, **inputs: str) -> Step:
        outputs, summary = tmp_path / "outputs", tmp_path / "summary"
        outputs.write_text("")
        summary.write_text("")
        done = subprocess.run(
            [ACTION / "run.sh"],
            env={
                "PATH": f"{program.parent}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "HOME": str(tmp_path),
                "RUNNER_TEMP": str(tmp_path),
                "GITHUB_OUTPUT": str(outputs),
                "GITHUB_STEP_SUMMARY": str(summary),
                "COMMAND": command,
                "SPECS": str(specs),
                **inputs,
            },
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        pairs = dict(line.split("=", 1) for line in outputs.read_text().splitlines())
        return Step(done.returncode, pairs, summary.read_text(), done.stdout + done.stderr)

    return run


def test_the_action_plans_syncs_and_checks(action: Callable[..., Step], quickstart: Path) -> None:
    planned = action("plan", quickstart)
    assert (planned.code, planned.outputs["exit-code"]) == (0, "2"), planned.log
    assert planned.summary == (planned.directory / "report.md").read_text() != ""
    assert {path.name for path in planned.directory.iterdir()} == {
        *("plan.json", "report.md", "report.html", "report.json", "report.junit.xml", "report.sarif")
    }
    assert action("plan", quickstart, FAIL_ON_CHANGES="true").code == 2
    checked = action("check", quickstart)
    assert (checked.code, checked.outputs["exit-code"]) == (2, "2"), checked.log
    synced = action("sync", quickstart, OPTIONS="--mirror quickstart")
    assert synced.code == 0, synced.log
    assert action("check", quickstart).code == 0
    assert action("plan", quickstart, FAIL_ON_CHANGES="true").code == 0


def test_the_action_fails_with_the_specs_mistake(action: Callable[..., Step], tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text("apiVersion: regsync.dev/v1\nkind: Mirorr\n")
    failed = action("plan", spec)
    assert failed.code == 65
    assert "spec.yaml:2" in failed.log
    assert action("delete", spec).code == 64


@dataclass
class Forge:
    """A forge's comments, behind a real socket."""

    url: str = ""
    comments: list[dict[str, Any]] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)


@pytest.fixture
def forge() -> Iterator[Forge]:
    found = Forge()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, document: object) -> None:
            body = json.dumps(document).encode()
            found.tokens.add(self.headers["Authorization"] or self.headers["PRIVATE-TOKEN"])
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _body(self) -> str:
            document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            return str(document["body"])

        def do_GET(self) -> None:
            page = int((re.findall(r"[?&]page=(\d+)", self.path) or ["1"])[0])
            size = int(re.findall(r"per_page=(\d+)", self.path)[0])
            self._answer(found.comments[(page - 1) * size : page * size])

        def do_POST(self) -> None:
            number = len(found.comments)
            url = f"{found.url}{self.path}/{number}"
            found.comments.append({"id": number, "body": self._body(), "url": url})
            self._answer(found.comments[-1])

        def do_PATCH(self) -> None:
            found.comments[int(self.path.rsplit("/", 1)[1])]["body"] = self._body()
            self._answer({})

        def do_PUT(self) -> None:
            self.do_PATCH()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()


def test_one_comment_is_kept_up_to_date(forge: Forge, tmp_path: Path) -> None:
    forge.comments += [{"id": n, "body": f"review {n}", "url": "x"} for n in range(150)]
    report = tmp_path / "report.md"
    for text in ("# first", "# second, ü", "x" * 100_000):
        report.write_text(text)
        environment = {
            **{"TOKEN": "t", "PULL_REQUEST": "7", "REPORT": str(report), "TITLE": "plan regsync"},
            **{"GITHUB_API_URL": forge.url, "GITHUB_REPOSITORY": "acme/specs", "PATH": os.environ["PATH"]},
        }
        subprocess.run([sys.executable, ACTION / "comment.py"], env=environment, check=True, timeout=60)
        assert len(forge.comments) == 151
        assert forge.comments[-1]["body"].startswith(f"<!-- regsync plan regsync -->\n{text[:1000]}")
    assert len(forge.comments[-1]["body"]) < 65_536
    assert forge.tokens == {"Bearer t"}


def test_one_note_is_kept_up_to_date(forge: Forge, tmp_path: Path) -> None:
    job = yaml.safe_load((CI / "gitlab-ci.yml").read_text(encoding="utf-8"))["regsync:plan"]
    (script,) = job["after_script"]
    environment = {
        **{"CI_API_V4_URL": forge.url, "CI_PROJECT_ID": "1", "CI_MERGE_REQUEST_IID": "2"},
        **{"REGSYNC_GITLAB_TOKEN": "t", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    }
    for text in ("# first", "# second"):
        (tmp_path / "report.md").write_text(text)
        subprocess.run(["bash", "-c", script], env=environment, cwd=tmp_path, check=True, timeout=60)
    assert [one["body"] for one in forge.comments] == ["<!-- regsync plan -->\n# second"]


def test_the_workflow_gives_the_action_what_it_takes() -> None:
    inputs = yaml.safe_load((ACTION / "action.yml").read_text(encoding="utf-8"))["inputs"].keys()
    jobs = yaml.safe_load((CI / "github-actions.yml").read_text(encoding="utf-8"))["jobs"]
    uses = [step for job in jobs.values() for step in job["steps"] if "regsync/.github/" in step["uses"]]
    assert len(uses) == 4
    for step in uses:
        assert step["with"].keys() <= inputs
        parsed(f"regsync {step['with']['command']} {step['with'].get('options', '')}")


def test_the_commands_of_the_template_are_ones_that_the_program_takes() -> None:
    document = yaml.safe_load((CI / "gitlab-ci.yml").read_text(encoding="utf-8"))
    lines = [line for job in document.values() for line in job.get("script", ())]
    assert {parsed(line) for line in lines} == {"validate", "plan", "sync", "check"}


def parsed(line: str) -> str:
    """The verb of a command line that fits the grammar."""
    program, verb, *arguments = shlex.split(line)
    assert program == "regsync"
    command = root.get_command(click.Context(root), verb)
    assert command is not None
    command.make_context(verb, arguments, parent=click.Context(root, help_option_names=HELP_OPTIONS)).close()
    return verb


def test_actionlint_and_shellcheck_find_nothing() -> None:
    for name, paths in (
        ("actionlint", [CI / "github-actions.yml"]),
        ("shellcheck", [ACTION / "run.sh"]),
    ):
        subprocess.run([tools.require(name), *paths], check=True, timeout=60)
