"""Repositories that two mirrors write to: found from the spec alone, by the place, not by its names."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from regsync.oci.reference import RepositoryName
from regsync.spec.expand import needs_listing
from regsync.spec.flow import Flow, shape
from regsync.spec.globs import matches
from regsync.spec.model import Location, LocationTemplate, Mirror, Registry, RepositoryGlobs, Unit
from regsync.spec.overlap import Writes, globs_meet

Target = tuple[str, str]  # place key and repository


@dataclass(frozen=True, slots=True)
class Meeting:
    """Two mirrors at one target repository, and what each may write there."""

    one: Mirror
    other: Mirror
    ones: Writes
    others: Writes
    where: str  # the repository, or what repositories are like


def meetings(flows: Sequence[Flow], registries: Mapping[str, Registry]) -> Iterator[Meeting]:
    """Every pair of mirrors with every repository that both may write to."""
    yield from _known(flows, registries)
    listing = [flow for flow in flows if needs_listing(flow.mirror)]
    for number, flow in enumerate(listing):
        for other in (one for one in flows if one.units):
            yield from _globs_and_units(flow.mirror, other, registries)
        for other in listing[number + 1 :]:
            yield from _globs_and_globs(flow.mirror, other.mirror, registries)


def _key(place: Location | LocationTemplate, registries: Mapping[str, Registry]) -> str:
    return registries[place.registry].place.key


def _known(flows: Sequence[Flow], registries: Mapping[str, Registry]) -> Iterator[Meeting]:
    """Mirrors whose repositories are all known."""
    by_target: dict[Target, list[tuple[Flow, Unit]]] = {}
    for flow in flows:
        for unit in flow.units:
            for target in unit.targets:
                key = (_key(target, registries), str(target.repository))
                by_target.setdefault(key, []).append((flow, unit))
    for (place, repository), writers in sorted(by_target.items(), key=lambda one: one[0]):
        for (one, first), (other, second) in combinations(writers, 2):
            if one is not other:
                where = f"{place}/{repository}"
                yield Meeting(one.mirror, other.mirror, Writes.of_unit(first), Writes.of_unit(second), where)


def _writes(mirror: Mirror) -> Writes:
    return Writes.of(mirror.rules, (), mirror.rename, mirror.exclude_tags)


def _globs_and_units(mirror: Mirror, other: Flow, registries: Mapping[str, Registry]) -> Iterator[Meeting]:
    """A mirror with repository globs, and the known units of another."""
    mine = _writes(mirror)
    for template in mirror.targets:
        place = _key(template, registries)
        for unit in other.units:
            for target in unit.targets:
                if _key(target, registries) == place and _may_be(template, mirror, target.repository):
                    where = f"{place}/{target.repository}"
                    yield Meeting(mirror, other.mirror, mine, Writes.of_unit(unit), where)


def _globs_and_globs(mirror: Mirror, other: Mirror, registries: Mapping[str, Registry]) -> Iterator[Meeting]:
    """Two mirrors with repository globs."""
    assert isinstance(mirror.repositories, RepositoryGlobs)  # noqa: S101 - only such mirrors come here
    assert isinstance(other.repositories, RepositoryGlobs)  # noqa: S101
    for one, two in product(mirror.targets, other.targets):
        place = _key(one, registries)
        apart = one.path == two.path and _apart(mirror.repositories, other.repositories)
        if place == _key(two, registries) and not apart and globs_meet(shape(one.path), shape(two.path)):
            where = f"repositories like {place}/{one.path}"
            yield Meeting(mirror, other, _writes(mirror), _writes(other), where)


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
