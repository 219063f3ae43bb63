"""The upstreams of a `Server` document, connected to their registries."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import CancelScope

from regsync.cli.policies import understood
from regsync.cli.server_requirements import Requirements, evidence_registries
from regsync.clock import Clock
from regsync.content.protocol import Source
from regsync.oci.reference import RepositoryName
from regsync.reconcile.events import Emit
from regsync.server.upstreams import NO_UPSTREAMS, Upstream, Upstreams
from regsync.spec import server as spec_server
from regsync.spec.model import Location, Registry, RemotePlace, Spec

if TYPE_CHECKING:
    from regsync.cli.remotes import Remotes


MAX_WAIT = 8.0  # seconds; `limits.maxWait` is for runs that nobody waits for, and here a client does


class UpstreamRegistries:
    """Sessions with registries that outlive a reload of the spec which leaves them as they were.

    Those that a reload replaces close their connections by themselves, when the last request that uses
    them is over: nothing here holds them.
    """

    def __init__(self, clock: Clock, emit: Emit) -> None:
        self._clock, self._emit = clock, emit
        self._registries: Mapping[str, Registry] = {}
        self._remotes: Remotes | None = None

    def upstreams(self, spec: Spec, store: Path) -> Upstreams:
        """What the spec's Server says of upstreams, of which `store` keeps what is pulled.

        Raises InvalidSpecError for policies that cannot be understood, and EvidenceInStoreError.
        """
        if spec.server is None or not spec.server.upstreams:
            return NO_UPSTREAMS
        from regsync.cli.remotes import Remotes  # brings an HTTP client, which few servers need
        from regsync.reconcile.ledger_memory import MemoryLedger

        asked = {one.registry for one in spec.server.upstreams} | evidence_registries(spec)
        registries = {name: _hurried(spec.registries[name]) for name in sorted(asked)}
        remotes = self._remotes
        if remotes is None or registries != self._registries:
            narrowed = replace(spec, registries=registries)
            remotes = Remotes(narrowed, self._clock, MemoryLedger(), self._emit)
            self._remotes, self._registries = remotes, registries
        requirements = Requirements(spec, understood(spec), store, partial(_connect, remotes))
        return Upstreams(
            [_upstream(one, registries[one.registry], remotes, requirements) for one in spec.server.upstreams]
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._remotes is not None:
            with CancelScope(shield=True):
                await self._remotes.close()


def _hurried(registry: Registry) -> Registry:
    limits = registry.limits
    return replace(registry, limits=replace(limits, max_wait=min(limits.max_wait, MAX_WAIT)))


def _upstream(
    found: spec_server.Upstream, registry: Registry, remotes: "Remotes", requirements: Requirements
) -> Upstream:
    assert isinstance(registry.place, RemotePlace)  # noqa: S101 - the spec takes no other
    return Upstream(
        found.prefix,
        registry.place.host,
        partial(_connect, remotes, found.registry),
        found.first_pull,
        found.host,
        found.max_age.total_seconds(),
        found.max_stale.total_seconds(),
        requirements.of(found),
    )


def _connect(remotes: "Remotes", registry: str, name: RepositoryName) -> Source:
    return remotes.connect(Location(registry, name))
