"""`check`: all places of every mirror compared, in one pass; nothing is written anywhere."""

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import anyio

from regsync.content.concurrently import for_each
from regsync.content.errors import ContentNotFoundError
from regsync.errors import RegsyncError
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.plan.check import CheckReport, Compared, Listed, Owner, Reread, Row, extra, unread
from regsync.plan.model import RunInfo
from regsync.plan.observation import UnitSeen
from regsync.reconcile.check_states import AS_IT_IS, States
from regsync.reconcile.check_unit import UnitChecked, check_unit, follows
from regsync.reconcile.engine import Engine, Run
from regsync.reconcile.expanding import expand
from regsync.reconcile.ledger import Spot
from regsync.reconcile.repositories import Repositories, TargetView
from regsync.spec.flow import Flow, Reach
from regsync.spec.history import history_pieces
from regsync.spec.model import Mirror, Spec, Unit

UNITS_AT_ONCE = 64  # repositories that are looked at at the same time
EXTRA_ASKED = 100  # tags that nothing selects and that are asked for their digest, per repository

Then = Callable[[Run, Sequence[UnitChecked]], Awaitable[Reread | None]]  # what is done with what was compared


async def check(
    spec: Spec, engine: Engine, *, unchecked: Iterable[Mirror] = (), then: Then | None = None
) -> CheckReport:
    """Compare; `unchecked` are mirrors that were left out, and may have written to the same places.

    `then` looks further at what was compared, and may add rows.
    """
    began, started = engine.clock.monotonic(), engine.clock.now()
    reread: Reread | None = None
    async with anyio.create_task_group() as group:
        run = Run(engine, spec, started, group)
        units, unseen = await expand(run, spec.mirrors)
        states = await States.of(run, units)
        repositories = Repositories(run)
        done = await for_each(
            lambda unit: check_unit(run, unit, repositories, states), units, at_once=UNITS_AT_ONCE
        )
        rows = [row for seen in unseen for row in _unread(seen)]
        rows.extend(await _extras(run, done, unchecked))
        if then is not None:
            reread = await then(run, done)
        group.cancel_scope.cancel()
    rows.extend(row for one in done for row in one.rows)
    seconds, requests = engine.clock.monotonic() - began, engine.places.requests()
    info = RunInfo(engine.clock.new_id(), started, seconds, requests)
    return CheckReport(
        spec.digest,
        tuple(sorted(rows, key=lambda row: row.order)),
        tuple(sorted(_compared(done, unseen))),
        info,
        (*run.warnings, *run.verification.warnings(), *engine.places.warnings()),
        reread,
    )


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
    return any(one.unit.history is not None and _has_history_form(tag, one.unit) for one in writers)


def _has_history_form(tag: Tag, unit: Unit) -> bool:
    """Whether it is what `Mirror.history` would call a former image."""
    if unit.history is None:
        return False
    forms = {"tag": ".+", "date": "[0-9]{8}", "": ""}
    pattern = "".join(
        re.escape(before) + forms.get(field, f"[0-9a-f]{{{length}}}")
        for before, field, length in history_pieces(unit.history.tag)
    )
    return re.fullmatch(pattern, tag) is not None


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
