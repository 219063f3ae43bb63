"""A server in each setting that a client may meet, and clients that are set up for it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.server.real_clients import CLIENTS, Client, Setting
from tests.support.certificates import Certificates
from tests.support.images import sha256
from tests.support.regsync_server import RegsyncServer
from tests.support.servers import write_htpasswd
from tests.support.tools import Tool

LOGIN = ("ann", "correct:horse battery")
TLS = "tls: {cert: server.pem, key: server.key}\n"
OPEN = "access: [{subjects: [anonymous], repositories: ['**'], actions: [pull, push, overwrite, delete]}]\n"
CLOSED = (
    "auth: {htpasswd: htpasswd}\n"
    "access: [{subjects: ['user:ann'], repositories: ['**'], actions: [pull, push, overwrite, delete]}]\n"
)


@pytest.fixture(scope="module", params=["plain", "plain, logged in", "TLS", "TLS, logged in"])
def setting(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[Setting]:
    with_tls, with_login = "TLS" in request.param, "logged in" in request.param
    directory = tmp_path_factory.mktemp("registry")
    write_htpasswd(directory, dict([LOGIN]))
    keys = {"server.pem": certificates.server_cert, "server.key": certificates.server_key}
    with RegsyncServer(
        directory,
        spec=(CLOSED if with_login else OPEN) + (TLS if with_tls else ""),
        files={name: path.read_text() for name, path in keys.items()},
        credentials=LOGIN if with_login else None,
        certificates=certificates if with_tls else None,
    ) as server:
        yield Setting(server, LOGIN if with_login else None, certificates.ca if with_tls else None)


@pytest.fixture
def made(tool: Callable[[str], Tool], setting: Setting, tmp_path: Path) -> Callable[[str], Client]:
    """Makes a client that trusts the server and has logged in."""

    def make(name: str) -> Client:
        directory = tmp_path / name
        directory.mkdir()
        return CLIENTS[name](tool(name), setting, directory)

    return make


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegsyncServer]:
    """One for all tests of a module, where whoever comes may do anything; see `space`."""
    with RegsyncServer(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def http(server: RegsyncServer) -> Iterator[httpx.Client]:
    """A raw client of it."""
    with server.client() as client:
        yield client


@pytest.fixture
def space(request: pytest.FixtureRequest) -> str:
    """A repository's name, or the beginning of one, that no other test uses."""
    return "t" + sha256(request.node.nodeid.encode())[7:27]
