"""Registries over HTTP, built from a spec: credentials, TLS, limits; one session each, when first used."""

from collections.abc import Callable, Collection, Mapping, Sequence

from regsync.cli.upload_sessions import LedgerUploads
from regsync.clock import Clock
from regsync.content.concurrently import for_each
from regsync.content.tags_state import FEW_REPOSITORIES, TagsState
from regsync.oci.reference import DOCKER_HUB, RepositoryName
from regsync.reconcile.events import Emit, RegistryWaited
from regsync.reconcile.ledger import Ledger, Spot
from regsync.remote import catalog, states
from regsync.remote.auth_files import AuthFiles
from regsync.remote.authenticator import Grant
from regsync.remote.credentials import Credentials, CredentialSource, Given, Shared
from regsync.remote.endpoint import Endpoint
from regsync.remote.limits import Limiters, LimitSettings
from regsync.remote.providers.detection import choose
from regsync.remote.providers.dockerhub import API_HOST
from regsync.remote.providers.provider import Provider
from regsync.remote.repository import RemoteRepository
from regsync.remote.request import Scope
from regsync.remote.session import Session
from regsync.remote.tls import TlsFiles
from regsync.remote.transport import Transports
from regsync.remote.upload import Upload
from regsync.spec.model import Location, Registry, RemotePlace, Spec


class Remotes:
    """The remote registries of a spec. `guard` raises when this process may not write any more."""

    def __init__(
        self,
        spec: Spec,
        clock: Clock,
        ledger: Ledger,
        emit: Emit,
        guard: Callable[[], None] | None = None,
        limiters: Limiters | None = None,
    ) -> None:
        self._guard = guard
        self._spec, self._clock, self._ledger = spec, clock, ledger
        self._sessions: dict[str, Session] = {}
        self._transports = Transports()
        self._limiters = limiters or new_limiters(clock, emit)
        self._tools = AuthFiles.of_user(clock)  # what `docker login` and the like have left

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
            guard=self._guard,
        )

    async def repositories(self, name: str) -> Sequence[RepositoryName]:
        """The repositories that a registry lists, sorted; raises RegistryCannotListError."""
        registry = self._spec.registries[name]
        return sorted(await catalog.repositories(self._session(registry), _provider(registry)))

    async def states(
        self, name: str, wanted: Collection[RepositoryName]
    ) -> Mapping[RepositoryName, TagsState] | None:
        """What repositories of a server of ours hold, in one answer where many are wanted; None of others."""
        registry = self._spec.registries[name]
        if not _provider(registry).has_states:
            return None
        if len(wanted) > FEW_REPOSITORIES:
            return await states.repositories(self._session(registry))
        endpoints = [Endpoint.of(self._session(registry), one, _provider(registry)) for one in wanted]
        found = zip(wanted, await for_each(states.repository, endpoints), strict=True)
        return {repository: state for repository, state in found if state is not None}

    async def may_push(self, location: Location) -> None:
        """Ask for the right to push, without writing.

        Where there are no tokens to ask for, an upload is opened and given up again. Raises what a push
        would meet: UnauthorizedError, ForbiddenError, RepositoryMissingError and so on.
        """
        registry = self._spec.registries[location.registry]
        session = self._session(registry)
        if await session.authorize(Scope.push(location.repository)) is Grant.GRANTED:
            return
        endpoint = Endpoint.of(session, location.repository, _provider(registry), self._clock)
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
        await self._transports.close()

    def _session(self, registry: Registry) -> Session:
        session = self._sessions.get(registry.name)
        if session is None:
            session = self._sessions[registry.name] = self._new_session(registry)
        return session

    def _new_session(self, registry: Registry) -> Session:
        place, tls = _place(registry), registry.tls
        host = API_HOST if place.host == DOCKER_HUB else place.host
        return Session(
            place.host,
            f"{place.scheme}://{host}",
            transport=self._transports.for_tls(TlsFiles(tls.ca, tls.cert, tls.key)),
            credentials=_credentials(registry, self._tools),
            limiter=self._limiters.for_host(place.host, _limits(registry)),
            clock=self._clock,
        )


def new_limiters(clock: Clock, emit: Emit) -> Limiters:
    """Limiters of one run, or of several at a time; who has to wait for them is told."""
    return Limiters(clock, tell=lambda *told: emit(RegistryWaited(*told)))


def _credentials(registry: Registry, tools: CredentialSource) -> CredentialSource:
    """What the spec says, else the tools; the secrets are read when a registry asks for them."""
    login, realms = registry.auth.login, registry.auth.realms
    if login is None:
        return Shared(tools, realms) if realms else tools
    return Given(lambda: Credentials(login.username.read(), login.password.read()), realms)


def _limits(registry: Registry) -> LimitSettings:
    limits = registry.limits
    return LimitSettings(
        limits.concurrency,
        limits.requests_per_second,
        limits.bytes_per_second,
        limits.reserve,
        limits.max_wait,
    )


def _place(registry: Registry) -> RemotePlace:
    assert isinstance(registry.place, RemotePlace)  # noqa: S101 - places.py asks for no other
    return registry.place


def _provider(registry: Registry) -> Provider:
    return choose(registry.provider, _place(registry).host)
