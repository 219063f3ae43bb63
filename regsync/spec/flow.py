"""How content flows between mirrors: where each reads and writes, and in which order they can run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from regsync.errors import SpecError
from regsync.spec.expand import PLACEHOLDERS, needs_listing, units
from regsync.spec.model import Location, LocationTemplate, Mirror, Registry, Spec, Unit
from regsync.spec.overlap import globs_meet

ANY = "*"


class MirrorCycleError(SpecError):
    """Mirrors feed each other, so that none can be first."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"mirrors feed each other: {' → '.join(names)}")
        self.names = tuple(names)


@dataclass(frozen=True, slots=True)
class Reach:
    """Repositories of one place that a mirror reads or writes: names, and shapes with `*` for the rest."""

    names: frozenset[tuple[str, str]]  # place key and repository
    shapes: frozenset[tuple[str, str]] = frozenset()

    def meets(self, other: "Reach") -> bool:
        """Whether some repository may be in both."""
        if not self.names.isdisjoint(other.names):
            return True
        mine, theirs = self.names | self.shapes, other.names | other.shapes
        return any(_shape_meets(one, theirs) for one in self.shapes) or any(
            _shape_meets(one, mine) for one in other.shapes
        )


@dataclass(frozen=True, slots=True)
class Flow:
    """One mirror's units, as far as they are known without a listing, and where it reads and writes."""

    mirror: Mirror
    units: tuple[Unit, ...]  # empty where repositories have to be listed
    reads: Reach
    writes: Reach

    @classmethod
    def of(cls, mirror: Mirror, registries: Mapping[str, Registry]) -> "Flow":
        """The flow of a mirror; raises the errors of `expand.units`."""

        def key(place: Location | LocationTemplate) -> str:
            return registries[place.registry].place.key

        if needs_listing(mirror):
            reads = frozenset((key(one), shape(one.path)) for one in mirror.sources)
            writes = frozenset((key(one), shape(one.path)) for one in mirror.targets)
            return cls(mirror, (), Reach(frozenset(), reads), Reach(frozenset(), writes))
        known = units(mirror)
        return cls(
            mirror,
            known,
            Reach(frozenset((key(one), str(one.repository)) for unit in known for one in unit.sources)),
            Reach(frozenset((key(one), str(one.repository)) for unit in known for one in unit.targets)),
        )


def shape(path: str) -> str:
    """A glob, with `*` also for slashes, of what a path with placeholders can be."""
    for name in PLACEHOLDERS:
        path = path.replace(f"{{{name}}}", ANY)
    return path


def mirror_order(spec: Spec) -> tuple[tuple[Mirror, ...], ...]:
    """Levels of mirrors: those of one level are independent, each reads only what earlier ones write.

    Raises MirrorCycleError.
    """
    return levels([Flow.of(mirror, spec.registries) for mirror in spec.mirrors])


def levels(flows: Sequence[Flow]) -> tuple[tuple[Mirror, ...], ...]:
    """The same, of flows. Raises MirrorCycleError."""
    feeds = _feeders(flows)
    done: set[str] = set()
    found: list[tuple[Mirror, ...]] = []
    waiting = list(flows)
    while waiting:
        ready = [flow for flow in waiting if feeds[flow.mirror.name] <= done]
        if not ready:
            raise MirrorCycleError(_cycle(feeds, done))
        found.append(tuple(flow.mirror for flow in ready))
        done.update(flow.mirror.name for flow in ready)
        waiting = [flow for flow in waiting if flow.mirror.name not in done]
    return tuple(found)


def _feeders(flows: Sequence[Flow]) -> dict[str, set[str]]:
    """For each mirror, those that write what it reads. A mirror that reads what it writes is not listed."""
    writers: dict[tuple[str, str], set[str]] = {}
    for flow in flows:
        for name in flow.writes.names:
            writers.setdefault(name, set()).add(flow.mirror.name)
    found: dict[str, set[str]] = {}
    shaped = [flow for flow in flows if flow.writes.shapes]
    for flow in flows:
        candidates: Iterable[Flow] = flows if flow.reads.shapes else shaped
        feeding = {one.mirror.name for one in candidates if one.writes.meets(flow.reads)}
        for name in flow.reads.names:
            feeding |= writers.get(name, set())
        found[flow.mirror.name] = feeding - {flow.mirror.name}
    return found


def _cycle(feeds: Mapping[str, set[str]], done: set[str]) -> list[str]:
    """One cycle among the mirrors that are not done, in the direction in which content flows."""
    start = min(name for name in feeds if name not in done)
    path = [start]
    while path.count(path[-1]) == 1:
        path.append(min(name for name in feeds[path[-1]] if name not in done))
    return path[path.index(path[-1]) :][::-1]


def _shape_meets(one: tuple[str, str], others: Iterable[tuple[str, str]]) -> bool:
    return any(one[0] == place and globs_meet(one[1], path) for place, path in others)
