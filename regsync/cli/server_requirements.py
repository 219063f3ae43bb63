"""Which policies the repositories of upstreams have to meet, from a spec."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache, partial
from itertools import chain
from os.path import realpath
from pathlib import Path
from typing import TYPE_CHECKING

from regsync.content.layout_place import LayoutPlace as Layouts
from regsync.content.protocol import Source
from regsync.errors import UsageError
from regsync.oci.reference import RepositoryName
from regsync.server.required import Required
from regsync.server.upstreams import nothing_is_required
from regsync.spec import server as spec_server
from regsync.spec.applying import host_of, policies_for, skip_of
from regsync.spec.model import LayoutPlace, Location, RemotePlace, Spec, StorePlace
from regsync.spec.verification import KeyAuthority, Material, SigstoreRoot, Skip, VerificationPolicy

if TYPE_CHECKING:
    from regsync.trust.policy import CompiledPolicy

WRITTEN = "data"  # what a value is called that stands in the spec itself
MAX_REPOSITORIES = 4096  # of one upstream, whose policies are remembered

Connect = Callable[[str, RepositoryName], Source]


class EvidenceInStoreError(UsageError):
    """A policy of an upstream looks for evidence in a built-in store, which a server does not read for it."""

    usual_hint = "name the registry that serves that store instead"

    def __init__(self, policy: str, location: Location) -> None:
        super().__init__(
            f"policy {policy}: `evidence` names {location}, a built-in store: for what is pulled through, a "
            "server looks for evidence in registries and layouts alone"
        )


class Requirements:
    """Made anew for each spec; `store` is what is served, `connect` leads to registries."""

    def __init__(
        self, spec: Spec, compiled: "Mapping[str, CompiledPolicy]", store: Path, connect: Connect
    ) -> None:
        self._spec, self._compiled, self._connect = spec, compiled, connect
        self._own = _registry_of(spec, store)

    def of(self, upstream: spec_server.Upstream) -> Callable[[RepositoryName], Required | None]:
        """What the upstream's repositories have to meet, by the names that they have there.

        Raises EvidenceInStoreError for a policy that it names.
        """
        if not self._compiled:
            return nothing_is_required
        for name in upstream.verify:
            self._check(self._spec.policies[name])
        return lru_cache(MAX_REPOSITORIES)(partial(self._required, upstream))

    def _required(self, upstream: spec_server.Upstream, name: RepositoryName) -> Required | None:
        location = Location(upstream.registry, name)
        here = RepositoryName(f"{upstream.prefix}/{name}")
        target = Location(self._own, here) if self._own is not None else None
        found = policies_for(self._spec, (location,), target, upstream.verify)
        if not found:
            return None
        place = self._spec.place(location)
        assert isinstance(place, RemotePlace)  # noqa: S101 - the spec takes no other
        return Required(
            tuple(self._compiled[one.name] for one in found),
            location,
            host_of(place),
            self._elsewhere,
            partial(self._skip, location),
        )

    def _skip(self, location: Location, policy: VerificationPolicy, now: datetime) -> Skip | None:
        return skip_of(policy, location, self._spec.registries, now)

    def _elsewhere(self, location: Location) -> Source:
        place = self._spec.place(location)
        if isinstance(place, LayoutPlace):
            return Layouts(place.path).repository(location.repository)
        return self._connect(location.registry, location.repository)

    def _check(self, policy: VerificationPolicy) -> None:
        for location in policy.evidence:
            if isinstance(self._spec.place(location), StorePlace):
                raise EvidenceInStoreError(policy.name, location)


def evidence_registries(spec: Spec) -> frozenset[str]:
    """The registries in which policies look for evidence besides an image's own."""
    locations = [one for policy in spec.policies.values() for one in policy.evidence]
    return frozenset(one.registry for one in locations if isinstance(spec.place(one), RemotePlace))


def material_files(spec: Spec) -> Iterator[Path]:
    """The files with keys, certificates and roots that policies name."""
    for material in _materials(spec):
        if material.position is not None and material.name != WRITTEN:
            yield Path(material.position.file).parent / material.name


def _materials(spec: Spec) -> Iterator[Material]:
    for policy in spec.policies.values():
        yield from (one.key for one in policy.authorities.values() if isinstance(one, KeyAuthority))
    for root in (one.root for one in spec.trust_roots.values()):
        if isinstance(root, SigstoreRoot):
            found = [root.trusted_root]
        else:
            found = [root.policy, *chain.from_iterable(root.stores.values())]
        yield from (one for one in found if one is not None)


def _registry_of(spec: Spec, store: Path) -> str | None:
    """The Registry that stands for the store, so that policies can name it under `targets`."""
    wanted = realpath(store)
    for name, registry in spec.registries.items():
        if isinstance(registry.place, StorePlace) and realpath(registry.place.path) == wanted:
            return name
    return None
