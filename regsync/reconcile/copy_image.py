"""Copying one image with all that belongs to it, without a spec."""

from dataclasses import dataclass

import anyio

from regsync.content.copy import Copied, copy_graph
from regsync.content.destination import Destination
from regsync.content.errors import ContentNotFoundError
from regsync.content.evidence import Shelf
from regsync.content.evidence_copy import EvidenceCopy
from regsync.content.graph import Shape, read_graph
from regsync.content.manifests import Manifests
from regsync.content.protocol import Source, Store
from regsync.content.transfers import Transfers
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.reconcile.absent import check_repository
from regsync.reconcile.events import Emit, Reused, Transferred, ignore


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What one copy did."""

    digest: Digest  # on the target
    copied: int  # bytes sent
    reused: int  # bytes that were there, or mounted
    evidence: int  # referrers and digest tags brought
    refused: tuple[RegsyncError, ...]  # evidence that the target did not take


async def copy_image(
    source: Source,
    name: Tag | Digest,
    target: Store,
    tag: Tag | None,
    *,
    shape: Shape = None,
    shelf: Shelf | None = None,
    emit: Emit = ignore,
) -> CopyReport:
    """Bring what `name` is at `source` to `target`, at `tag` or by digest alone.

    `shelf` is where its evidence is, for who copies many images of one repository and has listed it.
    Raises what reading and writing raise; then `tag` has not moved.
    """
    manifests = Manifests()
    shelf = shelf or await Shelf.listing(source)
    to = Destination(
        target,
        on_sent=lambda count: emit(Transferred(target.name, count)),
        on_reused=lambda count: emit(Reused(target.name, count)),
    )
    desc = await _describe(manifests, source, name)
    graph = await read_graph(manifests, (source,), desc, shape=shape)
    failures: list[RegsyncError] = []
    copied = Copied()
    async with anyio.create_task_group() as group:
        transfers = Transfers(group)
        evidence = EvidenceCopy(transfers, manifests, shelf, to, lambda _: True)

        async def bring() -> Copied:
            await evidence.bring_all(node.descriptor.digest for node in reversed(graph.nodes))
            return evidence.copied

        try:
            copied = await copy_graph(transfers, (source,), graph, to, tag=tag, before_tag=bring)
        except RegsyncError as error:
            failures.append(error)  # raised outside, where it is not one of a group
        group.cancel_scope.cancel()  # no delivery is under way that somebody waits for
    if failures:
        raise failures[0]
    return CopyReport(
        graph.root.descriptor.digest, copied.sent, copied.reused, evidence.brought, tuple(evidence.refused)
    )


async def _describe(manifests: Manifests, source: Source, name: Tag | Digest) -> Descriptor:
    try:
        if isinstance(name, Digest):
            return await source.resolve(name)
        return (await manifests.at_tag(source, name)).descriptor
    except ContentNotFoundError:
        await check_repository(source)
        raise
