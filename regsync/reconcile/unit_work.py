"""One unit from observation to outcome, tag by tag: while one is copied, the next is looked at."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import anyio

from regsync.content.concurrently import for_each
from regsync.plan.decide import plan_repository, plan_tag
from regsync.plan.model import Action, Problem, Result
from regsync.plan.observation import TagSeen, UnitSeen
from regsync.reconcile.carry_out import CarryOut, Recheck
from regsync.reconcile.choose import choose, lost_tags
from regsync.reconcile.engine import Run
from regsync.reconcile.events import RepositoryFinished, RepositorySelected, RepositoryStarted
from regsync.reconcile.lanes import Lanes
from regsync.reconcile.look import Found, Wanted, look_at
from regsync.reconcile.observe import Observer
from regsync.reconcile.repositories import Repositories, TargetView
from regsync.spec.model import Location, Unit


@dataclass(slots=True)
class UnitWork:
    """What became of one unit so far."""

    unit: Unit
    results: list[Result] = field(default_factory=list)
    unchanged: int = 0


@dataclass(slots=True)
class Progress:
    """What a run has to show so far."""

    works: list[UnitWork] = field(default_factory=list)
    left: list[Result] = field(default_factory=list)  # of no unit: what was not tried, or was deleted

    @property
    def results(self) -> list[Result]:
        """Everything so far."""
        return [*self.left, *(result for work in self.works for result in work.results)]


async def observe_unit(
    run: Run, unit: Unit, repositories: Repositories, *, explain: bool = False
) -> tuple[UnitSeen, Observer, tuple[Found, ...]]:
    """Look at everything that the unit keeps; writes nothing. Also gives who looked, and at what."""
    run.engine.emit(RepositoryStarted(unit.mirror, unit.source))
    view = await look_at(unit, repositories)
    chosen = await choose(run, view, explain=explain)
    if run.pruning is not None:
        run.pruning.saw(view, chosen)
    run.engine.emit(RepositorySelected(unit.mirror, unit.source, len(chosen.wanted)))
    observer = Observer(run, view)
    await observer.prepare()

    async def one(wanted: Wanted) -> tuple[TagSeen, Found | None]:
        async with run.slots:
            seen, found = await observer.observe(wanted)
            return await _probed(unit, seen, repositories), found

    observed = await for_each(one, chosen.wanted, at_once=run.engine.concurrency)
    tags = (*(seen for seen, _ in observed), *lost_tags(unit, chosen))
    seen = UnitSeen(unit, tags, chosen.problems, chosen.explanations)
    actions = [action for tag in tags for action in plan_tag(unit, tag)]
    failed = len(plan_repository(seen))
    problems = failed + sum(action.problem is not None for action in actions)
    unchanged = sum(len(tag.targets) for tag in tags) - len(actions)
    run.engine.emit(
        RepositoryFinished(unit.mirror, unit.source, unchanged, len(actions) + failed - problems, problems)
    )
    return seen, observer, tuple(found for _, found in observed if found is not None)


async def _probed(unit: Unit, seen: TagSeen, repositories: Repositories) -> TagSeen:
    """`seen`, with a problem at each target where something would be written and may not be."""
    refused: dict[Location, Problem] = {}
    for action in plan_tag(unit, seen):
        if action.problem is None and (error := await repositories.may_not_push(action.target)) is not None:
            refused[action.target] = Problem.of(error)
    if not refused:
        return seen
    targets = (replace(one, problem=refused.get(one.location, one.problem)) for one in seen.targets)
    return replace(seen, targets=tuple(targets))


async def sync_unit(run: Run, work: UnitWork, repositories: Repositories) -> None:
    """Bring the unit's targets to what its source has."""
    unit = work.unit
    run.engine.emit(RepositoryStarted(unit.mirror, unit.source))
    view = await look_at(unit, repositories)
    chosen = await choose(run, view)
    if run.pruning is not None:
        run.pruning.saw(view, chosen)
    run.engine.emit(RepositorySelected(unit.mirror, unit.source, len(chosen.wanted)))
    observer = Observer(run, view)
    await observer.prepare()
    carry_out = CarryOut(run, observer, Recheck.UPDATES)
    targets = {one.location: one for one in view.targets if isinstance(one, TargetView)}

    async def one(wanted: Wanted) -> None:
        async with run.slots_for(unit):
            seen, found = await observer.observe(wanted)
            actions = plan_tag(unit, seen)
            work.unchanged += len(seen.targets) - len(actions)
            work.results.extend(not_done(actions))
            pending = [action for action in actions if action.problem is None]
            if pending and found is not None:
                await lanes.take(pending, found)
        await run.remember()

    async with anyio.create_task_group() as group:
        lanes = Lanes(group, carry_out, targets, work.results)
        await for_each(one, chosen.wanted, at_once=run.engine.concurrency)
    seen = UnitSeen(unit, lost_tags(unit, chosen), chosen.problems)
    work.results.extend(not_done(plan_repository(seen)))
    for tag in seen.tags:
        work.results.extend(not_done(plan_tag(unit, tag)))
    problems = sum(result.problem is not None for result in work.results)
    there = sum(result.was_there for result in work.results)
    changed = len(work.results) - problems - there
    run.engine.emit(RepositoryFinished(unit.mirror, unit.source, work.unchanged + there, changed, problems))


def not_done(actions: Sequence[Action]) -> list[Result]:
    """The results of actions that are not tried, since they have a problem already."""
    return [Result(action, one.outcome, one) for action in actions if (one := action.problem) is not None]
