"""Repositories to test against, and content as regsync's own values."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from anyio.lowlevel import checkpoint

from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName
from regsync.remote.providers.generic import PROVIDER as GENERIC
from regsync.remote.providers.provider import Provider
from regsync.remote.repository import RemoteRepository
from regsync.remote.session import Session
from tests.support.clock import FrozenClock
from tests.support.images import Content

OCTETS = "application/octet-stream"


class Registry(Protocol):
    """Whatever serves: the fake, distribution, Debian's."""

    @property
    def host(self) -> str: ...

    @property
    def url(self) -> str: ...


async def no_pause(seconds: float) -> None:
    """Nobody waits in a test."""


def session_of(registry: Registry) -> Session:
    """A session whose waits are over at once, while its clock counts them."""
    clock = FrozenClock()

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)
        await checkpoint()

    return Session(registry.host, registry.url, clock=clock, sleep=sleep)


@asynccontextmanager
async def opened(
    registry: Registry, name: str = "team/app", provider: Provider = GENERIC, **options: Any
) -> AsyncIterator[RemoteRepository]:
    """A repository over a session of its own."""
    async with session_of(registry) as session:
        yield at(session, name, provider, **options)


def at(
    session: Session, name: str = "team/app", provider: Provider = GENERIC, **options: Any
) -> RemoteRepository:
    """A repository over `session`."""
    options = {"pause": no_pause} | options
    return RemoteRepository(session, RepositoryName.parse(name), provider, **options)


def described(content: Content) -> Descriptor:
    """The descriptor of a manifest."""
    return Descriptor(content.media_type, Digest.parse(content.digest), content.size)


def blob(data: bytes) -> Descriptor:
    """The descriptor of a blob."""
    return Descriptor(OCTETS, Digest.of(data), len(data))


async def stream(data: bytes, size: int = 64 * 1024) -> AsyncIterator[bytes]:
    """The bytes in pieces."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def read(chunks: AsyncIterator[bytes]) -> bytes:
    """All of a stream."""
    return b"".join([chunk async for chunk in chunks])


def methods(requests: Sequence[Any]) -> list[str]:
    """The methods of requests that a fake saw, in their order."""
    return [one.method for one in requests]
