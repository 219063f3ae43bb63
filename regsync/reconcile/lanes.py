"""Actions on their way to their targets, each target at its own pace.

A tag is observed once for all of its targets and its blobs are read once for them; which of them is
done when is up to each. Source: DESIGN.md, section 6, rule 3.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

from regsync.plan.model import Action, Result
from regsync.reconcile.carry_out import CarryOut
from regsync.reconcile.look import Found
from regsync.reconcile.repositories import TargetView
from regsync.spec.model import Location, Unit

T = TypeVar("T")


def by_targets(jobs: Iterable[T], unit_of: Callable[[T], Unit]) -> list[list[T]]:
    """Jobs by the registries that their units write to: each lot goes on for itself."""
    lots: dict[frozenset[str], list[T]] = {}
    for job in jobs:
        lots.setdefault(frozenset(target.registry for target in unit_of(job).targets), []).append(job)
    return list(lots.values())


@dataclass(slots=True)
class _Lane:
    """What waits for one target repository."""

    jobs: deque[tuple[Action, Found, anyio.Event]] = field(default_factory=deque)
    workers: int = 0


class Lanes:
    """The actions of one unit. `group` ends when all of them have."""

    def __init__(
        self,
        group: TaskGroup,
        carry_out: CarryOut,
        targets: Mapping[Location, TargetView],
        results: list[Result],
    ) -> None:
        self._group, self._carry_out, self._targets, self._results = group, carry_out, targets, results
        self._lanes: dict[Location, _Lane] = {}

    async def take(self, actions: Sequence[Action], found: Found) -> None:
        """Begin the actions of one tag; returns when the first of its targets is through with it.

        So the next tag is looked at as fast as the fastest target goes, and no faster.
        """
        first = anyio.Event()
        for action in actions:
            lane = self._lanes.setdefault(action.target, _Lane())
            lane.jobs.append((action, found, first))
            if lane.workers < self._carry_out.run.engine.concurrency:
                lane.workers += 1
                self._group.start_soon(self._work, lane)
        await first.wait()

    async def _work(self, lane: _Lane) -> None:
        run = self._carry_out.run
        while lane.jobs:
            action, found, first = lane.jobs.popleft()
            async with run.writing(action.target.registry):
                result = await self._carry_out.result_of(action, found, self._targets[action.target])
                self._results.append(result)
            first.set()
            await run.remember()
        lane.workers -= 1
