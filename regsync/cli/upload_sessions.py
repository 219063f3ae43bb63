"""Uploads of long blobs remembered in the ledger, as `remote` wants to be told of them."""

from regsync.clock import Clock
from regsync.oci.descriptor import Descriptor
from regsync.reconcile.ledger import Ledger, OpenUpload, Spot
from regsync.remote.resumable import SavedUpload


class LedgerUploads:
    """The open uploads of one repository."""

    def __init__(self, ledger: Ledger, spot: Spot, clock: Clock) -> None:
        self._ledger, self._spot, self._clock = ledger, spot, clock

    def get(self, desc: Descriptor) -> SavedUpload | None:
        """The session in which the blob was being sent."""
        found = self._ledger.open_upload(self._spot, desc.digest)
        return SavedUpload(found.location, found.offset) if found is not None else None

    async def put(self, desc: Descriptor, saved: SavedUpload) -> None:
        """Remember; on disk when this returns."""
        upload = OpenUpload(saved.location, saved.offset, self._clock.now())
        await self._ledger.keep_upload(self._spot, desc.digest, upload)

    def drop(self, desc: Descriptor) -> None:
        """The session is finished or gone."""
        self._ledger.drop_upload(self._spot, desc.digest)
