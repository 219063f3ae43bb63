"""A unit parted into those of its targets that answer at once and those that do not.

A slow or failing target holds back no other (DESIGN.md, section 6, rule 3), so what needs an answer of
every target may not come before what needs an answer of one.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import anyio

from regsync.errors import RegsyncError
from regsync.reconcile.engine import Run
from regsync.reconcile.repositories import Repositories
from regsync.spec.model import Location, Unit


class Pace:
    """Which targets of one level of mirrors answer, and how soon."""

    def __init__(self, run: Run, repositories: Repositories) -> None:
        self._run, self._repositories = run, repositories
        self._slow: set[str] = set()  # registries that kept others waiting once

    async def part(self, unit: Unit) -> Sequence[Unit]:
        """`unit` with the targets that answered soon after the first, then each other target alone."""
        if len(unit.targets) == 1:
            return (unit,)
        answered: dict[Location, None] = {}
        changed = anyio.Event()

        async def ask(location: Location) -> None:
            nonlocal changed
            with suppress(RegsyncError):  # raised again, and reported, for who works on this target
                await self._repositories.target(location)
            answered[location] = None
            over, changed = changed, anyio.Event()
            over.set()

        for location in unit.targets:
            self._run.group.start_soon(ask, location)
        while not answered:
            await changed.wait()
        with anyio.move_on_after(self._run.engine.grace):
            while any(one not in answered and one.registry not in self._slow for one in unit.targets):
                await changed.wait()
        prompt = tuple(one for one in unit.targets if one in answered)
        late = tuple(one for one in unit.targets if one not in answered)
        self._slow.update(one.registry for one in late)
        return (replace(unit, targets=prompt), *(replace(unit, targets=(one,)) for one in late))
