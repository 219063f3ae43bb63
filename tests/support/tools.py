"""Find and run the real clients and servers that tests use as a second opinion.

A binary is looked for in `$REGSYNC_TOOLS` (default: `regsync-tools` in the user's cache directory, where
`.ci/run` installs), on PATH, and in Go's bin directory. What is missing skips the test with a reason, or
fails it where REGSYNC_REQUIRE_SERVERS=1.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

_ALIASES = {
    "registry": ("registry",),
    "docker-registry": ("docker-registry",),
    "toxiproxy-server": ("toxiproxy-server", "server"),
    "regclient-regsync": ("regclient/regsync",),
}


def tools_directory() -> Path:
    """Where `.ci/run` installs the tools."""
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("REGSYNC_TOOLS") or cache_home / "regsync-tools")


@cache
def find(name: str) -> Path | None:
    """The binary, or None; `regclient-regsync` is regclient's program of our name."""
    directories = [tools_directory(), *_on_path(), *_go_bin()]
    for directory in directories:
        for alias in _ALIASES.get(name, (name,)):
            candidate = directory / alias
            if candidate.is_file() and os.access(candidate, os.X_OK):
                return candidate
    return _regclient_in_go_bin() if name == "regclient-regsync" else None


def require(name: str) -> Path:
    """The binary; skips or fails the calling test when it is missing."""
    found = find(name)
    if found is None:
        missing(f"{name} is not installed; .ci/run installs it")
    return found


def missing(reason: str) -> NoReturn:
    """Skip the calling test, or fail it where REGSYNC_REQUIRE_SERVERS=1."""
    if os.environ.get("REGSYNC_REQUIRE_SERVERS") == "1":
        pytest.fail(f"{reason}, and REGSYNC_REQUIRE_SERVERS=1 forbids skipping", pytrace=False)
    pytest.skip(reason)


def skip(reason: str) -> NoReturn:
    """Skip the calling test whatever the environment says: for what a machine may not be allowed to do."""
    pytest.skip(reason)


class Tool:
    """A client program: `tool("crane")("digest", "--insecure", ref)` returns its stdout, stripped.

    Raises ToolError with everything it printed when it exits with another code than 0,
    subprocess.TimeoutExpired after `timeout` seconds. HOME is a directory of the test, so no credentials of
    the person who runs it are used.
    """

    def __init__(self, path: Path, home: Path) -> None:
        self.path = path
        self._home = home

    def __call__(
        self,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout: float = 120,
    ) -> str:
        return self.run_bytes(*arguments, env=env, stdin=stdin, timeout=timeout).decode().strip()

    def run_bytes(
        self,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout: float = 120,
    ) -> bytes:
        """Like calling it, with stdout as raw bytes."""
        home = str(self._home)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": home,
            "DOCKER_CONFIG": f"{home}/.docker",
            **(env or {}),
        }
        command = [str(self.path), *map(str, arguments)]
        done = subprocess.run(
            command, env=environment, input=stdin, capture_output=True, timeout=timeout, check=False
        )
        if done.returncode != 0:
            raise ToolError(command, done.returncode, done.stdout + done.stderr)
        return done.stdout


class ToolError(AssertionError):
    """A client program ended with another code than 0; `output` is all it printed."""

    def __init__(self, command: list[str], code: int, output: bytes) -> None:
        self.code = code
        self.output = output.decode(errors="replace")
        super().__init__(f"{' '.join(command)} exited with {code}:\n{self.output}")


def _on_path() -> list[Path]:
    return [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]


@cache
def _go_bin() -> tuple[Path, ...]:
    go = shutil.which("go")
    if go is None:
        return ()
    asked = subprocess.run([go, "env", "GOPATH"], capture_output=True, text=True, check=False)
    return (Path(asked.stdout.strip()) / "bin",) if asked.stdout.strip() else ()


def _regclient_in_go_bin() -> Path | None:
    for directory in _go_bin():
        candidate = directory / "regsync"
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    return None
