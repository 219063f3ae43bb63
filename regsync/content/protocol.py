"""The protocol that every place with content implements, so that any two can copy to each other.

A store here is one repository. Required powers are few; what only some places can do is a protocol
of its own, which the copy asks for once and has a fallback without.

The contract, checked by one suite against every implementation (tests/contract):

* `push` verifies before anything is visible; one that is cancelled or fails leaves nothing.
* Pushing what exists is not an error.
* Manifests come back byte for byte. A manifest is put after all it refers to.
* A thing that is missing is always `ContentNotFoundError`.
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Container, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag

Chunks = AbstractAsyncContextManager[AsyncIterator[bytes]]


class Source(Protocol):
    """One repository's content, readable. `name` appears in every error."""

    @property
    def name(self) -> str:
        """The place as a person knows it: `ghcr.io/acme/app`, `store:data/app`."""
        ...

    async def resolve(self, name: Tag | Digest) -> Descriptor:
        """What a tag points to, or the full descriptor of a manifest's digest, without counting as a pull.

        Raises ContentNotFoundError.
        """
        ...

    async def manifest(self, name: Tag | Digest) -> tuple[Descriptor, bytes]:
        """A manifest's exact bytes, verified: against the digest when one is named, else hashed here.

        Raises ContentNotFoundError, DigestMismatchError, and ContentTooLargeError before reading past
        the limit.
        """
        ...

    async def exists(self, desc: Descriptor) -> bool:
        """Whether the content is there, complete."""
        ...

    def fetch(self, desc: Descriptor) -> Chunks:
        """Stream a blob, unverified: wrap it in `verified`. Raises ContentNotFoundError on entering."""
        ...


class Store(Source, Protocol):
    """One repository's content, readable and writable."""

    async def push(self, desc: Descriptor, chunks: AsyncIterable[bytes]) -> None:
        """Put a blob. The stream is verified before the blob is visible.

        Raises DigestMismatchError, SizeMismatchError, or what the place refuses with.
        """
        ...

    async def push_manifest(self, desc: Descriptor, raw: bytes, *, tag: Tag | None = None) -> None:
        """Put a manifest by its digest or, in the same step, at `tag`. What it refers to is there."""
        ...

    async def tag(self, desc: Descriptor, tag: Tag) -> None:
        """Point `tag` to a manifest that is there; raises ContentNotFoundError if it is not."""
        ...


@runtime_checkable
class Mounts(Protocol):
    """Can take a blob from another repository of the same place without its bytes."""

    def can_mount_from(self, other: Source) -> bool:
        """Whether `other` is a repository of the same place."""
        ...

    async def mount(self, desc: Descriptor, source: Source) -> bool:
        """Take the blob from `source`; False when the place would rather have the bytes."""
        ...


@runtime_checkable
class ListsTags(Protocol):
    """Can list its tags."""

    def tags(self) -> AbstractAsyncContextManager[AsyncIterator[tuple[Tag, Descriptor | None]]]:
        """Every tag in the order the place gives, with its descriptor where the listing shows it.

        Raises ContentNotFoundError on entering where there is no such repository.
        """
        ...


@runtime_checkable
class Confirms(Protocol):
    """Can say that a tag is what one expects with less work than saying what it is."""

    async def confirm(self, tag: Tag, likely: Digest) -> Digest:
        """The digest of `tag`, which is expected to be `likely`. Raises ContentNotFoundError."""
        ...


@runtime_checkable
class ListsReferrers(Protocol):
    """Can list the manifests whose `subject` is a given one."""

    async def referrers(
        self, subject: Digest, *, listed: Container[Tag] | None = None
    ) -> Sequence[Descriptor]:
        """Referrers of `subject`, from the API or the fallback tag; empty when there are none.

        `listed` are this repository's tags where the caller has just listed them: a place without
        the API is then not asked for a fallback tag that is not among them.
        """
        ...


@runtime_checkable
class ResumesFetch(Protocol):
    """Can stream a blob from an offset."""

    def fetch_from(self, desc: Descriptor, offset: int) -> Chunks:
        """Stream the blob's bytes from `offset` on. Raises ContentNotFoundError on entering."""
        ...


@runtime_checkable
class ResumesPush(Protocol):
    """Can go on, in another process, with a blob that this one was sending when it ended."""

    async def push_resumable(self, desc: Descriptor, open_at: Callable[[int], Chunks]) -> None:
        """Put a blob whose source gives its bytes from any offset on; raises what `push` raises."""
        ...


@runtime_checkable
class Claims(Protocol):
    """Deletes by itself what nothing leads to, and can be kept from it."""

    async def claim(self, digest: Digest) -> bool:
        """Whether content is there: then it stays until a push that relies on it can be over."""
        ...


@runtime_checkable
class Deletes(Protocol):
    """Can delete content and tags."""

    async def delete(self, desc: Descriptor) -> None:
        """Delete a manifest, and every tag that points to it."""
        ...

    async def untag(self, tag: Tag) -> None:
        """Delete one tag, and never another tag of the same manifest."""
        ...


@runtime_checkable
class DropsUntagged(Protocol):
    """May delete an image with its last tag, whatever else leads to it. Without it, it does not."""

    @property
    def drops_untagged(self) -> bool:
        """Whether it does."""
        ...


@runtime_checkable
class KnowsItself(Protocol):
    """Can say what a caller may leave out. Without it, it is assumed to have an API and to check nothing."""

    @property
    def has_referrers_api(self) -> bool | None:
        """Whether the place lists referrers itself; None while it has not been asked."""
        ...

    @property
    def checks_references(self) -> bool:
        """Whether it is known to refuse a manifest whose blobs are missing."""
        ...
