"""One repository of the built-in store, as a Store in this process: no request is made to itself.

The caller is trusted: a blob that any repository of the store has is taken from there without its
bytes. Who serves others asks them for the bytes, or for the right to pull (DESIGN.md, section 7).
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Container, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from regsync.content.errors import ContentNotFoundError, DigestMismatchError, SizeMismatchError
from regsync.content.protocol import Chunks, Source
from regsync.content.references import Children
from regsync.content.tag_times import TagTimes
from regsync.content.verified import AlreadyVerified, verified, verified_manifest
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, Manifest
from regsync.oci.reference import RepositoryName, Tag
from regsync.store import changes, claims, queries
from regsync.store.blobs import BlobStore
from regsync.store.catalogue import Catalogue, Transaction
from regsync.store.incoming import Incoming
from regsync.store.leases import Leases
from regsync.store.pulls import LastPulls, last_pulls
from regsync.store.sessions import Ending, Sessions
from regsync.store.states import tag_states

Found = TypeVar("Found")
_LARGE = 64 * 1024 * 1024  # bytes; one that may take longer to come than a lease lasts


class LostContentError(ContentNotFoundError):
    """A manifest is there, and a blob that it refers to was found damaged or missing."""

    usual_hint = "push or sync the image again, or run `regsync store fsck --heal-from`"

    def __init__(self, manifest: Digest, lost: Sequence[str], *, where: str) -> None:
        super().__init__(manifest, where=where)
        self.lost = lost
        self.args = (f"{where}: {manifest} has lost {', '.join(lost[:3])}",)


class BuiltinRepository:
    """A repository of one store; it comes to be with the first push."""

    def __init__(
        self,
        repository: RepositoryName,
        *,
        store: str,
        catalogue: Catalogue,
        blobs: BlobStore,
        sessions: Sessions,
        leases: Leases,
        children: Children = Children.REQUIRED,
    ) -> None:
        self.repository, self.name = repository, f"store:{store}/{repository}"
        self._catalogue, self._blobs, self._children = catalogue, blobs, children
        self._sessions, self._leases = sessions, leases
        self._me = changes.Repository(repository, self.name)

    async def resolve(self, name: Tag | Digest) -> Descriptor:
        """What a tag points to, or a manifest's full descriptor.

        Raises ContentNotFoundError, LostContentError when a blob of it is lost.
        """
        desc = await self.recorded(name)
        await self._refuse_lost(desc.digest)
        return desc

    async def recorded(self, name: Tag | Digest) -> Descriptor:
        """What `resolve` gives, whether or not all of it is there; raises ContentNotFoundError."""
        found = await self._catalogue.look_up(lambda one: queries.descriptor(one, self.repository, name))
        return self._found(found, name)

    async def _refuse_lost(self, manifest: Digest) -> None:
        """Clients that push ask for the manifest, and leave out what it refers to when it is there."""
        marked = self._blobs.marked()
        if marked:
            needed = await self._catalogue.look_up(
                lambda one: queries.needed_by(one, self.repository, manifest)
            )
            lost = [str(one) for one in needed if one in marked and await self._blobs.size(one) is None]
            if lost:
                raise LostContentError(manifest, lost, where=self.name)

    async def manifest(self, name: Tag | Digest) -> tuple[Descriptor, bytes]:
        """A manifest's exact bytes.

        Raises ContentNotFoundError, LostContentError when a blob of it is lost, or DigestMismatchError for
        bit rot.
        """
        version, key = self._catalogue.version(), (self.repository, name)
        if version is not None:
            known = self._catalogue.recent.get(key, version)
            if known is not None:
                return known
        found = await self._catalogue.look_up(lambda one: queries.manifest(one, self.repository, name))
        desc, raw = self._found(found, name)
        actual = Digest.of(raw, desc.digest.algorithm)
        if actual != desc.digest:
            raise DigestMismatchError(desc.digest, actual, where=self.name)
        await self._refuse_lost(desc.digest)
        if version is not None:
            self._catalogue.recent.put(key, version, (desc, raw), len(raw))
        return desc, raw

    def _found(self, found: Found | None, name: object) -> Found:
        if found is None:
            raise ContentNotFoundError(name, where=self.name)
        return found

    async def exists(self, desc: Descriptor) -> bool:
        """Whether this repository has content of that digest and size, and its bytes are there."""
        if desc.is_manifest:
            find = queries.descriptor
            found = await self._catalogue.look_up(lambda one: find(one, self.repository, desc.digest))
            there = found is not None and found.size == desc.size
            return there and str(desc.digest) not in await self._broken()
        size = await self._linked_size(desc)
        return size == desc.size and await self._blobs.size(desc.digest) == desc.size

    async def _broken(self) -> Container[str]:
        """The manifests that lead to a blob which `fsck` found lost: not there, for who would copy them.

        So the next copy or sync brings the blob again.
        """
        marked = self._blobs.marked()
        if not marked:
            return ()

        def broken(connection: Connection) -> Container[str]:
            lost = [one for one in marked if self._blobs.size_now(one) is None]
            return queries.leading_to(connection, self.repository, lost)

        return await self._catalogue.scan(broken)

    async def _linked_size(self, desc: Descriptor) -> int | None:
        return await self._catalogue.look_up(
            lambda one: queries.linked_size(one, self.repository, desc.digest)
        )

    def fetch(self, desc: Descriptor) -> Chunks:
        """Stream a blob, unhashed; raises ContentNotFoundError or SizeMismatchError on entering."""
        return self.fetch_from(desc, 0)

    @asynccontextmanager
    async def fetch_from(self, desc: Descriptor, offset: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream a blob from `offset` on; raises like `fetch`."""
        self._found(await self._linked_size(desc), desc.digest)
        async with self._blobs.read(desc, offset=offset, where=self.name) as chunks:
            yield chunks

    async def push(self, desc: Descriptor, chunks: AsyncIterable[bytes]) -> None:
        """Put a blob, durable on return. One that the store has already costs a row, `chunks` is not read.

        Raises DigestMismatchError, SizeMismatchError, InterruptedStreamError, StorageError, StoreError.
        """
        await self._leases.hold(self.repository)
        if await self._take(desc):
            return
        if desc.size > _LARGE:
            checked = verified(chunks, desc, where=self.name)
            held = self._leases.held_while(self.repository, checked)
            chunks = AlreadyVerified(held, desc, where=self.name)
        await self._blobs.write(desc, chunks, where=self.name)
        await self._link(desc)

    async def _link(self, desc: Descriptor) -> None:
        link = partial(claims.link_stored_blob, size_now=self._blobs.size_now)
        await self._catalogue.change(partial(link, repository=self._me, desc=desc))

    async def _take(self, desc: Descriptor) -> bool:
        """Have a blob that the store has; False when it has none, or its bytes are gone.

        Its bytes are looked for first: where they are files that costs a tenth of a query, and most
        blobs that are pushed are new.
        """
        if await self._blobs.size(desc.digest) is None:
            return False
        find = queries.held_blob
        held = await self._catalogue.look_up(lambda one: find(one, self.repository, desc.digest))
        if held is not None and held.size != desc.size:
            raise SizeMismatchError(desc, held.size, where=self.name)
        if held is not None and held.linked and await self._blobs.size(desc.digest) == desc.size:
            return True
        link = partial(claims.link_known_blob, size_now=self._blobs.size_now)
        return await self._catalogue.change(partial(link, repository=self._me, desc=desc))

    async def claim(self, digest: Digest) -> bool:
        """Whether a blob or manifest is there: then it stays until a push that relies on it can be over.

        Raises StoreError.
        """
        await self._leases.hold(self.repository)
        marked = await self._catalogue.look_up(lambda one: claims.is_marked(one, self.repository, digest))
        if not marked:
            return marked is not None
        return await self._catalogue.change(partial(claims.claim, repository=self._me, digest=digest))

    async def is_replaceable(self, digest: Digest) -> bool:
        """Whether who cannot `claim` it had better send it: all but manifests that something leads to.

        These are pulled in the same way by whoever may push, and go at the earliest when their grace is
        over; an index that relies on them is checked when it is put. Reads only.
        """
        return await self._catalogue.look_up(
            lambda one: (
                claims.is_marked(one, self.repository, digest) is not False
                or queries.descriptor(one, self.repository, digest) is None
            )
        )

    def incoming(self, desc: Descriptor) -> Incoming:
        """A blob to write that others read meanwhile; `keep` makes it part of the repository."""
        return self._blobs.incoming(desc.digest)

    async def keep(self, incoming: Incoming, desc: Descriptor) -> None:
        """Take a blob whose bytes were seen to be what `desc` names; raises StorageError, StoreError."""
        await self._leases.hold(self.repository)
        if not await self._take(desc):
            await incoming.keep()
            await self._link(desc)

    async def named_blob(self, digest: Digest) -> Descriptor | None:
        """A blob as a manifest of this repository names it, whether it is there or not."""
        return await self._catalogue.look_up(lambda one: queries.named_blob(one, self.repository, digest))

    async def tags_at(self, digest: Digest) -> Sequence[Tag]:
        """The last few tags that were pointed to a manifest."""
        return await self._catalogue.look_up(lambda one: queries.tags_at(one, self.repository, digest))

    async def listing(self, digest: Digest) -> Sequence[Digest]:
        """The last few indexes here that list a manifest, whether it is there itself or not."""
        return await self._catalogue.look_up(lambda one: queries.listing(one, self.repository, digest))

    async def push_manifest(self, desc: Descriptor, raw: bytes, *, tag: Tag | None = None) -> None:
        """Put a manifest and its tag in one transaction, durable on return.

        Raises MissingReferencesError with all that is missing, SizeMismatchError where a descriptor
        lies, DigestMismatchError, InvalidManifestError, StorageError or StoreError.
        """
        parsed = verified_manifest(raw, desc, where=self.name)
        await self.put_manifest(parsed, (tag,) if tag is not None else ())

    async def put_manifest(
        self, parsed: Manifest | Index, tags: Sequence[Tag], *, fixed: Callable[[Tag], bool] | None = None
    ) -> None:
        """Put a manifest and any number of tags in one transaction, durable on return.

        `fixed` says of a tag that it may not move where it is. Raises TagFixedError, and what
        `push_manifest` raises.
        """
        if not tags:
            await self._leases.hold(self.repository)
        new = changes.NewManifest(parsed, self._children, tuple(tags), fixed)
        await self._catalogue.change(partial(changes.put_manifest, repository=self._me, new=new))

    async def finish_upload(self, session: str, digest: Digest, *, had: int | None = None) -> Descriptor:
        """Make a blob of what came in an upload; raises what `Sessions.finish` raises, or StoreError.

        `had` is how many bytes it had before the request: with these it goes on when the store is busy.
        """
        ending = Ending(self._take, self._link, had)
        return await self._sessions.finish(self.repository, session, digest, ending)

    async def tag(self, desc: Descriptor, tag: Tag) -> None:
        """Point `tag` to a manifest that is there; raises ContentNotFoundError if it is not."""
        await self._catalogue.change(partial(changes.put_tag, repository=self._me, desc=desc, tag=tag))

    @asynccontextmanager
    async def tags(self) -> AsyncIterator[AsyncIterator[tuple[Tag, Descriptor | None]]]:
        """Every tag with its descriptor, sorted; raises ContentNotFoundError without such a repository.

        Without those whose image has lost a part.
        """
        known = await self._catalogue.look_up(lambda one: queries.has_repository(one, self.repository))
        if not known:
            raise ContentNotFoundError("repository", where=self.name)

        broken = await self._broken()

        async def each() -> AsyncIterator[tuple[Tag, Descriptor | None]]:
            after = ""
            while True:
                page = await self._catalogue.scan(
                    lambda one, after=after: queries.tag_page(one, self.repository, after, queries.PAGE)  # type: ignore[misc]
                )
                for tag, desc in page:
                    if str(desc.digest) not in broken:
                        yield tag, desc
                if len(page) < queries.PAGE:
                    return
                after = page[-1][0]

        yield each()

    async def tag_page(self, after: str, limit: int) -> Sequence[tuple[Tag, Descriptor]] | None:
        """At most `limit` tags that come after `after`, sorted; None without such a repository."""

        def page(connection: Connection) -> Sequence[tuple[Tag, Descriptor]] | None:
            found = queries.tag_page(connection, self.repository, after, limit)
            return found if found or queries.has_repository(connection, self.repository) else None

        return await self._catalogue.scan(page)

    async def blob(self, digest: Digest) -> Descriptor | None:
        """A blob of this repository whose bytes are there."""
        desc = await self._catalogue.look_up(lambda one: queries.linked_blob(one, self.repository, digest))
        return desc if desc is not None and await self._blobs.size(digest) == desc.size else None

    def blob_path(self, digest: Digest) -> Path | None:
        """The file that holds exactly the blob, where there is one."""
        return self._blobs.local_path(digest)

    async def referrers(
        self, subject: Digest, *, listed: Container[Tag] | None = None
    ) -> Sequence[Descriptor]:
        """The manifests whose subject it is, in the order of their digests."""
        return await self._catalogue.look_up(lambda one: queries.referrers(one, self.repository, subject))

    async def last_pulls(self) -> LastPulls:
        """When its tags and manifests were last pulled, as far as that is known."""
        return await self._catalogue.scan(lambda one: last_pulls(one, self.repository))

    async def times(self) -> Mapping[Tag, TagTimes]:
        """When each tag was put and pulled, as far as that is known."""
        found: dict[Tag, TagTimes] = {}
        after = ""
        while page := await self._catalogue.scan(
            lambda one, after=after: tag_states(one, self.repository, after, queries.PAGE)  # type: ignore[misc]
        ):
            found.update((one.tag, TagTimes(_moment(one.pushed_at), _moment(one.pulled_at))) for one in page)
            after = page[-1].tag
        return found

    def can_mount_from(self, other: Source) -> bool:
        """Whether `other` is a repository of the same store."""
        return isinstance(other, BuiltinRepository) and other._catalogue is self._catalogue

    async def mount(self, desc: Descriptor, source: Source) -> bool:
        """Link a blob of another repository; False when that has it no more. Raises SizeMismatchError."""
        if not isinstance(source, BuiltinRepository) or await source._linked_size(desc) is None:
            return False
        await self._leases.hold(self.repository)
        return await self._take(desc)

    async def delete(self, desc: Descriptor, *, fixed: Callable[[Tag], bool] | None = None) -> None:
        """Delete a manifest with every tag that points to it, or take out a blob.

        `fixed` says of a tag that it may not go. Raises ContentNotFoundError, ContentInUseError when a
        manifest leads to it, or TagFixedError.
        """
        change: Callable[[Transaction], None]
        if desc.is_manifest:
            change = partial(changes.delete_manifest, repository=self._me, digest=desc.digest, fixed=fixed)
        else:
            change = partial(changes.unlink_blob, repository=self._me, digest=desc.digest)
        await self._catalogue.change(change)

    async def untag(self, tag: Tag) -> None:
        """Delete one tag; its manifest stays. Raises ContentNotFoundError."""
        await self._catalogue.change(partial(changes.untag, repository=self._me, tag=tag))


def _moment(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else datetime.fromtimestamp(microseconds / 1_000_000, UTC)
