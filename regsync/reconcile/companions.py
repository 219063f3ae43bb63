"""Which mirrors of a spec must not run beside each other, and so run together or in turn.

Those that feed each other are chained, and one run brings them along in order. Those that write to the
same repository merge evidence there, which only one run at a time may do. Retention runs beside no mirror
that writes to a repository of its own: there an image is not whole yet, or its tag not set.
"""

import re
from collections.abc import Sequence

from regsync.spec.flow import ANY, Flow, Reach
from regsync.spec.model import Spec
from regsync.spec.retention import RetentionPolicy

_WILD = re.compile(r"/?\*\*/?|\[[^]]*\]|[*?]")  # anything but literal text, which is all that a shape knows


class Companions:
    """Every mirror's company, named after its first member."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        flows = self._flows = [Flow.of(mirror, spec.registries) for mirror in spec.mirrors]
        self._above: dict[str, str] = {flow.mirror.name: flow.mirror.name for flow in flows}
        self._join_by_name(flows)
        self._join_by_shape(flows)

    def company(self, mirror: str) -> str:
        """The name of the first mirror of its company; its own where there is none such."""
        name = mirror
        while (above := self._above.get(name, name)) != name:
            name = above
        return name

    def disturbed_by(self, policy: RetentionPolicy) -> frozenset[str]:
        """The companies that a retention policy must not run beside."""
        registries = self._spec.registries
        shapes = frozenset(
            (registries[one.registry].place.key, _WILD.sub(ANY, one.path))
            for one in policy.repositories
            if one.registry in registries
        )
        reach = Reach(frozenset(), shapes)
        met = (one for one in self._flows if reach.meets(one.writes) or reach.meets(one.reads))
        return frozenset(self.company(one.mirror.name) for one in met)

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
