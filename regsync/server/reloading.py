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
FileStates = frozenset[FileState]


class Reloading:
    """`files` says which (it may block); `reload` is called when they changed.

    They are looked at every `every` seconds, and taken up when two looks saw the same.
    """

    def __init__(
        self,
        files: Callable[[], Iterable[Path]],
        reload: Callable[[], Awaitable[None]],
        *,
        every: float = EVERY,
    ) -> None:
        self._files, self._reload, self._every = files, reload, every
        self._asked = Event()

    def ask(self) -> None:
        """Have it done at once, whether they changed or not."""
        self._asked.set()

    async def run(self, taken: FileStates) -> None:
        """Look for ever; `taken` is how the files were before they were read the first time."""
        last = taken
        while True:
            with move_on_after(self._every):
                await self._asked.wait()
            found = await run_sync(self._look)
            if self._asked.is_set() or found == last != taken:
                self._asked = Event()
                taken = found
                await self._reload()
            last = found

    def _look(self) -> FileStates:
        return states_of(self._files())


def states_of(paths: Iterable[Path]) -> FileStates:
    """What changes when a file does. Blocking."""
    return frozenset(_state(path) for path in paths)


def _state(path: Path) -> FileState:
    try:
        found = os.stat(path)
    except OSError:
        return str(path), 0, 0, 0
    return str(path), found.st_mtime_ns, found.st_size, found.st_ino
