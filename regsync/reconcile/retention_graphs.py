"""What tags of a repository lead to: read where it is not known, for what may go with them."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from regsync.content.concurrently import for_each
from regsync.content.errors import ContentNotFoundError
from regsync.content.graph import subjects_below
from regsync.content.protocol import ListsReferrers, Store
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.reconcile.engine import Run
from regsync.reconcile.repositories import Listing

READS_AT_ONCE = 16


@dataclass(slots=True)
class Graphs:
    """The manifests of images of one repository, and what refers to them."""

    run: Run
    store: Store
    listed: Listing
    known: dict[Digest, tuple[Digest, ...]] = field(default_factory=dict)
    subjects: dict[Digest, Digest] = field(default_factory=dict)
    referrers: dict[Digest, tuple[Digest, ...]] = field(default_factory=dict)

    async def read(self, roots: Iterable[Descriptor]) -> None:
        """The manifests below each root. Raises what reading raises, also where one is not there."""
        todo = {root.digest: root for root in roots if root.digest not in self.known}
        await for_each(self._read, todo.values(), at_once=READS_AT_ONCE)

    async def _read(self, root: Descriptor) -> None:
        if not root.is_index:
            self.known[root.digest] = (root.digest,)
            return
        ledger = self.run.engine.ledger
        graph = ledger.known_graph(root.digest, ())
        if graph is None:
            graph = await subjects_below(self.run.manifests, (self.store,), root)
            ledger.remember_graph(root.digest, (), graph)
        self.known[root.digest] = graph

    async def read_lost(self, digests: Iterable[Digest]) -> set[Digest]:
        """The same for manifests of which only the digest is known; gives those that are there no more."""
        gone: set[Digest] = set()

        async def one(digest: Digest) -> None:
            try:
                await self.read([await self.store.resolve(digest)])
            except ContentNotFoundError:
                gone.add(digest)

        await for_each(one, sorted(digests), at_once=READS_AT_ONCE)
        return gone

    async def read_relations(self, manifests: Iterable[Digest]) -> None:
        """Subjects and referrers of each, and of these referrers again. Raises what reading raises."""
        todo = [digest for digest in manifests if digest not in self.referrers]
        while todo:
            await for_each(self._relations, todo, at_once=READS_AT_ONCE)
            found = {other for digest in todo for other in self.referrers[digest]}
            todo = sorted(found - self.referrers.keys())

    async def _relations(self, digest: Digest) -> None:
        self.referrers[digest] = ()
        if isinstance(self.store, ListsReferrers):
            found = await self.store.referrers(digest, listed=self.listed)
            self.referrers[digest] = tuple(one.digest for one in found)
        try:
            desc = await self.store.resolve(digest)
            manifest = await self.run.manifests.read((self.store,), desc)
            if manifest.subject is not None:
                await self.store.resolve(manifest.subject.digest)
                self.subjects[digest] = manifest.subject.digest
        except ContentNotFoundError:
            return  # it, or its subject, is not there
