"""`check`: all places of every mirror compared, in one pass; nothing is written anywhere."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import anyio

from regsync.content.concurrently import for_each
from regsync.content.errors import ContentNotFoundError
from regsync.errors import RegsyncError
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.plan.check import CheckReport, Compared, Listed, Owner, Row, extra, unread
from regsync.plan.model import Action, RunInfo
from regsync.plan.observation import UnitSeen
from regsync.reconcile.check_deep import Deep
from regsync.reconcile.check_repair import heal
from regsync.reconcile.check_states import AS_IT_IS, States
from regsync.reconcile.check_unit import UnitChecked, check_unit, follows
from regsync.reconcile.engine import Engine, Run
from regsync.reconcile.expanding import expand
from regsync.reconcile.ledger import Spot
from regsync.reconcile.repositories import Repositories, TargetView
from regsync.spec.flow import Flow, Reach
from regsync.spec.model import Mirror, Spec

UNITS_AT_ONCE = 64  # repositories that are looked at at the same time
EXTRA_ASKED = 100  # tags that nothing selects and that are asked for their digest, per repository


@dataclass(frozen=True, slots=True)
class Checked:
    """A report, and what it was made of."""

    report: CheckReport
    actions: tuple[Action, ...] = ()  # that heal what differs


class Repair(Enum):
    """Whether what heals it is planned as well."""

    NO = "no"
    PLANNED = "planned"


async def check(
    spec: Spec,
    engine: Engine,
    *,
    unchecked: Iterable[Mirror] = (),
    deep: Deep | None = None,
    repair: Repair = Repair.NO,
) -> Checked:
    """Compare; `unchecked` are mirrors that were left out, and may have written to the same places."""
    began, started = engine.clock.monotonic(), engine.clock.now()
    actions: tuple[Action, ...] = ()
    async with anyio.create_task_group() as group:
        run = Run(engine, spec, started, group)
        units, unseen = await expand(run, spec.mirrors)
        # What is equal by hash is not looked at one by one; to be read again it has to be.
        states = States(run, units if deep is None else ())
        repositories = Repositories(run)
        done = await for_each(
            lambda unit: check_unit(run, unit, repositories, states), units, at_once=UNITS_AT_ONCE
        )
        rows = [row for seen in unseen for row in _unread(seen)]
        rows.extend(await _extras(run, done, unchecked))
        reread = await deep(done, run.spot) if deep is not None else None
        if repair is Repair.PLANNED:
            actions = await heal(done)
        group.cancel_scope.cancel()
    rows.extend(row for one in done for row in one.rows)
    seconds, requests = engine.clock.monotonic() - began, engine.places.requests()
    info = RunInfo(engine.clock.new_id(), started, seconds, requests)
    report = CheckReport(
        spec.digest,
        tuple(sorted(rows, key=lambda row: row.order)),
        tuple(sorted(_compared(done, unseen))),
        info,
        (*run.warnings, *run.verification.warnings(), *engine.places.warnings()),
        reread,
    )
    return Checked(report, actions)


def _unread(seen: UnitSeen) -> Iterator[Row]:
    unit = seen.unit
    for problem in seen.problems:
        yield unread(unit.mirror, unit.source, unit.source, problem, "not read")


def _compared(done: Iterable[UnitChecked], unseen: Iterable[UnitSeen]) -> Iterator[Compared]:
    for one in done:
        yield from one.compared
    for seen in unseen:
        for target in seen.unit.targets:
            yield Compared(seen.unit.mirror, seen.unit.source, target, 0, 0)


async def _extras(run: Run, done: Sequence[UnitChecked], unchecked: Iterable[Mirror]) -> list[Row]:
    """What nobody selects, where it is known of everybody who writes there what they select."""
    others = [Flow.of(mirror, run.spec.registries).writes for mirror in unchecked]
    by_spot: dict[Spot, list[UnitChecked]] = defaultdict(list)
    views: dict[Spot, TargetView] = {}
    for one in done:
        for location in one.unit.targets:
            by_spot[run.spot(location)].append(one)
            if location in one.views:
                views[run.spot(location)] = one.views[location]
    found: list[Row] = []
    for spot, view in views.items():
        reach = Reach(frozenset({(spot.place, spot.repository)}))
        writers = by_spot[spot]
        known = all(one.selected is not None for one in writers)
        if known and view.listed is not None and not any(other.meets(reach) for other in others):
            found.extend(await _told_digests(run, view, list(extra(_listed(view, writers)))))
    return found


def _listed(view: TargetView, writers: Sequence[UnitChecked]) -> Listed:
    first = writers[0].unit
    selected = {tag for one in writers for tag in one.selected or ()}
    tags = {
        tag: desc.digest if desc is not None else None
        for tag, desc in (view.listed or {}).items()
        if tag not in selected and not follows(tag) and not _is_history(tag, writers)
    }
    at_source = {tag for one in writers if one.unit.rename == AS_IT_IS for tag in one.at_source}
    return Listed(first.mirror, first.source, view.location, tags, selected, view.ours, at_source)


def _is_history(tag: Tag, writers: Sequence[UnitChecked]) -> bool:
    """Whether it is what `Mirror.history` would call a former image."""
    kept = (one.unit.history for one in writers)
    return any(history.former(tag, None) is not None for history in kept if history is not None)


async def _told_digests(run: Run, view: TargetView, rows: list[Row]) -> list[Row]:
    """The rows with the digests of what others have put there, where the listing does not show them."""
    strange = [row for row in rows if row.owner is Owner.OTHERS and row.digest is None][:EXTRA_ASKED]
    digests: dict[Tag | None, Digest] = {}

    async def ask(row: Row) -> None:
        if row.tag is not None:
            try:
                digests[row.tag] = (await view.destination.store.resolve(row.tag)).digest
            except ContentNotFoundError:
                return
            except RegsyncError as error:
                run.warn(f"{view.location}:{row.tag} could not be asked for its digest: {error}")

    await for_each(ask, strange, at_once=run.engine.concurrency)
    return [replace(row, digest=digests.get(row.tag, row.digest)) for row in rows]
