"""Applying a saved plan: exactly its actions, of this spec, at targets that did not move since."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import anyio

from regsync.content.concurrently import for_each
from regsync.errors import RefusedError, RegsyncError
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.plan.model import Action, Cause, Outcome, Plan, Problem, Result, Verb
from regsync.plan.observation import UnitSeen
from regsync.reconcile.carry_out import CarryOut, Recheck
from regsync.reconcile.engine import Run
from regsync.reconcile.lanes import Lanes, by_targets
from regsync.reconcile.look import UnitView, look_at
from regsync.reconcile.observe import Observer
from regsync.reconcile.repositories import Repositories, TargetView
from regsync.reconcile.unit_work import Progress, UnitWork
from regsync.spec.globs import matches_any
from regsync.spec.model import Pin, Spec, Unit
from regsync.spec.overlap import Writes, common_tag
from regsync.spec.renaming import RenameFailedError, parse_template


class StalePlanError(RefusedError):
    """The plan is not of this spec, or is too old."""

    @property
    def hint(self) -> str:
        """What to do next."""
        return "make a new one with `regsync plan --out FILE`, and have it reviewed"


class NotDeclaredError(RefusedError):
    """An action of the plan is nothing that the spec declares."""

    def __init__(self, action: Action) -> None:
        super().__init__(
            f"the plan brings {action.tag or action.digest} from {action.source} to {action.target} "
            f"for mirror {action.mirror}, which the spec does not declare"
        )


class ImmutableTagError(RefusedError):
    """An action of the plan would move a tag that is never moved."""

    def __init__(self, action: Action) -> None:
        super().__init__(f"{action.target}:{action.tag} is immutable and already points to {action.replaces}")


class ContentChangedError(RefusedError):
    """What the plan's source digest leads to is not what the plan says the target is to have."""

    def __init__(self, action: Action, actual: Digest) -> None:
        super().__init__(
            f"{action.source}: {action.source_digest} leads to {actual}, the plan says {action.digest}"
        )


@dataclass(frozen=True, slots=True)
class _Content:
    """Actions that bring the same content under the same tag, to several targets."""

    source_digest: Digest
    digest: Digest
    tag: Tag | None


def refuse_stale(plan: Plan, spec: Spec, *, max_age: timedelta, now: datetime) -> None:
    """Raise StalePlanError unless `plan` was made from `spec` within `max_age`."""
    if plan.spec_digest != spec.digest:
        raise StalePlanError(f"the plan was made from spec {plan.spec_digest}, this is {spec.digest}")
    age = now - plan.created
    if age > max_age:
        raise StalePlanError(f"the plan is {_in_words(age)} old, at most {_in_words(max_age)} is allowed")
    if age < -timedelta(minutes=5):
        raise StalePlanError(f"the plan was made at {plan.created.isoformat()}, which has not come yet")


def _in_words(length: timedelta) -> str:
    """`90 seconds` as `1 minute 30 seconds`: the two largest units, none of them zero."""
    seconds = int(length.total_seconds())
    if seconds == 0:
        return "less than a second" if length else "0 seconds"
    counts = (("hour", seconds // 3600), ("minute", seconds // 60 % 60), ("second", seconds % 60))
    shown = [f"{count} {unit}{'' if count == 1 else 's'}" for unit, count in counts if count]
    return " ".join(shown[:2])


async def apply_actions(
    run: Run, actions: Sequence[Action], units: Sequence[Unit], unseen: Sequence[UnitSeen], progress: Progress
) -> None:
    """Carry out `actions`, which have to be declared by `units`; `unseen` are mirrors without units now."""
    repositories = Repositories(run)
    unexpanded = {seen.unit.mirror: problem for seen in unseen for problem in seen.problems}
    todo: dict[int, tuple[Unit, list[Action]]] = {}
    for action in actions:
        if (problem := unexpanded.get(action.mirror)) is not None:
            progress.left.append(Result(action, problem.outcome, problem))
            continue
        try:
            unit = declaring(action, units)
        except RefusedError as error:
            progress.left.append(refused(action, error))
        else:
            todo.setdefault(id(unit), (unit, []))[1].append(action)

    async def one(job: tuple[Unit, list[Action]]) -> None:
        work = UnitWork(job[0])
        progress.works.append(work)
        await _apply_unit(run, work, job[1], await look_at(job[0], repositories))

    async def alike(jobs: Sequence[tuple[Unit, list[Action]]]) -> None:
        await for_each(one, jobs, at_once=run.engine.concurrency)

    await for_each(alike, by_targets(todo.values(), lambda job: job[0]))


async def _apply_unit(run: Run, work: UnitWork, actions: Sequence[Action], view: UnitView) -> None:
    observer = Observer(run, view)
    carry_out = CarryOut(run, observer, Recheck.ALL)
    targets = {one.location: one for one in view.targets if isinstance(one, TargetView)}
    unseen = {one.location: one.error for one in view.targets if not isinstance(one, TargetView)}
    groups: dict[_Content, list[Action]] = {}
    for action in actions:
        if action.target in unseen:
            problem = Problem.of(unseen[action.target])
            work.results.append(Result(action, problem.outcome, problem))
        elif action.digest is not None:
            content = _Content(action.source_digest or action.digest, action.digest, action.tag)
            groups.setdefault(content, []).append(action)

    async def one(content: _Content) -> None:
        async with run.slots_for(view.unit):
            try:
                found = await observer.find(content.source_digest)
                if found.digest != content.digest:
                    raise ContentChangedError(groups[content][0], found.digest)
            except RegsyncError as error:
                work.results.extend(refused(action, error) for action in groups[content])
                return
            await lanes.take(groups[content], found)
        await run.remember()

    async with anyio.create_task_group() as group:
        lanes = Lanes(group, carry_out, targets, work.results)
        await for_each(one, groups, at_once=run.engine.concurrency)


def declaring(action: Action, units: Sequence[Unit]) -> Unit:
    """The unit that may lead to `action`; raises NotDeclaredError or ImmutableTagError."""
    for unit in units:
        if unit.mirror == action.mirror and _may_read(unit, action) and action.target in unit.targets:
            break
    else:
        raise NotDeclaredError(action)
    if action.verb is Verb.DELETE or not _may_write(unit, action):
        raise NotDeclaredError(action)
    moves = action.replaces is not None and action.replaces != action.digest
    if moves and action.tag is not None and matches_any(unit.immutable, action.tag) is not None:
        raise ImmutableTagError(action)
    return unit


def _may_read(unit: Unit, action: Action) -> bool:
    """Whether the unit reads from there; what is locked it may read from a target too."""
    if action.source in unit.sources:
        return True
    return action.source in unit.targets and action.source_digest in _locked(unit, action.tag)


def _locked(unit: Unit, tag: Tag | None) -> set[Digest | None]:
    """What the lock file lets `tag` be."""
    return {digest for one in unit.locked if one.tag == tag for digest in (one.digest, one.trimmed) if digest}


def _may_write(unit: Unit, action: Action) -> bool:
    """Whether the unit names this tag or digest, or has a rule that could. A plan is data from outside."""
    if locked := _locked(unit, action.tag):
        return action.source_digest in locked
    pins = {pin.digest for pin in unit.pinned if pin.tag == action.tag}
    if action.tag is None:
        return action.source_digest in unit.digests or action.source_digest in pins
    if pins:
        named_alike = action.source_tag in (None, action.tag)
        return named_alike and (None in pins or action.source_digest in pins)
    if action.source_tag is not None and not _may_be_of(unit, action.source_tag, action.tag):
        return False
    return common_tag(Writes.of_unit(unit), Writes.of((), (Pin(action.tag, None),), "{tag}")) is not None


def _may_be_of(unit: Unit, source_tag: Tag, tag: Tag) -> bool:
    """Whether a tag is selected, and called `tag` on targets. Policies are asked about it by its own name."""
    if matches_any(unit.exclude_tags, source_tag) is not None:
        return False
    template = parse_template(unit.rename)
    if template.needs_facts or template.needs_version:
        return True  # what it is called there is for the run that selects it to say
    try:
        return template.fill(source_tag, None, None) == tag
    except RenameFailedError:
        return False


def refused(action: Action, error: RegsyncError) -> Result:
    """The result of an action that an error kept from being tried."""
    problem = Problem.of(error)
    if isinstance(error, RefusedError):
        problem = replace(problem, outcome=Outcome.REFUSED, cause=Cause.POLICY)
    return Result(action, problem.outcome, problem)
