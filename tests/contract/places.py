"""Places with repositories that the contract suite runs against, and what each of them cannot do."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from regsync.content.layout_place import LayoutPlace
from regsync.content.memory import MemoryPlace
from regsync.content.protocol import Store
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName
from regsync.remote.repository import RemoteRepository
from regsync.remote.session import Session
from regsync.store.builtin import BuiltinStore
from tests.support.images import Content

OCTETS = "application/octet-stream"


@dataclass(frozen=True)
class Place:
    """Somewhere with repositories. `cannot` names behaviours that the place itself does not have."""

    repository: Callable[[str], Store]
    cannot: frozenset[str] = frozenset()


@asynccontextmanager
async def memory(_: Path) -> AsyncIterator[Place]:
    yield Place(MemoryPlace().repository)


@asynccontextmanager
async def layout(directory: Path) -> AsyncIterator[Place]:
    place = LayoutPlace(directory / "layouts")
    yield Place(lambda name: place.repository(RepositoryName(name)), frozenset({"refuse missing references"}))


@asynccontextmanager
async def builtin(directory: Path) -> AsyncIterator[Place]:
    async with BuiltinStore.open(directory / "store") as store:
        yield Place(lambda name: store.repository(RepositoryName(name)))


@asynccontextmanager
async def remote(host: str, url: str, cannot: frozenset[str]) -> AsyncIterator[Place]:
    async with Session(host, url) as session:
        yield Place(lambda name: RemoteRepository(session, RepositoryName.parse(name)), cannot)


def described(content: Content) -> Descriptor:
    return Descriptor(content.media_type, Digest.parse(content.digest), content.size)


def blob(data: bytes, algorithm: str = "sha256") -> Descriptor:
    return Descriptor(OCTETS, Digest.of(data, algorithm), len(data))


async def stream(data: bytes, size: int = 64 * 1024) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def put(store: Store, content: Content, *tags: str) -> Descriptor:
    """Push content with all below it, the manifest at the tags or by digest."""
    from regsync.oci.reference import Tag

    for node in content.walk():
        for data in node.blobs:
            await store.push(blob(data), stream(data))
        if node is not content or not tags:
            await store.push_manifest(described(node), node.data)
    for tag in tags:
        await store.push_manifest(described(content), content.data, tag=Tag.parse(tag))
    return described(content)


async def read(store: Store, desc: Descriptor) -> bytes:
    async with store.fetch(desc) as chunks:
        return b"".join([chunk async for chunk in chunks])


class StallsAfter:
    """A body that gives its first part, says so, and then never ends."""

    def __init__(self, first: bytes) -> None:
        self._first = first
        self.stalled = anyio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in stream(self._first):
            yield chunk
        self.stalled.set()
        await anyio.sleep_forever()
