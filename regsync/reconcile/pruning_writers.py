"""What the selections of a run want at its targets, and what cannot be told of it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from regsync.content.concurrently import for_each
from regsync.oci.reference import Tag
from regsync.plan.observation import UnitSeen
from regsync.reconcile.choose import Chosen, choose, lost_tags
from regsync.reconcile.engine import Run
from regsync.reconcile.ledger import Spot
from regsync.reconcile.look import UnitView, look_at_sources
from regsync.reconcile.repositories import Repositories, SourceView
from regsync.spec.flow import Flow, Reach
from regsync.spec.model import Location, Mirror, Pin, Unit
from regsync.spec.overlap import Writes, common_tag
from regsync.spec.selection import TagExplanation

UNITS_AT_ONCE = 64  # sources that are looked at at the same time
_Key = tuple[str, tuple[Location, ...], str]


@dataclass(frozen=True, slots=True)
class Selected:
    """What one unit takes of its sources, under the names on its targets."""

    unit: Unit
    sources: tuple[SourceView, ...]  # those that could be read
    wanted: frozenset[Tag]
    lapsed: frozenset[Tag]  # tags that left through maxAge alone
    doubts: tuple[str, ...]  # why there may be more
    explain: Callable[[], tuple[TagExplanation, ...]]

    @classmethod
    def of(cls, view: UnitView, chosen: Chosen) -> "Selected":
        """What was chosen, with all that casts doubt on it."""
        doubts = [f"{one.location} could not be read: {one.error}" for one in view.unseen]
        doubts += [problem.message for problem in chosen.problems]
        doubts += [problem.message for _, problem in chosen.lost]
        doubts += chosen.doubts
        if view.unit.needs_tags:
            doubts += [f"{one.location} lists no tag" for one in view.sources if not one.listed]
        wanted = frozenset(one.tag for one in chosen.wanted if one.tag is not None)
        return cls(view.unit, view.sources, wanted, chosen.lapsed, tuple(doubts), chosen.explain)

    def why_not(self) -> Mapping[Tag, str]:
        """Why tags of the source are not taken."""
        return {one.tag: one.why for one in self.explain() if not one.kept}


class Writers:
    """All mirrors that write to the targets of a run, those that are not part of it included."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._missed: dict[str, str] = {}  # mirrors of which not every unit is known, and why
        self._units: defaultdict[str, list[Unit]] = defaultdict(list)
        self._at: defaultdict[Spot, list[Unit]] = defaultdict(list)
        self._doubts: dict[str, tuple[str, ...]] = {}
        self._selected: defaultdict[_Key, list[Selected]] = defaultdict(list)
        self.named: dict[str, tuple[str, ...]] = {}  # what is wrong with the names of mirrors, where asked
        self.failed: list[UnitSeen] = []  # what went wrong with units that were looked at for this alone

    def expect(self, units: Iterable[Unit], unseen: Iterable[UnitSeen]) -> None:
        """Units of the run's mirrors, and what of them is not known."""
        for unit in units:
            self._units[unit.mirror].append(unit)
            for spot in {self._run.spot(target) for target in unit.targets}:
                self._at[spot].append(unit)
        self.failed.extend(unseen)
        for one in unseen:
            for problem in one.problems:
                self._missed[one.unit.mirror] = problem.message
        self._doubts.clear()

    def saw(self, view: UnitView, chosen: Chosen) -> None:
        """What a unit takes."""
        self._selected[_key(view.unit)].append(Selected.of(view, chosen))
        self._doubts.pop(view.unit.mirror, None)

    def pairs(self, mirrors: Iterable[str]) -> Iterator[tuple[str, Location]]:
        """The targets of some mirrors, each once."""
        for mirror in mirrors:
            for target in dict.fromkeys(one for unit in self._units[mirror] for one in unit.targets):
                yield mirror, target

    def units(self, mirror: str, target: Location) -> tuple[Unit, ...]:
        """What of a mirror writes to a target."""
        return tuple(unit for unit in self._units[mirror] if target in unit.targets)

    async def complete(self, mirrors: Iterable[str], repositories: Repositories) -> None:
        """Find out what those units take that nobody has looked at yet."""
        todo = [unit for name in mirrors for unit in self._units[name] if not self._selected[_key(unit)]]

        async def look(unit: Unit) -> None:
            view = await look_at_sources(unit, repositories)
            chosen = await choose(self._run, view)
            self.saw(view, chosen)
            self.failed.append(UnitSeen(unit, lost_tags(unit, chosen), chosen.problems))

        await for_each(look, todo, at_once=UNITS_AT_ONCE)

    def doubts(self, mirror: str) -> tuple[str, ...]:
        """Why the selections of a mirror cannot be trusted, each reason once."""
        if mirror not in self._doubts:
            found = [self._missed[mirror]] if mirror in self._missed else []
            for unit in self._units[mirror]:
                selections = self._selected[_key(unit)]
                found += [doubt for one in selections for doubt in one.doubts]
                found += [] if selections else [f"{unit.source} was not looked at"]
            self._doubts[mirror] = tuple(dict.fromkeys(found))
        return self._doubts[mirror]

    def selected(self, mirror: str) -> list[Selected]:
        """What all units of a mirror take, each look once."""
        return [one for key in dict.fromkeys(map(_key, self._units[mirror])) for one in self._selected[key]]

    def at(self, spot: Spot) -> list[Selected]:
        """Selections of whatever mirror that are written to a spot."""
        return [selected for unit in self._at[spot] for selected in self._selected[_key(unit)]]

    def may_want(self, mirror: str, spot: Spot) -> Callable[[Tag], str | None]:
        """Which other mirror may want a tag at a spot, though nobody asked it, or its answer is in doubt."""
        uncertain = [
            (name, writes)
            for name in self._others.at(spot)
            if name != mirror
            for writes in self._uncertain(name, spot)
        ]

        def who(tag: Tag) -> str | None:
            if not uncertain:
                return None
            pinned = Writes.of((), (Pin(tag, None),), "{tag}")
            return next((name for name, writes in uncertain if common_tag(writes, pinned)), None)

        return who

    def declared_at(self, spot: Spot) -> list[Mirror]:
        """Every mirror that may write to a spot."""
        return [self._others.flows[name].mirror for name in self._others.at(spot)]

    def immutable(self, mirror: str, spot: Spot, origins: Iterable[Spot]) -> Iterator[str]:
        """What other mirrors never move of that which they bring from the same sources to a spot."""
        for name in self._others.at(spot):
            flow = self._others.flows[name]
            if name != mirror and any(_brings(self._run, flow, origin, spot) for origin in origins):
                yield from flow.mirror.immutable

    def declares(self, spot: Spot, origin: Spot | None) -> bool:
        """Whether a mirror brings something from `origin` to a spot; None: from wherever."""
        if origin is None:
            return bool(self._others.at(spot))
        return any(
            _brings(self._run, self._others.flows[name], origin, spot) for name in self._others.at(spot)
        )

    def _uncertain(self, name: str, spot: Spot) -> Iterator[Writes]:
        known = [unit for unit in self._at[spot] if unit.mirror == name]
        if name in self._missed or not known:
            yield from self._declared(name, spot)
        for unit in known:
            selected = self._selected[_key(unit)]
            if not selected or any(one.doubts for one in selected):
                yield Writes.of_unit(unit)

    def _declared(self, name: str, spot: Spot) -> Iterator[Writes]:
        """What a mirror may write there, by its declaration alone."""
        flow = self._others.flows[name]
        for unit in flow.units:
            if self._writes(unit, spot):
                yield Writes.of_unit(unit)
        if not flow.units:
            mirror = flow.mirror
            yield Writes.of(mirror.rules, (), mirror.rename, mirror.exclude_tags)

    def _writes(self, unit: Unit, spot: Spot) -> bool:
        return any(self._run.spot(target) == spot for target in unit.targets)

    @cached_property
    def _others(self) -> "_Flows":
        return _Flows.of(self._run)


@dataclass(frozen=True, slots=True)
class _Flows:
    """Where every mirror of the whole spec writes."""

    flows: Mapping[str, Flow]
    by_name: Mapping[tuple[str, str], Sequence[str]]  # place key and repository to mirrors
    shaped: Sequence[str]  # mirrors whose repositories have to be listed

    @classmethod
    def of(cls, run: Run) -> "_Flows":
        """Those of the run, and those that it leaves out."""
        spec = run.spec
        mirrors = {one.name: one for one in (*spec.mirrors, *spec.declared)}
        flows = {name: Flow.of(one, spec.registries) for name, one in mirrors.items()}
        by_name: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for name, flow in flows.items():
            for key in flow.writes.names:
                by_name[key].append(name)
        return cls(flows, by_name, [name for name, flow in flows.items() if flow.writes.shapes])

    def at(self, spot: Spot) -> list[str]:
        """The mirrors that may write to a spot."""
        shaped = (name for name in self.shaped if self.flows[name].writes.meets(_reach(spot)))
        return [*self.by_name.get((spot.place, str(spot.repository)), ()), *shaped]


def _key(unit: Unit) -> _Key:
    return unit.mirror, unit.sources, unit.repository


def _brings(run: Run, flow: Flow, origin: Spot, spot: Spot) -> bool:
    """Whether a mirror reads `origin` to write to `spot`."""
    if not flow.units:
        return flow.reads.meets(_reach(origin))
    return any(
        run.spot(unit.source) == origin and any(run.spot(target) == spot for target in unit.targets)
        for unit in flow.units
    )


def _reach(spot: Spot) -> Reach:
    return Reach(frozenset({(spot.place, str(spot.repository))}))
