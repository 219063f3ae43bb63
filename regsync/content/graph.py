"""The graph below a manifest: which manifests and blobs belong to it, children before parents."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from regsync.content.concurrently import for_each
from regsync.content.errors import (
    ForeignLayerError,
    GraphTooDeepError,
    GraphTooLargeError,
    NoPlatformError,
    SizeMismatchError,
)
from regsync.content.manifests import CACHE_SIZE, Manifests
from regsync.content.protocol import Source
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import MAX_CHILDREN, Index, Manifest
from regsync.oci.media_type import is_foreign_layer
from regsync.oci.platform import Platform
from regsync.oci.trim import keep_platforms, trimmed

READ_AHEAD_SIZE = CACHE_SIZE // 4  # bytes of children that are read before they are visited
READ_AT_ONCE = 8
MAX_DEPTH = 8  # levels of indexes in indexes
MAX_MANIFESTS_SIZE = 32 * 1024 * 1024  # bytes of all manifests of one image


@dataclass(frozen=True, slots=True)
class Graph:
    """A manifest with all that it leads to by content, not by referrers."""

    nodes: tuple[Manifest | Index, ...]  # each once, children before parents, the root last

    @property
    def root(self) -> Manifest | Index:
        """The manifest that a tag points to."""
        return self.nodes[-1]

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Every blob, each digest once."""
        found: dict[Digest, Descriptor] = {}
        for node in self.nodes:
            for blob in node.blobs:
                found.setdefault(blob.digest, blob)
        return tuple(found.values())

    @property
    def left_out(self) -> frozenset[Digest]:
        """Children that an index names and this graph does not carry: those of other platforms."""
        named = {child.digest for node in self.nodes for child in node.manifests}
        return frozenset(named - {node.descriptor.digest for node in self.nodes})

    @property
    def size(self) -> int:
        """Distinct bytes: blobs and manifests."""
        return sum(blob.size for blob in self.blobs) + sum(len(node.raw) for node in self.nodes)


@dataclass(frozen=True, slots=True)
class Sparse:
    """Keep an index byte for byte and leave children of other platforms out."""

    platforms: tuple[Platform, ...]


@dataclass(frozen=True, slots=True)
class Trimmed:
    """Make a valid index of the children for these platforms."""

    platforms: tuple[Platform, ...]


Shape = Sparse | Trimmed | None  # None: all of it


async def read_graph(
    manifests: Manifests, sources: Sequence[Source], root: Descriptor, *, shape: Shape = None
) -> Graph:
    """Read every manifest below `root`, which `shape` may reduce to some platforms.

    A nested index is kept whole. A single image is for the platform that its config says. Content
    without platforms is not touched. Raises NoPlatformError when nothing would be left,
    ForeignLayerError for what registries do not distribute, GraphTooDeepError, GraphTooLargeError,
    SizeMismatchError where one digest is given two sizes, and what reading raises.
    """
    top, children = await _top(manifests, sources, root, shape)
    if shape is not None and (other := await unwanted_platform(manifests, sources, top, shape.platforms)):
        raise NoPlatformError(top.descriptor.digest, shape.platforms, [other], where=sources[0].name)
    walk = _Walk(manifests, sources, root.digest)
    await walk.read_ahead(children)
    for child in children:
        await walk.visit(child, depth=1)
    walk.add(top)
    return Graph(tuple(walk.nodes.values()))


async def subjects_below(
    manifests: Manifests, sources: Sequence[Source], root: Descriptor, *, shape: Shape = None
) -> tuple[Digest, ...]:
    """The digest of every manifest that `read_graph` would give, the root first; reads indexes alone.

    Raises as `read_graph` does.
    """
    top, children = await _top(manifests, sources, root, shape)
    found = {top.descriptor.digest: None}
    walk = _Walk(manifests, sources, root.digest)

    async def visit(desc: Descriptor, depth: int) -> None:
        if desc.digest in found:
            return
        walk.check(desc, depth, len(found))
        found[desc.digest] = None
        if desc.is_index:
            for child in (await manifests.read(sources, desc)).manifests:
                await visit(child, depth + 1)

    for child in children:
        await visit(child, 1)
    return tuple(found)


async def images_below(
    manifests: Manifests, sources: Sequence[Source], root: Descriptor, *, shape: Shape = None
) -> Mapping[Digest, Platform | None]:
    """The image of every platform that `read_graph` would give; of a single image itself.

    BuildKit's attestations, which an index lists beside them for no platform, are none; what it lists for
    a platform too is an image. Reads indexes alone. Raises as `read_graph` does.
    """
    top, children = await _top(manifests, sources, root, shape)
    if not isinstance(top, Index):
        return {top.descriptor.digest: None}
    found: dict[Digest, Platform | None] = {}
    walk = _Walk(manifests, sources, root.digest)
    seen: set[Digest] = set()

    async def visit(desc: Descriptor, depth: int) -> None:
        is_unknown = desc.platform is not None and desc.platform.is_unknown
        if is_unknown or desc.digest in seen or not desc.is_manifest:
            return
        walk.check(desc, depth, len(seen))
        seen.add(desc.digest)
        if not desc.is_index:
            found[desc.digest] = desc.platform
            return
        below = await manifests.read(sources, desc)
        for child in below.entries if isinstance(below, Index) else ():
            await visit(child, depth + 1)

    # Every entry, also of the same digest: who pulls goes by the one that has their platform.
    carried = {child.digest for child in children}
    for entry in top.entries:
        if entry.digest in carried:
            await visit(entry, 1)
    return found


async def _top(
    manifests: Manifests, sources: Sequence[Source], root: Descriptor, shape: Shape
) -> tuple[Manifest | Index, tuple[Descriptor, ...]]:
    """The root, reduced, and those of its children that are carried."""
    top = await manifests.read(sources, root)
    children = top.manifests
    if shape is None or not isinstance(top, Index) or not _has_platforms(top):
        return top, children
    kept = keep_platforms(top.entries, shape.platforms)
    if not any(entry.platform is not None or entry.is_index for entry in kept):
        found = {entry.platform for entry in top.entries if entry.platform}
        raise NoPlatformError(root.digest, shape.platforms, found, where=sources[0].name)
    digests = {entry.digest for entry in kept}
    children = tuple(child for child in children if child.digest in digests)
    if isinstance(shape, Trimmed):
        top = trimmed(top, kept)
        manifests.keep(top)
    return top, children


async def unwanted_platform(
    manifests: Manifests, sources: Sequence[Source], top: Manifest | Index, wanted: tuple[Platform, ...]
) -> Platform | None:
    """The platform of a single image, if none such is wanted. Raises as `read_config`."""
    found = await manifests.platform(sources, top) if isinstance(top, Manifest) else None
    if found is None or found.is_unknown or any(found.matches(one) for one in wanted):
        return None
    return found


def _has_platforms(index: Index) -> bool:
    return any(entry.platform is not None for entry in index.entries)


@dataclass(slots=True)
class _Walk:
    manifests: Manifests
    sources: Sequence[Source]
    root: Digest
    nodes: dict[Digest, Manifest | Index] = field(default_factory=dict)
    _sizes: dict[Digest, int] = field(default_factory=dict)
    _held: int = 0

    async def read_ahead(self, children: Sequence[Descriptor]) -> None:
        """Read children at once while the cache can hold them; what fails shows when each is visited."""
        if len(children) < 2 or sum(child.size for child in children) > READ_AHEAD_SIZE:
            return

        async def read(desc: Descriptor) -> None:
            with suppress(RegsyncError):
                await self.manifests.read(self.sources, desc)

        await for_each(read, children, at_once=READ_AT_ONCE)

    async def visit(self, desc: Descriptor, *, depth: int) -> None:
        if desc.digest in self.nodes:
            return
        self.check(desc, depth, len(self.nodes))
        node = await self.manifests.read(self.sources, desc)
        for child in node.manifests:
            await self.visit(child, depth=depth + 1)
        self.add(node)

    def check(self, desc: Descriptor, depth: int, count: int) -> None:
        """Raise when there is too much below the root."""
        if depth > MAX_DEPTH or desc.digest == self.root:
            raise GraphTooDeepError(self.root, MAX_DEPTH, where=self.sources[0].name)
        if count > MAX_CHILDREN:
            raise GraphTooLargeError(self.root, f"{MAX_CHILDREN} manifests", where=self.sources[0].name)

    def add(self, node: Manifest | Index) -> None:
        """Take a node whose children are in."""
        where = self.sources[0].name
        self._held += len(node.raw)
        if self._held > MAX_MANIFESTS_SIZE:
            raise GraphTooLargeError(self.root, f"{MAX_MANIFESTS_SIZE} bytes of manifests", where=where)
        listed = node.entries if isinstance(node, Index) else (node.config, *node.layers)
        for desc in listed:
            if is_foreign_layer(desc.media_type):
                raise ForeignLayerError(desc, where=where)
            # Of two sizes for one digest one is a lie, and only one of them would be looked at.
            if self._sizes.setdefault(desc.digest, desc.size) != desc.size:
                raise SizeMismatchError(desc, self._sizes[desc.digest], where=where)
        self.nodes[node.descriptor.digest] = node
