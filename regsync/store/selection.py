"""What belongs to a part of a store: manifests, parents before their children, and the blobs below them."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam, exists, select

from regsync.content.errors import ContentNotFoundError
from regsync.content.evidence import MAX_DEPTH, Evidence, Shelf
from regsync.content.references import Children, required
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, Manifest, parse_manifest
from regsync.oci.reference import RepositoryName, Tag
from regsync.store.builtin import BuiltinStore
from regsync.store.repository import BuiltinRepository
from regsync.store.schema import manifest_references, manifests, repositories

_child = exists().where(
    manifest_references.c.repository_id == manifests.c.repository_id,
    manifest_references.c.digest == manifests.c.digest,
    manifest_references.c.kind == "manifest",
)
_ROOTS = (
    select(manifests.c.media_type, manifests.c.digest, manifests.c.size)
    .select_from(repositories.join(manifests, manifests.c.repository_id == repositories.c.id))
    .where(repositories.c.name == bindparam("repository"), ~_child)
    .order_by(manifests.c.digest)
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A repository, whole or only what one name in it leads to, with its evidence."""

    repository: RepositoryName
    name: Tag | Digest | None = None


@dataclass(frozen=True, slots=True)
class Root:
    """A manifest that is listed by itself."""

    repository: RepositoryName
    desc: Descriptor
    tag: Tag | None


@dataclass(slots=True)
class Selection:
    """What was chosen, each thing once, with a repository to read it from."""

    roots: dict[Root, None] = field(default_factory=dict)  # in order
    manifests: dict[Digest, RepositoryName] = field(default_factory=dict)  # parents before children
    blobs: dict[Digest, tuple[Descriptor, RepositoryName]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of the blobs."""
        return sum(desc.size for desc, _ in self.blobs.values())


async def select_content(store: BuiltinStore, wanted: Sequence[Wanted]) -> Selection:
    """All of `wanted`, or of the whole store; raises ContentNotFoundError for what is not there."""
    found = Selection()
    for one in wanted or [Wanted(name) for name in await store.repositories()]:
        await _Walk(store, store.repository(one.repository), found).take(one.name)
    return found


@dataclass(slots=True)
class _Walk:
    store: BuiltinStore
    repository: BuiltinRepository
    found: Selection

    async def take(self, name: Tag | Digest | None) -> None:
        async with self.repository.tags() as listed:
            tags = {tag: desc async for tag, desc in listed if desc is not None}
        if name is None:
            await self._whole(tags)
        else:
            desc = await self.repository.resolve(name)
            self._list(desc, name if isinstance(name, Tag) else None)
            below = await self._descend(desc)
            await self._evidence(below, Shelf(self.repository, tags), 1)

    async def _whole(self, tags: dict[Tag, Descriptor]) -> None:
        for tag, desc in tags.items():
            self._list(desc, tag)
            await self._descend(desc)
        tagged = {desc.digest for desc in tags.values()}
        for desc in await self.store.scan(lambda one: _roots(one, self.repository.repository)):
            if desc.digest not in tagged:
                self._list(desc, None)
                await self._descend(desc)

    async def _evidence(self, subjects: Sequence[Digest], shelf: Shelf, depth: int) -> None:
        for subject in subjects:
            evidence = await shelf.find(subject, lambda _: True)
            there = [one for one in evidence.referrers if not await self._is_gone(one, evidence)]
            roots = [(desc, None) for desc in there]
            for desc, tag in [*roots, *[(await self.repository.resolve(tag), tag) for tag in evidence.tags]]:
                self._list(desc, tag)
                below = await self._descend(desc)
                if depth < MAX_DEPTH:
                    await self._evidence(below, shelf, depth + 1)

    async def _is_gone(self, desc: Descriptor, evidence: Evidence) -> bool:
        return desc.digest in evidence.unsure and not await self.repository.exists(desc)

    def _list(self, desc: Descriptor, tag: Tag | None) -> None:
        root = Root(self.repository.repository, Descriptor(desc.media_type, desc.digest, desc.size), tag)
        self.found.roots[root] = None

    async def _descend(self, root: Descriptor) -> Sequence[Digest]:
        """Take a manifest and all below it, save what an index was put without; the manifests of it."""
        seen: dict[Digest, None] = {}
        left = deque([root])
        while left:
            desc = left.popleft()
            if desc.digest in seen:
                continue
            try:
                node = await self._read(desc)
            except ContentNotFoundError:
                if desc is root:
                    raise
                continue
            seen[desc.digest] = None
            self.found.manifests.setdefault(desc.digest, self.repository.repository)
            left.extend(node.manifests)
            for blob in required(node, Children.OPTIONAL):
                self.found.blobs.setdefault(blob.digest, (blob, self.repository.repository))
        return list(seen)

    async def _read(self, desc: Descriptor) -> Manifest | Index:
        known, raw = await self.repository.manifest(desc.digest)
        return parse_manifest(raw, known.media_type, algorithm=desc.digest.algorithm)


def _roots(connection: Connection, repository: RepositoryName) -> Sequence[Descriptor]:
    rows = connection.execute(_ROOTS, {"repository": repository})
    return [Descriptor(row.media_type, Digest.parse(row.digest), row.size) for row in rows]
