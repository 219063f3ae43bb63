"""Chained mirrors in a dry run: each is planned against the planned result of the one before."""

from collections.abc import AsyncIterator, Awaitable, Callable, Container, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

from regsync.content.digest_tags import DigestTag
from regsync.content.errors import ContentNotFoundError
from regsync.content.evidence import Shelf, Shelves, Takes
from regsync.content.graph import Graph
from regsync.content.image_config import Config, read_from
from regsync.content.manifests import Manifests
from regsync.content.protocol import ListsReferrers, ListsTags, Source, Store
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, Manifest
from regsync.oci.reference import RepositoryName, Tag
from regsync.reconcile.connect import Places
from regsync.spec.model import Location

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Bringing:
    """Evidence that travels with planned content."""

    source: Shelf | Shelves
    takes: Takes
    subjects: dict[Digest, None] = field(default_factory=dict)  # the manifests of what is planned, in order


@dataclass(slots=True)
class PlannedRepository:
    """What a repository would hold besides what it holds."""

    tags: dict[Tag, Digest] = field(default_factory=dict)
    made: dict[Digest, Manifest | Index] = field(default_factory=dict)  # made here, so nowhere else yet
    origins: list[Source] = field(default_factory=list)  # where the rest of it comes from
    evidence: list[Bringing] = field(default_factory=list)
    manifests: Manifests = field(default_factory=Manifests)

    def add(
        self,
        tag: Tag | None,
        graph: Graph,
        origins: Sequence[Source],
        evidence: Shelf | Shelves,
        takes: Takes,
    ) -> None:
        """Plan `tag` to point to the root of `graph`, with what `takes` lets travel of its evidence."""
        digest = graph.root.descriptor.digest
        if tag is not None:
            self.tags[tag] = digest
        self.made[digest] = graph.root
        for origin in (*origins, *evidence.stores):
            if all(origin is not one for one in self.origins):
                self.origins.append(origin)
        stores = evidence.stores
        known = (one for one in self.evidence if one.source.stores == stores and one.takes == takes)
        if (bringing := next(known, None)) is None:
            bringing = Bringing(evidence, takes)
            self.evidence.append(bringing)
        bringing.subjects.update(dict.fromkeys(node.descriptor.digest for node in graph.nodes))

    def brought_with(self, subject: Digest) -> Sequence[Bringing]:
        """The evidence that travels because of a manifest."""
        return [one for one in self.evidence if subject in one.subjects]


class PlannedStore:
    """A repository as it would be after what is planned. It is only read: a dry run writes nothing.

    Evidence that would travel shows as it would: referrers as referrers, whatever lists them where they
    come from, and digest tags as tags, merged with those that are there.
    """

    def __init__(self, store: Store, planned: PlannedRepository) -> None:
        self._store, self._planned = store, planned

    @property
    def name(self) -> str:
        """The real repository's name."""
        return self._store.name

    async def resolve(self, name: Tag | Digest) -> Descriptor:
        """What a tag would point to."""
        digest = await self._digest(name)
        if digest in self._planned.made:
            return self._planned.made[digest].descriptor
        return await self._first(lambda source: source.resolve(digest))

    async def manifest(self, name: Tag | Digest) -> tuple[Descriptor, bytes]:
        """A manifest that is there, or would be."""
        digest = await self._digest(name)
        if digest in self._planned.made:
            made = self._planned.made[digest]
            return made.descriptor, made.raw
        return await self._first(lambda source: source.manifest(digest))

    async def exists(self, desc: Descriptor) -> bool:
        """Whether it is there already."""
        return await self._store.exists(desc)

    @asynccontextmanager
    async def fetch(self, desc: Descriptor) -> AsyncIterator[AsyncIterator[bytes]]:
        """A blob that is there, or would be."""
        async with AsyncExitStack() as stack:
            yield await self._first(lambda source: stack.enter_async_context(source.fetch(desc)))

    async def config(self, desc: Descriptor) -> Config:
        """What a config says that is there, or would be."""
        return await self._first(lambda source: read_from(source, desc))

    @asynccontextmanager
    async def tags(self) -> AsyncIterator[AsyncIterator[tuple[Tag, Descriptor | None]]]:
        """The tags that are there, and those that would be."""
        found: dict[Tag, Descriptor | None] = {}
        if isinstance(self._store, ListsTags):
            with suppress(ContentNotFoundError):
                async with self._store.tags() as tags:
                    found = {tag: desc async for tag, desc in tags}
        for bringing in self._planned.evidence:
            for subject in bringing.subjects:
                tags_beside = await bringing.source.digest_tags(subject)
                found |= {one.tag: None for one in tags_beside if bringing.takes(one.artifact_type)}
        found |= {tag: self._planned.made[digest].descriptor for tag, digest in self._planned.tags.items()}
        yield _each(found)

    async def referrers(
        self, subject: Digest, *, listed: Container[Tag] | None = None
    ) -> Sequence[Descriptor]:
        """Referrers that are there, and those that travel with what is planned."""
        found: dict[Digest, Descriptor] = {}
        if isinstance(self._store, ListsReferrers):
            found = {one.digest: one for one in await self._store.referrers(subject, listed=listed)}
        for bringing in self._planned.evidence:  # of any subject: evidence of evidence travels as well
            beside = await bringing.source.find(subject, bringing.takes)
            found |= {one.digest: one for one in beside.referrers}
        return tuple(found.values())

    async def _digest(self, name: Tag | Digest) -> Tag | Digest:
        if isinstance(name, Digest) or name in self._planned.tags:
            return self._planned.tags[name] if isinstance(name, Tag) else name
        digest_tag = DigestTag.parse(name)
        if digest_tag is None or not (brought := self._brought(digest_tag)):
            return name
        there = Shelves([Shelf(self._store, None), *brought])
        manifest = await there.signatures(self._planned.manifests, name)
        self._planned.made[manifest.descriptor.digest] = manifest
        return manifest.descriptor.digest

    def _brought(self, tag: DigestTag) -> Sequence[Shelf | Shelves]:
        brought = self._planned.brought_with(tag.subject)
        return [one.source for one in brought if one.takes(tag.artifact_type)]

    async def _first(self, ask: Callable[[Source], Awaitable[R]]) -> R:
        try:
            return await ask(self._store)
        except ContentNotFoundError as missing:
            failure = missing
        for origin in self._planned.origins:
            with suppress(ContentNotFoundError):
                return await ask(origin)
        raise failure


class PlannedPlaces:
    """Places in which repositories show what is planned for them."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._planned: dict[Location, PlannedRepository] = {}

    def planned(self, location: Location) -> PlannedRepository:
        """What is planned for `location`, to be added to."""
        return self._planned.setdefault(location, PlannedRepository())

    def connect(self, location: Location) -> Store:
        """The repository, with what is planned for it."""
        store = self._places.connect(location)
        planned = self._planned.get(location)
        # Nothing writes to it: plans are made by reading alone.
        return PlannedStore(store, planned) if planned is not None else store  # type: ignore[return-value]

    async def repositories(self, registry: str) -> Sequence[RepositoryName]:
        """The repositories that are there, and those that would be."""
        found = set(await self._places.repositories(registry))
        found |= {location.repository for location in self._planned if location.registry == registry}
        return tuple(sorted(found))

    async def may_push(self, location: Location) -> None:
        """Ask the real place."""
        await self._places.may_push(location)

    def requests(self) -> Mapping[str, Mapping[str, int]]:
        """The real requests."""
        return self._places.requests()

    def warnings(self) -> Sequence[str]:
        """The real warnings."""
        return self._places.warnings()


async def _each(found: Mapping[Tag, Descriptor | None]) -> AsyncIterator[tuple[Tag, Descriptor | None]]:
    for tag, desc in found.items():
        yield tag, desc
