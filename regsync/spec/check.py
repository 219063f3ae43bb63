"""Checks across mirrors: what each alone is right about and all together are not.

Two mirrors that could write the same tag of one target, a target equal to its source, and cycles.
Whether two could write the same tag is decided as in `overlap`: literal names exactly, patterns by
what they can produce.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import TYPE_CHECKING

from regsync.errors import SpecError
from regsync.oci.reference import RepositoryName
from regsync.spec.expand import needs_listing
from regsync.spec.flow import ANY, Flow, MirrorCycleError, Reach, levels, shape
from regsync.spec.globs import matches
from regsync.spec.model import (
    Location,
    LocationTemplate,
    Mirror,
    Position,
    Registry,
    RepositoryGlobs,
    StorePlace,
    Unit,
)
from regsync.spec.overlap import Writes, common_tag, globs_meet
from regsync.spec.problems import Problems

if TYPE_CHECKING:
    from regsync.spec.server import Server, Upstream

NOWHERE = Position("", 1, 1)
Target = tuple[str, str]  # place key and repository


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
    _refuse_common_tags(flows, registries, problems)
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


def _refuse_common_tags(
    flows: Sequence[Flow], registries: Mapping[str, Registry], problems: Problems
) -> None:
    """Report each pair of mirrors once, at the later of them."""
    reported: set[tuple[str, str]] = set()
    for one, other, what in (*_known_clashes(flows, registries), *_listed_clashes(flows, registries)):
        pair = (one.name, other.name)
        if pair not in reported:
            reported.add(pair)
            _report(problems, one, other, what)


def _known_clashes(
    flows: Sequence[Flow], registries: Mapping[str, Registry]
) -> Iterator[tuple[Mirror, Mirror, str]]:
    """Pairs of mirrors whose repositories are all known."""
    by_target: dict[Target, list[tuple[Flow, Unit]]] = {}
    for flow in flows:
        for unit in flow.units:
            for target in unit.targets:
                key = (_key(target, registries), str(target.repository))
                by_target.setdefault(key, []).append((flow, unit))
    for (place, repository), writers in sorted(by_target.items(), key=lambda one: one[0]):
        for (one, first), (other, second) in combinations(writers, 2):
            tag = common_tag(Writes.of_unit(first), Writes.of_unit(second)) if one is not other else None
            if tag is not None:
                yield one.mirror, other.mirror, f"{tag} of {place}/{repository}"


def _listed_clashes(
    flows: Sequence[Flow], registries: Mapping[str, Registry]
) -> Iterator[tuple[Mirror, Mirror, str]]:
    """Pairs of mirrors of which at least one takes its repositories from a listing."""
    listing = [flow for flow in flows if needs_listing(flow.mirror)]
    for number, flow in enumerate(listing):
        later = listing[number + 1 :]
        for other in (*(one for one in flows if one.units), *later):
            found = _known_meets(flow.mirror, other, registries)
            found = found or _globs_meet(flow.mirror, other.mirror, registries)
            if found is not None:
                yield flow.mirror, other.mirror, found


def _report(problems: Problems, one: Mirror, other: Mirror, what: str) -> None:
    """Note a clash at the mirror whose name comes later, naming the other."""
    first, second = sorted((one, other), key=lambda mirror: mirror.name)
    where = f" (at {first.position})" if first.position is not None else ""
    _add(problems, second, "spec.targets", f"mirror {first.name}{where} also writes {what}")


def _known_meets(mirror: Mirror, other: Flow, registries: Mapping[str, Registry]) -> str | None:
    """What a mirror with repository globs may write as well as the known units of another."""
    mine = Writes.of(mirror.rules, (), mirror.rename, mirror.exclude_tags)
    for template in mirror.targets:
        place = _key(template, registries)
        for unit in other.units:
            for target in unit.targets:
                if _key(target, registries) == place and _may_be(template, mirror, target.repository):
                    tag = common_tag(mine, Writes.of_unit(unit))
                    if tag is not None:
                        return f"{tag} of {place}/{target.repository}"
    return None


def _globs_meet(mirror: Mirror, other: Mirror, registries: Mapping[str, Registry]) -> str | None:
    """What two mirrors with repository globs may both write."""
    if not isinstance(mirror.repositories, RepositoryGlobs):
        return None
    if not isinstance(other.repositories, RepositoryGlobs):
        return None
    tag = common_tag(
        Writes.of(mirror.rules, (), mirror.rename, mirror.exclude_tags),
        Writes.of(other.rules, (), other.rename, other.exclude_tags),
    )
    if tag is None:
        return None
    for one, two in product(mirror.targets, other.targets):
        place = _key(one, registries)
        apart = one.path == two.path and _apart(mirror.repositories, other.repositories)
        if place == _key(two, registries) and not apart and globs_meet(shape(one.path), shape(two.path)):
            return f"{tag} of repositories like {place}/{one.path}"
    return None


def _may_be(template: LocationTemplate, mirror: Mirror, repository: RepositoryName) -> bool:
    """Whether the template can become `repository`, and the globs take what it then stands for."""
    globs = mirror.repositories
    assert isinstance(globs, RepositoryGlobs)  # noqa: S101 - only such mirrors come here
    before, found, behind = template.path.partition("{repository}")
    if not found or "{" in behind or "{" in before:
        return globs_meet(shape(template.path), repository)
    if not repository.startswith(before) or not repository.endswith(behind):
        return False
    name = repository[len(before) : len(repository) - len(behind)]
    taken = any(matches(glob, name) for glob in globs.include)
    return taken and not any(matches(glob, name) for glob in globs.exclude)


def _apart(one: RepositoryGlobs, other: RepositoryGlobs) -> bool:
    """Whether what one includes is certainly not what the other does."""
    if set(one.include) <= set(other.exclude) or set(other.include) <= set(one.exclude):
        return True
    return not any(globs_meet(first, second) for first in one.include for second in other.include)
