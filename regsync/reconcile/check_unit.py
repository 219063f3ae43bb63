"""One mirror and repository compared at all of its places, each place at its own pace."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import anyio

from regsync.content.concurrently import for_each
from regsync.content.digest_tags import DigestTag, is_fallback_tag
from regsync.content.evidence import Evidence
from regsync.content.graph import Shape
from regsync.errors import RegsyncError
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.plan.check import Compared, Row, SpotSeen, TagCompared, compare, lost, unread
from regsync.plan.model import Problem
from regsync.reconcile.absent import TagNotFoundError
from regsync.reconcile.by_latency import for_each_by_latency
from regsync.reconcile.check_alike import likeness_at
from regsync.reconcile.check_place import PlaceAsked, ask_place
from regsync.reconcile.check_states import States, takes_every_tag
from regsync.reconcile.choose import Chosen, choose
from regsync.reconcile.engine import Run
from regsync.reconcile.events import RepositoryFinished, RepositorySelected, RepositoryStarted
from regsync.reconcile.ledger import Sighting
from regsync.reconcile.look import Found, UnitView, Unseen, Wanted, look_at_sources
from regsync.reconcile.observe import Observer, shape_of
from regsync.reconcile.repositories import Repositories, TargetView
from regsync.spec.model import Location, Unit


@dataclass(frozen=True, slots=True)
class Equal:
    """One tag at one place that is as it should be."""

    view: TargetView
    tag: Tag | None
    digest: Digest
    shape: Shape  # what an index there is reduced to


@dataclass(slots=True)
class UnitChecked:
    """What became of one unit."""

    unit: Unit
    rows: list[Row] = field(default_factory=list)
    compared: list[Compared] = field(default_factory=list)
    views: dict[Location, TargetView] = field(default_factory=dict)
    selected: frozenset[Tag] | None = None  # names at the targets; None: the source did not say
    at_source: Collection[Tag] = ()
    observer: Observer | None = None
    found: dict[Wanted, Found] = field(default_factory=dict)  # by what the source has
    equal: list[Equal] = field(default_factory=list)

    def add(self, target: Location, tags: int, rows: list[Row], *, whole: Problem | None = None) -> None:
        """Count one place; `whole` is why it could not be compared to the end."""
        self.rows.extend(rows)
        if whole is not None:
            why = "not compared" if not tags else f"only {tags} tags were compared"
            self.rows.append(unread(self.unit.mirror, self.unit.source, target, whole, why))
        self.compared.append(Compared(self.unit.mirror, self.unit.source, target, tags, tags - len(rows)))

    def demote(self, row: Row) -> None:
        """A tag that was counted as equal is not well after all; said once."""
        if row in self.rows:
            return
        was_told = any(one.target == row.target and one.tag == row.tag for one in self.rows)
        self.rows.append(row)
        if not was_told:
            self.compared = [
                replace(one, equal=one.equal - 1) if one.target == row.target else one
                for one in self.compared
            ]


async def check_unit(run: Run, unit: Unit, repositories: Repositories, states: States) -> UnitChecked:
    """Compare; what fails is a row of the result, not an exception."""
    run.engine.emit(RepositoryStarted(unit.mirror, unit.source))
    result = UnitChecked(unit)
    same = await states.same(unit)
    whole = states.at(unit.source)
    if whole is not None and same == set(unit.targets) and takes_every_tag(unit):
        for target in unit.targets:
            result.add(target, whole.tags, [])
    else:
        await _UnitCheck(run, unit, repositories, same, result).go()
    equal = sum(one.equal for one in result.compared)
    problems = sum(row.problem is not None for row in result.rows)
    changed = len(result.rows) - problems
    run.engine.emit(RepositoryFinished(unit.mirror, unit.source, equal, changed, problems))
    return result


class _UnitCheck:
    def __init__(
        self,
        run: Run,
        unit: Unit,
        repositories: Repositories,
        same: frozenset[Location],
        result: UnitChecked,
    ) -> None:
        self._run, self._unit, self._repositories, self._same = run, unit, repositories, same
        self._result = result
        self._problems: dict[Wanted, Problem] = {}  # of tags that the source could not be asked for
        self._lost: dict[Wanted, Problem] = {}  # those that it does not have
        self._sightings: Mapping[Digest, Sighting] = {}
        self._current: frozenset[Digest] = frozenset()
        self._spots: dict[Wanted, dict[Location, SpotSeen]] = {}
        self._ready = {location: anyio.Event() for location in unit.targets}
        self._looked: dict[Location, TargetView | Unseen] = {}
        self._asked: dict[Location, PlaceAsked | Unseen] = {}

    async def go(self) -> None:
        """Look at all places at once, and at the source as one of them."""
        async with anyio.create_task_group() as group:
            for location in self._unit.targets:
                if location not in self._same:
                    group.start_soon(self._look, location)
            view = await look_at_sources(self._unit, self._repositories)
            for location in self._same:
                if view.sources and view.sources[0].listed is not None:
                    self._repositories.assume(location, view.sources[0].listed)
                group.start_soon(self._look, location)
            chosen = await choose(self._run, view)
            tags = len(chosen.wanted)
            self._run.engine.emit(RepositorySelected(self._unit.mirror, self._unit.source, tags))
            read = await self._read_source(view, chosen)
            wanted = read if read is not None else await self._remembered()
            for location in self._unit.targets:
                group.start_soon(self._ask, location, wanted)
        self._conclude(wanted)

    async def _look(self, location: Location) -> None:
        try:
            self._looked[location] = await self._repositories.look(location)
        except RegsyncError as error:
            self._looked[location] = Unseen(location, error)
        self._ready[location].set()

    async def _read_source(self, view: UnitView, chosen: Chosen) -> dict[Wanted, Digest | None] | None:
        """What is to be at the targets, by what the source has; None where the source cannot say."""
        unit, result = self._unit, self._result
        observer = result.observer = Observer(self._run, view)
        for problem in chosen.problems:
            result.rows.append(unread(unit.mirror, unit.source, unit.source, problem, "not read"))
        result.rows.extend(lost(unit.mirror, unit.source, tag, None, problem) for tag, problem in chosen.lost)
        if chosen.problems and not chosen.wanted:
            return None
        if not chosen.problems:
            tags = (one.tag for one in chosen.wanted)
            result.selected = frozenset(tag for tag in tags if tag is not None)
        result.at_source = next((one.listed for one in view.sources if one.listed is not None), ())

        async def locate(wanted: Wanted) -> None:
            try:
                result.found[wanted] = await observer.locate(wanted)
            except TagNotFoundError as error:
                self._lost[wanted] = Problem.of(error)
            except RegsyncError as error:
                self._problems[wanted] = Problem.of(error)

        if view.sources:
            spot = view.sources[0].spot
            self._sightings = self._run.engine.ledger.sightings(spot)
        engine = self._run.engine
        await for_each_by_latency(locate, chosen.wanted, clock=engine.clock, most=engine.concurrency)
        self._current = frozenset(found.desc.digest for found in result.found.values())
        for one, problem in self._lost.items():
            result.rows.append(lost(unit.mirror, unit.source, one.tag, one.digest, problem))
        found = result.found
        known = (one for one in chosen.wanted if one not in self._lost)
        return {one: found[one].digest if one in found else None for one in known}

    async def _remembered(self) -> dict[Wanted, Digest | None]:
        """What the places are known to have had, to compare them with each other without their source."""
        for ready in self._ready.values():
            await ready.wait()
        views = [one for one in self._looked.values() if isinstance(one, TargetView)]
        tags = {tag for view in views for tag in view.ours}
        if not tags and len(views) > 1:
            listed = Counter(tag for view in views for tag in view.listed or () if not follows(tag))
            tags = {tag for tag, count in listed.items() if count * 2 > len(views)}
        return {Wanted(tag, tag): None for tag in sorted(tags)}

    async def _ask(self, location: Location, wanted: Mapping[Wanted, Digest | None]) -> None:
        await self._ready[location].wait()
        looked = self._looked[location]
        if isinstance(looked, Unseen):
            self._asked[location] = looked
            return
        likely = {one: digest or looked.ours.get(one.tag or Tag("")) for one, digest in wanted.items()}
        asked = self._asked[location] = await ask_place(self._run, looked, likely)
        equal = [one for one, digest in asked.digests.items() if digest is not None and digest == wanted[one]]
        differing = [
            one for one, digest in asked.digests.items() if digest is not None and digest != wanted[one]
        ]
        await for_each(lambda one: self._tell_apart(asked, one), differing, at_once=8)
        if self._needs_a_look_beside(looked.location):
            await for_each(
                lambda one: self._look_beside(asked, one), equal[:1]
            )  # learns whether it has an API
            await for_each(
                lambda one: self._look_beside(asked, one), equal[1:], at_once=self._run.engine.concurrency
            )

    def _spot(self, wanted: Wanted, location: Location) -> SpotSeen:
        return self._spots.get(wanted, {}).get(location) or SpotSeen(location)

    def _note(self, wanted: Wanted, spot: SpotSeen) -> None:
        self._spots.setdefault(wanted, {})[spot.location] = spot

    async def _tell_apart(self, asked: PlaceAsked, wanted: Wanted) -> None:
        """Why what is there differs, as far as reading it tells."""
        actual, found = asked.digests[wanted], self._result.found.get(wanted)
        observer = self._result.observer
        if actual is None or found is None or observer is None:
            return
        sighting = self._sightings.get(actual)
        had_it = sighting is not None and sighting.first_seen < self._run.now and actual not in self._current
        alike = await likeness_at(observer, found, asked.view, actual)
        spot = self._spot(wanted, asked.view.location)
        self._note(wanted, replace(spot, source_had_it=had_it, likeness=alike))

    def _needs_a_look_beside(self, location: Location) -> bool:
        observer = self._result.observer
        if observer is None:
            return False
        judged = bool(self._run.verification.policies(self._unit, location))
        return judged or (location not in self._same and observer.may_have_evidence())

    async def _look_beside(self, asked: PlaceAsked, wanted: Wanted) -> None:
        """Evidence: all of the source's, and enough for the policies that apply here."""
        view, observer = asked.view, self._result.observer
        if asked.ended is not None or observer is None:
            return
        found, spot = self._result.found[wanted], self._spot(wanted, view.location)
        try:
            if view.location not in self._same and observer.may_have_evidence():
                lacking = await observer.evidence(found, view)
                spot = replace(spot, lacking=len(lacking.referrers) + len(lacking.tags))
        except RegsyncError as error:
            asked.note(error)
            self._note(wanted, replace(spot, problem=Problem.of(error)))
            return
        try:
            await self._run.verification.at_target(observer, found, wanted.source_tag, view, Evidence())
        except RegsyncError as error:
            spot = replace(spot, refused=Problem.of(error))
        self._note(wanted, spot)

    def _conclude(self, wanted: Mapping[Wanted, Digest | None]) -> None:
        """Rows, tag by tag over all places, and how much of each place was compared."""
        rows: dict[Location, list[Row]] = {location: [] for location in self._unit.targets}
        for one, expected in wanted.items():
            spots = tuple(
                spot for place in self._asked.values() if (spot := self._seen(one, place)) is not None
            )
            for row in compare(self._compared(one, expected, spots)):
                rows.get(row.target, self._result.rows).append(row)
        for location, place in self._asked.items():
            if isinstance(place, Unseen):
                self._result.add(location, 0, [], whole=Problem.of(place.error))
                continue
            self._result.views[location] = place.view
            told = {row.tag or row.expected for row in rows[location]}
            tags = 0
            for one, expected in wanted.items():
                if self._seen(one, place) is None:
                    continue
                tags += 1
                if (
                    expected is not None
                    and place.digests.get(one) == expected
                    and (one.tag or expected) not in told
                ):
                    self._result.equal.append(Equal(place.view, one.tag, expected, shape_of(self._unit)))
            ended = Problem.of(place.ended) if place.ended is not None else None
            self._result.add(location, tags, rows[location], whole=ended)

    def _seen(self, wanted: Wanted, place: PlaceAsked | Unseen) -> SpotSeen | None:
        """A tag at a place; None where the place was not asked, or said no more."""
        if isinstance(place, Unseen) or (place.ended is not None and wanted not in place.digests):
            return None
        location = place.view.location
        spot = self._spot(wanted, location)
        if (failure := place.failures.get(wanted)) is not None:
            return replace(spot, problem=Problem.of(failure))
        ours = place.view.ours.get(wanted.tag) if wanted.tag is not None else None
        return replace(spot, digest=place.digests[wanted], ours=ours)

    def _compared(self, wanted: Wanted, expected: Digest | None, spots: tuple[SpotSeen, ...]) -> TagCompared:
        found = self._result.found.get(wanted)
        sighting = self._sightings.get(found.desc.digest) if found is not None else None
        first = sighting.first_seen if sighting is not None else None
        moves = wanted.digest is not None or found is None or found.source.location == self._unit.source
        return TagCompared(
            self._unit.mirror,
            self._unit.source,
            wanted.tag,
            expected or (wanted.digest if wanted.tag is None else None),
            spots,
            moves,
            first if first is not None and first < self._run.now else None,
            self._problems.get(wanted),
        )


def follows(tag: Tag) -> bool:
    """Whether a tag is not one of its own: cosign's, and lists of referrers."""
    return DigestTag.parse(tag) is not None or is_fallback_tag(tag)
