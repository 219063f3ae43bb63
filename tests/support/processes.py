"""Server processes: started on a free port, polled until they answer, ended by their own process id."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

ATTEMPTS = 8
"""How many ports are tried, since another process may take a free one first."""

START_LIMIT = 30.0  # seconds
STOP_LIMIT = 10.0  # seconds before a process that ignores SIGTERM is killed
POLL = 0.02  # seconds between two looks


def free_port() -> int:
    """A port of the loopback interface that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def accepts_connections(port: int) -> bool:
    """Whether something listens on the port of the loopback interface."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


class ServerProcess:
    """A child process that listens on `port`; use it as a context manager, or call `stop`.

    Args:
        command: makes the command line for a port.
        log: a file that gets its stdout and stderr.
        env: the whole environment, by default this process's own.

    Raises RuntimeError with the end of the log when it does not listen within START_LIMIT on any attempt.
    """

    def __init__(
        self, command: Callable[[int], Sequence[str]], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self._command = command
        self._env = env
        self.log = log
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        for _ in range(ATTEMPTS):
            self.port = free_port()
            self.start()
            if self._came_up():
                return
            self.stop()
        raise RuntimeError(f"{command(0)[0]} did not listen:\n{self.output()[-2000:]}")

    @property
    def pid(self) -> int:
        """Its process id; an AssertionError when it is not running."""
        assert self._process is not None
        return self._process.pid

    def output(self) -> str:
        """All it has printed so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def start(self) -> None:
        """Start it again on the same port, without waiting for it."""
        with self.log.open("ab") as sink:
            self._process = subprocess.Popen(
                list(self._command(self.port)),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=None if self._env is None else dict(self._env),
            )

    def restart(self) -> None:
        """Stop, start and wait, on the same port and data."""
        self.stop()
        self.start()
        if not self._came_up():
            raise RuntimeError(f"did not listen again:\n{self.output()[-2000:]}")

    def stop(self) -> None:
        """End it with SIGTERM, after STOP_LIMIT with SIGKILL; no error when it has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, and wait for nothing."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Its exit code, once it has ended; within START_LIMIT."""
        assert self._process is not None
        return self._process.wait(START_LIMIT)

    def kill(self) -> None:
        """End it with SIGKILL, as a power cut would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _came_up(self) -> bool:
        deadline = time.monotonic() + START_LIMIT
        process = self._process
        while process is not None and process.poll() is None and time.monotonic() < deadline:
            if accepts_connections(self.port):
                return process.poll() is None
            _pause()
        return False


def wait_until(condition: Callable[[], bool], *, what: str, limit: float = START_LIMIT) -> None:
    """Look every POLL seconds until the condition holds; AssertionError after `limit` seconds."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {limit} s"
        _pause()


def _pause() -> None:
    with suppress(RuntimeError):
        threading.Event().wait(POLL)
