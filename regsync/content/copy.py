"""Copying a graph to one destination: blobs, children, the root, its evidence, and the tag last.

Source: DESIGN.md, section 6, rules 1 and 2.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from regsync.content.concurrently import for_each
from regsync.content.destination import Destination
from regsync.content.errors import IndexNotCompleteError
from regsync.content.graph import Graph
from regsync.content.protocol import Source
from regsync.content.references import MissingReferencesError
from regsync.content.transfers import Transfers
from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, Manifest
from regsync.oci.reference import Tag


@dataclass(frozen=True, slots=True)
class Copied:
    """What one copy moved."""

    sent: int = 0  # bytes
    reused: int = 0  # bytes that were there, or mounted

    def __add__(self, other: "Copied") -> "Copied":
        return Copied(self.sent + other.sent, self.reused + other.reused)


async def copy_graph(
    transfers: Transfers,
    sources: Sequence[Source],
    graph: Graph,
    to: Destination,
    *,
    tag: Tag | None = None,
    before_tag: Callable[[], Awaitable[Copied]] | None = None,
) -> Copied:
    """Bring everything in `graph` to `to`; `tag` points there only when all of it is complete.

    `before_tag` is awaited between the root and its tag: evidence goes there. Without it the root is
    put once, at its tag. A destination that turns out to lack what it was thought to have is filled
    in the same call. Raises what reading or writing raises; then the tag has not moved.
    """
    copy = _Copy(transfers, sources, graph, to, tag, before_tag)
    try:
        return await copy.bring(await _missing(graph, to))
    except MissingReferencesError:
        to.forget(digest for node in graph.nodes for digest in _digests(node))
    try:
        # That a manifest is there no longer says that what is below it is there too.
        return await copy.bring(graph.nodes)
    except MissingReferencesError as error:
        if left_out := graph.left_out:
            raise IndexNotCompleteError(graph.root.descriptor.digest, len(left_out), where=to.name) from error
        raise


@dataclass(frozen=True, slots=True)
class _Copy:
    transfers: Transfers
    sources: Sequence[Source]
    graph: Graph
    to: Destination
    tag: Tag | None
    before_tag: Callable[[], Awaitable[Copied]] | None

    async def bring(self, missing: Sequence[Manifest | Index]) -> Copied:
        """Bring the blobs and manifests of `missing`, what comes before the tag, and the tag."""
        root, to = self.graph.root, self.to
        blobs = await _copy_blobs(self.transfers, self.sources, missing, to)
        below = [node for node in missing if node is not root]
        sent = blobs.sent
        sent += sum(await for_each(self._put, [node for node in below if isinstance(node, Manifest)]))
        for index in below:
            if isinstance(index, Index):
                sent += await self._put(index)
        if root in missing or self._has_to_be_listed(root):
            goes_with_tag = self.before_tag is None and self.tag is not None
            sent += len(root.raw) if goes_with_tag else await self._put(root)
        done = Copied(sent, self.graph.size - sent)
        if self.before_tag is not None:
            done += await self.before_tag()
        if self.tag is not None:
            await self._put_at(self.tag)
        return done

    def _has_to_be_listed(self, root: Manifest | Index) -> bool:
        """Whether it is a referrer that may be there without being listed.

        Where a place has no referrers API, its fallback tag follows the manifest in a step of its own, and
        whoever put the manifest may have ended between the two.
        """
        return root.subject is not None and self.tag is None and not self.to.has_listed(root.descriptor)

    async def _put(self, node: Manifest | Index) -> int:
        """Put it by its digest, unless another tag's copy does; gives the bytes that this sent."""
        async with self.to.alone(node.descriptor.digest):
            if self.to.has(node.descriptor) and not self._has_to_be_listed(node):
                return 0
            self.to.guard()
            await self.to.store.push_manifest(node.descriptor, node.raw)
            self.to.holds(node.descriptor)
            if node.subject is not None:
                self.to.lists(node.descriptor)
            return len(node.raw)

    async def _put_at(self, tag: Tag) -> None:
        root, to = self.graph.root, self.to
        to.guard()
        # Once begun it is finished: a tag that moved must not go unreported because the run was stopped.
        with self.transfers.in_hand.finish(f"tag {tag}", where=to.name):
            await to.store.push_manifest(root.descriptor, root.raw, tag=tag)
        to.holds(root.descriptor)


async def _copy_blobs(
    transfers: Transfers, sources: Sequence[Source], nodes: Sequence[Manifest | Index], to: Destination
) -> Copied:
    wanted = {blob.digest: blob for node in nodes for blob in node.blobs}
    deliveries = [transfers.want(blob, sources, to) for blob in wanted.values()]
    for delivery in deliveries:
        await delivery.arrived()
    sent = sum(one.desc.size for one in deliveries if one.copied)
    return Copied(sent, sum(one.desc.size for one in deliveries) - sent)


async def _missing(graph: Graph, to: Destination) -> list[Manifest | Index]:
    """The nodes that the destination lacks. One that is there has all below it: children go first."""
    if await to.keeps(graph.root.descriptor):
        return []

    async def there(node: Manifest | Index) -> bool:
        return node is not graph.root and await to.keeps(node.descriptor)

    found = await for_each(there, graph.nodes)
    present = {node.descriptor.digest for node, is_there in zip(graph.nodes, found, strict=True) if is_there}
    for node in reversed(graph.nodes):  # parents first: what is below a present index is present
        if node.descriptor.digest in present:
            present.update(child.digest for child in node.manifests)
    return [node for node in graph.nodes if node.descriptor.digest not in present]


def _digests(node: Manifest | Index) -> list[Digest]:
    return [node.descriptor.digest, *(blob.digest for blob in node.blobs)]
