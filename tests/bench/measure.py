"""Run one command and say what it took."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TIME_LIMIT = 1800.0  # seconds for one run of one contender
_LAUNCHER = Path(__file__).with_name("launcher.py")


class RunFailedError(Exception):
    """A contender ended with a code it should not have ended with."""


@dataclass(frozen=True)
class Usage:
    """What one run took: wall clock and CPU in seconds, peak memory of its largest process in bytes."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    exit_code: int


def run(
    command: Sequence[str],
    *,
    directory: Path,
    env: Mapping[str, str] | None = None,
    accept: Sequence[int] = (0,),
) -> Usage:
    """Run the command in `directory`, its output in a log there.

    Raises RunFailedError, with the end of the log, when its exit code is none of `accept`.
    """
    result = directory / "usage.json"
    log = directory / "output.log"
    launch = [sys.executable, "-I", "-S", str(_LAUNCHER), str(result), *command]
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), **(env or {})}
    with log.open("wb") as sink:
        subprocess.run(
            launch,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            timeout=TIME_LIMIT,
            check=True,
        )
    found = json.loads(result.read_text())
    usage = Usage(found["seconds"], found["cpu_seconds"], found["peak_kib"] * 1024, found["exit_code"])
    if usage.exit_code not in accept:
        tail = log.read_text(errors="replace")[-2000:]
        raise RunFailedError(f"{' '.join(command[:6])} ... exited with {usage.exit_code}:\n{tail}")
    return usage
