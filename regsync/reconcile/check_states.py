"""Repositories of our own stores and servers that are the same by hash: nothing of them is to be compared.

Source: docs/server.md, "Comparing registries".
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress

import anyio

from regsync.content.tags_state import TagsState
from regsync.errors import RegsyncError
from regsync.oci.reference import RepositoryName
from regsync.reconcile.connect import KnowsStates
from regsync.reconcile.engine import Run
from regsync.spec.model import Location, ReferrersMode, Unit

EVERY_TAG = ("*", "**")  # globs
AS_IT_IS = "{tag}"  # of `rename`


class States:
    """What registries that can say so said of whole repositories; each is asked once, beside the rest."""

    def __init__(self, run: Run, units: Iterable[Unit] = ()) -> None:
        self._run = run
        self._states: dict[str, Mapping[RepositoryName, TagsState]] = {}
        self._answered: dict[str, anyio.Event] = {}
        self._wanted: dict[str, set[RepositoryName]] = defaultdict(set)
        if isinstance(run.engine.places, KnowsStates):
            for unit in filter(is_copied_whole, units):
                for location in (unit.source, *unit.targets):
                    self._wanted[location.registry].add(location.repository)
        for registry in self._wanted:
            self._answered[registry] = anyio.Event()
            run.group.start_soon(self._ask, registry)

    async def same(self, unit: Unit) -> frozenset[Location]:
        """The targets that hold exactly what the source does, referrers included where they travel.

        Who does not answer soon after the source is compared tag by tag, and holds back no other.
        """
        if unit.source.registry not in self._answered or not is_copied_whole(unit):
            return frozenset()
        await self._answered[unit.source.registry].wait()
        mine = self.at(unit.source)
        if mine is None:
            return frozenset()
        with anyio.move_on_after(self._run.engine.grace):
            for target in unit.targets:
                await self._answered[target.registry].wait()
        return frozenset(target for target in unit.targets if _is_same(mine, self.at(target), unit))

    async def _ask(self, registry: str) -> None:
        places = self._run.engine.places
        with suppress(RegsyncError):  # whoever compares it meets the error again, and reports it
            if isinstance(places, KnowsStates):
                found = await places.states(registry, sorted(self._wanted[registry]))
                if found is not None:
                    self._states[registry] = found
        self._answered[registry].set()

    def at(self, location: Location) -> TagsState | None:
        """The state of a repository; None where nobody said."""
        return self._states.get(location.registry, {}).get(location.repository)


def is_copied_whole(unit: Unit) -> bool:
    """Whether tags have the same names and digests on both sides, if nothing is amiss."""
    return unit.platforms is None and unit.rename == AS_IT_IS and len(unit.sources) == 1


def takes_every_tag(unit: Unit) -> bool:
    """Whether all that is listed is selected, whatever it is."""
    rules = unit.rules
    everything = len(rules) == 1 and rules[0].glob in EVERY_TAG and _is_plain(unit)
    return everything and not (unit.digests or unit.pinned or unit.locked or unit.exclude_tags)


def _is_plain(unit: Unit) -> bool:
    rule = unit.rules[0]
    narrowed = rule.exclude or rule.labels or rule.max_age or rule.per or rule.newest is not None
    return not narrowed and unit.at_least <= 1


def _is_same(one: TagsState, other: TagsState | None, unit: Unit) -> bool:
    if other is None or one.digest != other.digest or not one.tags:
        return False
    return one.referrers == other.referrers or unit.referrers.mode is ReferrersMode.NONE
