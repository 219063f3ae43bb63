"""Bringing evidence to where its image is: referrers by digest, digest tags merged at their tag."""

from collections.abc import Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from regsync.content.copy import Copied, copy_graph
from regsync.content.destination import Destination
from regsync.content.durable import StorageError
from regsync.content.errors import ContentNotFoundError
from regsync.content.evidence import MAX_DEPTH, Evidence, Shelf, Shelves, Takes, unbringable
from regsync.content.graph import Graph, read_graph
from regsync.content.manifests import Manifests
from regsync.content.merge import merged, signatures
from regsync.content.transfers import Transfers
from regsync.errors import RegsyncError, TemporaryError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag


@dataclass(slots=True)
class EvidenceCopy:
    """Evidence on its way from one repository to another.

    A referrer that the target refuses does not stop the others: it is kept in `refused`, for the
    caller to decide whether the image may do without it.
    """

    transfers: Transfers
    manifests: Manifests
    source: Shelf | Shelves
    to: Destination
    takes: Takes
    copied: Copied = field(default_factory=Copied)
    refused: list[RegsyncError] = field(default_factory=list)
    brought: int = 0  # referrers and digest tags

    async def bring_all(self, subjects: Iterable[Digest]) -> None:
        """Bring everything that the source has beside `subjects`."""
        for subject in subjects:
            await self.bring(await self.source.find(subject, self.takes))

    async def bring(self, evidence: Evidence, *, depth: int = 1) -> None:
        """Bring this evidence, and the evidence of it. Raises TemporaryError and StorageError.

        What a fallback tag lists and cannot be brought is passed over, unless there is nothing else.
        """
        before = self.brought
        useless: RegsyncError | None = None
        for referrer in evidence.referrers:
            error: RegsyncError | None = None
            if referrer.digest in evidence.unsure:
                error = await unbringable(self.source, referrer, self.manifests)
            if error is None:
                await self._attempt(self._referrer(referrer), referrer.digest, depth)
            useless = useless or error
        for tag in evidence.tags:
            await self._attempt(self._digest_tag(tag), None, depth)
        if useless is not None and self.brought == before and depth == 1:
            self.refused.append(useless)

    async def _attempt(self, step: Coroutine[None, None, Copied], digest: Digest | None, depth: int) -> None:
        try:
            self.copied += await step
            self.brought += 1
            if digest is not None and depth < MAX_DEPTH:
                await self.bring(await self.source.find(digest, self.takes), depth=depth + 1)
        except (TemporaryError, StorageError):
            raise  # nobody refused it: without it the image would be called done
        except RegsyncError as error:
            self.refused.append(error)

    async def _referrer(self, referrer: Descriptor) -> Copied:
        sources = self.source.stores
        graph = await read_graph(self.manifests, sources, referrer)
        return await copy_graph(self.transfers, sources, graph, self.to)

    async def _digest_tag(self, tag: Tag) -> Copied:
        manifest = await self.source.signatures(self.manifests, tag)
        if self.to.may_have_content:
            with suppress(ContentNotFoundError):  # nobody signed there
                manifest = merged(manifest, await signatures(self.to.store, tag))
        return await copy_graph(
            self.transfers, (*self.source.stores, self.to.store), Graph((manifest,)), self.to, tag=tag
        )
