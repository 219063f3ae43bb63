"""SIGTERM and kill -9 at any moment: nothing half-visible, and the next run goes on where this one was.

`REGSYNC_SOAK=200` scales how many moments are tried; each has its own seed, which the test's name shows.
"""

import os
import random
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.integration.evidence import attach
from tests.integration.workspace import Workspace, finished
from tests.support.fake_http import Answer, Request
from tests.support.fake_registry import FakeRegistry, Proceed, stall_after
from tests.support.images import Content, cosign_signature, cosign_tag, image, index, noise, referrer, sha256
from tests.support.processes import wait_until
from tests.support.registry_state import read_digest, read_registry, read_repository, read_tags
from tests.support.servers import RegistryServer

MOMENTS = int(os.environ.get("REGSYNC_SOAK", "20"))
SHARED = noise("a layer of all", 60_000)
IMAGES = 8


def contents() -> list[Content]:
    return [
        index(
            image(f"app-{number}", layers=[SHARED, noise(f"own {number}", 20_000)], arch="amd64"),
            image(f"app-{number}", layers=[SHARED, noise(f"arm {number}", 20_000)], arch="arm64"),
        )
        for number in range(IMAGES)
    ]


def fill(source: FakeRegistry) -> None:
    """Images in two repositories that share layers, with referrers and signatures."""
    for number, content in enumerate(contents()):
        name = f"team/app-{number % 2}"
        source.add(name, content, f"v{number}")
        attach(source, name, content, referrer(content))
        source.add(name, cosign_signature(content), cosign_tag(content))


def assert_whole(url: str) -> None:
    """Every tag that the target shows is complete, and has its signature."""
    for name, state in read_registry(url).items():
        assert state.complete, f"{name}: {state.missing} is missing below a tag"
        by_digest = {content.digest: content for content in contents()}
        for tag, digest in state.tags.items():
            if not tag.startswith("sha256-"):
                assert cosign_tag(by_digest[digest]) in state.tags, f"{name}:{tag} came before its signature"


def kill_at(
    target: FakeRegistry, number: int, process: Callable[[], int | None], how: signal.Signals
) -> None:
    """Signal the process at the target's `number`-th request: before it is answered, or after."""
    seen = 0

    def behave(request: Request, proceed: Proceed) -> Answer:
        nonlocal seen
        seen += 1
        here = seen == number
        if here and number % 2:
            os.kill(_known(process()), how)
        answer = proceed()
        if here and not number % 2:
            os.kill(_known(process()), how)
        return answer

    target.on(".*", ".*", behave)


def _known(pid: int | None) -> int:
    assert pid is not None
    return pid


@pytest.mark.parametrize("seed", range(MOMENTS))
def test_whenever_it_is_killed_the_target_is_whole_and_the_next_run_finishes(
    workspace: Workspace, fake_registry_factory: Callable[[], FakeRegistry], seed: int
) -> None:
    source, target = fake_registry_factory(), fake_registry_factory()
    fill(source)
    chance = random.Random(seed)
    target.referrers_api = chance.random() < 0.5
    how = chance.choice([signal.SIGTERM, signal.SIGKILL])
    number = chance.randint(1, 150)
    workspace.registry("source", source.url).registry("target", target.url)
    workspace.mirror(
        "all", "source/{repository}", "target/{repository}", repositories={"include": ["team/*"]}, tags=["v*"]
    )
    running: list[subprocess.Popen[str]] = []
    kill_at(target, number, lambda: running[0].pid if running else None, how)
    running.append(workspace.start("sync"))
    ran = finished(running[0])
    target.behave()
    if ran.code != 0:  # else it was done before that request came
        assert ran.code == (143 if how is signal.SIGTERM else -signal.SIGKILL), str(ran)
    if ran.code == 143:
        assert ran.report["run"]["interrupted"] is True, str(ran)
        done = {name for name, outcome in ran.outcomes().items() if outcome == "done"}
        shown = {
            f"target/{name}:{tag}"
            for name, repository in target.repositories.items()
            for tag in repository.tags
            if not tag.startswith("sha256-")
        }
        assert done == shown, str(ran)
    assert_whole(target.url)
    before = {name: set(repository.blobs) for name, repository in target.repositories.items()}
    target.forget()
    workspace.run("sync").exited(0)
    assert_whole(target.url)
    assert sum(len(repository.tags) > 0 for repository in target.repositories.values()) == 2
    assert workspace.run("plan").exited(0).summary == {"unchanged": IMAGES}
    if how is signal.SIGTERM:
        assert sent_again(target, before) == set()


def sent_again(target: FakeRegistry, before: dict[str, set[str]]) -> set[str]:
    """Blobs that were complete at the target already and were uploaded once more."""
    found = set()
    for request in target.matching("PUT|POST", r"/v2/.*/blobs/uploads/.*"):
        name = request.path.removeprefix("/v2/").partition("/blobs/")[0]
        digest = request.query.get("digest")
        if digest in before.get(name, set()):
            found.add(f"{name}@{digest}")
    return found


@pytest.mark.parametrize("seed", range(max(4, MOMENTS // 5)))
def test_a_real_registry_killed_at_some_event(
    workspace: Workspace,
    fake_registry: FakeRegistry,
    distribution: RegistryServer,
    debian_registry: RegistryServer,
    repository: str,
    seed: int,
) -> None:
    fill(fake_registry)
    chance = random.Random(f"event {seed}")
    how = chance.choice([signal.SIGTERM, signal.SIGKILL])
    workspace.registry("source", fake_registry.url)
    workspace.registry("a", distribution.url).registry("b", debian_registry.url)
    for number in range(2):
        name = f"team/app-{number}"
        workspace.mirror(
            f"app-{number}", f"source/{name}", f"a/{repository}/{name}", f"b/{repository}/{name}", tags=["v*"]
        )
    process = workspace.start("sync")
    assert process.stderr is not None
    for _ in range(chance.randint(1, 30)):
        process.stderr.readline()
    process.send_signal(how)
    ran = finished(process)
    assert ran.code in (0, 143, -signal.SIGKILL), str(ran)
    for server in (distribution, debian_registry):
        for number in range(2):
            assert read_repository(server.url, f"{repository}/team/app-{number}").complete
    workspace.run("sync").exited(0)
    for server in (distribution, debian_registry):
        for number, content in enumerate(contents()):
            name = f"{repository}/team/app-{number % 2}"
            assert read_digest(server.url, name, f"v{number}") == content.digest


def test_kill_9_before_the_first_tag_repeats_no_blob_that_was_there(
    workspace: Workspace, fake_registry: FakeRegistry, distribution: RegistryServer, repository: str
) -> None:
    layers = [noise(f"layer {number}", 300_000) for number in range(4)]
    fake_registry.add("app", image("app", layers=layers), "v1")
    fake_registry.on("GET", f"/v2/app/blobs/{sha256(layers[3])}", stall_after(1000), times=1)
    workspace.registry("source", fake_registry.url).registry("target", distribution.url)
    workspace.mirror("app", "source/app", f"target/{repository}", tags=["v1"])
    process = workspace.start("sync")
    wait_until(lambda: rows(workspace, "blob") > 0, what="the ledger knows of a blob")
    process.kill()
    finished(process)
    assert read_tags(distribution.url, repository) == []
    fake_registry.forget()
    workspace.run("sync").exited(0)
    assert read_repository(distribution.url, repository).complete
    read = {one.path.rpartition("/")[2] for one in fake_registry.matching("GET", r"/v2/app/blobs/.*")}
    assert read == {sha256(layers[3])}


def test_sigterm_ends_a_run_that_waits_for_a_registry_at_once(workspace: Workspace) -> None:
    """A registry that is down is tried for half a minute; nobody has to wait for that."""
    workspace.registry("down", "http://127.0.0.1:9").registry("store", store="./data")
    workspace.mirror("app", "down/app", "store/app", tags=["v1"])
    process = workspace.start("sync")
    assert process.stderr is not None
    process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    finished(process, limit=15).exited(143)


def rows(workspace: Workspace, table: str) -> int:
    """How many rows a table of the ledger has on disk."""
    if not workspace.ledger.exists():
        return 0
    with closing(sqlite3.connect(f"file:{workspace.ledger}?mode=ro", uri=True)) as ledger:
        try:
            found: int = ledger.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        except sqlite3.OperationalError:
            return 0
        return found


def test_a_large_blob_goes_on_at_the_registrys_offset_in_the_next_process(
    workspace: Workspace, fake_registry: FakeRegistry, distribution: RegistryServer, repository: str
) -> None:
    size = 200 * 1024 * 1024
    layer = random.Random("a large layer").randbytes(1024 * 1024) * 200
    fake_registry.add("app", image("app", layers=[layer]), "v1")
    blobs = f"/v2/app/blobs/{sha256(layer)}"
    fake_registry.on("GET", blobs, stall_after(150 * 1024 * 1024), times=1)
    workspace.registry("source", fake_registry.url).registry("target", distribution.url)
    workspace.mirror("app", "source/app", f"target/{repository}", tags=["v1"])
    process = workspace.start("sync")
    wait_until(lambda: sent(workspace) >= 64 * 1024 * 1024, what="a piece of 64 MiB is confirmed", limit=60)
    process.kill()
    finished(process)
    assert read_tags(distribution.url, repository) == []
    fake_registry.forget()
    mark = distribution.log_size()
    workspace.run("sync").exited(0)
    assert read_repository(distribution.url, repository).complete
    asked = fake_registry.matching("GET", blobs)
    assert len(asked) == 1
    offset = int(asked[0].headers["range"].removeprefix("bytes=").partition("-")[0])
    assert 64 * 1024 * 1024 <= offset < size
    begun = [one for one in distribution.accesses(mark) if one.method == "POST" and repository in one.path]
    assert len(begun) <= 1  # the config's alone


def sent(workspace: Workspace) -> int:
    """The furthest offset that the ledger has of an open upload."""
    if not workspace.ledger.exists():
        return 0
    with closing(sqlite3.connect(f"file:{workspace.ledger}?mode=ro", uri=True)) as ledger:
        try:
            found: int | None = ledger.execute("SELECT max(offset) FROM upload").fetchone()[0]
        except sqlite3.OperationalError:
            return 0
        return found or 0


def test_a_referrer_that_was_put_and_not_yet_listed_is_listed_by_the_next_run(
    workspace: Workspace, fake_registry_factory: Callable[[], FakeRegistry]
) -> None:
    source, target = fake_registry_factory(), fake_registry_factory()
    app = source.add("app", image("app"), "v1")
    attach(source, "app", app, referrer(app))
    target.referrers_api = False
    target.add("app", app, "v1")
    target.add("app", referrer(app))  # whoever put it ended before the fallback tag
    workspace.registry("source", source.url).registry("target", target.url)
    workspace.mirror("app", "source/app", "target/app", tags=["v*"])
    workspace.run("sync").exited(0)
    assert workspace.run("plan").exited(0).summary == {"unchanged": 1}
