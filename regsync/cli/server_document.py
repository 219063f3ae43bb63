"""The Server document that `regsync serve` is given, and what it needs to be carried out."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from regsync.cli.server_requirements import material_files
from regsync.cli.server_upstreams import UpstreamRegistries
from regsync.clock import Clock
from regsync.reconcile.events import Emit
from regsync.server.access import Access
from regsync.server.failed_logins import FailedLogins
from regsync.server.policy import Policy
from regsync.server.spec_policy import Means, policy_of
from regsync.spec.load import load
from regsync.spec.model import Spec
from regsync.spec.server import Server


class ServerDocument:
    """Read as often as it changes; connections and failed logins outlive that."""

    def __init__(self, paths: Sequence[Path], clock: Clock, emit: Emit) -> None:
        self._paths = paths
        self._registries = UpstreamRegistries(clock, emit)
        self._means = Means(clock, FailedLogins(clock), _fetch)
        self.materials: Sequence[Path] = ()  # files with the keys and roots of policies, as last read

    def read(self) -> Spec:
        """The documents of its paths. Raises SpecError."""
        spec = load(self._paths)
        self.materials = tuple(material_files(spec))
        return spec

    def policy(self, spec: Spec, server: Server, store: Path, without_rules: Access) -> Policy:
        """What `server` and the registries of `spec` make of requests to what `store` has.

        Raises HtpasswdError, InvalidSpecError for policies that cannot be understood, and
        EvidenceInStoreError.
        """
        policy = policy_of(server, self._means, without_rules)
        return replace(policy, upstreams=self._registries.upstreams(spec, store))

    async def close(self) -> None:
        """Close all connections."""
        await self._registries.close()


async def _fetch(url: str, *, ca: Path | None, limit: int) -> bytes:
    from regsync.remote.documents import fetch_document  # brings an HTTP client, which few servers need

    return await fetch_document(url, ca=ca, limit=limit)
