"""What a service is started with: its configuration, and whom it tells what happens."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from regsync.errors import RegsyncError
from regsync.server.access_log import LogFormat
from regsync.server.policy import Policy
from regsync.server.reloading import FileStates
from regsync.spec.server import Server


@dataclass(frozen=True, slots=True)
class Story:
    """How the service tells what happens. Each may be called from any thread, and may block."""

    write: Callable[[str], object]  # text as it is
    show: Callable[[RegsyncError], object]
    note: Callable[[str, str], object]  # a word and a text
    log_format: LogFormat


@dataclass(frozen=True, slots=True)
class Configured:
    """How it is served, from where, and for whom."""

    server: Server
    store: Path
    policy: Policy
    files: FileStates = frozenset()  # those that it was read from, as they were before


class Configuration(Protocol):
    """Where that comes from."""

    def read(self) -> Configured:
        """How it stands now. Blocking. Raises SpecError and other RegsyncErrors."""
        ...

    def files(self) -> Iterable[Path]:
        """The files that `read` reads. Blocking."""
        ...
