"""Mirrors to units, as a run works on them: repositories listed, and tags where the lock file has them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from regsync.errors import RegsyncError
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName
from regsync.plan.model import Problem
from regsync.plan.observation import UnitSeen
from regsync.reconcile.engine import Run
from regsync.reconcile.ledger import Sighting
from regsync.spec.expand import needs_listing, units
from regsync.spec.locked import bound, locked_units
from regsync.spec.model import Binding, Location, Mirror, Unit


async def expand(run: Run, mirrors: Sequence[Mirror]) -> tuple[list[Unit], list[UnitSeen]]:
    """The units of some mirrors; a mirror whose repositories cannot be listed is one that was not seen."""
    todo: list[Unit] = []
    unseen: list[UnitSeen] = []
    listed: dict[str, Sequence[RepositoryName]] = {}
    for mirror in mirrors:
        try:
            for unit, problems in _bound(run, await _units(run, mirror, listed)):
                if problems:
                    unseen.append(UnitSeen(unit, (), problems))
                else:
                    todo.append(unit)
        except RegsyncError as error:
            unseen.append(UnitSeen(_whole(mirror), (), (Problem.of(error),)))
    if run.pruning is not None:
        run.pruning.expect(todo, unseen)
    return todo, unseen


async def _units(run: Run, mirror: Mirror, listed: dict[str, Sequence[RepositoryName]]) -> Sequence[Unit]:
    if run.spec.binding is Binding.ALL:
        return locked_units(run.spec, mirror)
    if not needs_listing(mirror):
        return units(mirror)
    registry = mirror.sources[0].registry
    if registry not in listed:
        listed[registry] = await run.engine.places.repositories(registry)
    return units(mirror, listed[registry])


def _bound(run: Run, found: Sequence[Unit]) -> Iterator[tuple[Unit, tuple[Problem, ...]]]:
    """The units with what the lock file says of them, and what is wrong with that."""
    for one in found:
        unit, problems, strangers = bound(run.spec, one, first_seen=_FirstSeen(run, one), now=run.now)
        for entry in strangers:
            run.warn(
                f"{entry.position}: no rule of mirror {one.mirror} chooses {entry.name}: it is left alone"
            )
        yield unit, tuple(map(Problem.of, problems))


class _FirstSeen:
    """When digests were first seen at a source; the ledger is read for who asks."""

    def __init__(self, run: Run, unit: Unit) -> None:
        self._run, self._unit = run, unit
        self._sightings: Mapping[Digest, Sighting] | None = None

    def __call__(self, digest: Digest) -> datetime:
        if self._sightings is None:
            self._sightings = self._run.engine.ledger.sightings(self._run.spot(self._unit.source))
        known = self._sightings.get(digest)
        return known.first_seen if known is not None else self._run.now


def _whole(mirror: Mirror) -> Unit:
    """A mirror that could not be expanded, as one unit: its templates stand for its repositories."""
    sources = [Location(one.registry, RepositoryName(one.path)) for one in mirror.sources]
    sources = sources or [location for location, _ in mirror.images[:1]]
    targets = [Location(one.registry, RepositoryName(one.path)) for one in mirror.targets]
    return Unit(mirror.name, sources[0].repository, tuple(sources), tuple(targets))
