"""Deleting manifests and tags, where a registry lets us.

Sources: distribution-spec 1.1, "Content Management"; REGISTRIES.md, 10, 42, 43 and 53.
"""

from regsync.content.errors import ContentNotFoundError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, InvalidManifestError, Manifest, parse_manifest
from regsync.oci.reference import Tag
from regsync.remote.endpoint import Endpoint
from regsync.remote.errors import RegistryError, RejectedError
from regsync.remote.listing import tags
from regsync.remote.manifests import Manifests
from regsync.remote.providers.provider import Known
from regsync.remote.referrers import Referrers
from regsync.remote.request import Kind, Request

_DELETED = frozenset({200, 202, 204})
_DELETE_ANSWERS = _DELETED | {404}
_UNSUPPORTED_STATUSES = frozenset({400, 405})


class DeletionUnsupportedError(RegistryError):
    """The registry deletes nothing."""

    def __init__(self, digest: Digest, text: str, *, where: str) -> None:
        super().__init__(
            f"{where}: {digest} cannot be deleted: the registry does not allow it: {text}",
            hint="turn deletion on at the registry (distribution: storage.delete.enabled), or prune it there",
        )


class TagDeletionUnsupportedError(RegistryError):
    """The registry cannot delete a tag and leave the others of the same manifest."""

    def __init__(self, tag: Tag, text: str, *, where: str) -> None:
        super().__init__(
            f"{where}: tag {tag} cannot be deleted without its manifest: {text}",
            hint="delete the tag in the registry's own interface",
        )


class Deletion:
    """Deletes in one repository."""

    def __init__(self, endpoint: Endpoint, manifests: Manifests, referrers: Referrers) -> None:
        self._endpoint, self._manifests, self._referrers = endpoint, manifests, referrers

    async def delete(self, desc: Descriptor) -> None:
        """Delete a manifest with its tags; one that is gone is no error. Its fallback entry goes too.

        Raises DeletionUnsupportedError.
        """
        endpoint = self._endpoint
        referrer = None if self._referrers.has_api else await self._read_referrer(desc)
        if endpoint.provider.untag_first:
            await self._untag_all(desc)
        try:
            await self._delete(str(desc.digest))
        except RejectedError as error:
            if error.status not in _UNSUPPORTED_STATUSES:
                raise
            raise DeletionUnsupportedError(desc.digest, str(error), where=endpoint.name) from error
        if referrer is not None:
            await self._referrers.forget(referrer)

    async def untag(self, tag: Tag) -> None:
        """Delete one tag; one that is gone is no error. Raises TagDeletionUnsupportedError."""
        endpoint = self._endpoint
        if endpoint.provider.tag_deletion is Known.NO:
            cause = f"{endpoint.provider.name} has no such request"
            raise TagDeletionUnsupportedError(tag, cause, where=endpoint.name)
        try:
            status = await self._delete(tag)
        except RejectedError as error:
            if error.status not in _UNSUPPORTED_STATUSES:
                raise
            raise TagDeletionUnsupportedError(tag, str(error), where=endpoint.name) from error
        if status == 404 and await self._is_there(tag):
            # Some answer 404 to the deletion of any tag (43).
            raise TagDeletionUnsupportedError(tag, "it is there, and the answer is 404", where=endpoint.name)

    async def _delete(self, name: str) -> int:
        endpoint = self._endpoint
        path = f"{endpoint.manifests}{name}"
        request = Request(Kind.DELETE, "DELETE", path, endpoint.delete, guard=endpoint.guard)
        return (await endpoint.session.send(request, expect=_DELETE_ANSWERS)).status

    async def _is_there(self, tag: Tag) -> bool:
        try:
            await self._manifests.resolve(tag)
        except ContentNotFoundError:
            return False
        return True

    async def _untag_all(self, desc: Descriptor) -> None:
        async with tags(self._endpoint) as listed:
            ours = [tag async for tag, shown in listed if shown is not None and shown.digest == desc.digest]
        for tag in ours:
            await self.untag(tag)

    async def _read_referrer(self, desc: Descriptor) -> Manifest | Index | None:
        """The manifest, if it has a subject: its entry at the fallback tag then goes with it."""
        try:
            found, raw = await self._manifests.get(desc.digest)
            manifest = parse_manifest(raw, found.media_type)
        except (ContentNotFoundError, InvalidManifestError):
            return None  # gone, or nothing that can have a subject: delete it all the same
        return manifest if manifest.subject is not None else None
