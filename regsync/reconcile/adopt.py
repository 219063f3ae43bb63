"""`regsync adopt`: tags that equal their source are taken into the ledger as ours, and nothing else is done.

For the day after a migration, or after a ledger was lost: what regsync did not write it does not prune.
"""

from collections import defaultdict
from dataclasses import replace
from functools import partial

import anyio

from regsync.content.concurrently import for_each
from regsync.content.errors import ContentNotFoundError
from regsync.errors import RegsyncError
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.plan.decide import plan_repository, plan_tag
from regsync.plan.model import Action, Outcome, Problem, Report, Result, Verb
from regsync.plan.observation import UnitSeen
from regsync.reconcile.choose import choose, lost_tags
from regsync.reconcile.engine import Engine, Run
from regsync.reconcile.expanding import expand
from regsync.reconcile.look import Found, Unseen, Wanted, look_at
from regsync.reconcile.observe import Observer
from regsync.reconcile.reported import reported
from regsync.reconcile.repositories import Repositories, TargetView
from regsync.reconcile.unit_work import Progress, UnitWork, not_done
from regsync.spec.flow import mirror_order
from regsync.spec.model import Location, Spec, Unit

UNITS_AT_ONCE = 64
SHOWN = 5  # tags that a warning names
REASON = "it equals its source: ours from now on"


async def adopt(spec: Spec, engine: Engine, *, stop: anyio.Event | None = None) -> Report:
    """Compare what mirrors select with what targets have, and take what is equal as ours.

    The results are the tags that were not ours before; those that were are only counted.
    """

    async def body(run: Run, progress: Progress) -> None:
        for level in mirror_order(spec):
            todo, unseen = await expand(run, level)
            progress.left.extend(one for seen in unseen for one in not_done(plan_repository(seen)))
            works = [UnitWork(unit) for unit in todo]
            progress.works.extend(works)
            adopt_unit = partial(_adopt_unit, run, Repositories(run))
            await for_each(adopt_unit, works, at_once=UNITS_AT_ONCE)

    return await reported("adopt", spec, engine, body, stop)


async def _adopt_unit(run: Run, repositories: Repositories, work: UnitWork) -> None:
    await _Adoption(run, work).go(repositories)


class _Adoption:
    """One unit."""

    def __init__(self, run: Run, work: UnitWork) -> None:
        self._run, self._work, self._unit = run, work, work.unit
        self._origin = run.spot(work.unit.source)
        self._differ: defaultdict[Location, list[Tag]] = defaultdict(list)

    async def go(self, repositories: Repositories) -> None:
        # Immutable tags are compared too: which of them stand for what is in question.
        unit: Unit = replace(self._unit, immutable=())
        view = await look_at(unit, repositories)
        chosen = await choose(self._run, view)
        seen = UnitSeen(unit, lost_tags(unit, chosen), chosen.problems)
        self._work.results += not_done(plan_repository(seen))
        self._work.results += not_done([one for tag in seen.tags for one in plan_tag(unit, tag)])
        observer = Observer(self._run, view)

        async def one(wanted: Wanted) -> None:
            async with self._run.slots:
                for target in view.targets:
                    await self._compare(observer, wanted, target)

        tags = [wanted for wanted in chosen.wanted if wanted.tag is not None]
        await for_each(one, tags, at_once=self._run.engine.concurrency)
        for location, differing in self._differ.items():
            more = " …" if len(differing) > SHOWN else ""
            self._run.warn(
                f"{location}: {', '.join(sorted(differing)[:SHOWN])}{more} differ from {self._unit.source}: "
                f"not ours, unless they were"
            )

    async def _compare(self, observer: Observer, wanted: Wanted, target: TargetView | Unseen) -> None:
        found: Found | None = None
        try:
            if isinstance(target, Unseen):
                raise target.error
            there = await _digest_at(target, wanted.tag or Tag(""))
            if there is None:
                return
            found = await observer.locate(wanted)
        except RegsyncError as error:
            self._work.results.append(self._failed(wanted, target.location, error))
            return
        if there != found.digest:
            self._differ[target.location].append(wanted.tag or Tag(""))
        elif target.ours.get(wanted.tag or Tag("")) == there:
            self._work.unchanged += 1
        else:
            self._take(wanted, target, found)

    def _take(self, wanted: Wanted, target: TargetView, found: Found) -> None:
        tag, ledger = wanted.tag or Tag(""), self._run.engine.ledger
        ledger.wrote(target.spot, tag, found.digest, self._run.now, self._origin)
        action = _action(self._unit, wanted, target.location, found.digest, REASON)
        self._work.results.append(Result(action, Outcome.DONE, was_there=True))

    def _failed(self, wanted: Wanted, target: Location, error: RegsyncError) -> Result:
        problem = Problem.of(error)
        return Result(_action(self._unit, wanted, target, None, "not compared"), problem.outcome, problem)


def _action(unit: Unit, wanted: Wanted, target: Location, digest: Digest | None, reason: str) -> Action:
    return Action(
        Verb.UPDATE, unit.mirror, unit.source, target, wanted.tag, digest, digest, None, reason,
        wanted.source_tag, digest,
    )  # fmt: skip


async def _digest_at(target: TargetView, tag: Tag) -> Digest | None:
    """What a target's tag points to; None: it is not there."""
    if target.listed is not None and tag not in target.listed:
        return None
    shown = target.listed[tag] if target.listed is not None else None
    try:
        return (shown or await target.destination.store.resolve(tag)).digest
    except ContentNotFoundError:
        return None
