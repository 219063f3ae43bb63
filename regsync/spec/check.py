"""Checks across mirrors: what each alone is right about and all together are not.

Two mirrors that could write the same tag of one target, that would delete each other's tags or keep former
images under them, a target equal to its source, and cycles. Whether two could write the same tag is
decided as in `overlap`: literal names exactly, patterns by what they can produce.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING

from regsync.errors import SpecError
from regsync.spec.expand import needs_listing
from regsync.spec.flow import ANY, Flow, MirrorCycleError, Reach, levels
from regsync.spec.meeting import Meeting, meetings
from regsync.spec.model import Location, LocationTemplate, Mirror, Position, Registry, StorePlace
from regsync.spec.overlap import common_tag
from regsync.spec.problems import Problems
from regsync.spec.pruning import Owns

if TYPE_CHECKING:
    from regsync.spec.server import Server, Upstream

NOWHERE = Position("", 1, 1)


def check(
    mirrors: Sequence[Mirror],
    registries: Mapping[str, Registry],
    problems: Problems,
    server: "Server | None" = None,
) -> None:
    """Look at all mirrors together, and beside what `server` does; what is wrong goes to `problems`."""
    flows: list[Flow] = []
    for mirror in mirrors:
        try:
            flows.append(Flow.of(mirror, registries))
        except SpecError as cause:
            _add(problems, mirror, "spec.targets", str(cause))
    same = {flow.mirror.name for flow in flows if _refuse_own_source(flow, registries, problems)}
    _refuse_meetings(flows, registries, problems)
    if server is not None and server.store is not None:
        _refuse_upstreams(flows, StorePlace(server.store).key, server.upstreams, problems)
    try:
        levels([flow for flow in flows if flow.mirror.name not in same])
    except MirrorCycleError as cause:
        first = next(flow.mirror for flow in flows if flow.mirror.name == cause.names[0])
        _add(problems, first, "spec.source", str(cause))


def _add(problems: Problems, mirror: Mirror, path: str, message: str) -> None:
    problems.add(mirror.position or NOWHERE, path, message)


def _key(place: Location | LocationTemplate, registries: Mapping[str, Registry]) -> str:
    return registries[place.registry].place.key


def _refuse_own_source(flow: Flow, registries: Mapping[str, Registry], problems: Problems) -> bool:
    mirror = flow.mirror
    pairs: Iterator[tuple[Location | LocationTemplate, Location | LocationTemplate]]
    if needs_listing(mirror):
        pairs = ((source, target) for source in mirror.sources for target in mirror.targets)
    else:
        pairs = (
            (source, target) for unit in flow.units for source in unit.sources for target in unit.targets
        )
    for source, target in pairs:
        if _key(source, registries) == _key(target, registries) and _path(source) == _path(target):
            _add(problems, mirror, "spec.targets", f"the target {target} is also its source, {source}")
            return True
    return False


def _refuse_upstreams(
    flows: Sequence[Flow], store: str, upstreams: Sequence["Upstream"], problems: Problems
) -> None:
    """What the server fetches when it is pulled is not all there, and nobody else's to write."""
    for upstream, flow in product(upstreams, flows):
        below = Reach(frozenset(), frozenset({(store, f"{upstream.prefix}/{ANY}")}))
        cause = f"below {upstream.prefix} there is what the Server fetches from {upstream.registry}"
        if flow.writes.meets(below):
            _add(problems, flow.mirror, "spec.targets", f"{cause}; write outside of it")
        if flow.reads.meets(below):
            _add(problems, flow.mirror, "spec.source", f"{cause}, when it is pulled; read from there")


def _path(place: Location | LocationTemplate) -> str:
    if isinstance(place, Location):
        return str(place.repository)
    return place.path.replace("{namespace}/{basename}", "{repository}")


def _refuse_meetings(flows: Sequence[Flow], registries: Mapping[str, Registry], problems: Problems) -> None:
    """Note of each pair of mirrors the first that is wrong of each kind, at the later of them."""
    reported: set[tuple[str, str, str]] = set()
    for meeting in meetings(flows, registries):
        for path, of_one, of_other in _clashes(meeting):
            key = (path, meeting.one.name, meeting.other.name)
            if key not in reported:
                reported.add(key)
                _report(problems, meeting, path, of_one, of_other)


def _clashes(meeting: Meeting) -> Iterator[tuple[str, str, str]]:
    """What is wrong with two mirrors at one repository: the key, and what is said of each to the other."""
    tag = common_tag(meeting.ones, meeting.others)
    if tag is not None:
        also = f"also writes {tag} of {meeting.where}"
        yield "spec.targets", also, also
    yield from _prune_clashes(meeting)
    if tag is None and (meeting.one.history or meeting.other.history):
        yield from _history_clashes(meeting)


def _prune_clashes(meeting: Meeting) -> Iterator[tuple[str, str, str]]:
    where, ways = meeting.where, "let one mirror do both, or take prune out of one of them"
    one, other = meeting.one.prune, meeting.other.prune
    if one is not None and other is not None:
        also = f"also prunes {where}, so that each could delete what the other leaves: {ways}"
        yield "spec.prune", also, also
        return
    for policy, of_one in ((one, True), (other, False)):
        if policy is not None and policy.owns is Owns.REPOSITORY:
            owner = f"owns all of {where} (prune.owns), and this mirror writes there too: {ways}"
            guest = f"also writes to {where}, all of which this mirror owns (prune.owns): {ways}"
            yield ("spec.prune", owner, guest) if of_one else ("spec.prune", guest, owner)


def _history_clashes(meeting: Meeting) -> Iterator[tuple[str, str, str]]:
    """Tags for former images that the other mirror may write, or may give to images of its own."""
    one, other = meeting.one.history, meeting.other.history
    ones = meeting.ones.history(one) if one is not None else None
    others = meeting.others.history(other) if other is not None else None
    ways = f"at {meeting.where}: give history.tag another form, or exclude such tags"
    if ones is not None and common_tag(ones, meeting.others) is not None:
        yield (
            "spec.history",
            f"keeps former images under tags that this one may write {ways}",
            (f"may write tags under which this one keeps former images {ways}"),
        )
    if others is not None and common_tag(meeting.ones, others) is not None:
        yield (
            "spec.history",
            f"may write tags under which this one keeps former images {ways}",
            (f"keeps former images under tags that this one may write {ways}"),
        )
    if ones is not None and others is not None and one != other and common_tag(ones, others) is not None:
        also = f"may keep former images under the same tags {ways}"
        yield "spec.history", also, also


def _report(problems: Problems, meeting: Meeting, path: str, of_one: str, of_other: str) -> None:
    """Note a clash at the mirror whose name comes later, naming the other."""
    swapped = meeting.other.name < meeting.one.name
    first, second = (meeting.other, meeting.one) if swapped else (meeting.one, meeting.other)
    where = f" (at {first.position})" if first.position is not None else ""
    _add(problems, second, path, f"mirror {first.name}{where} {of_other if swapped else of_one}")
