"""Targets that are down, read-only, full, or forgetful: old tags stay whole, losses heal in the same run."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.workspace import BRIEF, Workspace
from tests.support.fake_registry import FakeRegistry, error, respond, respond_early
from tests.support.images import Content, image, index, noise, sha256
from tests.support.registry_state import read_digest, read_repository, read_tags
from tests.support.servers import RegistryServer


def mirrored(workspace: Workspace, source: str, target: str, repository: str) -> Workspace:
    workspace.registry("source", source).registry("target", target)
    return workspace.mirror("app", f"source/{repository}", f"target/{repository}", tags=["v*"])


def test_a_read_only_target_fails_in_the_plan_already(
    workspace: Workspace,
    distribution: RegistryServer,
    distribution_factory: Callable[..., RegistryServer],
    repository: str,
) -> None:
    distribution.push(repository, image("app"), "v1")
    target = distribution_factory(readonly=True)
    mirrored(workspace, distribution.url, target.url, repository)
    assert workspace.run("plan").exited(1).summary == {"failed": 1}
    ran = workspace.run("sync").exited(1)
    assert ran.summary == {"failed": 1}
    assert target.host in ran.actions[0]["problem"]["message"]
    assert ran.seconds < 20


def test_a_full_target_keeps_its_old_tag_and_takes_the_new_one_once_there_is_room(
    workspace: Workspace,
    distribution: RegistryServer,
    distribution_factory: Callable[..., RegistryServer],
    small_disk: Path,
    repository: str,
) -> None:
    target = distribution_factory(data=small_disk / "data")
    old = distribution.push(repository, image("old"), "v1")
    mirrored(workspace, distribution.url, target.url, repository)
    workspace.run("sync").exited(0)
    filler = small_disk / "filler"
    filler.write_bytes(b"\0" * 3_000_000)  # of 4 MiB: one of the two layers fits, both do not
    # Small enough that they fit later beside one that got in without its link: that is there, and not seen.
    new = distribution.push(repository, image("new", layer_size=900_000), "v1")
    small = distribution.push(repository, image("small"), "v2")
    ran = workspace.run("sync")
    assert ran.code in (1, 75), str(ran)  # distribution calls a full disk 500 UNKNOWN
    assert ran.outcomes()[f"target/{repository}:v1"] == "failed"
    assert ran.seconds < 60  # half a minute of trying, whatever the number of blobs
    state = read_repository(target.url, repository)
    assert state.complete
    assert state.tags["v1"] == old.digest
    filler.unlink()
    shutil.rmtree(small_disk / "data/docker/registry/v2/repositories" / repository / "_uploads")
    target.restart()  # it holds the files of uploads that broke off open, and with them their space
    workspace.run("sync").exited(0)
    state = read_repository(target.url, repository)
    assert state.complete
    assert state.tags == {"v1": new.digest, "v2": small.digest}


@pytest.mark.parametrize(
    "behaviour",
    [error(400, "MANIFEST_INVALID", "not here"), error(403, "DENIED"), respond_early(413)],
    ids=["invalid", "denied", "too-large"],
)
def test_a_target_that_rejects_a_manifest(
    workspace: Workspace,
    distribution: RegistryServer,
    fake_registry: FakeRegistry,
    repository: str,
    behaviour: object,
) -> None:
    distribution.push(repository, image("bad"), "v1")
    distribution.push(repository, image("good"), "v2")
    fake_registry.on("PUT", r".*/manifests/v1", behaviour)  # type: ignore[arg-type]
    mirrored(workspace, distribution.url, fake_registry.url, repository)
    ran = workspace.run("sync").exited(1)
    assert ran.summary == {"create": 1, "failed": 1}
    assert fake_registry.tags(repository) == {"v2": image("good").digest}


def blob_file(server: RegistryServer, digest: str) -> Path:
    algorithm, _, encoded = digest.partition(":")
    return server.data / "docker/registry/v2/blobs" / algorithm / encoded[:2] / encoded / "data"


def forget_blob(server: RegistryServer, repository: str, digest: str) -> None:
    """Lose a blob as a broken disk does: its bytes, and the repository's link to it."""
    algorithm, _, encoded = digest.partition(":")
    shutil.rmtree(blob_file(server, digest).parent)
    link = server.data / "docker/registry/v2/repositories" / repository / "_layers" / algorithm / encoded
    shutil.rmtree(link)
    server.restart()


def test_a_blob_that_the_ledger_knows_and_the_target_lost_heals_in_the_same_run(
    workspace: Workspace,
    distribution: RegistryServer,
    distribution_factory: Callable[..., RegistryServer],
    repository: str,
) -> None:
    target = distribution_factory()
    layers = [b"shared" * 100, b"own" * 100]
    distribution.push(repository, image("one", layers=layers), "v1")
    mirrored(workspace, distribution.url, target.url, repository)
    workspace.run("sync").exited(0)
    forget_blob(target, repository, sha256(layers[0]))
    distribution.push(repository, image("two", layers=[layers[0], b"new"]), "v2")
    ran = workspace.run("sync").exited(0)
    assert ran.outcomes()[f"target/{repository}:v2"] == "done"
    assert read_repository(target.url, repository).complete


@pytest.mark.parametrize(
    "content", [image("app"), index(image("app"), image("app", arch="arm64"))], ids=["image", "index"]
)
def test_a_wiped_target_with_a_kept_ledger_is_filled_in_the_same_run(
    workspace: Workspace,
    distribution: RegistryServer,
    distribution_factory: Callable[..., RegistryServer],
    repository: str,
    content: Content,
) -> None:
    target = distribution_factory()
    distribution.push(repository, content, "v1", "v2")
    mirrored(workspace, distribution.url, target.url, repository)
    workspace.run("sync").exited(0)
    target.wipe()
    ran = workspace.run("sync").exited(0)
    assert ran.summary == {"create": 2}
    state = read_repository(target.url, repository)
    assert state.complete
    assert set(state.tags) == {"v1", "v2"}


def test_a_wiped_target_whose_immutable_tags_the_ledger_knows_is_filled_too(
    workspace: Workspace,
    distribution: RegistryServer,
    distribution_factory: Callable[..., RegistryServer],
    repository: str,
) -> None:
    target = distribution_factory()
    distribution.push(repository, image("app"), "v1", "v2")
    workspace.registry("source", distribution.url).registry("target", target.url)
    workspace.mirror("app", f"source/{repository}", f"target/{repository}", tags=["v*"], immutable=["v*"])
    workspace.run("sync").exited(0)
    target.wipe()
    assert workspace.run("sync").exited(0).summary == {"create": 2}
    assert read_repository(target.url, repository).complete


def test_one_of_three_targets_down_holds_back_no_other(
    workspace: Workspace,
    distribution: RegistryServer,
    debian_registry: RegistryServer,
    repository: str,
) -> None:
    distribution.push(repository, image("one"), "v1")
    distribution.push(repository, image("two"), "v2")
    workspace.registry("source", distribution.url)
    workspace.registry("a", distribution.url).registry("b", "http://127.0.0.1:9", limits=BRIEF)
    workspace.registry("c", debian_registry.url)
    workspace.document("RegistryGroup", "everywhere", {"registries": ["a", "b", "c"]})
    workspace.mirror("app", f"source/{repository}", f"everywhere/copy/{repository}", tags=["v*"])
    ran = workspace.run("sync").exited(75)
    assert ran.summary == {"create": 4, "failed": 2}
    for server in (distribution, debian_registry):
        assert read_tags(server.url, f"copy/{repository}") == ["v1", "v2"]
        assert read_repository(server.url, f"copy/{repository}").complete


def test_a_target_that_fails_in_the_middle_of_a_blob_does_not_slow_the_other(
    workspace: Workspace,
    distribution: RegistryServer,
    fake_registry: FakeRegistry,
    repository: str,
) -> None:
    data = noise("blob", 3_000_000)
    app = distribution.push(repository, image("app", layers=[data]), "v1")
    fake_registry.on("PUT", r".*/blobs/uploads/.*", respond(507, b"no space"))
    workspace.registry("source", distribution.url).registry("full", fake_registry.url)
    workspace.registry("good", distribution.url)
    workspace.mirror(
        "app", f"source/{repository}", f"full/{repository}", f"good/{repository}-copy", tags=["v1"]
    )
    ran = workspace.run("sync")
    assert ran.code in (1, 75), str(ran)
    assert ran.summary == {"create": 1, "failed": 1}
    assert read_digest(distribution.url, f"{repository}-copy", "v1") == app.digest
    assert fake_registry.tags(repository) == {}


def test_a_full_disk_under_the_store_keeps_the_old_tag(
    workspace: Workspace, distribution: RegistryServer, small_disk: Path, repository: str
) -> None:
    distribution.push(repository, image("old"), "v1")
    workspace.registry("source", distribution.url).registry("local", store=str(small_disk / "store"))
    workspace.mirror("app", f"source/{repository}", f"local/{repository}", tags=["v1"])
    workspace.run("sync").exited(0)
    distribution.push(repository, image("new", layer_size=3_000_000), "v1")
    ran = workspace.run("sync").exited(75)
    assert "space" in ran.actions[0]["problem"]["message"].lower()
    kept = workspace.call("inspect", f"store:{small_disk}/store/{repository}:v1", "-o", "json").exited(0)
    assert image("old").digest in kept.out
    distribution.push(repository, image("newer"), "v1")
    workspace.run("sync").exited(0)


def test_a_full_disk_under_the_ledger_is_a_warning_or_a_clear_error(
    workspace: Workspace, distribution: RegistryServer, small_disk: Path, repository: str
) -> None:
    distribution.push(repository, image("app"), "v1")
    mirrored(workspace, distribution.url, distribution.url, repository).clear()
    workspace.registry("hub", distribution.url)
    workspace.mirror("app", f"hub/{repository}", f"hub/{repository}-copy", tags=["v*"])
    state = small_disk / "ledger.db"
    workspace.run("sync", "--state", state).exited(0)
    (small_disk / "filler").write_bytes(b"\0" * (4 * 1024 * 1024 - used(small_disk)))
    distribution.push(repository, image("two"), "v2")
    ran = workspace.run("sync", "--state", state)
    assert ran.code in (0, 1), str(ran)
    assert "Traceback" not in ran.err
    if ran.code == 0:
        assert read_tags(distribution.url, f"{repository}-copy") == ["v1", "v2"]
        assert ran.report["warnings"]
    else:
        assert "ledger" in ran.err


def used(directory: Path) -> int:
    """Bytes in use, by whole pages."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in directory.rglob("*") if path.is_file())
