"""A mirror's placeholders and repository globs filled in: one unit per source repository."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from regsync.errors import RegsyncError, SpecError
from regsync.oci.reference import InvalidReferenceError, RepositoryName
from regsync.spec.globs import matches
from regsync.spec.model import Location, LocationTemplate, Mirror, Pin, RepositoryGlobs, TagRule, Unit
from regsync.spec.overlap import Writes, common_tag

PLACEHOLDERS = ("repository", "namespace", "basename")


class InvalidLocationError(SpecError):
    """A template, filled with a repository, is no repository name."""

    def __init__(self, mirror: str, template: LocationTemplate, repository: str, cause: str) -> None:
        super().__init__(f"mirror {mirror}: {template} for repository {repository}: {cause}")


class ClashingRepositoriesError(SpecError):
    """Two source repositories of one mirror could write the same tag of one target."""

    def __init__(self, mirror: str, sources: tuple[Location, Location], target: Location, tag: str) -> None:
        super().__init__(f"mirror {mirror}: {sources[0]} and {sources[1]} would both write {tag} of {target}")

    @property
    def hint(self) -> str | None:
        """What to do next."""
        return "put {repository}, or a different path, into the target"


class NoRepositoriesError(RegsyncError):
    """The globs of a mirror match nothing that its source lists."""

    def __init__(self, mirror: Mirror, listed: int) -> None:
        globs = mirror.repositories
        assert isinstance(globs, RepositoryGlobs)  # noqa: S101 - only then is anything listed
        super().__init__(
            f"mirror {mirror.name}: none of {listed} repositories at {mirror.sources[0].registry} "
            f"matches {', '.join(globs.include)}"
        )


def needs_listing(mirror: Mirror) -> bool:
    """Whether the repositories of `mirror.sources[0].registry` have to be listed first."""
    return isinstance(mirror.repositories, RepositoryGlobs)


def units(mirror: Mirror, listed: Sequence[RepositoryName] = ()) -> tuple[Unit, ...]:
    """One unit per source repository, in order of name.

    `listed`: all repositories of the first source's registry, where `needs_listing`. Raises
    InvalidLocationError, ClashingRepositoriesError, NoRepositoriesError.
    """
    if mirror.images:
        found = list(_of_images(mirror))
    elif isinstance(mirror.repositories, RepositoryGlobs):
        names = _chosen(mirror, mirror.repositories, listed)
        if not names:
            raise NoRepositoriesError(mirror, len(listed))
        found = [_unit(mirror, name, mirror.rules) for name in names]
    elif mirror.repositories is not None:
        found = [
            _unit(mirror, entry.name, mirror.rules if entry.tags is None else entry.tags)
            for entry in mirror.repositories
        ]
    else:
        found = [_unit(mirror, RepositoryName(mirror.sources[0].path), mirror.rules)]
    _refuse_clashes(mirror, found)
    return tuple(sorted(found, key=lambda unit: (unit.repository, unit.sources)))


def fill(template: LocationTemplate, repository: RepositoryName, mirror: str) -> Location:
    """The location that `template` is for `repository`; raises InvalidLocationError.

    `{namespace}` is all parts but the last, and may be nothing: then the slash beside it goes too.
    """
    if not template.has_placeholder:
        return Location(template.registry, RepositoryName(template.path))
    namespace, _, basename = repository.rpartition("/")
    path = template.path
    for name, value in zip(PLACEHOLDERS, (repository, namespace, basename), strict=True):
        path = path.replace(f"{{{name}}}", value)
    if not namespace:
        path = path.strip("/").replace("//", "/")
    try:
        return Location(template.registry, RepositoryName.parse(path))
    except InvalidReferenceError as cause:
        raise InvalidLocationError(mirror, template, repository, str(cause)) from cause


def _unit(mirror: Mirror, repository: RepositoryName, rules: tuple[TagRule, ...]) -> Unit:
    return Unit(
        mirror=mirror.name,
        repository=repository,
        sources=tuple(fill(source, repository, mirror.name) for source in mirror.sources),
        targets=tuple(dict.fromkeys(fill(target, repository, mirror.name) for target in mirror.targets)),
        rules=rules,
        exclude_tags=mirror.exclude_tags,
        at_least=mirror.at_least,
        rename=mirror.rename,
        digests=mirror.digests,
        platforms=mirror.platforms,
        index=mirror.index,
        referrers=mirror.referrers,
        immutable=mirror.immutable,
        verify=mirror.verify,
        prune=mirror.prune,
        history=mirror.history,
        schedule=mirror.schedule,
    )


def _of_images(mirror: Mirror) -> Iterator[Unit]:
    pins: dict[Location, set[Pin]] = {}
    for location, pin in mirror.images:
        pins.setdefault(location, set()).add(pin)
    for location, found in pins.items():
        unit = _unit(replace(mirror, digests=()), location.repository, ())
        ordered = tuple(sorted(found, key=lambda pin: (pin.tag or "", str(pin.digest or ""))))
        yield replace(unit, sources=(location,), pinned=ordered)


def _chosen(
    mirror: Mirror, globs: RepositoryGlobs, listed: Sequence[RepositoryName]
) -> tuple[RepositoryName, ...]:
    """What `{repository}` of the first source can stand for, less what the globs leave out."""
    before, _, behind = mirror.sources[0].path.partition("{repository}")
    chosen = set()
    for path in listed:
        if not path.startswith(before) or not path.endswith(behind):
            continue
        name = path[len(before) : len(path) - len(behind)]
        if not name or any(matches(glob, name) for glob in globs.exclude):
            continue
        if any(matches(glob, name) for glob in globs.include):
            chosen.add(RepositoryName(name))
    return tuple(sorted(chosen))


def _refuse_clashes(mirror: Mirror, found: Sequence[Unit]) -> None:
    by_target: dict[Location, list[Unit]] = {}
    for unit in found:
        for target in unit.targets:
            by_target.setdefault(target, []).append(unit)
    for target, sharing in by_target.items():
        for one, other in combinations(sharing, 2):
            tag = common_tag(Writes.of_unit(one), Writes.of_unit(other))
            if tag is not None:
                raise ClashingRepositoriesError(mirror.name, (one.source, other.source), target, tag)
