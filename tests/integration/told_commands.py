"""Runs the commands that a page shows, one after the other, and compares their exit codes with what it says.

In blocks of `console` a line that begins with `$ ` is a command; ` # 2: words` at its end tells its exit
code, else it has to be 0. Other lines there show what may be answered.
"""

import re
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.integration.workspace import LIMIT, Ran, Workspace

_BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"^(?P<command>.*?)\s+# (?P<code>\d+)(?::.*)?$")
_HEADING = re.compile(r"^#{2,3} (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Told:
    """A command and its exit code."""

    command: str
    code: int


def told(page: Path, section: str | None = None) -> list[Told]:
    """The commands of a page, or of what stands under one of its headings."""
    text = page.read_text(encoding="utf-8")
    if section is not None:
        pieces = _HEADING.split(text)
        found = dict(zip(pieces[1::2], pieces[2::2], strict=True))
        text = found[section]
    lines = [line for block in _BLOCK.findall(text) for line in _joined(block)]
    return [_parsed(line.removeprefix("$ ")) for line in lines if line.startswith("$ ")]


def _joined(block: str) -> list[str]:
    return block.replace("\\\n", " ").splitlines()


def _parsed(line: str) -> Told:
    match = _CODE.match(line)
    if match is None:
        return Told(re.sub(r"\s+# .*$", "", line), 0)
    return Told(match["command"], int(match["code"]))


def run_all(
    workspace: Workspace, commands: list[Told], *, variables: dict[str, str] | None = None
) -> list[Ran]:
    """Run them by a shell in the workspace; AssertionError with all of it where one ends otherwise."""
    assert commands
    program = workspace.home / "bin" / "regsync"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m regsync "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    environment = dict(workspace.whole_environment())
    environment["PATH"] = f"{program.parent}:{environment['PATH']}"
    environment["PYTHONPATH"] = environment["PYTHONPATH"] or str(Path(__file__).parents[2])
    ran = []
    for one in commands:
        done = subprocess.run(
            ["bash", "-c", one.command],
            env={**environment, **(variables or {})},
            cwd=workspace.path,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        result = Ran(done.returncode, done.stdout, done.stderr)
        assert result.code == one.code, f"{one.command}\n{result}"
        ran.append(result)
    return ran
