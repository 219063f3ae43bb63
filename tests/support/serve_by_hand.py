"""`python -m tests.support.serve_by_hand --store DIR --listen HOST:PORT`, until there is `regsync serve`.

It takes the options of that command which tests need, so that the command can stand in its place.
"""

import argparse
import asyncio
from pathlib import Path

from granian.constants import Interfaces
from granian.server.embed import Server as Granian

from regsync.clock import SystemClock
from regsync.server.access import Action, AnonymousAccess
from regsync.server.app import Application
from regsync.server.policy import Policy
from regsync.store.builtin import BuiltinStore

ANONYMOUS = {
    "none": frozenset[Action](),
    "pull": frozenset({Action.PULL}),
    "push": frozenset({Action.PULL, Action.PUSH, Action.OVERWRITE}),
    "all": frozenset(Action),
}


async def serve(options: argparse.Namespace) -> None:
    """Serve until the process is told to end."""
    host, _, port = options.listen.rpartition(":")
    policy = Policy(AnonymousAccess(ANONYMOUS[options.anonymous]))
    async with BuiltinStore.open(options.store) as store:
        application = Application(store, policy, SystemClock())
        server = Granian(application, address=host, port=int(port), interface=Interfaces.ASGI)
        await server.serve()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--listen", required=True)
    parser.add_argument("--anonymous", choices=ANONYMOUS, default="pull")
    asyncio.run(serve(parser.parse_args()))
