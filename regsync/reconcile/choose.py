"""Choosing what a unit keeps: its rules over the tags that its sources list."""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, replace

from regsync.content.concurrently import for_each
from regsync.errors import RegsyncError
from regsync.oci.reference import Tag
from regsync.plan.model import Explanation, Problem
from regsync.plan.observation import TagSeen, TargetSeen
from regsync.reconcile.absent import TagNotFoundError
from regsync.reconcile.engine import Run
from regsync.reconcile.facts import read_facts
from regsync.reconcile.look import UnitView, Wanted
from regsync.reconcile.repositories import SourceView
from regsync.spec.facts import TagFacts
from regsync.spec.model import Unit
from regsync.spec.selection import Selection, TagExplanation, next_facts, select


class SourceTagsUnreadError(RegsyncError):
    """What decides about some tags could not be read."""

    def __init__(self, unit: Unit, tags: tuple[Tag, ...], cause: RegsyncError | None) -> None:
        named = ", ".join(tags[:5]) + (" …" if len(tags) > 5 else "")
        why = f": {cause}" if cause is not None else ""
        super().__init__(f"mirror {unit.mirror}: {unit.source}: cannot decide about {named}{why}")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a unit keeps."""

    wanted: tuple[Wanted, ...]
    problems: tuple[Problem, ...] = ()  # of the repository as a whole
    lost: tuple[tuple[Tag, Problem], ...] = ()  # named tags that no source has
    explanations: tuple[Explanation, ...] = ()
    lapsed: frozenset[Tag] = (
        frozenset()
    )  # what is not wanted for maxAge alone; found out where tags are pruned
    doubts: tuple[str, ...] = ()  # why what is not wanted cannot be told for certain
    explain: Callable[[], tuple[TagExplanation, ...]] = field(default=tuple, compare=False)


async def choose(run: Run, view: UnitView, *, explain: bool = False) -> Chosen:
    """Apply the unit's rules. A guard that trips, or a source that fails, leaves nothing chosen."""
    unit = view.unit
    locked = [Wanted(one.source_tag, one.tag, one.digest) for one in unit.locked]
    if locked and not unit.rules and not view.sources:
        return Chosen((*locked, *_pinned(unit)))  # whoever has them lends them, or each says why not
    if not view.sources or (unit.needs_tags and not any(one.listed is not None for one in view.sources)):
        return Chosen(tuple(locked), tuple(Problem.of(unseen.error) for unseen in view.unseen[:1]))
    for unseen in view.unseen:
        run.warn(
            f"mirror {unit.mirror}: {unseen.location} was not read, the other sources were: {unseen.error}"
        )
    held = {one.source_tag for one in unit.locked}
    pinned = [*locked, *(one for one in _pinned(unit) if one.source_tag not in held)]
    if not unit.rules:
        return Chosen(tuple(pinned))
    origins = _origins(view)
    facts: dict[Tag, TagFacts] = {}
    failures = await _read_facts(run, unit, origins, facts)
    selection = select(unit, origins, facts, now=run.now)
    problems = [Problem.of(problem) for problem in selection.problems]
    if selection.undecided:
        cause = failures.get(selection.undecided[0]) or next(iter(failures.values()), None)
        problems.append(Problem.of(SourceTagsUnreadError(unit, selection.undecided, cause)))
    explanations = _explanations(unit, selection) if explain else ()
    lost = tuple((tag, _absent(unit, tag)) for tag in selection.missing if tag not in held)
    if selection.problems:
        return Chosen(tuple(pinned), tuple(problems), lost, explanations)
    lapsed, doubts = await _lapsed(run, unit, origins, facts)
    wanted = (*_selected(selection, held), *pinned)
    return Chosen(wanted, tuple(problems), lost, explanations, lapsed, doubts, selection.explain)


async def _lapsed(
    run: Run, unit: Unit, origins: Mapping[Tag, SourceView], facts: dict[Tag, TagFacts]
) -> tuple[frozenset[Tag], tuple[str, ...]]:
    """What would be wanted whatever its age, under its names on the targets; and why that is not certain."""
    if run.pruning is None or not run.pruning.is_on or all(rule.max_age is None for rule in unit.rules):
        return frozenset(), ()
    ageless = replace(unit, rules=tuple(replace(rule, max_age=None) for rule in unit.rules))
    await _read_facts(run, ageless, origins, facts)
    selection = select(ageless, origins, facts, now=run.now)
    doubts = [str(problem) for problem in selection.problems]
    if selection.undecided:
        doubts.append(str(SourceTagsUnreadError(unit, selection.undecided, None)))
    return frozenset(tag for _, tag in selection.tags), tuple(doubts)


async def _read_facts(
    run: Run, unit: Unit, origins: Mapping[Tag, SourceView], facts: dict[Tag, TagFacts]
) -> dict[Tag, RegsyncError]:
    """Add what decides about tags and no listing shows to `facts`; why some of it could not be read."""
    failures: dict[Tag, RegsyncError] = {}

    async def look_up(tag: Tag) -> None:
        async with run.slots:
            try:
                facts[tag] = await read_facts(run, origins[tag], tag)
            except RegsyncError as error:
                failures[tag] = error

    while wanted := next_facts(unit, origins, facts, now=run.now):
        await for_each(look_up, sorted(wanted), at_once=run.engine.concurrency)
        if failures:
            break
    return failures


def _selected(selection: Selection, held: Container[Tag | None]) -> list[Wanted]:
    """What the rules choose, but for what the lock file holds."""
    return [
        Wanted(source_tag, tag, rule=selection.rules.get(source_tag))
        for source_tag, tag in selection.tags
        if source_tag not in held
    ]


def _pinned(unit: Unit) -> list[Wanted]:
    """What the unit names by itself, without a rule."""
    pinned = [Wanted(None, None, digest) for digest in unit.digests]
    return pinned + [Wanted(pin.tag, pin.tag, pin.digest) for pin in unit.pinned]


def _origins(view: UnitView) -> dict[Tag, SourceView]:
    """Every tag that a source lists, or (unlisted) that a rule names, with the first that has it."""
    origins: dict[Tag, SourceView] = {}
    for source in view.sources:
        for tag in source.listed if source.listed is not None else _literals(view.unit):
            origins.setdefault(tag, source)
    return origins


def _literals(unit: Unit) -> tuple[Tag, ...]:
    return tuple(tag for rule in unit.rules for tag in rule.names)


def _absent(unit: Unit, tag: Tag) -> Problem:
    return Problem.of(TagNotFoundError(tag, ", ".join(map(str, unit.sources))))


def _explanations(unit: Unit, selection: Selection) -> tuple[Explanation, ...]:
    return tuple(
        Explanation(unit.mirror, unit.source, one.tag, one.kept, one.why) for one in selection.explanations
    )


def lost_tags(unit: Unit, chosen: Chosen) -> tuple[TagSeen, ...]:
    """Named tags that no source has: a failure at each target."""
    return tuple(
        TagSeen(
            unit.source, tag, tag, None, None, tuple(TargetSeen(one) for one in unit.targets), problem=problem
        )
        for tag, problem in chosen.lost
    )
