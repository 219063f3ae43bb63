"""Content that the lock file names and no source has any more: read from whichever target has it.

DESIGN.md, section 6, rule 12. A digest says what its bytes are, so that it does not matter who gives them.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from regsync.content.evidence import KeptShelf
from regsync.content.protocol import Store
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.reconcile.look import UnitView
from regsync.reconcile.repositories import SourceView, TargetView
from regsync.spec.lock import LockEntry
from regsync.spec.model import Location


class LockedContentLostError(RegsyncError):
    """What the lock file names is nowhere."""

    usual_hint = "correct its digest in the lock file, or let `regsync lock --update` do it"

    def __init__(self, entry: LockEntry, places: Sequence[Location]) -> None:
        where = f"{entry.position}: " if entry.position is not None else ""
        named = ", ".join(map(str, places))
        super().__init__(f"{where}{entry.image} is locked, and it is at none of {named}")


class Lending:
    """The targets of one unit, as places to read locked content from."""

    def __init__(self, view: UnitView, entries: Sequence[LockEntry]) -> None:
        self._view = view
        self._entries = {digest: entry for entry in entries for digest in entry.digests}
        self._lenders: dict[Location, SourceView] = {}

    @property
    def stores(self) -> list[Store]:
        """Those that have lent something."""
        return [one.store for one in self._lenders.values()]

    async def find(self, digest: Digest) -> tuple[SourceView, Descriptor] | None:
        """Who has `digest`, or what it is on targets; None where nobody has, or the lock does not name it."""
        entry = self._entries.get(digest)
        if entry is None:
            return None
        for name in dict.fromkeys((digest, *entry.digests)):
            for target in self._targets():
                with suppress(RegsyncError):  # the next may have it; what is wrong with this one shows anyway
                    desc = await target.destination.store.resolve(name)
                    return self._lender(target), desc
        return None

    def lost(self, digest: Digest) -> RegsyncError | None:
        """What to say of a locked digest that is nowhere; None of any other."""
        entry, unit = self._entries.get(digest), self._view.unit
        return LockedContentLostError(entry, (*unit.sources, *unit.targets)) if entry is not None else None

    def _targets(self) -> Iterator[TargetView]:
        return (one for one in self._view.targets if isinstance(one, TargetView))

    def _lender(self, target: TargetView) -> SourceView:
        found = self._lenders.get(target.location)
        if found is None:
            store = target.destination.store
            shelf = KeptShelf(store, target.listed)
            found = SourceView(target.location, target.spot, store, target.listed, shelf)
            self._lenders[target.location] = found
        return found
