"""Runs: a plan, a sync, and the application of a saved plan."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum
from functools import partial

import anyio
from anyio.abc import TaskGroup

from regsync.content.concurrently import for_each
from regsync.errors import RegsyncError
from regsync.plan.decide import plan, plan_repository, plan_tag
from regsync.plan.model import Explanation, Plan, Report, Verb
from regsync.plan.observation import Observation, UnitSeen
from regsync.reconcile.apply_plan import NotDeclaredError, apply_actions, refuse_stale, refused
from regsync.reconcile.chain import Feeding
from regsync.reconcile.delete_planned import delete_planned
from regsync.reconcile.deleting import delete, lacking_of
from regsync.reconcile.engine import Engine, Run
from regsync.reconcile.expanding import expand
from regsync.reconcile.half_deleted import put_back_half_deleted
from regsync.reconcile.lanes import by_targets
from regsync.reconcile.look import Found
from regsync.reconcile.observe import Observer
from regsync.reconcile.pace import Pace
from regsync.reconcile.planned import PlannedPlaces
from regsync.reconcile.pruning import Pruning
from regsync.reconcile.reported import reported
from regsync.reconcile.repositories import Repositories
from regsync.reconcile.unit_work import Progress, UnitWork, not_done, observe_unit, sync_unit
from regsync.spec.flow import mirror_order
from regsync.spec.model import Spec, Unit

UNITS_AT_ONCE = 64  # repositories that are looked at at the same time
MAX_AGE = timedelta(hours=24)  # of a plan that is applied


class Explain(Enum):
    """Whether a plan says of every tag why it is in or out."""

    NO = "no"
    YES = "yes"


async def make_plan(spec: Spec, engine: Engine, *, explain: Explain = Explain.NO) -> Plan:
    """Look at both sides and say what would change; writes nothing anywhere."""
    observed, now = await observe(spec, engine, explain=explain)
    return plan(spec.digest, observed, now=now)


async def observe(
    spec: Spec, engine: Engine, *, explain: Explain = Explain.NO
) -> tuple[Observation, datetime]:
    """What a plan of `spec` is made of, and when it was; writes nothing anywhere."""
    places = PlannedPlaces(engine.places)
    levels = mirror_order(spec)
    seen: list[UnitSeen] = []
    async with anyio.create_task_group() as group:
        run = Run(replace(engine, places=places), spec, engine.clock.now(), group)
        run.pruning = pruning = Pruning(run)
        for number, level in enumerate(levels):
            repositories = Repositories(run)
            await pruning.decide(repositories, Feeding(spec, [level]))
            todo, unseen = await expand(run, level)
            seen.extend(unseen)
            look = partial(observe_unit, run, repositories=repositories, explain=explain is Explain.YES)
            for found, observer, content in await for_each(look, todo, at_once=UNITS_AT_ONCE):
                seen.append(found)
                if number < len(levels) - 1:
                    await _assume_done(places, found, observer, content)
        await pruning.decide(Repositories(run))
    warnings = (*run.warnings, *run.verification.warnings(), *engine.places.warnings())
    fates: tuple[Explanation, ...] = ()
    if explain is Explain.YES:
        fates = tuple(one for scope in pruning.scopes for one in scope.explanations)
    return Observation(tuple(seen), warnings, tuple(pruning.scopes), pruning.is_known, fates), run.now


async def sync(
    spec: Spec, engine: Engine, *, stop: anyio.Event | None = None, command: str = "sync"
) -> Report:
    """Plan and apply in one pass. `stop` ends it early: what was done is reported.

    `command` is what the ledger's history calls it.
    """

    async def body(run: Run, progress: Progress) -> None:
        levels = mirror_order(spec)
        run.pruning = pruning = Pruning(run)
        async with anyio.create_task_group() as unawaited:
            for number, level in enumerate(levels, 1):
                repositories = Repositories(run)
                await pruning.decide(repositories, Feeding(spec, [level]))
                todo, unseen = await expand(run, level)
                progress.left.extend(one for seen in unseen for one in not_done(plan_repository(seen)))
                read, unread = Feeding(spec, levels[number:]).part(todo)
                unawaited.start_soon(_sync_units, run, progress, repositories, unread)
                await _sync_units(run, progress, repositories, read)
        await pruning.decide(Repositories(run))
        await put_back_half_deleted(run, pruning.begun, pruning.waves)
        await delete(run, pruning.waves, progress.left, lacking_of(progress.results))

    return await reported(command, spec, engine, body, stop)


async def apply(
    planned: Plan,
    spec: Spec,
    engine: Engine,
    *,
    max_age: timedelta = MAX_AGE,
    stop: anyio.Event | None = None,
) -> Report:
    """Carry out exactly this plan; raises StalePlanError when it is of another spec, or too old."""
    refuse_stale(planned, spec, max_age=max_age, now=engine.clock.now())

    async def body(run: Run, progress: Progress) -> None:
        progress.left.extend(not_done(planned.actions))
        deletions = [action for action in planned.pending if action.verb is Verb.DELETE]
        left = tuple(action for action in planned.pending if action.verb is not Verb.DELETE)
        levels = mirror_order(spec)
        async with anyio.create_task_group() as unawaited:
            for number, level in enumerate(levels, 1):  # what one mirror writes the next may read
                names = {mirror.name for mirror in level}
                actions = [action for action in left if action.mirror in names]
                left = tuple(action for action in left if action.mirror not in names)
                used = {action.mirror for action in actions}
                expanded = await expand(run, [mirror for mirror in level if mirror.name in used])
                feeding = Feeding(spec, levels[number:])
                unread = [action for action in actions if action.target not in feeding]
                unawaited.start_soon(apply_actions, run, unread, *expanded, progress)
                read = [action for action in actions if action.target in feeding]
                await apply_actions(run, read, *expanded, progress)
        progress.left.extend(refused(action, NotDeclaredError(action)) for action in left)
        await delete_planned(run, deletions, levels, progress)

    report = await reported("apply", spec, engine, body, stop)
    return replace(report, unchanged=report.unchanged + planned.unchanged)


async def _sync_units(run: Run, progress: Progress, repositories: Repositories, todo: Sequence[Unit]) -> None:
    async with anyio.create_task_group() as late:
        level = _Level(run, progress, repositories, late)
        await for_each(level.sync_alike, by_targets(todo, lambda unit: unit))


class _Level:
    """Units that read nothing of each other. What their slow targets get is brought there in `late`."""

    def __init__(self, run: Run, progress: Progress, repositories: Repositories, late: TaskGroup) -> None:
        self._run, self._progress, self._repositories, self._late = run, progress, repositories, late
        self._pace = Pace(run, repositories)

    async def sync_alike(self, units: Sequence[Unit]) -> None:
        """Units that write to the same registries."""
        await for_each(self._sync, units, at_once=UNITS_AT_ONCE)

    async def _sync(self, unit: Unit) -> None:
        prompt, *late = await self._pace.part(unit)
        for part in late:
            self._late.start_soon(self._bring, part)
        await self._bring(prompt)

    async def _bring(self, unit: Unit) -> None:
        work = UnitWork(unit)
        self._progress.works.append(work)
        await sync_unit(self._run, work, self._repositories)


async def _assume_done(
    places: PlannedPlaces, seen: UnitSeen, observer: Observer, content: Sequence[Found]
) -> None:
    """Let later mirrors see what this one is going to write."""
    roots = {found.desc.digest: found for found in content}
    for tag in seen.tags:
        for action in plan_tag(seen.unit, tag):
            found = roots.get(action.source_digest) if action.source_digest is not None else None
            if action.problem is not None or found is None:
                continue
            with suppress(RegsyncError):  # then the later mirror shows what it cannot read
                graph, stores = await observer.graph(found), observer.stores
                evidence = observer.shelf_of(found)
                places.planned(action.target).add(action.tag, graph, stores, evidence, observer.takes)
