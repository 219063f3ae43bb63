"""`prune --abandoned`: tags that are ours, and that no mirror of the spec declares any more.

A mirror or a target that left the spec deletes nothing by itself; this is the explicit act. Whatever a
mirror that writes there still brings, or may bring, stays. Source: DESIGN.md, "What is deleted".
"""

from collections.abc import Iterator, Mapping, Sized
from datetime import timedelta

from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.plan.pruning import PruneSeen, Scope
from regsync.reconcile.engine import Run
from regsync.reconcile.expanding import expand
from regsync.reconcile.former_images import former_images
from regsync.reconcile.ledger import Spot
from regsync.reconcile.look import Unseen
from regsync.reconcile.pruning import target_at
from regsync.reconcile.pruning_scope import conclude
from regsync.reconcile.pruning_writers import Writers
from regsync.reconcile.repositories import Repositories, TargetView
from regsync.spec.model import Location
from regsync.spec.pruning import DeletionLimits, PrunePolicy

NOBODY = "(abandoned)"  # in place of the mirror that is not there any more


async def abandoned(run: Run, repositories: Repositories, max_deletes: int) -> list[Scope]:
    """What goes of each repository where something is abandoned; at most `max_deletes` tags of each."""
    writers = Writers(run)
    found = {spot: dict(_undeclared(run, writers, spot)) for spot in run.engine.ledger.spots_of_ours()}
    left = {spot: tags for spot, tags in found.items() if tags}
    here = {mirror.name: mirror for spot in left for mirror in writers.declared_at(spot)}
    writers.expect(*await expand(run, list(here.values())))
    await writers.complete(here, repositories)
    scopes = []
    for spot, tags in left.items():
        location = location_at(run, spot)
        if location is not None:
            scopes.append(await _scope(run, writers, location, tags, max_deletes, repositories))
        else:
            run.warn(
                f"{counted(tags)} that no mirror declares any more at {spot.place}, repository "
                f"{spot.repository}: no Registry of the spec is there, so nothing is deleted"
            )
    return scopes


def counted(tags: Sized) -> str:
    """`1 tag`, `2 tags`."""
    return f"{len(tags)} tag{'' if len(tags) == 1 else 's'}"


async def _scope(
    run: Run,
    writers: Writers,
    location: Location,
    left: Mapping[Tag, Digest],
    max_deletes: int,
    repositories: Repositories,
) -> Scope:
    spot = run.spot(location)
    mirrors = writers.declared_at(spot)
    policies = [mirror.prune for mirror in mirrors if mirror.prune is not None]
    protect = tuple(dict.fromkeys(glob for policy in policies for glob in policy.protect))
    policy = PrunePolicy(DeletionLimits(max_deletes, 100), timedelta(), protect)
    target = await target_at(location, repositories)
    there, doubts = left, tuple[str, ...]()
    if isinstance(target, Unseen):
        doubts = (f"it could not be looked at: {target.error}",)
    elif target.listed is None:
        doubts = ("it does not list its tags",)
    else:
        there = {tag: digest for tag, digest in left.items() if tag in target.listed}
    here, who = writers.at(spot), writers.may_want(NOBODY, spot)
    others = {tag: f"mirror {name} may want it" for tag in there if (name := who(tag)) is not None}
    former = former_images(target, there, here) if isinstance(target, TargetView) else {}
    seen = PruneSeen(
        NOBODY,
        _origin(run, spot) or location,
        location,
        policy,
        ours=there.keys(),
        wanted=frozenset[Tag]().union(*(one.wanted for one in here)),
        immutable=tuple(dict.fromkeys(glob for mirror in mirrors for glob in mirror.immutable)),
        kept={**others, **former},
        doubts=doubts,
        unselected=lambda _: "no mirror of the spec declares it any more",
    )
    if doubts:
        run.warn(f"nothing is deleted at {location}, since {doubts[0]}")
    return await conclude(run, seen, there, target, there)


def _undeclared(run: Run, writers: Writers, spot: Spot) -> Iterator[tuple[Tag, Digest]]:
    """The tags at a spot that are ours, and that come from nowhere that a mirror brings there."""
    ledger = run.engine.ledger
    origins = ledger.origins(spot)
    for tag, digest in ledger.ours(spot).items():
        if not writers.declares(spot, origins.get(tag)):
            yield tag, digest


def location_at(run: Run, spot: Spot) -> Location | None:
    """The repository by the name of a Registry of the spec."""
    names = sorted(name for name, one in run.spec.registries.items() if one.place.key == spot.place)
    return Location(names[0], RepositoryName(spot.repository)) if names else None


def _origin(run: Run, spot: Spot) -> Location | None:
    origins = sorted(run.engine.ledger.origins(spot).values())
    return next((found for one in origins if (found := location_at(run, one)) is not None), None)
