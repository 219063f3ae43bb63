"""Which repositories are fetched from elsewhere when they are first pulled, and by which names they go.

A repository of an upstream is `PREFIX/REPOSITORY` here. Two kinds of clients cannot write the prefix:
container engines whose mirrors are bare hosts, which come to a `host` of the upstream's own, and
containerd, which says in the query `ns` which registry it means (distribution-spec, "Pulling content
from a proxy"; not in 1.1).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from regsync.content.protocol import Source
from regsync.oci.reference import DOCKER_HUB, RepositoryName
from regsync.server.failures import ApiError
from regsync.server.required import Required
from regsync.server.values import parse_name
from regsync.spec.server import FirstPull

MAX_AGE = 60.0  # seconds
MAX_STALE = 7 * 86_400.0  # seconds


def nothing_is_required(name: RepositoryName) -> Required | None:
    """No policy."""
    return None


@dataclass(frozen=True, slots=True)
class Upstream:
    """A prefix, and where what is below it comes from."""

    prefix: RepositoryName
    namespace: str  # the registry as references write it: `docker.io`
    connect: Callable[[RepositoryName], Source]  # with the credentials, TLS and limits of its Registry
    first_pull: FirstPull = FirstPull.AUTHENTICATED
    host: str | None = None  # a name of this server under which the prefix is not written; lower case
    max_age: float = MAX_AGE  # seconds for which a tag is taken to be where it was
    max_stale: float = MAX_STALE  # seconds for which a tag is served while the upstream cannot be asked
    required: Callable[[RepositoryName], Required | None] = nothing_is_required  # of its own repositories

    def has(self, name: RepositoryName) -> bool:
        """Whether a repository of ours is below the prefix."""
        return name.startswith(f"{self.prefix}/")

    def source(self, name: RepositoryName) -> Source:
        """The upstream's side of a repository of ours."""
        return self.connect(self._own(name))

    def required_of(self, name: RepositoryName) -> Required | None:
        """What a repository of ours has to meet; None where no policy applies."""
        return self.required(self._own(name))

    def _own(self, name: RepositoryName) -> RepositoryName:
        return RepositoryName(name.removeprefix(f"{self.prefix}/"))


@dataclass(frozen=True, slots=True)
class Located:
    """A repository: its name here, the name that the client used, and its upstream if it has one."""

    name: RepositoryName
    asked: RepositoryName
    upstream: Upstream | None = None


class Upstreams:
    """All upstreams of a server. Where one prefix is below another the longer one counts."""

    def __init__(self, upstreams: Sequence[Upstream] = ()) -> None:
        self._upstreams = sorted(upstreams, key=lambda one: len(one.prefix), reverse=True)
        self._hosts = {one.host: one for one in upstreams if one.host is not None}
        self._namespaces = {one.namespace: one for one in reversed(upstreams)}

    def __bool__(self) -> bool:
        return bool(self._upstreams)

    def of_host(self, host: str | None) -> Upstream | None:
        """Whose own name the `Host` of a request is, with a port or without."""
        return self._hosts.get(_host_name(host)) if host is not None and self._hosts else None

    def locate(self, asked: RepositoryName, host: str | None, namespace: str | None) -> Located:
        """The repository that a request means.

        `namespace` is its `ns`, where it only reads: containerd sends it to a host that is not the registry
        of the image, and would take ours for theirs. Raises NAME_UNKNOWN for one of which nothing is
        here, and NAME_INVALID where the whole name is too long.
        """
        upstream = self.of_host(host)
        if upstream is None:
            if namespace is not None and host is not None and _host_name(namespace) == _host_name(host):
                namespace = None
            own = self._below(asked)
            # The path of a mirror may end in the prefix.
            if own is not None and namespace in (None, own.namespace):
                return Located(_full(own, asked), asked, own)
            if namespace is None:
                return Located(asked, asked)
            upstream = self._namespaces.get(namespace)
            if upstream is None:
                raise ApiError(404, "NAME_UNKNOWN", f"nothing is served for the registry {namespace[:100]!r}")
        return Located(_full(upstream, parse_name(f"{upstream.prefix}/{asked}")), asked, upstream)

    def _below(self, name: RepositoryName) -> Upstream | None:
        return next((one for one in self._upstreams if one.has(name)), None)


def _host_name(host: str) -> str:
    """In lower case, without a port and without the dot that may end a name."""
    name, _, port = host.lower().rpartition(":")
    return (name if port.isdigit() else host.lower()).removesuffix(".")


def _full(upstream: Upstream, name: RepositoryName) -> RepositoryName:
    """Docker Hub's own images have a short name and a full one; here they are under the full one alone."""
    rest = name.removeprefix(f"{upstream.prefix}/")
    if upstream.namespace == DOCKER_HUB and "/" not in rest:
        return parse_name(f"{upstream.prefix}/library/{rest}")
    return name


NO_UPSTREAMS = Upstreams()
