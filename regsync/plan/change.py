"""What a change of a spec causes: two plans from one observation, less what both of them would do; pure.

What nobody keeps any more is said as well, since nothing else says it: leaving a tag, a target or a mirror
out of a spec deletes nothing by itself. So is what no policy guards any more.
"""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace

from regsync.oci.digest import Digest
from regsync.plan.model import Action, Base, Left, Plan, Unguarded, Verb
from regsync.plan.observation import Observation
from regsync.spec.applying import policies_for
from regsync.spec.model import Location, Spec, Unit
from regsync.spec.verification import Mode

MAX_NAMED = 20  # tags that one entry names
Spot = tuple[str, str]  # a place and a repository, whatever the Registry is called
_At = tuple[Spot, str]  # a spot, and a tag or digest


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two specs, what was seen for it, and the plan that it comes to."""

    spec: Spec
    seen: Observation
    plan: Plan

    def spot(self, location: Location) -> Spot:
        """Where a location really is."""
        return self.spec.place(location).key, str(location.repository)


def change(head: Side, base: Side | None, *, revision: str, commit: str) -> Plan:
    """The plan of `head` with what `base` would not do; None: there was no spec before."""
    before = {_key(base, action): _effect(action) for action in base.plan.actions} if base is not None else {}
    caused = tuple(
        action for action in head.plan.actions if before.get(_key(head, action)) != _effect(action)
    )
    said = set(base.plan.warnings) if base is not None else set()
    notes = tuple(one for one in head.plan.warnings if one not in said)
    doubts = tuple(_doubts(head, base)) if base is not None else ()
    told = Base(
        revision,
        commit,
        base.plan.spec_digest if base is not None else None,
        sum(action.problem is None for action in head.plan.actions)
        - sum(action.problem is None for action in caused),
        tuple(sorted(_left(head, base), key=lambda one: one.order)) if base is not None else (),
        tuple(sorted(_unguarded(head, base), key=lambda one: one.order)),
    )
    return replace(head.plan, actions=caused, warnings=(*notes, *doubts), base=told)


def _key(side: Side, action: Action) -> Hashable:
    """What an action is about: a tag or pinned content, or a repository with what is wrong with it."""
    what: Hashable = action.tag or action.digest
    if what is None:
        what = (side.spot(action.source), action.problem.message if action.problem is not None else "")
    return side.spot(action.target), what, action.verb is Verb.DELETE


def _effect(action: Action) -> Hashable:
    problem = (action.problem.outcome, action.problem.message) if action.problem is not None else None
    verdicts = tuple((one.policy, one.mode, one.result) for one in action.verdicts)
    return action.verb, action.digest, action.replaces, problem, verdicts


def _left(head: Side, base: Side) -> Iterator[Left]:
    """What the base kept and nothing keeps any more, and is not deleted either."""
    now = set(_kept(head))
    unsure = {head.spot(target) for target in _unread(head.seen)}
    going = {(head.spot(one.target), one.tag or "") for one in head.plan.actions if one.verb is Verb.DELETE}
    gone: dict[tuple[str, Location], list[str]] = {}
    for at, (unit, target) in _kept(base).items():
        if at not in now and at not in going and at[0] not in unsure:
            gone.setdefault((unit.mirror, target), []).append(at[1])
    for (mirror, target), tags in gone.items():
        yield Left(mirror, target, tuple(sorted(tags)[:MAX_NAMED]), len(tags))


def _kept(side: Side) -> Mapping[_At, tuple[Unit, Location]]:
    """Every tag and pinned digest at every target, by where it really is."""
    found: dict[_At, tuple[Unit, Location]] = {}
    for seen in side.seen.units:
        for tag in seen.tags:
            name: str | Digest | None = tag.tag or tag.digest or tag.source_digest
            for target in tag.targets:
                found[(side.spot(target.location), str(name))] = (seen.unit, target.location)
    return found


def _unread(seen: Observation) -> Iterator[Location]:
    """Targets of what could not be read as a whole."""
    for one in seen.units:
        if one.problems:
            yield from one.unit.targets


def _doubts(head: Side, base: Side) -> Iterator[str]:
    """Mirrors of which it is not known what they did before, though it is known what they do now."""
    now = {head.spot(target) for target in _unread(head.seen)}
    names = {
        one.unit.mirror
        for one in base.seen.units
        if one.problems and any(base.spot(target) not in now for target in one.unit.targets)
    }
    for name in sorted(names):
        yield (
            f"mirror {name}: what it kept before the change could not be read, so that all that it does "
            "now is shown"
        )


def _unguarded(head: Side, base: Side | None) -> Iterator[Unguarded]:
    """Targets that a policy guarded, and new ones that none guards where others are guarded."""
    after = _guards(head)
    before = _guards(base) if base is not None else {}
    has_policies = any(policies for _, _, policies in (*after.values(), *before.values()))
    for spot, (mirror, target, policies) in after.items():
        if spot in before:
            lost = before[spot][2] - policies
            if lost:
                yield Unguarded(mirror, target, tuple(sorted(lost)), tuple(sorted(policies)))
        elif not policies and has_policies:
            yield Unguarded(mirror, target, (), ())


Guards = Mapping[Spot, tuple[str, Location, frozenset[str]]]


def _guards(side: Side) -> Guards:
    """The policies that are enforced at each target."""
    found: dict[Spot, tuple[str, Location, frozenset[str]]] = {}
    for seen in side.seen.units:
        for target in seen.unit.targets:
            applying = policies_for(side.spec, seen.unit.sources, target, seen.unit.verify)
            policies = frozenset(one.name for one in applying if one.mode is Mode.ENFORCE)
            spot = side.spot(target)
            known = found.get(spot)
            names = policies if known is None else known[2] & policies
            found[spot] = (seen.unit.mirror, target, names)
    return found
