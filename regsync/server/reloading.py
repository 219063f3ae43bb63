"""Files that are read again when they changed, without inotify: not every file system tells of changes.

A change is taken up when a file has been as it is for a second, since few tools write in one step, or
at once when somebody asks.
"""

import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from anyio import Event, move_on_after
from anyio.to_thread import run_sync

EVERY = 1.0  # seconds

FileState = tuple[str, int, int, int]  # path, mtime in ns, size, inode; zeros where there is none


class Reloading:
    """`files` says which (it may block, and raise nothing); `reload` is called when they changed."""

    def __init__(self, files: Callable[[], Iterable[Path]], reload: Callable[[], Awaitable[None]]) -> None:
        self._files, self._reload = files, reload
        self._asked = Event()

    def ask(self) -> None:
        """Have it done at once, whether they changed or not."""
        self._asked.set()

    async def run(self) -> None:
        """Look for ever."""
        taken = last = await run_sync(self._look)
        while True:
            with move_on_after(EVERY):
                await self._asked.wait()
            found = await run_sync(self._look)
            if self._asked.is_set() or found == last != taken:
                self._asked = Event()
                taken = found
                await self._reload()
            last = found

    def _look(self) -> frozenset[FileState]:
        return frozenset(state_of(path) for path in self._files())


def state_of(path: Path) -> FileState:
    """What changes when a file does. Blocking."""
    try:
        found = os.stat(path)
    except OSError:
        return str(path), 0, 0, 0
    return str(path), found.st_mtime_ns, found.st_size, found.st_ino
