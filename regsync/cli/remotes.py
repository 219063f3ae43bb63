"""Registries over HTTP, built from what a spec declares: one session each, opened when first asked for."""

from collections.abc import Mapping, Sequence

from regsync.cli.upload_sessions import LedgerUploads
from regsync.clock import Clock
from regsync.oci.reference import DOCKER_HUB, RepositoryName
from regsync.reconcile.ledger import Ledger, Spot
from regsync.remote import catalog
from regsync.remote.endpoint import Endpoint
from regsync.remote.providers.detection import choose
from regsync.remote.providers.provider import Provider
from regsync.remote.repository import RemoteRepository
from regsync.remote.session import Session
from regsync.remote.upload import Upload
from regsync.spec.model import Location, Registry, RemotePlace, Spec

HUB_HOST = "registry-1.docker.io"  # where docker.io answers


class Remotes:
    """The remote registries of a spec."""

    def __init__(self, spec: Spec, clock: Clock, ledger: Ledger) -> None:
        self._spec, self._clock, self._ledger = spec, clock, ledger
        self._sessions: dict[str, Session] = {}

    def connect(self, location: Location) -> RemoteRepository:
        """The repository at `location`."""
        registry = self._spec.registries[location.registry]
        spot = Spot(registry.place.key, location.repository)
        return RemoteRepository(
            self._session(registry),
            location.repository,
            _provider(registry),
            clock=self._clock,
            upload_sessions=LedgerUploads(self._ledger, spot, self._clock),
        )

    async def repositories(self, name: str) -> Sequence[RepositoryName]:
        """The repositories that a registry lists, sorted; raises RegistryCannotListError."""
        registry = self._spec.registries[name]
        return sorted(await catalog.repositories(self._session(registry), _provider(registry)))

    async def may_push(self, location: Location) -> None:
        """Ask for the right to push, by opening an upload and giving it up again; nothing is written.

        Raises what a push would meet: RepositoryMissingError, ForbiddenError, UnauthorizedError and so on.
        """
        registry = self._spec.registries[location.registry]
        endpoint = Endpoint.of(self._session(registry), location.repository, _provider(registry), self._clock)
        upload = await Upload.begin(endpoint)
        await upload.abandon()

    def requests(self) -> Mapping[str, Mapping[str, int]]:
        """Requests sent so far, by registry and kind."""
        return {
            name: {kind.value: count for kind, count in session.counters.items()}
            for name, session in sorted(self._sessions.items())
        }

    def warnings(self) -> Sequence[str]:
        """What registries asked to be told to people, each once."""
        return [
            f"{session.name} says: {text}" for session in self._sessions.values() for text in session.warnings
        ]

    async def close(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.__aexit__(None, None, None)

    def _session(self, registry: Registry) -> Session:
        session = self._sessions.get(registry.name)
        if session is None:
            place = _place(registry)
            host = HUB_HOST if place.host == DOCKER_HUB else place.host
            session = Session(place.host, f"{place.scheme}://{host}")
            self._sessions[registry.name] = session
        return session


def _place(registry: Registry) -> RemotePlace:
    assert isinstance(registry.place, RemotePlace)  # noqa: S101 - places.py asks for no other
    return registry.place


def _provider(registry: Registry) -> Provider:
    return choose(registry.provider, _place(registry).host)
