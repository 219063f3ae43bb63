"""Two (or more) registries, the network between them, and a count of what was asked of each."""

import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import corpus
from tests.support import images, registry_state, servers, tools
from tests.support.processes import ServerProcess
from tests.support.servers import Access, RegistryServer
from tests.support.toxiproxy import Toxiproxy

_KINDS = (
    (re.compile(r"/v2/?"), "ping"),
    (re.compile(r"/v2/.+/tags/list"), "tags"),
    (re.compile(r"/v2/.+/referrers/.+"), "referrers"),
    (re.compile(r"/v2/.+/manifests/.+"), "manifest"),
    (re.compile(r"/v2/.+/blobs/uploads/.*"), "upload"),
    (re.compile(r"/v2/.+/blobs/.+"), "blob"),
)


@dataclass
class Traffic:
    """What one registry was asked during a run."""

    requests: Counter[str] = field(default_factory=Counter)
    """By kind: `GET manifest`, `HEAD blob`, `POST upload` ..."""
    blob_bytes: int = 0
    """Bytes of blobs it sent."""

    @property
    def total(self) -> int:
        """All requests."""
        return self.requests.total()

    @classmethod
    def of(cls, accesses: Sequence[Access]) -> "Traffic":
        """Sum up a part of an access log."""
        traffic = cls()
        for one in accesses:
            kind = next((name for pattern, name in _KINDS if pattern.fullmatch(one.path)), "other")
            traffic.requests[f"{one.method} {kind}"] += 1
            if kind == "blob" and one.method == "GET":
                traffic.blob_bytes += one.size
        return traffic


@dataclass
class Place:
    """A registry as contenders see it: directly, or through a link that adds latency."""

    server: RegistryServer
    host: str
    _mark: int = 0

    @property
    def url(self) -> str:
        """The URL that contenders use."""
        return f"http://{self.host}"

    def mark(self) -> None:
        """Count from here on."""
        self._mark = self.server.log_size()

    def traffic(self) -> Traffic:
        """What was asked since `mark`."""
        return Traffic.of(self.server.accesses(self._mark))


@dataclass
class World:
    """The source with a profile in it, and the targets."""

    profile: str
    source: Place
    targets: list[Place]

    @property
    def target(self) -> Place:
        """The first target; most rows have one."""
        return self.targets[0]

    @property
    def repositories(self) -> list[str]:
        """What the profile filled."""
        return corpus.repositories(self.profile)

    def wipe_targets(self) -> None:
        """Empty every target; ports stay."""
        for place in self.targets:
            place.server.wipe()

    def mark(self) -> None:
        """Count from here on, everywhere."""
        for place in (self.source, *self.targets):
            place.mark()

    def check_targets(self) -> None:
        """Compare every tag of every target with the source. AssertionError names what differs."""
        with images.client() as http:
            for repository in self.repositories:
                for tag in registry_state.read_tags(self.source.server.url, repository, http):
                    wanted = registry_state.read_digest(self.source.server.url, repository, tag, http)
                    for place in self.targets:
                        found = registry_state.read_digest(place.server.url, repository, tag, http)
                        assert found == wanted, f"{place.host}/{repository}:{tag} is {found}, not {wanted}"


@contextmanager
def build(directory: Path, profile: str, *, latency: int, targets: int = 1) -> Iterator[World]:
    """Start registries, push the profile into the source, and put `latency` milliseconds before each side.

    The source's content stays in `directory` for the next row with the same profile. Ends what it started.
    """
    with ExitStack() as stack:
        links: Toxiproxy | None = None
        if latency:
            links = stack.enter_context(_toxiproxy(directory))

        def place(name: str) -> Place:
            home = directory / name
            home.mkdir(exist_ok=True)
            (home / "registry.log").unlink(missing_ok=True)
            server = stack.enter_context(servers.distribution(home))
            if links is None:
                return Place(server, server.host)
            link = links.proxy(server.url)
            link.latency(latency)
            return Place(server, link.host)

        source = place(f"source-{profile}")
        filled = source.server.directory / "filled"
        if not filled.exists():
            corpus.push(source.server.url, profile)
            filled.touch()
        world = World(profile, source, [place(f"target-{number}") for number in range(targets)])
        world.wipe_targets()
        yield world
        for one in world.targets:
            one.server.stop()
            shutil.rmtree(one.server.data, ignore_errors=True)


@contextmanager
def _toxiproxy(directory: Path) -> Iterator[Toxiproxy]:
    binary = str(tools.require("toxiproxy-server"))
    log = directory / "toxiproxy.log"
    with ServerProcess(lambda port: [binary, "-host", "127.0.0.1", "-port", str(port)], log) as process:
        links = Toxiproxy(process)
        yield links
        links.close()
