"""Tags of ours that somebody else moved or deleted at a target: seen when they are put right."""

from collections import Counter
from collections.abc import Mapping

from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.plan.model import Action
from regsync.reconcile.events import ActionStarted, Emit, Event
from regsync.reconcile.ledger import Ledger, Spot
from regsync.spec.model import Location, Spec


class DriftWatch:
    """An `Emit` that counts them by mirror, and passes every event on."""

    def __init__(self, spec: Spec, ledger: Ledger, emit: Emit) -> None:
        self._spec, self._ledger, self._emit = spec, ledger, emit
        self._ours: dict[Location, Mapping[Tag, Digest]] = {}  # as it was before this run wrote there
        self.by_mirror: Counter[str] = Counter()

    def __call__(self, event: Event) -> None:
        """Look at what is about to be written."""
        if isinstance(event, ActionStarted) and self._drifted(event.action):
            self.by_mirror[event.action.mirror] += 1
        self._emit(event)

    def _drifted(self, action: Action) -> bool:
        if action.tag is None:
            return False
        ours = self._ours.get(action.target)
        if ours is None:
            spot = Spot(self._spec.place(action.target).key, action.target.repository)
            ours = self._ours[action.target] = self._ledger.ours(spot)
        written = ours.get(action.tag)
        return written is not None and written != action.replaces
