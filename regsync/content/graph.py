"""The graph below a manifest: which manifests and blobs belong to it, children before parents."""

from collections.abc import Sequence
from dataclasses import dataclass

from regsync.content.errors import ForeignLayerError, GraphTooDeepError, NoPlatformError
from regsync.content.manifests import Manifests
from regsync.content.protocol import Source
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import MAX_CHILDREN, Index, Manifest
from regsync.oci.media_type import is_foreign_layer
from regsync.oci.platform import Platform
from regsync.oci.trim import keep_platforms, trimmed

MAX_DEPTH = 8  # levels of indexes in indexes


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

    A nested index is kept whole. Content without platforms is not touched. Raises NoPlatformError
    when nothing would be left, ForeignLayerError for what registries do not distribute,
    GraphTooDeepError, and what reading raises.
    """
    top = await manifests.read(sources, root)
    children = top.manifests
    if shape is not None and isinstance(top, Index) and _has_platforms(top):
        kept = keep_platforms(top.entries, shape.platforms)
        if not any(entry.platform is not None or entry.is_index for entry in kept):
            wanted = ", ".join(map(str, shape.platforms))
            found = ", ".join(sorted({str(entry.platform) for entry in top.entries if entry.platform}))
            raise NoPlatformError(root.digest, wanted, found, where=sources[0].name)
        digests = {entry.digest for entry in kept}
        children = tuple(child for child in children if child.digest in digests)
        if isinstance(shape, Trimmed):
            top = trimmed(top, kept)
            manifests.keep(top)
    nodes: dict[Digest, Manifest | Index] = {}
    walk = _Walk(manifests, sources, root.digest, nodes)
    for child in children:
        await walk.visit(child, depth=1)
    walk.add(top)
    return Graph(tuple(nodes.values()))


def _has_platforms(index: Index) -> bool:
    return any(entry.platform is not None for entry in index.entries)


@dataclass(frozen=True, slots=True)
class _Walk:
    manifests: Manifests
    sources: Sequence[Source]
    root: Digest
    nodes: dict[Digest, Manifest | Index]

    async def visit(self, desc: Descriptor, *, depth: int) -> None:
        if desc.digest in self.nodes:
            return
        if depth > MAX_DEPTH or desc.digest == self.root or len(self.nodes) > MAX_CHILDREN:
            raise GraphTooDeepError(self.root, MAX_DEPTH, where=self.sources[0].name)
        node = await self.manifests.read(self.sources, desc)
        for child in node.manifests:
            await self.visit(child, depth=depth + 1)
        self.add(node)

    def add(self, node: Manifest | Index) -> None:
        for blob in node.blobs:
            if is_foreign_layer(blob.media_type):
                raise ForeignLayerError(blob, where=self.sources[0].name)
        self.nodes[node.descriptor.digest] = node
