"""A registry whose time runs fast and that collects garbage without a pause: `gc_server STORE PORT EPOCH`.

EPOCH is when time began to run fast, so that several processes agree on what time it is.
"""

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from anyio import create_task_group, sleep
from granian.constants import Interfaces
from granian.server.embed import Server as Granian

from regsync.clock import SystemClock
from regsync.server.access import Action, AnonymousAccess
from regsync.server.app import Application
from regsync.server.policy import Policy
from regsync.store.builtin import BuiltinStore
from regsync.store.gc_report import Kind, Rules, Run

SPEED = 150  # a lease of a quarter of an hour lasts six seconds
RULES = Rules(grace=60_000_000, untagged=60_000_000)


class FastClock(SystemClock):
    """The machine's clock, SPEED times as fast since `epoch` (seconds since 1970)."""

    def __init__(self, epoch: float) -> None:
        self._epoch = epoch

    def now(self) -> datetime:
        """Fast, in UTC."""
        return datetime.fromtimestamp(self._epoch, UTC) + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Seconds since the epoch, fast."""
        return (time.time() - self._epoch) * SPEED


async def collect_for_ever(store: BuiltinStore) -> None:
    """One run after the other; each says how much it deleted of each kind."""
    while True:
        report = await store.collect_garbage(RULES, Run.FOR_REAL)
        print("gc", *(report.counts[kind].deleted for kind in Kind), flush=True)
        await sleep(0.05)


async def serve(path: Path, port: int, epoch: float) -> None:
    """Serve until the process is told to end."""
    clock = FastClock(epoch)
    async with BuiltinStore.open(path, clock=clock) as store, create_task_group() as group:
        application = Application(store, Policy(AnonymousAccess(set(Action))), clock)
        server = Granian(application, address="127.0.0.1", port=port, interface=Interfaces.ASGI)
        group.start_soon(collect_for_ever, store)
        group.start_soon(store.pulls.run)
        await server.serve()
        group.cancel_scope.cancel()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
