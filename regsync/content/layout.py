"""An OCI image layout on disk as a Store: a directory that other tools read and write too.

Source: image-spec 1.1, "OCI Image Layout Specification". Every file is synced before it is visible;
index.json changes under a lock and in one step, so that several processes may write at once.
"""

from collections.abc import AsyncIterable, AsyncIterator, Container, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from regsync.content.errors import ContentNotFoundError, SizeMismatchError
from regsync.content.file_streams import BlobWriter, read_file
from regsync.content.layout_catalogue import Draft, LayoutCatalogue
from regsync.content.layout_files import LayoutFiles
from regsync.content.protocol import Chunks, Source
from regsync.content.references import ContentInUseError
from regsync.content.referrers import as_referrer, fallback_index, fallback_tag
from regsync.content.verified import verified, verified_manifest
from regsync.oci import media_type as types
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, InvalidManifestError, Manifest, parse_manifest
from regsync.oci.reference import Tag

_THREADS = 8  # file operations of one layout at once


class LayoutRepository:
    """The layout at `path`, created by the first push."""

    def __init__(self, path: Path | str, *, name: str | None = None) -> None:
        self.path = Path(path)
        self.name = name or f"oci:{self.path}"
        self._files = LayoutFiles(self.path, self.name)
        self._catalogue = LayoutCatalogue(self._files)
        self._limiter = CapacityLimiter(_THREADS)
        self._writer = BlobWriter(self._files.parts, self._limiter)

    async def resolve(self, name: Tag | Digest) -> Descriptor:
        """What a tag points to, or a manifest's full descriptor; raises ContentNotFoundError."""
        index = await self._catalogue.index()
        if isinstance(name, Digest):
            entry = index.by_digest.get(name)
            known = entry.desc if entry is not None else None
            if known is None:
                return (await self.manifest(name))[0]
        else:
            known = index.tagged(name, where=self.name)
        size = self._files.size(known.digest)
        if size is None:
            raise ContentNotFoundError(known.digest, where=self.name)
        if size != known.size:
            raise SizeMismatchError(known, size, where=self.name)
        return known

    async def manifest(self, name: Tag | Digest) -> tuple[Descriptor, bytes]:
        """A manifest's exact bytes, hashed.

        Raises ContentNotFoundError, ContentTooLargeError, or DigestMismatchError for a damaged file.
        """
        index = await self._catalogue.index()
        known: Descriptor | None = None
        if isinstance(name, Digest):
            digest = name
            entry = index.by_digest.get(name)
            known = entry.desc if entry is not None else None
        else:
            known = index.tagged(name, where=self.name)
            digest = known.digest
        raw = await run_sync(self._files.read_manifest, digest, limiter=self._limiter)
        if known is None:
            known = Descriptor(self._media_type(raw, digest), digest, len(raw))
        elif known.size != len(raw):
            raise SizeMismatchError(known, len(raw), where=self.name)
        return known, raw

    def _media_type(self, raw: bytes, digest: Digest) -> str:
        try:
            return parse_manifest(raw).descriptor.media_type
        except InvalidManifestError:  # the digest names a blob
            raise ContentNotFoundError(digest, where=self.name) from None

    async def exists(self, desc: Descriptor) -> bool:
        """Whether a file of this digest and size is there."""
        return self._files.size(desc.digest) == desc.size

    def fetch(self, desc: Descriptor) -> Chunks:
        """Stream a blob, unhashed; raises ContentNotFoundError or SizeMismatchError on entering."""
        return self.fetch_from(desc, 0)

    def fetch_from(self, desc: Descriptor, offset: int) -> Chunks:
        """Stream a blob from `offset` on; raises like `fetch`."""
        opened = partial(self._files.open, desc)
        return read_file(opened, where=f"{self.name}: {desc.digest}", offset=offset, limiter=self._limiter)

    async def push(self, desc: Descriptor, chunks: AsyncIterable[bytes]) -> None:
        """Put a blob. A file of the right size is taken for the blob: those we write are whole.

        Raises DigestMismatchError, SizeMismatchError, InterruptedStreamError or StorageError.
        """
        if await self.exists(desc):
            return
        await run_sync(self._files.create, limiter=self._limiter)
        checked = verified(chunks, desc, where=self.name)
        await self._writer.write(desc.digest, checked, self._files.path(desc.digest))

    async def push_manifest(self, desc: Descriptor, raw: bytes, *, tag: Tag | None = None) -> None:
        """Put a manifest. Without a tag it is listed as a root until an index leads to it.

        One with a subject is also listed under the fallback tag, where other tools look.
        Raises DigestMismatchError, SizeMismatchError, InvalidManifestError or StorageError.
        """
        manifest = verified_manifest(raw, desc, where=self.name)
        listing = self._list
        if await self.exists(desc):
            listing = self._list_again
        else:
            await run_sync(self._files.write_blob, desc.digest, raw, limiter=self._limiter)
        await self._catalogue.change(partial(listing, desc, manifest, tag))

    def _list_again(
        self, desc: Descriptor, manifest: Manifest | Index, tag: Tag | None, draft: Draft
    ) -> None:
        """List a manifest that was there before, perhaps under an index that leads to it."""
        leads_to_it = desc.digest in self._catalogue.scanner.scan(draft.index).parents
        if tag is not None or manifest.subject is not None or not leads_to_it:
            self._list(desc, manifest, tag, draft)

    def _list(self, desc: Descriptor, manifest: Manifest | Index, tag: Tag | None, draft: Draft) -> None:
        index = draft.index
        if tag is not None:
            index = index.with_tag(desc, tag)
        elif manifest.subject is None:
            index = index.with_root(desc)
        if manifest.manifests:
            index = index.without_roots(frozenset(child.digest for child in manifest.manifests))
        draft.index = index
        if manifest.subject is not None:
            shown = as_referrer(manifest, desc)
            known = self._catalogue.scanner.scan(draft.index).referrers.get(manifest.subject.digest, {})
            self._write_fallback(manifest.subject.digest, {**known, desc.digest: shown}, draft)

    def _write_fallback(self, subject: Digest, referrers: dict[Digest, Descriptor], draft: Draft) -> None:
        tag = fallback_tag(subject)
        raw = fallback_index(referrers[digest] for digest in sorted(referrers))
        desc = Descriptor(types.OCI_INDEX, Digest.of(raw), len(raw))
        if self._files.size(desc.digest) != desc.size:
            self._files.write_blob(desc.digest, raw)
        stale = {entry.desc.digest for entry in draft.index.by_tag.get(tag, ()) if entry.desc is not None}
        index = draft.index.without_tag(tag).without_roots(frozenset(stale))
        draft.index = index.with_tag(desc, tag) if referrers else index
        if not referrers:
            stale.add(desc.digest)
        draft.garbage += stale - set(draft.index.by_digest)

    async def tag(self, desc: Descriptor, tag: Tag) -> None:
        """Point `tag` to a manifest that is there; raises ContentNotFoundError if it is not."""
        if not await self.exists(desc):
            raise ContentNotFoundError(desc.digest, where=self.name)

        def change(draft: Draft) -> None:
            draft.index = draft.index.with_tag(desc, tag)

        await self._catalogue.change(change)

    @asynccontextmanager
    async def tags(self) -> AsyncIterator[AsyncIterator[tuple[Tag, Descriptor | None]]]:
        """Every tag with its descriptor, sorted; one that several entries claim, without.

        Raises ContentNotFoundError on entering where there is no layout.
        """
        index = await self._catalogue.index()

        async def each() -> AsyncIterator[tuple[Tag, Descriptor | None]]:
            for tag in sorted(index.by_tag):
                claims = {entry.desc for entry in index.by_tag[tag]}
                yield tag, claims.pop() if len(claims) == 1 else None

        yield each()

    async def referrers(
        self, subject: Digest, *, listed: Container[Tag] | None = None
    ) -> Sequence[Descriptor]:
        """What refers to `subject`, by its own field or the fallback tag, sorted by digest."""
        try:
            found = (await self._catalogue.graph()).referrers.get(subject, {})
        except ContentNotFoundError:
            return ()
        return tuple(found[digest] for digest in sorted(found) if self._files.size(digest) is not None)

    def can_mount_from(self, other: Source) -> bool:
        """Whether `other` is another layout on this machine."""
        return isinstance(other, LayoutRepository) and other is not self

    async def mount(self, desc: Descriptor, source: Source) -> bool:
        """Take a blob by hard link, hashed first; False where the file system would make a copy.

        Raises ContentNotFoundError, SizeMismatchError or DigestMismatchError of the source.
        """
        if not isinstance(source, LayoutRepository):
            return False
        if await self.exists(desc):
            return True
        return await run_sync(self._files.link, desc, source._files, limiter=self._limiter)

    async def delete(self, desc: Descriptor) -> None:
        """Delete a manifest with every tag that points to it.

        Raises ContentNotFoundError, or ContentInUseError when an index lists it.
        """
        if not desc.is_manifest or not await self.exists(desc):
            raise ContentNotFoundError(desc.digest, where=self.name)

        def change(draft: Draft) -> None:
            scanner = self._catalogue.scanner
            graph = scanner.scan(draft.index)
            if (parent := graph.parents.get(desc.digest)) is not None:
                raise ContentInUseError(desc.digest, parent, where=self.name)
            node = scanner.node(desc)
            draft.index = draft.index.without(desc.digest)
            draft.garbage.append(desc.digest)
            if node is not None and node.subject is not None:
                others = {**graph.referrers.get(node.subject, {})}
                others.pop(desc.digest, None)
                self._write_fallback(node.subject, others, draft)

        await self._catalogue.change(change)

    async def untag(self, tag: Tag) -> None:
        """Delete one tag; its manifest stays. Raises ContentNotFoundError."""

        def change(draft: Draft) -> None:
            if tag not in draft.index.by_tag:
                raise ContentNotFoundError(tag, where=self.name)
            draft.index = draft.index.without_tag(tag)

        if not self._files.is_there():
            raise ContentNotFoundError(tag, where=self.name)
        await self._catalogue.change(change)
