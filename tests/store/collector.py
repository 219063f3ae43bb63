"""A process that collects all garbage of a store in small steps and says of each that it is taken."""

import os
import sys

import anyio

from regsync.store import gc_pass
from regsync.store.builtin import BuiltinStore
from regsync.store.gc_report import Rules, Run

STEP = 3  # things in one transaction


def say(what: object) -> None:
    """Tell whoever waits for the moment to kill this process."""
    os.write(1, f"{what}\n".encode())


def unlink(path: str) -> None:
    """As the system does it, and told of."""
    remove(path)
    say("unlinked")


async def collect(path: str) -> None:
    """One run."""
    async with BuiltinStore.open(path) as store:
        await store.collect_garbage(Rules(0, 0, 0), Run.FOR_REAL, lambda one: say(one.fate.value))
    say("done")


if __name__ == "__main__":
    remove, os.unlink = os.unlink, unlink  # type: ignore[assignment]
    gc_pass.batches.__defaults__ = (STEP,)
    anyio.run(collect, sys.argv[1])
