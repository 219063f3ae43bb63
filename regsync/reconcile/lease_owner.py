"""Who holds a lease, and whether that process still exists.

A process id alone says little: it is used again, and it means something else on another machine, after
a reboot and in another container. So a process is its id and start time, and a machine is one boot of
one kernel together with the namespace that the id counts in. Source: proc(5), namespaces(7).
"""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_PROC: Final = Path("/proc")
_STATE, _START_TIME = 0, 19  # fields 3 and 22 of /proc/<pid>/stat, counted behind the command's name
_DEAD: Final = frozenset("ZXx")  # a killed process stays a zombie until its parent asks for it


@dataclass(frozen=True, slots=True)
class Process:
    """One process of one machine, for good."""

    machine: str  # empty where the system does not tell machines apart
    pid: int
    started: str  # clock ticks since the machine's start

    @classmethod
    def current(cls) -> Self:
        """The process that asks."""
        pid = os.getpid()
        stat = _stat(pid)
        return cls(_machine(), pid, stat[_START_TIME] if stat else "")

    @property
    def is_gone(self) -> bool:
        """Whether it certainly runs no more; False for what cannot be known from here."""
        if not self.machine or self.machine != _machine() or self.pid <= 0:
            return False
        try:
            os.kill(self.pid, 0)  # asks whether it is there, also where /proc hides others' processes
        except ProcessLookupError:
            return True
        except (PermissionError, OverflowError):
            pass
        stat = _stat(self.pid)
        if stat is None or not self.started:
            return False
        return stat[_STATE] in _DEAD or stat[_START_TIME] != self.started


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a lease, so that a person can find them."""

    id: str  # no two holders share one
    command: str
    host: str
    process: Process

    @classmethod
    def current(cls, new_id: str, command: str) -> Self:
        """This process, as the holder `new_id`."""
        return cls(new_id, command, socket.gethostname(), Process.current())

    def __str__(self) -> str:
        return f"{self.command!r} (process {self.process.pid} on {self.host})"


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and parentheses
    return fields if len(fields) > _START_TIME else None


def _machine() -> str:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = os.readlink(_PROC / "self/ns/pid")
    except (OSError, UnicodeDecodeError):
        return ""
    return f"{boot} {namespace}"
