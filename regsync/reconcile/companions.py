"""Which mirrors of a spec must not run beside each other, and so run together or in turn.

Those that feed each other are chained, and one run brings them along in order. Those that write to the
same repository merge evidence there, which only one run at a time may do.
"""

from collections.abc import Iterable, Sequence

from regsync.spec.flow import Flow
from regsync.spec.model import Spec


class Companions:
    """Every mirror's company, named after its first member."""

    def __init__(self, spec: Spec) -> None:
        flows = [Flow.of(mirror, spec.registries) for mirror in spec.mirrors]
        self._above: dict[str, str] = {flow.mirror.name: flow.mirror.name for flow in flows}
        self._join_by_name(flows)
        self._join_by_shape(flows)

    def company(self, mirror: str) -> str:
        """The name of the first mirror of its company; its own where there is none such."""
        name = mirror
        while (above := self._above.get(name, name)) != name:
            name = above
        return name

    def parted(self, mirrors: Iterable[str]) -> list[list[str]]:
        """The same mirrors, those of one company together, in the order of the first of each."""
        found: dict[str, list[str]] = {}
        for mirror in mirrors:
            found.setdefault(self.company(mirror), []).append(mirror)
        return list(found.values())

    def _join_by_name(self, flows: Sequence[Flow]) -> None:
        writers: dict[tuple[str, str], str] = {}
        for flow in flows:
            for name in flow.writes.names:
                self._join(writers.setdefault(name, flow.mirror.name), flow.mirror.name)
        for flow in flows:
            for name in flow.reads.names & writers.keys():
                self._join(writers[name], flow.mirror.name)

    def _join_by_shape(self, flows: Sequence[Flow]) -> None:
        for one in flows:
            if not one.writes.shapes and not one.reads.shapes:
                continue
            for other in flows:
                if one is not other and _meet(one, other):
                    self._join(one.mirror.name, other.mirror.name)

    def _join(self, one: str, other: str) -> None:
        first, second = sorted((self.company(one), self.company(other)))
        self._above[second] = first


def _meet(one: Flow, other: Flow) -> bool:
    return one.writes.meets(other.writes) or one.writes.meets(other.reads) or other.writes.meets(one.reads)
