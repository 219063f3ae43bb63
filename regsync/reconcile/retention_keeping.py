"""What keeps tags and digests besides a policy's own rules: mirrors, lock files, and whatever runs.

A mirror whose selection is not known keeps whatever it could write.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from anyio.to_thread import run_sync

from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.reconcile.connect import KnowsClusters
from regsync.reconcile.engine import Run
from regsync.reconcile.expanding import expand
from regsync.reconcile.ledger import Spot
from regsync.reconcile.pruning_writers import Selected, Writers
from regsync.reconcile.repositories import Repositories
from regsync.spec.in_use import InUseError, RunningImage, names_of, read_list
from regsync.spec.model import IndexForm, Location, Unit
from regsync.spec.retention import InUse, InUseCluster, InUseFile


@dataclass(slots=True)
class InUseImages:
    """What runs, by the name of a repository and its tag, and by digest."""

    tags: defaultdict[str, dict[Tag, str]] = field(default_factory=lambda: defaultdict(dict))
    digests: dict[Digest, str] = field(default_factory=dict)

    @classmethod
    def of(cls, images: Iterable[RunningImage]) -> "InUseImages":
        """Where several say the same, the first one is named."""
        found = cls()
        for image in images:
            why = f"in use: {image.where}"
            if image.digest is not None:
                found.digests.setdefault(image.digest, why)
            for name in image.names if image.tag is not None else ():
                found.tags[name].setdefault(image.tag or Tag(""), why)
        return found


class Running:
    """What the sources that policies name say, each asked once in a run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._read: dict[InUse, Sequence[RunningImage]] = {}

    async def images(self, sources: Iterable[InUse]) -> InUseImages:
        """All that runs by any of the sources. Raises the error of the first that cannot be read."""
        found: list[RunningImage] = []
        for source in sources:
            if source not in self._read:
                self._read[source] = await self._ask(source)
            found += self._read[source]
        return InUseImages.of(found)

    async def _ask(self, source: InUse) -> Sequence[RunningImage]:
        match source:
            case InUseFile(path):
                return await run_sync(partial(read_list, path))
            case InUseCluster(context):
                places = self._run.engine.places
                if not isinstance(places, KnowsClusters):
                    raise InUseError(source, "no cluster can be asked here")
                return await places.running(context)


class Declared:
    """What all mirrors of the spec want where policies rule, those that a run leaves out included."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._writers = Writers(run)
        self._units: list[Unit] = []

    @classmethod
    async def of(cls, run: Run, spots: Iterable[Spot], repositories: Repositories) -> "Declared":
        """Ask the sources of every mirror that writes to any of the spots."""
        declared, wanted = cls(run), frozenset(spots)
        units, unseen = await expand(run, run.spec.mirrors)
        declared._writers.expect(units, unseen)
        declared._units = units
        here = [unit for unit in units if any(run.spot(target) in wanted for target in unit.targets)]
        await declared._writers.complete(dict.fromkeys(unit.mirror for unit in here), repositories)
        return declared

    def units_at(self, spot: Spot) -> list[Unit]:
        """What writes to a spot."""
        return [one for one in self._units if any(self._run.spot(target) == spot for target in one.targets)]

    def wanted(self, spot: Spot) -> Mapping[Tag, str]:
        """The tags that selections yield there."""
        return {
            tag: f"declared by mirror {selected.unit.mirror}"
            for selected in self._writers.at(spot)
            for tag in selected.wanted
        }

    def may_be_wanted(self, spot: Spot, tags: Mapping[Tag, Digest | None]) -> Iterator[tuple[Tag, str]]:
        """Of `tags` those that a mirror may want whose selection is in doubt, and former images."""
        who = self._writers.may_want("", spot)
        here = self._writers.at(spot)
        for tag, digest in tags.items():
            if (name := who(tag)) is not None:
                yield tag, f"mirror {name} may want it, and what it selects is not known"
            elif (mirror := _history_with(tag, digest, here)) is not None:
                yield tag, f"a former image, which the history of mirror {mirror} keeps"

    def pinned(self, spot: Spot) -> Mapping[Digest, str]:
        """Content that mirrors keep there without a tag, as their sources have it."""
        found: dict[Digest, str] = {}
        for unit in self.units_at(spot):
            why = f"pinned by mirror {unit.mirror}"
            pins = (*unit.digests, *(one.digest for one in unit.pinned if one.digest is not None))
            found.update(dict.fromkeys(pins, why))
        return found

    def makes_untagged(self, spot: Spot) -> str | None:
        """The mirror that keeps content there which bears no tag and has another digest at its source."""
        for unit in self.units_at(spot):
            pins = unit.digests or any(one.tag is None for one in unit.pinned)
            if pins and unit.platforms is not None and unit.index is IndexForm.TRIMMED:
                return unit.mirror
        return None


def _history_with(tag: Tag, digest: Digest | None, here: Iterable[Selected]) -> str | None:
    for one in here:
        if one.unit.history is not None and one.unit.history.former(tag, digest) is not None:
            return one.unit.mirror
    return None


def in_use_at(run: Run, locations: Iterable[Location], images: InUseImages) -> Mapping[Tag, str]:
    """The tags that run from any of these places, which hold the same."""
    found: dict[Tag, str] = {}
    for location in locations:
        place = run.spec.place(location).key
        for registry in run.spec.registries.values():
            if registry.place.key == place:  # people may call it by any of its names
                for name in names_of(Location(registry.name, location.repository), registry):
                    found.update(images.tags.get(name, {}))
    return found
