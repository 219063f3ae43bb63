"""Which repositories a RetentionPolicy speaks of, each once whatever its Registry is called."""

from collections.abc import Sequence
from dataclasses import dataclass

from regsync.errors import RegsyncError, UnsupportedError
from regsync.oci.reference import RepositoryName
from regsync.reconcile.engine import Run
from regsync.reconcile.ledger import Spot
from regsync.spec.globs import is_glob, matches
from regsync.spec.model import Location
from regsync.spec.retention import RepositoryGlob, RetentionPolicy


@dataclass(frozen=True, slots=True)
class Unlisted:
    """Repositories that a glob may mean, and why they are not known."""

    location: Location  # the glob in place of a repository
    error: RegsyncError


async def covered(run: Run, policy: RetentionPolicy) -> tuple[list[Location], list[Unlisted]]:
    """The repositories that there are, sorted, and globs whose registry does not say what it has.

    A registry without a listing of repositories is asked for those that regsync wrote to.
    """
    found: dict[Spot, Location] = {}
    unlisted: list[Unlisted] = []
    for glob in policy.repositories:
        try:
            names = await _names(run, glob)
        except RegsyncError as error:
            unlisted.append(Unlisted(Location(glob.registry, RepositoryName(glob.path)), error))
            continue
        for name in names:
            location = Location(glob.registry, name)
            found.setdefault(run.spot(location), location)
    return sorted(found.values()), unlisted


async def _names(run: Run, glob: RepositoryGlob) -> Sequence[RepositoryName]:
    if not is_glob(glob.path):
        return (RepositoryName(glob.path),)
    try:
        listed = await run.engine.places.repositories(glob.registry)
    except UnsupportedError as error:
        run.warn(f"{glob}: {error}: only repositories that regsync wrote to are looked at")
        place = run.spec.registries[glob.registry].place.key
        ours = run.engine.ledger.spots_of_ours()
        listed = [RepositoryName(spot.repository) for spot in ours if spot.place == place]
    return [name for name in listed if matches(glob.path, name)]
