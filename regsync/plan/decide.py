"""The plan is a function of what was seen: the same input gives the same plan."""

from datetime import datetime

from regsync.oci.digest import Digest
from regsync.plan.arrivals import held_back, lacking
from regsync.plan.model import Action, Outcome, Plan, Problem, Verb
from regsync.plan.observation import Observation, TagSeen, TargetSeen, UnitSeen
from regsync.spec.model import Location, Unit

NOT_AS_HELD = "not where the lock file holds it"


def plan(spec_digest: Digest, observation: Observation, *, now: datetime) -> Plan:
    """What has to change so that targets are as the spec says."""
    actions: list[Action] = []
    unchanged = 0
    for seen in observation.units:
        actions.extend(plan_repository(seen))
        for tag in seen.tags:
            planned = plan_tag(seen.unit, tag)
            actions.extend(planned)
            unchanged += len(tag.targets) - len(planned)
    absent = lacking((one, one.problem.outcome if one.problem else Outcome.DONE) for one in actions)
    for scope in observation.scopes:
        actions.extend(held_back(scope.actions, absent))
    return Plan(
        spec_digest,
        now,
        tuple(sorted(actions, key=lambda action: action.order)),
        unchanged,
        observation.warnings,
        (*(one for seen in observation.units for one in seen.explanations), *observation.explanations),
        observation.knows_deletions,
    )


def plan_repository(seen: UnitSeen) -> tuple[Action, ...]:
    """What is wrong with a repository as a whole, listed once for each target."""
    return tuple(
        _unreadable(seen.unit, target, problem) for problem in seen.problems for target in seen.unit.targets
    )


def plan_tag(unit: Unit, seen: TagSeen) -> tuple[Action, ...]:
    """One tag: an action for each target where something has to change, or cannot."""
    return tuple(action for target in seen.targets if (action := _decide(unit, seen, target)) is not None)


def _decide(unit: Unit, seen: TagSeen, target: TargetSeen) -> Action | None:
    if target.kept and target.problem is None:
        return None
    problem = seen.problem or target.problem
    if target.unseen:
        return _action(unit, seen, target, Verb.CREATE, "the target could not be looked at", problem)
    if problem is not None and seen.digest is None:
        verb = Verb.CREATE if target.digest is None else Verb.UPDATE
        return _action(unit, seen, target, verb, "could not be read", problem)
    if target.digest is None:
        reason = "not on the target" if seen.tag is not None else "pinned content, not on the target"
        return _action(unit, seen, target, Verb.CREATE, reason, problem)
    if target.digest != seen.digest:
        if not seen.moves and problem is None:
            return None
        return _action(unit, seen, target, Verb.UPDATE, _why_moved(seen), problem)
    if target.evidence_lacking:
        count = target.evidence_lacking
        reason = f"same digest, {count} piece{'s' if count > 1 else ''} of evidence missing on the target"
        return _action(unit, seen, target, Verb.UPDATE, reason, problem)
    if problem is None:
        return None
    refused = any(not one.lets_pass for one in target.verdicts)
    reason = "there already, and refused by a policy" if refused else "evidence not compared"
    return _action(unit, seen, target, Verb.UPDATE, reason, problem)


def _why_moved(seen: TagSeen) -> str:
    if seen.held:
        return NOT_AS_HELD
    return "not what the lock file says" if seen.locked else "moved at the source"


def _action(
    unit: Unit, seen: TagSeen, target: TargetSeen, verb: Verb, reason: str, problem: Problem | None
) -> Action:
    return Action(
        verb,
        unit.mirror,
        seen.source,
        target.location,
        seen.tag,
        seen.digest,
        target.digest,
        seen.size,
        reason,
        seen.source_tag,
        seen.source_digest,
        problem,
        target.verdicts,
    )


def _unreadable(unit: Unit, target: Location, problem: Problem) -> Action:
    return Action(
        Verb.CREATE, unit.mirror, unit.source, target, None, None, None, None, "not read", problem=problem
    )
