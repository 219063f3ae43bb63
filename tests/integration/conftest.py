"""`workspace`: a spec in a directory, and the command as a process (tests/integration/workspace.py)."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.integration.workspace import Workspace


@pytest.fixture
def workspaces(tmp_path: Path) -> Iterator[Callable[[str], Workspace]]:
    """Makes more of them: `workspaces("other")`."""
    with ExitStack() as stack:

        def make(name: str) -> Workspace:
            home = tmp_path / f"{name}-home"
            home.mkdir()
            path = tmp_path / name
            path.mkdir()
            return stack.enter_context(closing(Workspace(path, home)))

        yield make


@pytest.fixture
def workspace(workspaces: Callable[[str], Workspace]) -> Workspace:
    """An empty directory for a spec."""
    return workspaces("spec")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole programs on real servers: all of this room is `servers`."""
    for item in items:
        if "tests/integration/" in str(item.path):
            item.add_marker(pytest.mark.servers)
