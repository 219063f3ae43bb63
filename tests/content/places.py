"""Repositories in memory that count what they are asked, stall, dawdle and fail where a test says so."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from regsync.content.memory import MemoryPlace, MemoryRepository
from regsync.content.protocol import Chunks, Source
from regsync.errors import RegsyncError, TemporaryError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from tests.support.images import Content

Hook = Callable[[], Awaitable[None]]


class BusyError(TemporaryError):
    """503."""


class NoError(RegsyncError):
    """A permanent no."""


def blob(data: bytes) -> Descriptor:
    """The descriptor of a layer."""
    return Descriptor("application/octet-stream", Digest.of(data), len(data))


async def once(data: bytes) -> AsyncIterator[bytes]:
    """The bytes as one chunk."""
    yield data


async def forever() -> None:
    """A call that never returns."""
    await anyio.sleep_forever()


class Repository(MemoryRepository):
    """`hooks` run before a call; those that raise make it fail. `chunk` is what a fetch gives at once."""

    def __init__(self, name: str, place: MemoryPlace | None = None, *, chunk: int = 64 * 1024) -> None:
        super().__init__(name, place=place)
        self.calls: Counter[str] = Counter()
        self.log: list[tuple[str, str]] = []
        self.hooks: dict[str, Hook] = {}
        self.chunk = chunk
        self.mountable = True
        self.open = 0  # fetches that have not been left
        self.given = 0  # bytes

    def add(self, data: bytes) -> Descriptor:
        """Put a blob without counting."""
        desc = blob(data)
        self._blobs[desc.digest] = data
        return desc

    async def add_image(self, content: Content, *tags: str) -> Descriptor:
        """Put an image with all below it, without counting."""
        for node in content.walk():
            for data in node.blobs:
                self.add(data)
            desc = Descriptor(node.media_type, Digest.of(node.data), len(node.data))
            await MemoryRepository.push_manifest(self, desc, node.data)
        for tag in tags:
            await MemoryRepository.push_manifest(self, desc, content.data, tag=Tag.parse(tag))
        return desc

    async def _called(self, call: str, thing: object = "") -> None:
        self.calls[call] += 1
        self.log.append((call, str(thing)))
        if call in self.hooks:
            await self.hooks[call]()

    def fails(self, call: str, error: Exception, *, times: int = 10**9) -> None:
        """Raise `error` the first `times` a call is made."""
        left = [times]

        async def hook() -> None:
            if left[0] > 0:
                left[0] -= 1
                raise error

        self.hooks[call] = hook

    async def exists(self, desc: Descriptor) -> bool:
        await self._called("exists", desc.digest)
        return await super().exists(desc)

    async def manifest(self, name: Tag | Digest) -> tuple[Descriptor, bytes]:
        await self._called("manifest", name)
        return await super().manifest(name)

    def fetch(self, desc: Descriptor) -> Chunks:
        return self._fetch(desc)

    @asynccontextmanager
    async def _fetch(self, desc: Descriptor) -> AsyncIterator[AsyncIterator[bytes]]:
        await self._called("fetch", desc.digest)
        self.open += 1
        try:
            async with super().fetch_from(desc, 0):
                yield self._chunks(self._blobs[desc.digest])
        finally:
            self.open -= 1

    async def _chunks(self, data: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(data), self.chunk):
            await self._called("chunk")
            self.given += len(data[start : start + self.chunk])
            yield data[start : start + self.chunk]

    async def push(self, desc: Descriptor, chunks: Any) -> None:
        await self._called("push", desc.digest)
        await super().push(desc, self._taken(chunks))

    def _taken(self, chunks: Any) -> Any:
        return chunks

    async def push_manifest(self, desc: Descriptor, raw: bytes, *, tag: Tag | None = None) -> None:
        await self._called("push_manifest", tag or desc.digest)
        await super().push_manifest(desc, raw, tag=tag)

    def can_mount_from(self, other: Source) -> bool:
        """As registries: from another repository, never from itself."""
        return other is not self and super().can_mount_from(other)

    async def mount(self, desc: Descriptor, source: Source) -> bool:
        await self._called("mount", desc.digest)
        return self.mountable and await super().mount(desc, source)


class Steps:
    """A consumer's own pace: `allow` lets it take so many chunks."""

    def __init__(self) -> None:
        self._left = anyio.Semaphore(0)

    def allow(self, count: int) -> None:
        """Let it take more."""
        for _ in range(count):
            self._left.release()

    async def step(self) -> None:
        """Wait for leave to take one."""
        await self._left.acquire()
