"""Who has a store open: locks on files, which the kernel takes back however a process ends.

Whoever has it open holds `.in-use.lock` shared; who replaces the catalogue holds it alone. `.open.lock`
is held for the moment of opening, so that one process at a time makes the database or looks whether it
is the only one.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path

from regsync.content.durable import storage_errors
from regsync.store.errors import StoreInUseError, StoreRebuildingError

OPENING, IN_USE = ".open.lock", ".in-use.lock"


class Company(Enum):
    """Whether another process had the store open when this one came."""

    ALONE = "alone"
    WITH_OTHERS = "with others"


class Presence:
    """The mark that this process has the store open; ends with `leave` or with the process."""

    def __init__(self, path: Path) -> None:
        """Raises StoreRebuildingError, or StorageError. To be made while `opening`."""
        self._fd = _open(path / IN_USE)
        self.company = Company.WITH_OTHERS
        try:
            with suppress(BlockingIOError):
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.company = Company.ALONE
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise StoreRebuildingError(str(path)) from None

    def leave(self) -> None:
        """This process has it open no more."""
        os.close(self._fd)


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """One process at a time makes the database: turning on the write-ahead log does not wait its turn."""
    fd = _open(path / OPENING)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Nobody else has the store open, or opens it meanwhile; raises StoreInUseError."""
    fd = _open(path / IN_USE)
    try:
        with opening(path):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreInUseError(str(path)) from None
        yield
    finally:
        os.close(fd)


def _open(path: Path) -> int:
    with storage_errors(path):
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
