"""One repository of one registry, as the requests about it need it: paths, scopes, names."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from regsync.clock import Clock, SystemClock
from regsync.oci.reference import RepositoryName
from regsync.remote.learned import Learned, learned_of
from regsync.remote.providers.provider import PULL, PUSH, Provider
from regsync.remote.request import Scope
from regsync.remote.session import Session


@dataclass(frozen=True, slots=True, eq=False)
class Endpoint:
    """What every request of a repository is made from, computed once."""

    session: Session
    repository: RepositoryName
    provider: Provider
    learned: Learned
    clock: Clock
    pause: Callable[[float], Awaitable[None]]  # seconds
    name: str  # host/repository, which every error names
    base: str  # /v2/<repository>
    manifests: str  # path; a tag or digest follows
    blobs: str  # path; a digest follows
    uploads: str  # path
    pull: Scope
    push: Scope
    delete: Scope
    guard: Callable[[], None] | None  # asked before each attempt of what makes something visible

    @classmethod
    def of(
        cls,
        session: Session,
        repository: RepositoryName,
        provider: Provider,
        clock: Clock | None = None,
        pause: Callable[[float], Awaitable[None]] = anyio.sleep,
        guard: Callable[[], None] | None = None,
    ) -> "Endpoint":
        """The endpoint of `repository` at the registry that `session` talks to."""
        base = f"/v2/{repository}"
        return cls(
            session,
            repository,
            provider,
            learned_of(session, provider),
            clock or SystemClock(),
            pause,
            name=f"{session.name}/{repository}",
            base=base,
            manifests=f"{base}/manifests/",
            blobs=f"{base}/blobs/",
            uploads=f"{base}/blobs/uploads/",
            pull=Scope(repository, PULL),
            push=Scope(repository, PUSH),
            delete=Scope(repository, provider.delete_actions),
            guard=guard,
        )
