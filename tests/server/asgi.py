"""Our registry in this process, asked without a socket: what it sends is seen message by message."""

from collections.abc import AsyncIterator, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from regsync.clock import Clock
from regsync.oci.reference import RepositoryName
from regsync.server.access import Action, AnonymousAccess, Principal
from regsync.server.app import Application
from regsync.server.message import Request
from regsync.server.policy import Policy
from regsync.server.upstreams import Upstream, Upstreams
from regsync.server.watch import Exchange
from regsync.spec.server import FirstPull
from regsync.store.builtin import BuiltinStore
from tests.remote.repositories import Registry, at, session_of

Message = MutableMapping[str, Any]


@dataclass
class Reply:
    """What came. `is_whole`: as much of a body as its Content-Length says."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False

    @property
    def is_whole(self) -> bool:
        return self.ended and len(self.body) == int(self.headers.get("content-length", "0"))


class Client:
    """One request under way; `go_away` closes its connection."""

    def __init__(
        self, app: Application, method: str, target: str, headers: Mapping[str, str], body: bytes = b""
    ) -> None:
        path, _, query = target.partition("?")
        self.scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [
                (key.lower().encode(), value.encode())
                for key, value in {"host": "registry.example.com", **headers}.items()
            ],
            "client": ("127.0.0.1", 1),
        }
        self.reply = Reply()
        self.some = anyio.Event()  # set when there are bytes of the body
        self.reads = anyio.Event()  # a client that does not read yet: replace it
        self.reads.set()
        self._app, self._gone, self._asked, self._body = app, anyio.Event(), False, body

    async def run(self) -> Reply:
        await self._app(self.scope, self._receive, self._send)
        return self.reply

    def go_away(self) -> None:
        self._gone.set()

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.reply.status = message["status"]
            self.reply.headers = {key.decode(): value.decode() for key, value in message["headers"]}
        elif message["type"] == "http.response.pathsend":
            self.reply.body = Path(message["path"]).read_bytes()  # noqa: ASYNC240 - a few bytes, in a test
            self.reply.ended = True
        else:
            self.reply.body += message.get("body", b"")
            self.reply.ended = not message.get("more_body", False)
            self.some.set()
            await self.reads.wait()


class Told:
    """Watches."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []

    def answered(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)


class Served:
    """An application that runs, and its parts."""

    def __init__(self, app: Application, store: BuiltinStore, exchanges: list[Exchange]) -> None:
        self.app, self.store = app, store
        self.exchanges = exchanges  # all that were answered

    def client(self, method: str, target: str, **headers: str) -> Client:
        return Client(self.app, method, target, {key.replace("_", "-"): one for key, one in headers.items()})

    async def get(self, target: str, **headers: str) -> Reply:
        return await self.client("GET", target, **headers).run()

    async def head(self, target: str, **headers: str) -> Reply:
        return await self.client("HEAD", target, **headers).run()


class Users:
    """Whoever says who it is is believed; anyone may pull, and what `more` says."""

    challenge: str | None = 'Basic realm="tests"'

    def __init__(self, *more: Action, hidden: Sequence[str] = ()) -> None:
        self._actions, self._hidden = {Action.PULL, *more}, hidden

    async def identify(self, request: Request) -> Principal:
        return Principal(request.header(b"x-user") or "")

    def allows(self, principal: Principal, action: Action, name: RepositoryName) -> bool:
        return action in self._actions and (bool(principal.name) or name not in self._hidden)


@asynccontextmanager
async def served(path: Path, clock: Clock, policy: Policy | None = None) -> AsyncIterator[Served]:
    """A registry over a store of its own; whoever comes may do anything, unless a policy says otherwise."""
    async with BuiltinStore.open(path, clock=clock) as store:
        told = Told()
        app = Application(store, policy or Policy(AnonymousAccess(set(Action))), clock, watches=[told])
        async with anyio.create_task_group() as group:
            group.start_soon(app.pull_through.run)
            group.start_soon(app.promises.run)
            await anyio.lowlevel.checkpoint()
            yield Served(app, store, told.exchanges)
            group.cancel_scope.cancel()


@asynccontextmanager
async def proxied(
    path: Path, clock: Clock, registry: Registry, *, access: Any = None, **options: Any
) -> AsyncIterator[Served]:
    """A registry of which what is below `hub/` comes from `registry`."""
    async with session_of(registry) as session:
        settings = {"first_pull": FirstPull.ANYONE, **options}
        hub = Upstream(RepositoryName("hub"), "registry.example", lambda name: at(session, name), **settings)
        policy = Policy(access or AnonymousAccess(set(Action)), upstreams=Upstreams([hub]))
        async with served(path, clock, policy) as one:
            yield one
