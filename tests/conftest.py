"""Fixtures for every test: anyio on asyncio, a frozen clock, real registries and clients.

| fixture | gives |
|---|---|
| `clock` | a FrozenClock |
| `repository` | a repository name that no other test uses: `test/<id of the test>` |
| `fake_registry` | a FakeRegistry of this test alone (tests/support/fake_registry.py) |
| `fake_registry_factory` | more of them: `fake_registry_factory()` |
| `distribution` | distribution v3, plain HTTP, deletion on; shared by the session, so use `repository` |
| `distribution_factory` | one of your own: `distribution_factory(readonly=True, tokens=..., ...)` |
| `debian_registry` | docker-registry 2.8, shared by the session: no referrers API, no deletion of tags |
| `debian_registry_factory` | one of your own |
| `regsync_server` | our own registry, where whoever comes may do anything; one for each test |
| `regsync_server_factory` | one with options of your own: `regsync_server_factory(spec="readOnly: true")` |
| `token_server` | signs tokens; pass it as `tokens=` or to `bearer_auth` |
| `certificates` | a private CA, a server's and a client's certificate, as files |
| `toxiproxy` | `toxiproxy.proxy(registry.url)` gives a link to slow down, cut or reset |
| `small_disk` | the path of a file system of 4 MiB |
| `tool` | `tool("crane")("digest", ...)` runs a real client and returns its stdout |

What needs a binary skips where it is missing, or fails with REGSYNC_REQUIRE_SERVERS=1.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support import certificates as certificates_support
from tests.support import servers, tools
from tests.support.certificates import Certificates
from tests.support.clock import FrozenClock
from tests.support.fake_registry import FakeRegistry
from tests.support.processes import ServerProcess
from tests.support.regsync_server import RegsyncServer
from tests.support.servers import RegistryServer, SmallDisk
from tests.support.token_server import TokenServer
from tests.support.toxiproxy import Toxiproxy

SERVER_FIXTURES = {
    "distribution",
    "distribution_factory",
    "debian_registry",
    "debian_registry_factory",
    "toxiproxy",
    "tool",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs real servers or clients, so that `-m "not servers"` is the quick loop."""
    for item in items:
        if SERVER_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.servers)


@pytest.fixture
def anyio_backend() -> str:
    """The backend that ships; `pytestmark = pytest.mark.anyio` makes a module's tests run on it."""
    return "asyncio"


@pytest.fixture
def clock() -> FrozenClock:
    """Time that stands still until the test moves it."""
    return FrozenClock()


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """A repository name made of the test's own, for registries that tests share."""
    node: pytest.Item = request.node
    readable = re.sub(r"[^a-z0-9]+", "-", node.name.lower()).strip("-")[:60].strip("-")
    return f"test/{readable}-{hashlib.sha256(node.nodeid.encode()).hexdigest()[:8]}"


@pytest.fixture
def fake_registry_factory() -> Iterator[Callable[[], FakeRegistry]]:
    """Makes fake registries that end with the test."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(FakeRegistry())


@pytest.fixture
def fake_registry(fake_registry_factory: Callable[[], FakeRegistry]) -> FakeRegistry:
    """One fake registry of this test alone."""
    return fake_registry_factory()


@pytest.fixture
def distribution_factory(tmp_path: Path) -> Iterator[Callable[..., RegistryServer]]:
    """Starts distribution with the keyword arguments of tests.support.servers.distribution."""
    with ExitStack() as stack:

        def start(**variant: Any) -> RegistryServer:
            directory = _subdirectory(tmp_path, "distribution")
            return stack.enter_context(servers.distribution(directory, **variant))

        yield start


@pytest.fixture(scope="session")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """distribution v3, shared by all tests of a worker."""
    with servers.distribution(tmp_path_factory.mktemp("distribution")) as server:
        yield server


@pytest.fixture
def debian_registry_factory(tmp_path: Path) -> Iterator[Callable[[], RegistryServer]]:
    """Starts docker-registry 2.8."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(servers.debian_registry(_subdirectory(tmp_path, "debian-registry")))


@pytest.fixture(scope="session")
def debian_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """docker-registry 2.8, shared by all tests of a worker."""
    with servers.debian_registry(tmp_path_factory.mktemp("debian-registry")) as server:
        yield server


@pytest.fixture
def regsync_server_factory(tmp_path: Path) -> Iterator[Callable[..., RegsyncServer]]:
    """Starts our own registry with the keyword arguments of RegsyncServer."""
    with ExitStack() as stack:

        def start(**variant: Any) -> RegsyncServer:
            directory = _subdirectory(tmp_path, "regsync")
            return stack.enter_context(RegsyncServer(directory, **variant))

        yield start


@pytest.fixture
def regsync_server(regsync_server_factory: Callable[..., RegsyncServer]) -> RegsyncServer:
    """Our own registry of this test alone; whoever comes may do anything."""
    return regsync_server_factory()


@pytest.fixture
def token_server(tmp_path: Path) -> Iterator[TokenServer]:
    """A token server; user `ci` with password `secret`."""
    with TokenServer(_subdirectory(tmp_path, "tokens")) as server:
        yield server


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A private authority that no system trusts."""
    return certificates_support.issue(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def _toxiproxy_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    binary = str(tools.require("toxiproxy-server"))
    log = tmp_path_factory.mktemp("toxiproxy") / "toxiproxy.log"
    with ServerProcess(lambda port: [binary, "-host", "127.0.0.1", "-port", str(port)], log) as process:
        yield process


@pytest.fixture
def toxiproxy(_toxiproxy_process: ServerProcess) -> Iterator[Toxiproxy]:
    """toxiproxy without any proxy yet; those that a test makes go with it."""
    proxies = Toxiproxy(_toxiproxy_process)
    yield proxies
    proxies.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with 4 MiB; skips where mounting is not allowed."""
    disk = SmallDisk(tmp_path)
    yield disk.path
    disk.close()


@pytest.fixture
def tool(tmp_path: Path) -> Callable[[str], tools.Tool]:
    """Finds a real client: crane, oras, regctl, skopeo, cosign, notation-go, regclient-regsync."""
    home = _subdirectory(tmp_path, "home")
    return lambda name: tools.Tool(tools.require(name), home)


def _subdirectory(parent: Path, name: str) -> Path:
    number = sum(1 for one in parent.iterdir() if one.name.startswith(name))
    made = parent / f"{name}-{number}"
    made.mkdir()
    return made
