"""Stores in memory: repositories that live as long as the process. Composed of parts, each one concept."""

from collections import defaultdict
from collections.abc import AsyncIterable, AsyncIterator, Container, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from regsync.content.errors import ContentNotFoundError, SizeMismatchError
from regsync.content.protocol import Chunks, Source
from regsync.content.references import Children, MissingReferencesError, required
from regsync.content.referrers import as_referrer
from regsync.content.verified import verified, verified_manifest
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag

Item = TypeVar("Item")

FETCH_SIZE = 64 * 1024  # bytes per chunk


class MemoryPlace:
    """Repositories that can mount from each other."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self._repositories: dict[str, MemoryRepository] = {}

    def repository(self, name: str) -> "MemoryRepository":
        """The repository of that name; the same object each time."""
        if name not in self._repositories:
            self._repositories[name] = MemoryRepository(f"{self.name}:{name}", place=self)
        return self._repositories[name]


class MemoryRepository:
    """One repository in memory, with every optional power."""

    def __init__(
        self,
        name: str = "memory",
        *,
        place: MemoryPlace | None = None,
        children: Children = Children.REQUIRED,
    ) -> None:
        self.name = name
        self._place, self._children = place, children
        self._blobs: dict[Digest, bytes] = {}
        self._manifests: dict[Digest, tuple[Descriptor, bytes]] = {}
        self._tags: dict[Tag, Digest] = {}
        self._referrers: defaultdict[Digest, dict[Digest, Descriptor]] = defaultdict(dict)

    async def resolve(self, name: Tag | Digest) -> Descriptor:
        """The descriptor of a tag or digest; raises ContentNotFoundError."""
        return self._found(name)[0]

    async def manifest(self, name: Tag | Digest) -> tuple[Descriptor, bytes]:
        """A manifest's bytes; raises ContentNotFoundError."""
        return self._found(name)

    async def exists(self, desc: Descriptor) -> bool:
        """Whether content of this digest and size is there."""
        return self._has(desc)

    def fetch(self, desc: Descriptor) -> Chunks:
        """Stream a blob; raises ContentNotFoundError on entering."""
        return self.fetch_from(desc, 0)

    @asynccontextmanager
    async def fetch_from(self, desc: Descriptor, offset: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream a blob from `offset` on; raises ContentNotFoundError or SizeMismatchError on entering."""
        held = self._held(desc)
        if held is None:
            raise ContentNotFoundError(desc.digest, where=self.name)
        if len(held) != desc.size:
            raise SizeMismatchError(desc, len(held), where=self.name)
        yield _each([held[start : start + FETCH_SIZE] for start in range(offset, len(held), FETCH_SIZE)])

    async def push(self, desc: Descriptor, chunks: AsyncIterable[bytes]) -> None:
        """Put a blob, once all of it has come and is what `desc` names."""
        if not self._has(desc):
            pieces = [chunk async for chunk in verified(chunks, desc, where=self.name)]
            self._blobs[desc.digest] = b"".join(pieces)

    async def push_manifest(self, desc: Descriptor, raw: bytes, *, tag: Tag | None = None) -> None:
        """Put a manifest, at `tag` if given; raises MissingReferencesError."""
        manifest = verified_manifest(raw, desc, where=self.name)
        needed = required(manifest, self._children)
        missing = [one.digest for one in needed if not self._has(one)]
        if missing:
            raise MissingReferencesError(desc.digest, missing, where=self.name)
        self._manifests[desc.digest] = (Descriptor(desc.media_type, desc.digest, desc.size), raw)
        if manifest.subject is not None:
            self._referrers[manifest.subject.digest][desc.digest] = as_referrer(manifest, desc)
        if tag is not None:
            self._tags[tag] = desc.digest

    async def tag(self, desc: Descriptor, tag: Tag) -> None:
        """Point `tag` to a manifest that is there; raises ContentNotFoundError if it is not."""
        if desc.digest not in self._manifests or not self._has(desc):
            raise ContentNotFoundError(desc.digest, where=self.name)
        self._tags[tag] = desc.digest

    @asynccontextmanager
    async def tags(self) -> AsyncIterator[AsyncIterator[tuple[Tag, Descriptor | None]]]:
        """Every tag with its descriptor, sorted."""
        yield _each([(tag, self._manifests[digest][0]) for tag, digest in sorted(self._tags.items())])

    async def referrers(
        self, subject: Digest, *, listed: Container[Tag] | None = None
    ) -> Sequence[Descriptor]:
        """What refers to `subject`, sorted by digest."""
        found = self._referrers.get(subject, {})
        return tuple(found[digest] for digest in sorted(found))

    def can_mount_from(self, other: Source) -> bool:
        """Whether `other` is of the same MemoryPlace."""
        return isinstance(other, MemoryRepository) and self._place is not None and other._place is self._place

    async def mount(self, desc: Descriptor, source: Source) -> bool:
        """Take a blob from another repository of this place; False when it is not there."""
        if not isinstance(source, MemoryRepository) or not source._has(desc):
            return False
        self._blobs[desc.digest] = source._blobs[desc.digest]
        return True

    async def delete(self, desc: Descriptor) -> None:
        """Delete a manifest with every tag that points to it; raises ContentNotFoundError."""
        if self._manifests.pop(desc.digest, None) is None:
            raise ContentNotFoundError(desc.digest, where=self.name)
        self._tags = {tag: digest for tag, digest in self._tags.items() if digest != desc.digest}
        for found in self._referrers.values():
            found.pop(desc.digest, None)

    async def untag(self, tag: Tag) -> None:
        """Delete one tag; raises ContentNotFoundError."""
        if self._tags.pop(tag, None) is None:
            raise ContentNotFoundError(tag, where=self.name)

    def _found(self, name: Tag | Digest) -> tuple[Descriptor, bytes]:
        digest = name if isinstance(name, Digest) else self._tags.get(name)
        if digest is None or digest not in self._manifests:
            raise ContentNotFoundError(name, where=self.name)
        return self._manifests[digest]

    def _has(self, desc: Descriptor) -> bool:
        held = self._held(desc)
        return held is not None and len(held) == desc.size

    def _held(self, desc: Descriptor) -> bytes | None:
        if desc.is_manifest:
            return self._manifests[desc.digest][1] if desc.digest in self._manifests else None
        return self._blobs.get(desc.digest)


async def _each(items: Iterable[Item]) -> AsyncIterator[Item]:
    for item in items:
        yield item
