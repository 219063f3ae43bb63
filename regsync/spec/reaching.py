"""Where a mirror reads and writes, by the names that its spec uses; globs where that needs a listing."""

from regsync.errors import SpecError
from regsync.oci.reference import RepositoryName
from regsync.spec.expand import needs_listing, units
from regsync.spec.model import Location, LocationTemplate, Mirror, RepositoryGlobs
from regsync.spec.place_globs import ANY

_REPOSITORY = "{repository}"


def reach(mirror: Mirror) -> tuple[list[Location], list[Location]]:
    """The sources and the targets; where they need a listing, globs stand for at least all of them.

    Nothing for a mirror whose units contradict each other, of which `check` tells.
    """
    if needs_listing(mirror):
        assert isinstance(mirror.repositories, RepositoryGlobs)  # noqa: S101 - only then
        globs = mirror.repositories.include
        return (
            [_shaped(one, glob) for one in mirror.sources for glob in globs],
            [_shaped(one, glob) for one in mirror.targets for glob in globs],
        )
    try:
        found = units(mirror)
    except SpecError:
        return [], []
    return [one for unit in found for one in unit.sources], [one for unit in found for one in unit.targets]


def _shaped(template: LocationTemplate, glob: str) -> Location:
    """A template as a glob: at least all that it can become with repositories that `glob` matches."""
    parts = template.path.replace("{namespace}/{basename}", _REPOSITORY).split("/")
    shaped = [glob if part == _REPOSITORY else ANY if "{" in part else part for part in parts]
    return Location(template.registry, RepositoryName("/".join(shaped)))
