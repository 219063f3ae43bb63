"""Chained mirrors: what later ones read is waited for, and nothing else.

A target that stalls must not hold back a mirror that does not read from it (DESIGN.md, section 6, rule 3).
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from regsync.spec.flow import Flow, Reach
from regsync.spec.model import Location, Mirror, Spec, Unit


class Feeding:
    """Which targets some mirrors, later in the chain, read from."""

    def __init__(self, spec: Spec, later: Iterable[Sequence[Mirror]]) -> None:
        self._spec = spec
        reads = [Flow.of(mirror, spec.registries).reads for level in later for mirror in level]
        self._reads = Reach(
            frozenset(name for one in reads for name in one.names),
            frozenset(shape for one in reads for shape in one.shapes),
        )

    def __contains__(self, target: Location) -> bool:
        if target.registry not in self._spec.registries:  # a plan is data from outside
            return False
        return self._reads.meets(Reach(frozenset({(self._spec.place(target).key, str(target.repository))})))

    def part(self, units: Iterable[Unit]) -> tuple[list[Unit], list[Unit]]:
        """The units with the targets that are read later, and with those that are not."""
        read, unread = [], []
        for unit in units:
            inside = tuple(target for target in unit.targets if target in self)
            outside = tuple(target for target in unit.targets if target not in inside)
            if inside:
                read.append(replace(unit, targets=inside))
            if outside:
                unread.append(replace(unit, targets=outside))
        return read, unread
