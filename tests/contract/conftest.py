"""The places of the contract: each test of this directory runs against every one of them."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from regsync.content.protocol import Store
from tests.contract import places
from tests.contract.places import Place
from tests.support.regsync_server import RegsyncServer

_REMOTE = frozenset({"name a manifest by sha512"})
_REMOTE_CANNOT = {
    "fake": _REMOTE | {"refuse missing references"},
    "distribution": _REMOTE,
    "debian": _REMOTE,
    "served": frozenset[str](),
}
_SERVERS = {
    "fake": "fake_registry",
    "distribution": "distribution",
    "debian": "debian_registry",
    "served": "served",
}
_LOCAL = {"memory": places.memory, "layout": places.layout, "builtin": places.builtin}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run with every kind of place; those that need a server's binary are marked so."""
    if "kind" in metafunc.fixturenames:
        kinds = [
            *_LOCAL,
            "fake",
            "served",
            *(pytest.param(one, marks=pytest.mark.servers) for one in ("distribution", "debian")),
        ]
        metafunc.parametrize("kind", kinds)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegsyncServer]:
    """Our own registry, shared by all tests of a worker."""
    with RegsyncServer(tmp_path_factory.mktemp("served")) as server:
        yield server


@pytest.fixture
async def place(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, anyio_backend: str
) -> AsyncIterator[Place]:
    """The place itself."""
    if kind in _LOCAL:
        async with _LOCAL[kind](tmp_path) as opened:
            yield opened
        return
    server = request.getfixturevalue(_SERVERS[kind])
    async with places.remote(server.host, server.url, _REMOTE_CANNOT[kind]) as opened:
        yield opened


@pytest.fixture
def store(place: Place, repository: str) -> Store:
    """An empty repository there."""
    return place.repository(repository)


@pytest.fixture
def sibling(place: Place, repository: str) -> Store:
    """Another empty repository of the same place."""
    return place.repository(f"{repository}/sibling")
