"""A target that takes connections and answers nothing holds back no other."""

import signal

import pytest

from tests.integration.workspace import Workspace, finished
from tests.support.images import image
from tests.support.processes import wait_until
from tests.support.registry_state import read_tags
from tests.support.servers import RegistryServer
from tests.support.toxiproxy import Toxiproxy

pytestmark = pytest.mark.servers


def test_a_stalled_target_holds_back_no_other(
    workspace: Workspace,
    distribution: RegistryServer,
    debian_registry: RegistryServer,
    toxiproxy: Toxiproxy,
    repository: str,
) -> None:
    for number in range(6):
        distribution.push(repository, image(f"app{number}", layer_size=200_000), f"v1.{number}")
    link = toxiproxy.proxy(debian_registry.url)
    link.stall(direction="upstream")
    workspace.registry("source", distribution.url).registry("slow", link.url)
    targets = (f"slow/{repository}", f"source/{repository}-2")
    workspace.mirror("app", f"source/{repository}", *targets, tags=["v*"])

    process = workspace.start("sync")
    wait_until(
        lambda: len(read_tags(distribution.url, f"{repository}-2")) == 6, what="the other target", limit=25
    )
    process.send_signal(signal.SIGTERM)

    assert finished(process, limit=60).code == 143
