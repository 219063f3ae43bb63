"""Two runs at once: over one ledger only one writes; over two ledgers neither harms the other."""

from collections.abc import Callable

from tests.integration.workspace import Workspace, finished
from tests.support.fake_registry import FakeRegistry, stall_after
from tests.support.images import image, index, noise
from tests.support.processes import wait_until
from tests.support.registry_state import read_repository
from tests.support.servers import RegistryServer


def test_the_second_run_over_one_ledger_leaves_and_names_the_first(
    workspace: Workspace, fake_registry: FakeRegistry, distribution: RegistryServer, repository: str
) -> None:
    fake_registry.add("app", image("app"), "v1")
    fake_registry.on("GET", r"/v2/app/blobs/.*", stall_after(10))
    workspace.registry("source", fake_registry.url).registry("target", distribution.url)
    workspace.mirror("app", "source/app", f"target/{repository}", tags=["v1"])
    first = workspace.start("sync")
    wait_until(lambda: fake_registry.count("GET", r"/v2/app/blobs/.*") > 0, what="the first run copies")
    second = workspace.run("sync").exited(75)
    assert str(first.pid) in second.err
    assert second.seconds < 10
    assert workspace.run("plan").exited(2).summary == {"create": 1}  # a plan needs no lease
    first.terminate()
    assert finished(first).code == 143
    fake_registry.behave()
    workspace.run("sync").exited(0)


def test_who_waits_gets_the_lease_when_the_first_is_done_or_killed(
    workspace: Workspace, fake_registry: FakeRegistry, distribution: RegistryServer, repository: str
) -> None:
    fake_registry.add("app", image("app"), "v1")
    fake_registry.on("GET", r"/v2/app/blobs/.*", stall_after(10))
    workspace.registry("source", fake_registry.url).registry("target", distribution.url)
    workspace.mirror("app", "source/app", f"target/{repository}", tags=["v1"])
    first = workspace.start("sync")
    wait_until(lambda: fake_registry.count("GET", r"/v2/app/blobs/.*") > 0, what="the first run copies")
    second = workspace.start("sync", "--wait", "60s")
    assert second.stderr is not None
    assert "waiting" in second.stderr.readline()
    fake_registry.behave()
    first.kill()
    finished(first)
    finished(second).exited(0)
    assert read_repository(distribution.url, repository).complete


def test_two_runs_over_two_ledgers_leave_one_whole_target(
    workspaces: Callable[[str], Workspace], distribution: RegistryServer, repository: str
) -> None:
    contents = [
        index(image(f"app-{number}", layers=[noise("shared", 50_000), noise(f"own {number}", 20_000)]))
        for number in range(8)
    ]
    for number, content in enumerate(contents):
        distribution.push(repository, content, f"v{number}")
    both = [workspaces("one"), workspaces("two")]
    for one in both:
        one.registry("hub", distribution.url)
        one.mirror("app", f"hub/{repository}", f"hub/{repository}-copy", tags=["v*"])
    running = [one.start("sync") for one in both]
    for process in running:
        ran = finished(process)
        assert ran.code == 0, str(ran)
    state = read_repository(distribution.url, f"{repository}-copy")
    assert state.complete
    assert state.tags == {f"v{number}": content.digest for number, content in enumerate(contents)}
    for one in both:
        assert one.run("plan").exited(0).summary == {"unchanged": 8}
