"""What a lock file should say: every selected tag with its digest, as sources have it now. Writes nothing.

Entries that are held, or there already, make no difference here; what becomes of them `merge` decides.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import anyio

from regsync.content.concurrently import for_each
from regsync.errors import RefusedError, RegsyncError
from regsync.oci.reference import Tag
from regsync.plan.model import Problem
from regsync.reconcile.choose import choose
from regsync.reconcile.engine import Engine, Run
from regsync.reconcile.events import RepositorySelected, RepositoryStarted
from regsync.reconcile.expanding import expand
from regsync.reconcile.judged import Judged, reference
from regsync.reconcile.look import Found, Wanted, look_at_sources
from regsync.reconcile.observe import Observer
from regsync.reconcile.planned import PlannedPlaces
from regsync.reconcile.repositories import Repositories
from regsync.reconcile.verification import Memory
from regsync.spec.flow import mirror_order
from regsync.spec.globs import matches_any
from regsync.spec.lock import NO_LOCK, LockEntry, source_name
from regsync.spec.lock_merge import Current, UnitNow
from regsync.spec.locked import trims
from regsync.spec.model import Binding, Spec, Unit
from regsync.trust.verdict import Result

UNITS_AT_ONCE = 64  # repositories that are looked at at the same time


@dataclass(frozen=True, slots=True)
class Looked:
    """What sources have, and what could not be told."""

    units: tuple[UnitNow, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]


@dataclass(slots=True)
class _Unit:
    """One unit while its tags are looked up."""

    unit: Unit
    observer: Observer
    problems: list[Problem] = field(default_factory=list)
    unread: set[Tag] = field(default_factory=set)
    found: list[tuple[Wanted, Found, LockEntry, str | None]] = field(default_factory=list)


async def look_up(spec: Spec, engine: Engine) -> Looked:
    """Every selected tag at its source, with what policies say of it; writes nothing but first sights."""
    places = PlannedPlaces(engine.places)
    levels = mirror_order(spec)
    units: list[UnitNow] = []
    problems: list[Problem] = []
    async with anyio.create_task_group() as group:
        unlocked = replace(spec, lock=NO_LOCK, binding=Binding.HOLDS)
        run = Run(replace(engine, places=places), unlocked, engine.clock.now(), group)
        for number, level in enumerate(levels, 1):
            todo, unseen = await expand(run, level)
            units += [UnitNow(seen.unit.mirror, (), whole=False) for seen in unseen]
            problems += [problem for seen in unseen for problem in seen.problems]
            work = _Level(run, Repositories(run), places if number < len(levels) else None)
            for now, found in await for_each(work.look, todo, at_once=UNITS_AT_ONCE):
                units.append(now)
                problems += found
        await run.remember(at_least=0)
    warnings = (*run.warnings, *run.verification.warnings(), *engine.places.warnings())
    return Looked(tuple(units), tuple(problems), warnings)


@dataclass(frozen=True, slots=True)
class _Level:
    """Units that read nothing of each other; `places` show to later ones what these are going to bring."""

    run: Run
    repositories: Repositories
    places: PlannedPlaces | None

    async def look(self, unit: Unit) -> tuple[UnitNow, list[Problem]]:
        """One unit. A guard that trips, or a source that fails, leaves its entries as they are."""
        run = self.run
        run.engine.emit(RepositoryStarted(unit.mirror, unit.source))
        view = await look_at_sources(unit, self.repositories)
        chosen = await choose(run, view)
        run.engine.emit(RepositorySelected(unit.mirror, unit.source, len(chosen.wanted)))
        work = _Unit(unit, Observer(run, view))
        work.problems += [*chosen.problems, *(problem for _, problem in chosen.lost)]
        work.unread |= {tag for tag, _ in chosen.lost}

        async def one(wanted: Wanted) -> None:
            async with run.slots:
                await self._one(work, wanted)

        await for_each(one, chosen.wanted, at_once=run.engine.concurrency)
        return self._now(work, whole=not chosen.problems), work.problems

    async def _one(self, work: _Unit, wanted: Wanted) -> None:
        try:
            found = await work.observer.look_up(wanted)
            graph = await work.observer.graph(found)
            refusal, signers = await self._judge(work, wanted, found)
        except RegsyncError as error:
            work.problems.append(Problem.of(error))
            if wanted.source_tag is not None:
                work.unread.add(wanted.source_tag)
            return
        is_trimmed = trims(work.unit)  # said of a single image too: then it is known not to be stale
        entry = LockEntry(
            source_name(self.run.spec.registries, found.source.location),
            wanted.source_tag,
            found.desc.digest,
            mirror=work.unit.mirror,
            rule=str(wanted.rule) if wanted.rule is not None else None,
            size=graph.size,
            signers=signers,
            index=found.desc.digest if is_trimmed else None,
            target=found.digest if is_trimmed else None,
        )
        if refusal is not None:
            work.problems.append(Problem.of(refusal))
        work.found.append((wanted, found, entry, str(refusal) if refusal is not None else None))
        if self.places is not None and refusal is None:
            await _assume_done(self.places, work, wanted, found)

    async def _judge(
        self, work: _Unit, wanted: Wanted, found: Found
    ) -> tuple[RegsyncError | None, tuple[str, ...]]:
        """Why no target may have it, None where one may; and whose signatures counted.

        Raises VerificationFailedError where it cannot be told.
        """
        verification, unit = self.run.verification, work.unit
        judged = await verification.at_source(work.observer, found, wanted.source_tag, Memory.ALL)
        image = reference(found, wanted.source_tag)
        refusals = [
            _refusal([judged[policy.name] for policy in verification.policies(unit, target)], image)
            for target in unit.targets
        ]
        refusal = refusals[0] if refusals and None not in refusals else None
        if refusal is not None and not isinstance(refusal, RefusedError):
            raise refusal
        passed = (one.judgement for one in judged.values() if one.judgement.result is Result.PASS)
        return refusal, tuple(sorted({signer for judgement in passed for signer in judgement.signers}))

    def _now(self, work: _Unit, *, whole: bool) -> UnitNow:
        names = [source_name(self.run.spec.registries, one) for one in work.unit.sources]
        spots = {found.source.spot for _, found, _, _ in work.found}
        seen = {spot: self.run.engine.ledger.sightings(spot) for spot in spots}
        current = tuple(
            Current(
                entry,
                seen[found.source.spot][found.desc.digest].first_seen,
                wanted.tag is not None and matches_any(work.unit.immutable, wanted.tag) is not None,
                refusal,
            )
            for wanted, found, entry, refusal in work.found
        )
        return UnitNow(work.unit.mirror, tuple(names), current, whole, frozenset(work.unread))


def _refusal(judged: Sequence[Judged], image: str) -> RegsyncError | None:
    return next((error for one in judged if (error := one.refusal(image)) is not None), None)


async def _assume_done(places: PlannedPlaces, work: _Unit, wanted: Wanted, found: Found) -> None:
    """Let later mirrors see what this one is going to bring."""
    observer = work.observer
    with suppress(RegsyncError):  # then the later mirror shows what it cannot read
        graph, shelf = await observer.graph(found), observer.shelf_of(found)
        for target in work.unit.targets:
            places.planned(target).add(wanted.tag, graph, observer.stores, shelf, observer.takes)
