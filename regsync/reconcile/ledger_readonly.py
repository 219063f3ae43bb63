"""A ledger that is read and never written: for a plan, which writes nothing anywhere."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from regsync.oci.digest import Digest
from regsync.oci.platform import Platform
from regsync.oci.reference import Tag
from regsync.plan.absence import Absence
from regsync.reconcile.ledger import Deletion, Ledger, OpenUpload, PassedVerdict, Sighting, Spot
from regsync.reconcile.ledger_memory import MemoryLedger


class ReadOnlyLedger(MemoryLedger):
    """Answers from `written` where it knows nothing itself; what it learns ends with the process."""

    def __init__(self, written: Ledger) -> None:
        super().__init__()
        self._written = written

    def sightings(self, spot: Spot) -> Mapping[Digest, Sighting]:
        """What was seen, in this run or an earlier one."""
        return {**super().sightings(spot), **self._written.sightings(spot)}

    @property
    def has_history(self) -> bool:
        """Whether an earlier run left anything."""
        return self._written.has_history

    def ours(self, spot: Spot) -> Mapping[Tag, Digest]:
        """The tags that earlier runs wrote."""
        return self._written.ours(spot)

    def origins(self, spot: Spot) -> Mapping[Tag, Spot]:
        """The origins that earlier runs knew."""
        return self._written.origins(spot)

    def spots_of_ours(self) -> Sequence[Spot]:
        """The spots at which earlier runs wrote."""
        return self._written.spots_of_ours()

    def absences(self, spot: Spot) -> Mapping[Tag, Absence]:
        """Tags that nothing kept when an earlier run looked; what this one sees ends with it."""
        return self._written.absences(spot)

    def open_deletions(self, spot: Spot) -> Sequence[Deletion]:
        """Deletions that earlier runs began."""
        return self._written.open_deletions(spot)

    def deletions(self, run: str) -> Sequence[Deletion]:
        """What an earlier run deleted, or may have."""
        return self._written.deletions(run)

    def known_graph(self, digest: Digest, platforms: tuple[Platform, ...]) -> tuple[Digest, ...] | None:
        """The manifests of an index that this run or an earlier one read."""
        found = super().known_graph(digest, platforms)
        return found if found is not None else self._written.known_graph(digest, platforms)

    def passed_verdict(self, key: Digest, now: datetime) -> PassedVerdict | None:
        """A pass of this run or of an earlier one."""
        return super().passed_verdict(key, now) or self._written.passed_verdict(key, now)

    def known_blobs(self, spot: Spot, since: datetime) -> Mapping[Digest, int]:
        """Blobs that earlier runs put or saw, with their sizes in bytes."""
        return self._written.known_blobs(spot, since)

    def open_upload(self, spot: Spot, digest: Digest) -> OpenUpload | None:
        """The session that an earlier run left open."""
        return self._written.open_upload(spot, digest)
