"""Bringing the images of an archive to where they belong, with the engine's own copy: the tag last.

The blobs are brought first, each once for all who need it, of an archive that goes by once each when it
comes; then the images find them there. Nothing gets a tag before all of the archive was read.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup
from anyio.to_thread import run_sync

from regsync.content.archive import ArchiveRepository, Content, repositories
from regsync.content.archive_stream import ArchiveStream
from regsync.content.concurrently import for_each
from regsync.content.destination import Destination
from regsync.content.digest_tags import DigestTag
from regsync.content.errors import SizeMismatchError
from regsync.content.evidence import Shelf
from regsync.content.graph import Shape, Sparse
from regsync.content.layout_graph import fallback_subject
from regsync.content.layout_index import LayoutIndex
from regsync.content.memory import MemoryRepository
from regsync.content.protocol import Source, Store
from regsync.content.transfers import Transfers
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, parse_manifest
from regsync.oci.reference import RepositoryName, Tag
from regsync.reconcile.copy_image import copy_image
from regsync.reconcile.events import Emit, Event, Reused, Transferred

IMAGES_AT_ONCE = 32
SMALL = 1024 * 1024  # bytes of a blob that is kept while the next ones go by
BLOBS_AT_ONCE = 32

Connect = Callable[[RepositoryName | None], Store]


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one image."""

    repository: RepositoryName | None  # as the archive names it
    name: Tag | Digest
    target: str
    refused: tuple[RegsyncError, ...] = ()  # evidence that the target did not take
    error: RegsyncError | None = None


@dataclass(slots=True)
class ImportReport:
    """What an import did."""

    images: Sequence[Imported] = ()
    copied: int = 0  # bytes sent
    reused: int = 0  # bytes that were there, or mounted


async def import_archive(content: Content, index: LayoutIndex, connect: Connect, emit: Emit) -> ImportReport:
    """Bring every image of the archive to the repository that `connect` gives for its name.

    One that fails does not keep the others. Raises what is wrong with the archive as a whole; then
    nothing has a tag.
    """
    report = ImportReport()

    def count(event: Event) -> None:
        match event:
            case Transferred(_, size):
                report.copied += size
            case Reused(_, size):
                report.reused += size
        emit(event)

    found = repositories(content, index)
    targets = {name: connect(name) for name in found}
    await _bring_blobs(content, found, targets, count)
    shelves = {name: _shelf(repository) for name, repository in found.items()}
    work = [(one, name) for one, repository in found.items() for name in roots(repository, content)]

    async def bring(item: tuple[RepositoryName | None, Tag | Digest]) -> Imported:
        repository, name = item
        return await _bring(shelves[repository], found[repository], repository, name, targets[repository])

    report.images = await for_each(bring, work, at_once=IMAGES_AT_ONCE)
    return report


def roots(repository: ArchiveRepository, content: Content) -> Sequence[Tag | Digest]:
    """What to bring by its own name: tags, then what has none. Evidence comes with what it is about."""
    tags = [tag for tag in sorted(repository.index.by_tag) if not _is_evidence(tag, content)]
    named = {entry.desc for entries in repository.index.by_tag.values() for entry in entries}
    others = [
        entry.desc.digest
        for entry in repository.index.by_digest.values()
        if entry.desc is not None and entry.desc not in named
    ]
    return [*tags, *others]


def _is_evidence(tag: Tag, content: Content) -> bool:
    if fallback_subject(tag) is not None:
        return True
    digest_tag = DigestTag.parse(tag)
    return digest_tag is not None and content.size(digest_tag.subject) is not None


async def _bring(
    shelf: Shelf,
    source: ArchiveRepository,
    repository: RepositoryName | None,
    name: Tag | Digest,
    target: Store,
) -> Imported:
    try:
        shape = await _shape(source, name)
        tag = name if isinstance(name, Tag) else None
        report = await copy_image(source, name, target, tag, shape=shape, shelf=shelf)
    except RegsyncError as error:
        return Imported(repository, name, target.name, error=error)
    return Imported(repository, name, target.name, report.refused)


def _shelf(repository: ArchiveRepository) -> Shelf:
    """Where evidence is looked for; a tag that stands for two things is told when it is copied."""
    tags = repository.index.by_tag
    return Shelf(repository, {tag: entries[0].desc for tag, entries in tags.items()})


async def _shape(source: ArchiveRepository, name: Tag | Digest) -> Shape:
    """An index of which the archive has some platforms alone is carried with those."""
    desc, raw = await source.manifest(name)
    parsed = parse_manifest(raw, desc.media_type, algorithm=desc.digest.algorithm)
    if not isinstance(parsed, Index):
        return None
    there = [one for one in parsed.entries if await source.exists(one)]
    if len(there) == len(parsed.entries):
        return None
    return Sparse(tuple(one.platform for one in there if one.platform is not None))


async def _bring_blobs(
    content: Content,
    found: Mapping[RepositoryName | None, ArchiveRepository],
    targets: Mapping[RepositoryName | None, Store],
    emit: Emit,
) -> None:
    """Bring every blob to all that need it; of one that cannot be brought its images will tell."""
    wanted: dict[Digest, _Wanted] = {}
    for name, repository in found.items():
        to = _destination(targets[name], emit)
        for blob in await run_sync(_blobs_of, repository, content):
            wanted.setdefault(blob.digest, _Wanted(blob)).places.append(to)
    failures: list[RegsyncError] = []
    async with anyio.create_task_group() as group:
        transfers = Transfers(group)
        async with anyio.create_task_group() as small:
            try:
                if isinstance(content, ArchiveStream):
                    await _Pump(content, wanted, transfers, anyio.Semaphore(BLOBS_AT_ONCE)).run(small)
                else:
                    await _bring_from_file(content, wanted, transfers)
            except RegsyncError as error:
                failures.append(error)  # raised outside, where it is not one of a group
                small.cancel_scope.cancel()
        group.cancel_scope.cancel()
    if failures:
        raise failures[0]


async def _bring_from_file(
    content: Content, wanted: Mapping[Digest, "_Wanted"], transfers: Transfers
) -> None:
    source = ArchiveRepository(content, LayoutIndex({}, ()), content.where)

    async def send(order: _Wanted) -> None:
        with suppress(RegsyncError):
            await order.send(transfers, source)

    await for_each(send, wanted.values(), at_once=BLOBS_AT_ONCE)


@dataclass(slots=True)
class _Wanted:
    desc: Descriptor
    places: list[Destination] = field(default_factory=list)

    async def send(self, transfers: Transfers, source: Source) -> None:
        """Bring it everywhere; raises why it did not arrive at one of them."""
        deliveries = [transfers.want(self.desc, (source,), to) for to in self.places]
        failures: list[RegsyncError] = []
        for delivery in deliveries:
            try:
                await delivery.arrived()
            except RegsyncError as error:
                failures.append(error)
        if failures:
            raise failures[0]


def _destination(target: Store, emit: Emit) -> Destination:
    return Destination(
        target,
        on_sent=lambda count: emit(Transferred(target.name, count)),
        on_reused=lambda count: emit(Reused(target.name, count)),
    )


def _blobs_of(repository: ArchiveRepository, content: Content) -> Sequence[Descriptor]:
    """The blobs of every manifest that the repository lists, or that is below one."""
    blobs: dict[Digest, Descriptor] = {}
    seen: set[Digest] = set()
    left = [entry.desc for entry in repository.index.by_digest.values() if entry.desc is not None]
    while left:
        desc = left.pop()
        if desc.digest in seen or content.size(desc.digest) is None:
            continue
        seen.add(desc.digest)
        node = parse_manifest(
            content.read_manifest(desc.digest), desc.media_type, algorithm=desc.digest.algorithm
        )
        left.extend(node.manifests)
        for blob in node.blobs:
            blobs.setdefault(blob.digest, blob)
    return list(blobs.values())


@dataclass(frozen=True, slots=True)
class _Pump:
    stream: ArchiveStream
    wanted: Mapping[Digest, _Wanted]
    transfers: Transfers
    kept: anyio.Semaphore

    async def run(self, small: TaskGroup) -> None:
        """Small blobs are kept while they are sent, so that the next ones need not wait for them."""
        where = self.stream.where
        passing = ArchiveRepository(self.stream, LayoutIndex({}, ()), where)
        async for blob in self.stream.blobs():
            order = self.wanted.get(blob.digest)
            if order is None:
                continue
            if blob.size != order.desc.size:
                self._failed(order, SizeMismatchError(order.desc, blob.size, where=where))
            elif blob.size > SMALL:
                await self._send(order, passing)
            else:
                await self.kept.acquire()
                held = MemoryRepository(where)
                try:
                    await held.push(order.desc, self.stream.passing())
                except RegsyncError as error:
                    self._failed(order, error)
                small.start_soon(self._send_held, order, held)

    async def _send_held(self, order: _Wanted, held: MemoryRepository) -> None:
        try:
            await self._send(order, held)
        finally:
            self.kept.release()

    async def _send(self, order: _Wanted, source: Source) -> None:
        try:
            await order.send(self.transfers, source)
        except RegsyncError as error:
            self._failed(order, error)

    def _failed(self, order: _Wanted, error: RegsyncError) -> None:
        self.stream.failures.setdefault(order.desc.digest, error)
