"""What the ledger knew, for observations: what of it is kept with one, and a ledger that is made of it."""

from collections.abc import Mapping
from datetime import datetime

from regsync.oci.digest import Digest
from regsync.oci.platform import Platform
from regsync.oci.reference import Tag
from regsync.reconcile.ledger import Ledger, PassedVerdict, Sighting, Spot
from regsync.reconcile.ledger_memory import MemoryLedger
from regsync.reconcile.ledger_readonly import ReadOnlyLedger
from regsync.reconcile.observed import ObservedPlaces
from regsync.reconcile.recording import Facts, Key, Recording, key_of, place_name
from regsync.spec.model import Spec


class UnsparingLedger(ReadOnlyLedger):
    """Knows what is ours and since when things are there, and nothing that would spare anybody a look.

    What is recorded with it can be planned from without any ledger.
    """

    def sightings(self, spot: Spot) -> Mapping[Digest, Sighting]:
        """What was seen, and never that its evidence was compared."""
        return {digest: Sighting(one.first_seen, None) for digest, one in super().sightings(spot).items()}

    def known_graph(self, digest: Digest, platforms: tuple[Platform, ...]) -> tuple[Digest, ...] | None:
        """The manifests of an index that this run read."""
        return MemoryLedger.known_graph(self, digest, platforms)

    def passed_verdict(self, key: Digest, now: datetime) -> PassedVerdict | None:
        """A pass of this run."""
        return MemoryLedger.passed_verdict(self, key, now)


def keep_facts(recording: Recording, places: ObservedPlaces, ledger: Ledger) -> None:
    """Put what `ledger` knows of every repository that was looked at to the recording."""
    spec = places.spec
    recording.has_history = recording.has_history or ledger.has_history
    names = {registry.place.key: place_name(spec, registry.place) for registry in spec.registries.values()}
    for location in places.locations:
        spot = Spot(spec.place(location).key, location.repository)
        origins: dict[Tag, Key] = {
            tag: (names.get(one.place, one.place), one.repository)
            for tag, one in ledger.origins(spot).items()
        }
        sightings = ledger.sightings(spot)
        recording.facts[key_of(spec, location)] = Facts(
            {digest: one.first_seen for digest, one in sightings.items()},
            ledger.ours(spot),
            origins,
            ledger.absences(spot),
        )


class RecordedLedger(MemoryLedger):
    """A ledger that knows what an observation says, of the places of one spec."""

    def __init__(self, recording: Recording, spec: Spec) -> None:
        super().__init__()
        self._had_history = recording.has_history
        places = {place_name(spec, one.place): one.place.key for one in spec.registries.values()}
        for (place, repository), facts in recording.facts.items():
            if place in places:
                self._learn(Spot(places[place], repository), facts, places, recording.taken)

    @property
    def has_history(self) -> bool:
        """Whether the ledger that was there knew of any run."""
        return self._had_history

    def _learn(self, spot: Spot, facts: Facts, places: Mapping[str, str], when: datetime) -> None:
        for digest, first_seen in facts.first_seen.items():
            self.saw(spot, digest, first_seen)
        for tag, digest in facts.ours.items():
            origin = facts.origins.get(tag)
            known = Spot(places.get(origin[0], origin[0]), origin[1]) if origin is not None else None
            self.wrote(spot, tag, digest, when, known)
        for tag, absence in facts.absences.items():
            self.absent(spot, tag, absence)
