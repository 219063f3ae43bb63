"""Retention: what policies no longer keep is decided from what registries hold now, then deleted.

`plan_retention` looks and decides, `retain` deletes too: tags first, then what is their evidence, then, in
time, manifests that nothing leads to. Each repository is decided for itself; whatever cannot be read there
keeps what it could concern. Source: DESIGN.md, section 3, "What is deleted", and section 6, rule 9.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime

import anyio

from regsync.content.concurrently import for_each
from regsync.errors import RegsyncError
from regsync.plan.model import Action, Explanation, Problem, Result, Verb
from regsync.reconcile.engine import Engine, Run
from regsync.reconcile.repositories import Repositories
from regsync.reconcile.retention_carry_out import carry_out
from regsync.reconcile.retention_keeping import Declared, Running
from regsync.reconcile.retention_places import covered
from regsync.reconcile.retention_repository import Looking
from regsync.reconcile.retention_scope import RetentionScope
from regsync.reconcile.retention_times import PlaceTimes
from regsync.reconcile.unit_work import not_done
from regsync.spec.model import Location, Spec
from regsync.spec.retention import RetentionPolicy

REPOSITORIES_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """What policies would let go."""

    actions: tuple[Action, ...]  # sorted; those with a problem are not carried out
    explanations: tuple[Explanation, ...]  # of every tag, by repository and tag
    warnings: tuple[str, ...] = ()


async def plan_retention(
    spec: Spec, engine: Engine, *, policies: Sequence[RetentionPolicy], now: datetime
) -> RetentionPlan:
    """Say what would go, and of every tag why it stays or goes; writes nothing anywhere."""
    async with _running(spec, engine, now, "") as run:
        scopes, problems = await _decide(run, policies)
        return RetentionPlan(
            _sorted([*problems, *(action for scope in scopes for action in scope.actions)]),
            explanations=tuple(one for scope in scopes for one in scope.explanations()),
            warnings=tuple(run.warnings),
        )


async def retain(
    spec: Spec,
    engine: Engine,
    *,
    policies: Sequence[RetentionPolicy],
    now: datetime,
    run_id: str,
    results: list[Result],
) -> tuple[str, ...]:
    """Delete what policies no longer keep; gives warnings.

    `run_id` is the run that `prune --undo` finds the deletions by. What became of each action is added to
    `results` as it goes, so that a run that is ended has them too.
    """
    async with _running(spec, engine, now, run_id) as run:
        scopes, problems = await _decide(run, policies)
        results += not_done(problems)

        async def one(scope: RetentionScope) -> None:
            await carry_out(run, scope, results)
            await run.remember()

        await for_each(one, scopes, at_once=REPOSITORIES_AT_ONCE)
    return tuple(run.warnings)


@asynccontextmanager
async def _running(spec: Spec, engine: Engine, now: datetime, run_id: str) -> AsyncIterator[Run]:
    """A run over all mirrors: also one that is not asked for keeps what it declares."""
    whole = replace(spec, mirrors=spec.declared or spec.mirrors, declared=())
    async with anyio.create_task_group() as group:
        run = Run(engine, whole, now, group, id=run_id)
        yield run
        group.cancel_scope.cancel()


async def _decide(run: Run, policies: Sequence[RetentionPolicy]) -> tuple[list[RetentionScope], list[Action]]:
    """What each repository loses, and what is wrong with repositories or policies as a whole."""
    problems: list[Action] = []
    todo: list[tuple[RetentionPolicy, Location]] = []
    for policy in policies:
        found, unlisted = await covered(run, policy)
        problems += [_problem(policy, one.location, one.error) for one in unlisted]
        todo += [(policy, location) for location in found]
    repositories = Repositories(run)
    declared = await Declared.of(run, [run.spot(location) for _, location in todo], repositories)
    looking = Looking(run, declared, Running(run), PlaceTimes(run))

    async def one(job: tuple[RetentionPolicy, Location]) -> RetentionScope | Action:
        try:
            return await looking.decide(*job)
        except RegsyncError as error:
            return _problem(*job, error)

    decided = await for_each(one, todo, at_once=REPOSITORIES_AT_ONCE)
    problems += [found for found in decided if isinstance(found, Action)]
    return [found for found in decided if isinstance(found, RetentionScope)], problems


def _problem(policy: RetentionPolicy, location: Location, error: RegsyncError) -> Action:
    """Nothing of a repository is deleted, listed once."""
    problem = Problem.of(error)
    return Action(
        Verb.DELETE, policy.name, location, location, None, None, None, None, "not decided", problem=problem
    )


def _sorted(actions: Sequence[Action]) -> tuple[Action, ...]:
    return tuple(sorted(actions, key=lambda action: action.order))
