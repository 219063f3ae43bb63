"""Deleting one tag and no other, by whatever way a registry offers.

Where DELETE of a tag is known to take that tag alone, it is asked for. Elsewhere it is tried out first, on a
throw-away manifest with two tags: registries exist that take the manifest, and every tag with it. Where it
does not work, the tag is moved to a throw-away manifest, which is then deleted by its digest. Neither
begins before a throw-away manifest without tags was seen to be deleted in the same repository by the same
process: where deletion is off, the tag would stay on what was put under it.

Sources: DESIGN.md, section 6, rule 9; REGISTRIES.md, 43 and 53.
"""

from collections.abc import AsyncIterator

import anyio
from anyio import CancelScope

from regsync.content.errors import ContentNotFoundError
from regsync.content.throw_away import CONFIG, CONFIG_DESCRIPTOR, ThrowAway, is_throw_away
from regsync.errors import RefusedError, RegsyncError, UnsupportedError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.remote.blobs import Blobs
from regsync.remote.endpoint import Endpoint
from regsync.remote.errors import RegistryError, RejectedError
from regsync.remote.manifests import Manifests
from regsync.remote.providers.provider import Known
from regsync.remote.request import Kind, Request
from regsync.remote.uploads import Uploads

TRIED = (
    Tag("regsync-throw-away-1"),
    Tag("regsync-throw-away-2"),
)  # the same at each try: none is left behind
_DELETED = frozenset({200, 202, 204})
_DELETE_ANSWERS = _DELETED | {404}
_UNSUPPORTED_STATUSES = frozenset({400, 405, 501})


class TagDeletionUnsupportedError(RegistryError, UnsupportedError):
    """The registry cannot delete a tag and leave the others of the same manifest."""

    def __init__(self, tag: Tag, text: str, *, where: str) -> None:
        super().__init__(
            f"{where}: tag {tag} cannot be deleted without its manifest: {text}",
            hint="turn deletion on at the registry (distribution: storage.delete.enabled), or delete the tag "
            "in the registry's own interface",
        )


class TagProtectedError(RegistryError, RefusedError):
    """A rule of the registry holds the tag or manifest: it is immutable there, or in use."""

    def __init__(self, name: str, text: str, *, where: str) -> None:
        super().__init__(
            f"{where}: {name} cannot be deleted, a rule of the registry holds it: {text}",
            hint="list the tag under `protect`, or lift the registry's rule",
        )


class TagMovedError(RegistryError, RefusedError):
    """Somebody moved the tag while it was found out how to delete it."""

    def __init__(self, tag: Tag, before: Digest, now: Digest | None, *, where: str) -> None:
        super().__init__(
            f"{where}: tag {tag} moved from {before} to {now} while its deletion was prepared: it stays",
            hint="look at what it is now, and run again",
        )


class Requests:
    """DELETE requests of one repository."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def delete(self, name: Tag | Digest) -> int:
        """Ask for the deletion of a tag or manifest: its status, 2xx or 404.

        Raises RejectedError where the registry does not do so, TagProtectedError where a rule forbids it.
        """
        endpoint = self._endpoint
        path = f"{endpoint.manifests}{name}"
        request = Request(Kind.DELETE, "DELETE", path, endpoint.delete, guard=endpoint.guard)
        try:
            return (await endpoint.session.send(request, expect=_DELETE_ANSWERS)).status
        except RejectedError as error:
            if "immutab" in str(error).lower() or "DENIED" in error.codes:
                raise TagProtectedError(str(name), str(error), where=endpoint.name) from error
            raise


class TagDeletion:
    """Deletes tags of one repository."""

    def __init__(
        self, endpoint: Endpoint, requests: Requests, manifests: Manifests, blobs: Blobs, uploads: Uploads
    ) -> None:
        self._endpoint, self._requests, self._manifests = endpoint, requests, manifests
        self._blobs, self._uploads = blobs, uploads
        self._proof = anyio.Lock()
        self._is_proved = False
        self._failure: str | None = None  # why nothing can be deleted, where it was tried in vain

    async def untag(self, tag: Tag) -> None:
        """Delete one tag; one that is gone is no error.

        Raises TagDeletionUnsupportedError, TagProtectedError, TagMovedError.
        """
        endpoint, learned = self._endpoint, self._endpoint.learned
        if endpoint.provider.deletion is Known.NO:
            raise self._unsupported(tag, f"{endpoint.provider.name} deletes nothing in this way")
        if learned.tag_deletion is Known.ASK:
            before = await self._resolved(tag)
            if before is None:
                return
            async with learned.trying_tags:
                if learned.tag_deletion is Known.ASK:
                    learned.tag_deletion = await self._try_out(tag)
            await self._check_still(tag, before)  # all that takes a while
        if learned.tag_deletion is Known.YES:
            await self._delete(tag)
        else:
            await self._swap(tag)

    async def _check_still(self, tag: Tag, before: Digest) -> None:
        now = await self._resolved(tag)
        if now not in (None, before):
            raise TagMovedError(tag, before, now, where=self._endpoint.name)

    async def _delete(self, tag: Tag) -> None:
        try:
            status = await self._requests.delete(tag)
        except RejectedError as error:
            if error.status not in _UNSUPPORTED_STATUSES:
                raise
            raise self._unsupported(tag, str(error)) from error
        if status == 404 and await self._resolved(tag) is not None:
            # Some answer 404 to the deletion of any tag (43).
            raise self._unsupported(tag, "it is there, and the answer is 404")

    async def _try_out(self, tag: Tag) -> Known:
        """Whether DELETE takes a tag and leaves its sibling; raises where nothing can be deleted."""
        await self._prove(tag)
        sample = ThrowAway.to(f"try tag deletion {self._endpoint.clock.new_id()}")
        first, second = TRIED
        try:
            for one in TRIED:
                await self._manifests.put(sample.desc, sample.raw, tag=one)
            try:
                status = await self._requests.delete(first)
            except RejectedError as error:
                if error.status not in _UNSUPPORTED_STATUSES:
                    raise
                return Known.NO
            works = status in _DELETED and await self._resolved(first) is None
            return Known.YES if works and await self._resolved(second) == sample.desc.digest else Known.NO
        finally:
            with CancelScope(shield=True):
                await self._requests.delete(sample.desc.digest)  # takes its tags along

    async def _swap(self, tag: Tag) -> None:
        """Move the tag to a throw-away manifest, and delete that by its digest."""
        try:
            desc, raw = await self._manifests.get(tag)
        except ContentNotFoundError:
            return
        if not self._is_proved:
            await self._prove(tag)
            await self._check_still(tag, desc.digest)
        if is_throw_away(raw):  # of a run that was killed
            await self._remove(tag, desc)
            return
        stand_in = ThrowAway.for_tag(tag, desc.digest)
        try:
            await self._manifests.put(stand_in.desc, stand_in.raw, tag=tag)
            await self._remove(tag, stand_in.desc)
        except BaseException:
            with CancelScope(shield=True):
                await self._put_back(tag, desc, raw, stand_in)
            raise

    async def _remove(self, tag: Tag, desc: Descriptor) -> None:
        try:
            await self._requests.delete(desc.digest)
        except RejectedError as error:
            raise self._unsupported(tag, str(error)) from error
        if await self._resolved(tag) is not None:
            raise self._unsupported(tag, "a manifest was deleted and the tag that points to it stayed")

    async def _put_back(self, tag: Tag, desc: Descriptor, raw: bytes, stand_in: ThrowAway) -> None:
        """The tag as it was, if it is on its throw-away manifest. Who tries again recognises that one."""
        try:
            if await self._resolved(tag) == stand_in.desc.digest:
                await self._manifests.put(desc, raw, tag=tag)
        except RegsyncError:
            return  # what went wrong first is told; the next run finds the tag on its throw-away manifest

    async def _prove(self, tag: Tag) -> None:
        """See once that this repository deletes manifests; raises TagDeletionUnsupportedError."""
        async with self._proof:
            if not self._is_proved and self._failure is None:
                self._failure = await self._failure_to_delete()
                self._is_proved = self._failure is None
        if self._failure is not None:
            raise self._unsupported(tag, self._failure)

    async def _failure_to_delete(self) -> str | None:
        sample = ThrowAway.to("try deletion")  # the same at each run: where it stays, it stays once
        await self._put_config()
        await self._manifests.put(sample.desc, sample.raw)
        try:
            status = await self._requests.delete(sample.desc.digest)
        except RejectedError as error:
            return str(error)
        if status not in _DELETED or await self._resolved(sample.desc.digest) is not None:
            return f"a manifest that was just put could not be deleted (the answer is {status})"
        return None

    async def _put_config(self) -> None:
        if not await self._blobs.exists(CONFIG_DESCRIPTOR):
            await self._uploads.push(CONFIG_DESCRIPTOR, _once(CONFIG))

    async def _resolved(self, name: Tag | Digest) -> Digest | None:
        try:
            return (await self._manifests.resolve(name)).digest
        except ContentNotFoundError:
            return None

    def _unsupported(self, tag: Tag, text: str) -> TagDeletionUnsupportedError:
        return TagDeletionUnsupportedError(tag, text, where=self._endpoint.name)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
