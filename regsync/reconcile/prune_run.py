"""`regsync prune`: what mirrors delete, or what no mirror declares any more; nothing is copied."""

from collections.abc import Sequence
from dataclasses import replace

import anyio

from regsync.plan.decide import plan, plan_repository, plan_tag
from regsync.plan.model import Action, Plan, Report
from regsync.plan.observation import Observation, UnitSeen
from regsync.plan.pruning import Scope
from regsync.reconcile.abandoned import abandoned
from regsync.reconcile.chain import Feeding
from regsync.reconcile.deleting import delete
from regsync.reconcile.engine import Engine, Run
from regsync.reconcile.expanding import expand
from regsync.reconcile.pruning import Pruning
from regsync.reconcile.reported import reported
from regsync.reconcile.repositories import Repositories
from regsync.reconcile.run import Explain
from regsync.reconcile.unit_work import Progress, not_done
from regsync.spec.flow import mirror_order
from regsync.spec.model import Spec

Waves = Sequence[Sequence[Scope]]


async def plan_pruning(
    spec: Spec, engine: Engine, *, explain: Explain = Explain.NO, abandoned_at_most: int | None = None
) -> Plan:
    """What `prune` would delete, with the reason for every tag; writes nothing anywhere.

    `abandoned_at_most`: of each repository, of what no mirror declares any more, instead of what mirrors
    delete.
    """
    async with anyio.create_task_group() as group:
        run = Run(engine, spec, engine.clock.now(), group)
        known = Pruning(run).is_known
        waves, failures = await _decide(run, abandoned_at_most)
        group.cancel_scope.cancel()
    scopes = tuple(scope for wave in waves for scope in wave)
    warnings = (*run.warnings, *engine.places.warnings())
    made = plan(spec.digest, Observation(tuple(failures), warnings, scopes, known), now=run.now)
    if explain is Explain.NO:
        return made
    return replace(made, explanations=tuple(one for scope in scopes for one in scope.explanations))


async def prune(
    spec: Spec, engine: Engine, *, abandoned_at_most: int | None = None, stop: anyio.Event | None = None
) -> Report:
    """Delete it. `stop` ends the run early: what was deleted is reported."""

    async def body(run: Run, progress: Progress) -> None:
        waves, failures = await _decide(run, abandoned_at_most)
        progress.left.extend(not_done([action for seen in failures for action in _failed(seen)]))
        progress.left.extend(await delete(run, waves))

    return await reported("prune", spec, engine, body, stop)


async def _decide(run: Run, abandoned_at_most: int | None) -> tuple[Waves, list[UnitSeen]]:
    if abandoned_at_most is not None:
        return [await abandoned(run, Repositories(run), abandoned_at_most)], []
    run.pruning = pruning = Pruning(run)
    for level in mirror_order(run.spec):
        await pruning.decide(Repositories(run), Feeding(run.spec, [level]))
        await expand(run, [mirror for mirror in level if mirror.prune is not None])
    await pruning.decide(Repositories(run))
    return pruning.waves, list(pruning.failures)


def _failed(seen: UnitSeen) -> list[Action]:
    return [*plan_repository(seen), *(action for tag in seen.tags for action in plan_tag(seen.unit, tag))]
