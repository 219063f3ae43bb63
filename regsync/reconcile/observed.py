"""Places that are asked once: what was seen is answered from memory, what was not is looked at, or refused.

With live places behind it this makes one observation of several plans. With none it plans from a recorded
one, and whatever that does not cover is an error that names it: nothing is guessed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from regsync.content.protocol import Deletes, Store
from regsync.errors import RegsyncError
from regsync.oci.reference import RepositoryName
from regsync.reconcile.connect import Places
from regsync.reconcile.observed_store import Answers, ObservedDeletingStore, ObservedStore
from regsync.reconcile.recording import Recording, SeenRepository, key_of, place_name
from regsync.spec.model import Location, Spec


@dataclass(slots=True)
class ObservedPlaces:
    """Implements `Places` over a recording; `live` is asked for the rest. None: nobody is."""

    recording: Recording
    spec: Spec
    live: Places | None
    _answers: Answers = field(init=False)
    _connected: dict[Location, "ObservedStore"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._answers = Answers(self.recording.contents)

    @property
    def missing(self) -> Mapping[str, None]:
        """What was needed and is not there, in order."""
        return self._answers.missing

    @property
    def locations(self) -> Sequence[Location]:
        """Every repository that was connected to."""
        return tuple(self._connected)

    def connect(self, location: Location) -> Store:
        """The repository as it was seen."""
        store = self._connected.get(location)
        if store is None:
            live = self.live.connect(location) if self.live is not None else None
            seen = self._seen(location)
            if live is not None:
                seen.name, seen.deletes = live.name, isinstance(live, Deletes)
            kind = ObservedDeletingStore if seen.deletes else ObservedStore
            store = kind(self._answers, seen.name or str(location), seen, live)
            self._connected[location] = store
        # Nothing writes to it: plans are made by reading alone.
        return store  # type: ignore[return-value]

    async def repositories(self, registry: str) -> Sequence[RepositoryName]:
        """The repositories that a registry listed."""
        name = place_name(self.spec, self.spec.registries[registry].place)

        async def ask(live: Places) -> tuple[RepositoryName, ...]:
            return tuple(await live.repositories(registry))

        return await self._answers.answer(
            self.recording.catalogues, name, ask, self.live, "its repositories", registry
        )

    async def may_push(self, location: Location) -> None:
        """Whether `location` could be written when it was asked."""
        seen = self._seen(location)
        if seen.push is False:
            if self.live is None:
                raise self._answers.not_observed("whether it may be written", str(location))
            try:
                await self.live.may_push(location)
                seen.push = True
            except RegsyncError as error:
                seen.push = error
        if isinstance(seen.push, RegsyncError):
            raise seen.push

    def requests(self) -> Mapping[str, Mapping[str, int]]:
        """The requests that were made."""
        return self.live.requests() if self.live is not None else {}

    def warnings(self) -> Sequence[str]:
        """What registries asked to be told to people."""
        return self.live.warnings() if self.live is not None else ()

    def _seen(self, location: Location) -> SeenRepository:
        return self.recording.repositories.setdefault(key_of(self.spec, location), SeenRepository())
