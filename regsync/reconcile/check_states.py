"""Repositories of our own stores and servers that are the same by hash: nothing of them is to be compared.

Source: docs/server.md, "Comparing registries".
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress

from regsync.content.concurrently import for_each
from regsync.content.tags_state import TagsState
from regsync.errors import RegsyncError
from regsync.oci.reference import RepositoryName
from regsync.reconcile.connect import KnowsStates
from regsync.reconcile.engine import Run
from regsync.spec.model import Location, ReferrersMode, Unit

EVERY_TAG = ("*", "**")  # globs
AS_IT_IS = "{tag}"  # of `rename`


class States:
    """What registries that can say so said of whole repositories."""

    def __init__(self, states: Mapping[str, Mapping[RepositoryName, TagsState]]) -> None:
        self._states = states

    @classmethod
    async def of(cls, run: Run, units: Iterable[Unit]) -> "States":
        """Ask the registries of units that may be the same on both sides, each once."""
        wanted: dict[str, set[RepositoryName]] = defaultdict(set)
        for unit in units:
            if is_copied_whole(unit):
                for location in (unit.source, *unit.targets):
                    wanted[location.registry].add(location.repository)
        places = run.engine.places
        states: dict[str, Mapping[RepositoryName, TagsState]] = {}

        async def ask(registry: str) -> None:
            with suppress(RegsyncError):  # whoever compares it meets the error again, and reports it
                if isinstance(places, KnowsStates):
                    found = await places.states(registry, sorted(wanted[registry]))
                    if found is not None:
                        states[registry] = found

        await for_each(ask, wanted)
        return cls(states)

    def same(self, unit: Unit) -> frozenset[Location]:
        """The targets that hold exactly what the source does, referrers included where they travel."""
        mine = self.at(unit.source) if is_copied_whole(unit) else None
        if mine is None:
            return frozenset()
        same = (target for target in unit.targets if _is_same(mine, self.at(target), unit))
        return frozenset(same)

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
