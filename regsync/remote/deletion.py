"""Deleting manifests, where a registry lets us; tags go in `tag_deletion`.

Sources: distribution-spec 1.1, "Content Management"; REGISTRIES.md, 10 and 42.
"""

from regsync.content.errors import ContentNotFoundError
from regsync.errors import UnsupportedError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, InvalidManifestError, Manifest, parse_manifest
from regsync.remote.endpoint import Endpoint
from regsync.remote.errors import RegistryError, RejectedError
from regsync.remote.listing import tags
from regsync.remote.manifests import Manifests
from regsync.remote.providers.provider import Known
from regsync.remote.referrers import Referrers
from regsync.remote.tag_deletion import Requests, TagDeletion

_UNSUPPORTED_STATUSES = frozenset({400, 405, 501})


class DeletionUnsupportedError(RegistryError, UnsupportedError):
    """The registry deletes nothing."""

    def __init__(self, digest: Digest, text: str, *, where: str) -> None:
        super().__init__(
            f"{where}: {digest} cannot be deleted: the registry does not allow it: {text}",
            hint="turn deletion on at the registry (distribution: storage.delete.enabled), or prune it there",
        )


class Deletion:
    """Deletes manifests of one repository."""

    def __init__(
        self,
        endpoint: Endpoint,
        requests: Requests,
        manifests: Manifests,
        referrers: Referrers,
        tag_deletion: TagDeletion,
    ) -> None:
        self._endpoint, self._requests, self._manifests = endpoint, requests, manifests
        self._referrers, self._tag_deletion = referrers, tag_deletion

    async def delete(self, desc: Descriptor) -> None:
        """Delete a manifest with its tags; one that is gone is no error. Its fallback entry goes too.

        Raises DeletionUnsupportedError, or TagProtectedError where a rule holds one of its tags.
        """
        endpoint = self._endpoint
        if endpoint.provider.deletion is Known.NO:
            cause = f"{endpoint.provider.name} deletes nothing in this way"
            raise DeletionUnsupportedError(desc.digest, cause, where=endpoint.name)
        referrer = None if self._referrers.has_api else await self._read_referrer(desc)
        if endpoint.provider.untag_first:
            await self._untag_all(desc)
        try:
            await self._requests.delete(desc.digest)
        except RejectedError as error:
            if error.status not in _UNSUPPORTED_STATUSES:
                raise
            raise DeletionUnsupportedError(desc.digest, str(error), where=endpoint.name) from error
        if referrer is not None:
            await self._referrers.forget(referrer)

    async def _untag_all(self, desc: Descriptor) -> None:
        async with tags(self._endpoint) as listed:
            ours = [tag async for tag, shown in listed if shown is not None and shown.digest == desc.digest]
        for tag in ours:
            await self._tag_deletion.untag(tag)

    async def _read_referrer(self, desc: Descriptor) -> Manifest | Index | None:
        """The manifest, if it has a subject: its entry at the fallback tag then goes with it."""
        try:
            found, raw = await self._manifests.get(desc.digest)
            manifest = parse_manifest(raw, found.media_type)
        except (ContentNotFoundError, InvalidManifestError):
            return None  # gone, or nothing that can have a subject: delete it all the same
        return manifest if manifest.subject is not None else None
