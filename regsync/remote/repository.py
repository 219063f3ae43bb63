"""A repository at a registry, as a Store: the protocol of `content/` over HTTP.

It decides nothing by itself: manifests, blobs, uploads, listings, referrers and deletions are modules of
their own. Whatever it raises names `host/repository`.
"""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Container, Mapping
from contextlib import AbstractAsyncContextManager
from urllib.parse import quote

import anyio

from regsync.clock import Clock
from regsync.content.errors import ContentNotFoundError
from regsync.content.protocol import Chunks, Source
from regsync.content.tag_times import TagTimes
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import parse_manifest
from regsync.oci.reference import RepositoryName, Tag
from regsync.remote import listing, states
from regsync.remote.blobs import Blobs
from regsync.remote.deletion import Deletion
from regsync.remote.endpoint import Endpoint
from regsync.remote.errors import ForbiddenError, NotFoundError, RejectedError, UnauthorizedError
from regsync.remote.manifests import Manifests
from regsync.remote.providers.generic import PROVIDER as GENERIC
from regsync.remote.providers.provider import Provider
from regsync.remote.referrers import Referrers
from regsync.remote.request import Kind, Request
from regsync.remote.resumable import OpenAt, Resumable, UploadSessions
from regsync.remote.session import Session
from regsync.remote.tag_deletion import Requests, TagDeletion
from regsync.remote.upload import Upload, check_stored
from regsync.remote.uploads import Uploads

_MOUNT_ANSWERS = frozenset({201, 202})


class RemoteRepository:
    """Store at one repository, with every optional power: see `content/protocol.py`.

    `upload_sessions` remembers the uploads of long blobs between processes (`push_resumable`). `guard` is
    called right before each attempt to put or delete a manifest or tag, and raises when nobody may.
    """

    def __init__(
        self,
        session: Session,
        repository: RepositoryName,
        provider: Provider = GENERIC,
        *,
        clock: Clock | None = None,
        upload_sessions: UploadSessions | None = None,
        pause: Callable[[float], Awaitable[None]] = anyio.sleep,
        guard: Callable[[], None] | None = None,
    ) -> None:
        endpoint = self._endpoint = Endpoint.of(session, repository, provider, clock, pause, guard)
        self._manifests = Manifests(endpoint)
        self._blobs = Blobs(endpoint)
        self._referrers = Referrers(endpoint, self._manifests)
        self._uploads = Uploads(endpoint, self._blobs.exists)
        requests = Requests(endpoint)
        self._tag_deletion = TagDeletion(endpoint, requests, self._manifests, self._blobs, self._uploads)
        self._deletion = Deletion(endpoint, requests, self._manifests, self._referrers, self._tag_deletion)
        self._resumable = (
            Resumable(endpoint, self._uploads, upload_sessions, self._blobs.exists)
            if upload_sessions
            else None
        )

    @property
    def name(self) -> str:
        """`host/repository`."""
        return self._endpoint.name

    @property
    def repository(self) -> RepositoryName:
        """The repository's name at its registry."""
        return self._endpoint.repository

    @property
    def has_referrers_api(self) -> bool | None:
        """Whether the registry lists referrers itself; None while it has not been asked."""
        if self._referrers.has_api:
            return True
        return False if self._referrers.has_no_api else None

    @property
    def checks_references(self) -> bool:
        """Whether this registry is known, or was seen, to refuse a manifest whose blobs are missing."""
        return self._endpoint.learned.checks_references

    @property
    def drops_untagged(self) -> bool:
        """Whether an image goes with its last tag here, even from under an index."""
        return self._endpoint.provider.drops_untagged

    def __repr__(self) -> str:
        return f"<RemoteRepository {self.name}>"

    # Source

    async def resolve(self, name: Tag | Digest) -> Descriptor:
        """What a tag points to, or a digest's full descriptor, by HEAD wherever that is enough."""
        return await self._manifests.resolve(name)

    async def confirm(self, tag: Tag, likely: Digest) -> Digest:
        """The digest of a tag that is expected to be `likely`."""
        return await self._manifests.confirm(tag, likely)

    async def manifest(self, name: Tag | Digest) -> tuple[Descriptor, bytes]:
        """A manifest's bytes, hashed here."""
        return await self._manifests.get(name)

    async def exists(self, desc: Descriptor) -> bool:
        """Whether a blob or manifest is there; raises SizeMismatchError if a blob has another length."""
        if not desc.is_manifest:
            return await self._blobs.exists(desc)
        try:
            await self._manifests.resolve(desc.digest)
        except ContentNotFoundError:
            return False
        return True

    def fetch(self, desc: Descriptor) -> Chunks:
        """Stream a blob, unverified, going on by itself after a cut."""
        return self._blobs.fetch(desc)

    def fetch_from(self, desc: Descriptor, offset: int) -> Chunks:
        """Stream a blob's bytes from `offset` on."""
        return self._blobs.fetch(desc, offset)

    # Store

    async def push(self, desc: Descriptor, chunks: AsyncIterable[bytes]) -> None:
        """Put a blob, in the way this registry takes it best."""
        await self._uploads.push(desc, chunks)

    async def push_resumable(self, desc: Descriptor, open_at: OpenAt) -> None:
        """Put a blob whose source can be read from any offset, so that another process may go on with it.

        Only blobs longer than RESUMABLE_FROM are sent in that way, to registries that take chunks, and
        where `upload_sessions` was given; others as `push` does. See `Resumable.push` for what is
        verified when an upload was begun by another process.
        """
        if self._resumable is not None and self._resumable.takes(desc):
            await self._resumable.push(desc, open_at)
            return
        async with open_at(0) as chunks:
            await self._uploads.push(desc, chunks)

    async def push_manifest(self, desc: Descriptor, raw: bytes, *, tag: Tag | None = None) -> None:
        """Put a manifest by digest or at `tag`; one with a subject is then listed, by the API or here.

        Raises MissingReferencesError where the registry lacks what it refers to.
        """
        headers = await self._manifests.put(desc, raw, tag=tag)
        if b'"subject"' in raw or b"\\u" in raw:
            manifest = parse_manifest(raw, desc.media_type)
            await self._referrers.note(manifest, answered="oci-subject" in headers)

    async def tag(self, desc: Descriptor, tag: Tag) -> None:
        """Point `tag` to a manifest that is there: read it, put it again. Raises ContentNotFoundError."""
        found, raw = await self._manifests.get(desc.digest)
        await self._manifests.put(found, raw, tag=tag)

    # Mounts

    def can_mount_from(self, other: Source) -> bool:
        """Whether `other` is another repository of this registry, whatever the credentials."""
        if not isinstance(other, RemoteRepository) or other.repository == self.repository:
            return False
        here, there = self._endpoint, other._endpoint
        if (other.repository, self.repository) in here.learned.unmountable:
            return False
        return there.session is here.session or there.session.base_url == here.session.base_url

    async def mount(self, desc: Descriptor, source: Source) -> bool:
        """Take the blob from `source`, a repository of this registry; False: send the bytes.

        A 202 opened an upload, which `push` of the same blob then goes on with (25). A refusal of
        whatever kind (4, 26) is not asked for again for the same two repositories.
        """
        if not isinstance(source, RemoteRepository) or not self.can_mount_from(source):
            return False
        endpoint, origin = self._endpoint, source._endpoint
        query = f"mount={quote(str(desc.digest), safe='')}&from={quote(source.repository, safe='')}"
        request = Request(
            Kind.MOUNT,
            "POST",
            f"{endpoint.uploads}?{query}",
            endpoint.push,
            content=b"",
            length=0,  # said outright: servers exist that answer 411 to a POST without a length
            extra_scopes=(origin.pull,),
        )
        try:
            response = await endpoint.session.send(request, expect=_MOUNT_ANSWERS)
        except (ForbiddenError, NotFoundError, RejectedError, UnauthorizedError):
            endpoint.learned.unmountable.add((source.repository, self.repository))
            return False
        if response.status == 201:
            check_stored(desc, response.headers, where=self.name)
            return True
        self._uploads.keep(desc, Upload.begun(endpoint, response))
        return False

    # ListsTags, ListsReferrers, Deletes

    def tags(self) -> AbstractAsyncContextManager[AsyncIterator[tuple[Tag, Descriptor | None]]]:
        """Every tag; see `listing.tags`."""
        return listing.tags(self._endpoint)

    async def times(self) -> Mapping[Tag, TagTimes] | None:
        """When each tag was put and pulled, where the registry is one of ours; else None."""
        return await states.times(self._endpoint) if self._endpoint.provider.has_states else None

    async def referrers(
        self, subject: Digest, *, listed: Container[Tag] | None = None
    ) -> tuple[Descriptor, ...]:
        """Referrers of `subject`, from the API or the fallback tag."""
        return await self._referrers.list(subject, listed=listed)

    async def delete(self, desc: Descriptor) -> None:
        """Delete a manifest, and every tag that points to it; see `Deletion.delete`."""
        await self._deletion.delete(desc)

    async def untag(self, tag: Tag) -> None:
        """Delete one tag, never another. Raises TagDeletionUnsupportedError, TagProtectedError."""
        await self._tag_deletion.untag(tag)
