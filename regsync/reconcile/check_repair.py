"""What heals the differences that a check found, as a plan for `apply`: exactly that and nothing else.

Tags that nobody selects are prune's; content that is damaged under the right tag cannot be healed by a copy,
since the place says that it has it.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from regsync.content.concurrently import for_each
from regsync.errors import RegsyncError, UnsupportedError
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.plan.check import Drift, Row, State
from regsync.plan.decide import plan_tag
from regsync.plan.model import Action, Problem
from regsync.plan.observation import TagSeen, TargetSeen
from regsync.reconcile.apply_plan import ImmutableTagError
from regsync.reconcile.check_unit import UnitChecked
from regsync.reconcile.look import Found, Wanted
from regsync.reconcile.observe import Observer
from regsync.spec.globs import matches_any

UNITS_AT_ONCE, TAGS_AT_ONCE = 16, 16
_HEALABLE = (State.MISSING, State.DRIFTED, State.EVIDENCE_MISSING)
_BENEATH = (Drift.INCOMPLETE, Drift.DAMAGED)


class BeneathTheTagError(UnsupportedError):
    """A tag is what it should be, and what it leads to is not: no copy can bring that."""

    usual_hint = (
        "delete the tag and its manifest there, collect garbage, and sync again; in a store of our own "
        "`regsync store fsck --heal-from` brings the blobs back"
    )

    def __init__(self, row: Row) -> None:
        super().__init__(f"{row.target}:{row.tag or row.expected}: not healed by a copy: {row.why}")


async def heal(done: Sequence[UnitChecked]) -> tuple[Action, ...]:
    """The actions, sorted; what cannot be healed is among them with its problem."""
    found = await for_each(_heal, [one for one in done if one.rows], at_once=UNITS_AT_ONCE)
    return tuple(sorted((one for some in found for one in some), key=lambda action: action.order))


async def _heal(checked: UnitChecked) -> list[Action]:
    observer = checked.observer
    if observer is None:
        return []
    differing: dict[tuple[Tag | None, Digest | None], list[Row]] = defaultdict(list)
    for row in checked.rows:
        if row.state in _HEALABLE:
            differing[(row.tag, row.expected)].append(row)
    named = ((one, differing.get((one.tag, found.digest))) for one, found in checked.found.items())
    rows = {one: some for one, some in named if some}

    async def one(wanted: Wanted) -> list[Action]:
        return list(await _actions(checked, observer, wanted, rows[wanted]))

    return [action for some in await for_each(one, rows, at_once=TAGS_AT_ONCE) for action in some]


async def _actions(
    checked: UnitChecked, observer: Observer, wanted: Wanted, rows: Sequence[Row]
) -> Iterator[Action]:
    found = checked.found[wanted]
    targets = [_target(row) for row in rows]
    problem, size = None, None
    try:
        targets = await observer.judged(targets, wanted, found)
        size = (await observer.graph(found)).size
    except RegsyncError as error:
        problem = Problem.of(error)
    seen = _seen(wanted, found, targets, size, problem)
    whys = {row.target: row for row in rows}
    immutable = wanted.tag is not None and matches_any(checked.unit.immutable, wanted.tag) is not None
    return (
        _with_reason(action, whys[action.target], immutable=immutable)
        for action in plan_tag(checked.unit, seen)
    )


def _target(row: Row) -> TargetSeen:
    beneath = Problem.of(BeneathTheTagError(row)) if row.drift in _BENEATH else None
    if row.state is State.EVIDENCE_MISSING and not row.lacking:
        beneath = row.problem  # the source has no more: only who signs can heal it
    return TargetSeen(row.target, row.digest, evidence_lacking=row.lacking, problem=beneath)


def _seen(
    wanted: Wanted, found: Found, targets: Sequence[TargetSeen], size: int | None, problem: Problem | None
) -> TagSeen:
    source = found.source.location
    names = (source, wanted.source_tag, wanted.tag)
    return TagSeen(*names, found.desc.digest, found.digest, tuple(targets), size, problem=problem)


def _with_reason(action: Action, row: Row, *, immutable: bool) -> Action:
    action = replace(action, reason=f"check: {row.why}")
    moves = row.digest is not None and row.digest != row.expected
    if immutable and moves and action.problem is None:
        return replace(action, problem=Problem.of(ImmutableTagError(action)))
    return action
