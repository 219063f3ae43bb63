"""Lines that are gathered in memory and written together, so that a request pays next to nothing for them."""

from collections.abc import Callable, Sequence

from anyio import CancelScope, Event, sleep
from anyio.to_thread import run_sync

Write = Callable[[Sequence[str]], bool]


class Gathered:
    """What waits to be written.

    `write` gets all of it in a worker thread, `every` seconds after the first came; it says whether it
    is done, or is to be called again. While `most` lines wait, further ones are counted in `lost`.
    """

    def __init__(self, write: Write, *, every: float, most: int) -> None:
        self._write, self._every, self._most = write, every, most
        self._lines: list[str] = []
        self._some = Event()
        self.lost = 0

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, line: str) -> None:
        """Take a line, which ends with its line feed."""
        lines = self._lines
        if len(lines) >= self._most:
            self.lost += 1
            return
        lines.append(line)
        if len(lines) == 1:
            self._some.set()

    async def run(self) -> None:
        """Write for ever; when it is cancelled what waits is written."""
        try:
            while True:
                await self._some.wait()
                await sleep(self._every)
                await self.flush()
        finally:
            await self.flush()

    async def flush(self) -> None:
        """Write what waits, also when it is cancelled: what was taken is in nobody else's hands."""
        lines, self._lines, self._some = self._lines, [], Event()
        with CancelScope(shield=True):
            if not await run_sync(self._write, lines):
                self._some.set()
