"""`regsync prune`: what mirrors delete and retention lets go, or what nobody declares any more."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import anyio

from regsync.plan.decide import plan, plan_repository, plan_tag
from regsync.plan.model import Action, Explanation, Plan, Report
from regsync.plan.observation import Observation, UnitSeen
from regsync.plan.pruning import Scope
from regsync.reconcile.abandoned import abandoned
from regsync.reconcile.chain import Feeding
from regsync.reconcile.deleting import delete
from regsync.reconcile.engine import Engine, Run
from regsync.reconcile.expanding import expand
from regsync.reconcile.half_deleted import put_back_half_deleted
from regsync.reconcile.pruning import Pruning
from regsync.reconcile.reported import reported
from regsync.reconcile.repositories import Repositories
from regsync.reconcile.retention import plan_retention, retain
from regsync.reconcile.run import Explain
from regsync.reconcile.unit_work import Progress, not_done
from regsync.spec.flow import mirror_order
from regsync.spec.model import Spec
from regsync.spec.retention import RetentionPolicy

Waves = Sequence[Sequence[Scope]]


@dataclass(frozen=True, slots=True)
class Extent:
    """What may go: what mirrors delete, what retention lets go, or else what nobody declares any more."""

    retention: bool
    abandoned_at_most: int | None = None  # tags of one repository; None: nothing that is abandoned

    ALL: ClassVar["Extent"]
    MIRRORS: ClassVar["Extent"]

    @classmethod
    def abandoned(cls, at_most: int) -> "Extent":
        """The explicit act for what no mirror declares any more, and nothing besides."""
        return cls(retention=False, abandoned_at_most=at_most)

    def policies(self, spec: Spec) -> Sequence[RetentionPolicy]:
        """The retention policies that are carried out."""
        return spec.retention if self.retention else ()


Extent.ALL, Extent.MIRRORS = Extent(retention=True), Extent(retention=False)


async def plan_pruning(
    spec: Spec, engine: Engine, extent: Extent = Extent.ALL, *, explain: Explain = Explain.NO
) -> Plan:
    """What `prune` would delete, with the reason for every tag; writes nothing anywhere."""
    async with anyio.create_task_group() as group:
        run = Run(engine, spec, engine.clock.now(), group)
        known = Pruning(run).is_known
        waves, failures = await _decide(run, extent)
        group.cancel_scope.cancel()
    scopes = tuple(scope for wave in waves for scope in wave)
    warnings = (*run.warnings, *engine.places.warnings())
    made = plan(spec.digest, Observation(tuple(failures), warnings, scopes, known), now=run.now)
    explanations: tuple[Explanation, ...] = tuple(one for scope in scopes for one in scope.explanations)
    if policies := extent.policies(spec):
        retained = await plan_retention(spec, engine, policies=policies, now=run.now)
        actions = sorted((*made.actions, *retained.actions), key=lambda action: action.order)
        explanations += retained.explanations
        made = replace(made, actions=tuple(actions), warnings=(*made.warnings, *retained.warnings))
    return replace(made, explanations=explanations) if explain is Explain.YES else made


async def prune(
    spec: Spec, engine: Engine, extent: Extent = Extent.ALL, *, stop: anyio.Event | None = None
) -> Report:
    """Delete it. `stop` ends the run early: what was deleted is reported."""

    async def body(run: Run, progress: Progress) -> None:
        waves, failures = await _decide(run, extent)
        progress.left.extend(not_done([action for seen in failures for action in _failed(seen)]))
        if run.pruning is not None:
            await put_back_half_deleted(run, run.pruning.begun, waves)
        await delete(run, waves, progress.left, run.pruning.absent if run.pruning is not None else {})
        if policies := extent.policies(spec):
            warnings = await retain(
                spec, engine, policies=policies, now=run.now, run_id=run.id, results=progress.left
            )
            for warning in warnings:
                run.warn(warning)

    return await reported("prune", spec, engine, body, stop)


async def _decide(run: Run, extent: Extent) -> tuple[Waves, list[UnitSeen]]:
    if extent.abandoned_at_most is not None:
        return [await abandoned(run, Repositories(run), extent.abandoned_at_most)], []
    run.pruning = pruning = Pruning(run)
    for level in mirror_order(run.spec):
        await pruning.decide(Repositories(run), Feeding(run.spec, [level]))
        await expand(run, [mirror for mirror in level if mirror.prune is not None])
    await pruning.decide(Repositories(run))
    return pruning.waves, list(pruning.failures)


def _failed(seen: UnitSeen) -> list[Action]:
    return [*plan_repository(seen), *(action for tag in seen.tags for action in plan_tag(seen.unit, tag))]
