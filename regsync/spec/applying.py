"""Which policies an image has to meet, and which of them pass it over (SIGNING.md, section 6).

A glob speaks of places. `hub/acme/**` is met by whatever else leads to the same repositories: a second
Registry of that host, a full reference, another directory of the same layouts. Otherwise a second
name would be the way round a policy.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from os.path import realpath
from pathlib import Path

from regsync.oci.reference import is_host
from regsync.spec.globs import matches
from regsync.spec.model import LayoutPlace, Location, Place, Registry, RemotePlace, Spec, StorePlace
from regsync.spec.verification import Skip, VerificationPolicy

_PORTS = (":443", ":80")  # which a host may be written with, or without


def policies_for(
    spec: Spec, sources: Sequence[Location], target: Location | None, named: Sequence[str] = ()
) -> tuple[VerificationPolicy, ...]:
    """Every policy that an image of `sources` has to meet before it stands at `target`, by name.

    Those `named`, those whose `images` match any of the sources, and those whose `targets` match the
    target. A registry that the spec has not is a host, as on the command line. Raises KeyError for a
    name that is no policy's; `load` lets none through.
    """
    chosen = {name: spec.policies[name] for name in named}
    if len(chosen) < len(spec.policies):
        here = [name for source in sources for name in names_of(source, spec.registries)]
        there = [] if target is None else list(names_of(target, spec.registries))
        for name, policy in spec.policies.items():
            if _meets(policy.images, here) or _meets(policy.targets, there):
                chosen[name] = policy
    return tuple(chosen[name] for name in sorted(chosen))


def skip_of(
    policy: VerificationPolicy, image: Location, registries: Mapping[str, Registry], now: datetime
) -> Skip | None:
    """The first exception of a policy that an image of this source falls under and that has not ended."""
    if not policy.skip:
        return None
    names = list(names_of(image, registries))
    return next(
        (one for one in policy.skip if now < one.until and _meets(one.images, names)),
        None,
    )


def names_of(location: Location, registries: Mapping[str, Registry]) -> Iterator[str]:
    """Every REGISTRY/REPOSITORY that leads to a location; of a remote one HOST/REPOSITORY is among them.

    A place that no Registry leads to, such as a layout on the command line, has the name it was given there.
    """
    names = list(_names_of(location, registries))
    yield from names or [f"{location.registry}/{location.repository}"]


def _names_of(location: Location, registries: Mapping[str, Registry]) -> Iterator[str]:
    registry = registries.get(location.registry)
    place = registry.place if registry is not None else _place_of(location.registry)
    if isinstance(place, RemotePlace):
        yield f"{host_of(place)}/{location.repository}"
    for other in registries.values():
        if not is_host(other.name):  # those made from full references are called like their host
            repository = _repository_at(other.place, place, location)
            if repository is not None:
                yield f"{other.name}/{repository}"


def host_of(place: RemotePlace) -> str:
    """The host in the one spelling that globs are matched in, whatever the scheme."""
    for port in _PORTS:
        if place.host.endswith(port):
            return place.host.removesuffix(port)
    return place.host


def _place_of(host: str) -> Place:
    scheme, _, rest = host.rpartition("://")
    return RemotePlace(scheme or "https", rest)


def _repository_at(other: Place, place: Place, location: Location) -> str | None:
    """What a location at `place` is called at `other`; None where it is not there."""
    match other, place:
        case RemotePlace(), RemotePlace():
            return str(location.repository) if host_of(other) == host_of(place) else None
        case StorePlace(), StorePlace():
            return str(location.repository) if _real(other.path) == _real(place.path) else None
        case LayoutPlace(), LayoutPlace():
            whole, above = _real(place.path / location.repository), _real(other.path)
            return whole.relative_to(above).as_posix() if above in whole.parents else None
        case _:
            return None


def _real(path: Path) -> Path:
    return Path(realpath(path))


def _meets(globs: Sequence[str], names: Sequence[str]) -> bool:
    return any(matches(glob, name) for glob in globs for name in names)
