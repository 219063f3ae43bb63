"""Archives between regsync and people's own clients, and registries; a store checked while it is served."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from tests.integration.workspace import Workspace
from tests.support.images import cosign_signature, cosign_tag, image, index, noise, referrer, sha256
from tests.support.registry_state import read_digest, read_repository
from tests.support.regsync_server import RegsyncServer
from tests.support.servers import RegistryServer
from tests.support.tools import Tool

Tools = Callable[[str], Tool]

MULTI = index(image("web"), image("web", arch="arm64"))
SBOM = referrer(MULTI)


@pytest.fixture
def served(regsync_server: RegsyncServer) -> RegsyncServer:
    """Our registry, with an image, its SBOM and its signature in it."""
    for content, tag in ((MULTI, "v1"), (SBOM, None), (cosign_signature(MULTI), cosign_tag(MULTI))):
        regsync_server.push("team/web", content, *([tag] if tag else []))
    return regsync_server


@pytest.fixture
def archive(served: RegsyncServer, workspace: Workspace, tmp_path: Path) -> Path:
    """That image as an archive, written while it is served."""
    path = tmp_path / "web.tar"
    ran = workspace.call("store", "export", served.store, path, "team/web:v1")
    assert ran.code == 0, ran.err
    return path


def read_layout(tool: Tools, directory: Path, tag: str) -> str:
    return tool("regctl")("manifest", "head", f"ocidir://{directory}:{tag}")


def test_skopeo_reads_ours(archive: Path, tool: Tools, tmp_path: Path) -> None:
    tool("skopeo")(
        "copy", "--all", "--preserve-digests", "-q", f"oci-archive:{archive}:v1", f"oci:{tmp_path}/out:v1"
    )
    assert read_layout(tool, tmp_path / "out", "v1") == MULTI.digest


def test_oras_reads_ours_with_its_referrers(archive: Path, tool: Tools, tmp_path: Path) -> None:
    there = f"{tmp_path}/out:v1"
    tool("oras")("copy", "-r", "--from-oci-layout", f"{archive}:v1", "--to-oci-layout", there)
    assert read_layout(tool, tmp_path / "out", "v1") == MULTI.digest
    assert SBOM.digest in tool("oras")("discover", "--oci-layout", there)


def test_regctl_reads_ours(archive: Path, tool: Tools, tmp_path: Path) -> None:
    tool("regctl")("image", "import", "--name", "v1", f"ocidir://{tmp_path}/out:v1", archive)
    assert read_layout(tool, tmp_path / "out", "v1") == MULTI.digest


def skopeo(tool: Tools, source: str, path: Path) -> None:
    options = ("--src-tls-verify=false", "--all", "--preserve-digests", "-q")
    tool("skopeo")("copy", *options, f"docker://{source}", f"oci-archive:{path}:team/app:v1")


def regctl(tool: Tools, source: str, path: Path) -> None:
    tool("regctl")("registry", "set", "--tls", "disabled", source.partition("/")[0])
    tool("regctl")("image", "export", source, path)


def crane(tool: Tools, source: str, path: Path) -> None:
    tool("crane")("pull", "--insecure", "--format", "oci", source, path.parent / "crane")
    packed(path, path.parent / "crane")


def oras(tool: Tools, source: str, path: Path) -> None:
    tool("oras")("copy", "--from-plain-http", source, "--to-oci-layout", f"{path.parent}/oras:v1")
    packed(path, path.parent / "oras")


def packed(path: Path, directory: Path) -> None:
    with tarfile.open(path, "w") as tar:
        tar.add(directory, arcname=".")


@pytest.mark.parametrize("write", [skopeo, regctl, oras, crane])
def test_we_read_theirs(
    served: RegsyncServer,
    workspace: Workspace,
    tool: Tools,
    tmp_path: Path,
    distribution: RegistryServer,
    repository: str,
    write: Callable[[Tools, str, Path], None],
) -> None:
    path = tmp_path / "theirs.tar"
    write(tool, f"{served.host}/team/web:v1", path)
    ran = workspace.call("store", "import", path, f"{distribution.url}/{repository}", "-o", "json")
    assert ran.code == 0, ran.out + ran.err
    images = ran.report["images"]
    assert {one["outcome"] for one in images} == {"done"}
    target = images[0]["target"].partition("/")[2]
    assert read_digest(distribution.url, target, MULTI.digest) == MULTI.digest


def test_an_archive_goes_into_any_registry_whole_from_a_file_or_a_stream(
    archive: Path, workspace: Workspace, distribution: RegistryServer, repository: str, tmp_path: Path
) -> None:
    for form, where in (("file", f"{repository}/file"), ("stream", f"{repository}/stream")):
        given = archive
        if form == "stream":
            given = tmp_path / "web.tar.zst"
            given.write_bytes(zstandard.compress(archive.read_bytes()))
        ran = workspace.call("store", "import", given, f"{distribution.url}/{where}", "-o", "json")
        assert ran.code == 0, ran.out + ran.err
        state = read_repository(distribution.url, f"{where}/team/web")
        assert state.tags["v1"] == MULTI.digest
        assert cosign_tag(MULTI) in state.tags
        assert read_digest(distribution.url, f"{where}/team/web", SBOM.digest) == SBOM.digest


def test_a_served_store_is_checked_and_pulls_of_what_is_damaged_fail_until_it_is_healed(
    served: RegsyncServer, workspace: Workspace, tool: Tools, distribution: RegistryServer, repository: str
) -> None:
    distribution.push(f"{repository}/team/web", MULTI, "v1")
    layer = MULTI.children[0].blobs[1]
    damage(served.store, layer)
    ran = workspace.call("store", "fsck", served.store)
    assert (ran.code, f"lost: {sha256(layer)}" in ran.out) == (1, True)
    with served.client() as client:
        blob = client.get(f"{served.url}/v2/team/web/blobs/{sha256(layer)}")
        child = client.get(f"{served.url}/v2/team/web/manifests/{MULTI.children[0].digest}")
        other = client.get(f"{served.url}/v2/team/web/manifests/{MULTI.children[1].digest}")
    assert (blob.status_code, blob.json()["errors"][0]["code"]) == (404, "BLOB_UNKNOWN")
    assert (child.status_code, sha256(layer) in child.json()["errors"][0]["message"]) == (404, True)
    assert other.status_code == 200
    source = f"{distribution.url}/{repository}/{{repository}}"
    healed = workspace.call("store", "fsck", served.store, "--heal-from", source)
    assert healed.code == 0, healed.out
    with served.client() as client:
        assert client.get(f"{served.url}/v2/team/web/blobs/{sha256(layer)}").content == layer


def by_skopeo(tool: Tools, source: str, target: str) -> None:
    options = ("--src-tls-verify=false", "--dest-tls-verify=false", "--preserve-digests", "-q")
    tool("skopeo")("copy", *options, f"docker://{source}", f"docker://{target}")


def by_crane(tool: Tools, source: str, target: str) -> None:
    tool("crane")("copy", "--insecure", source, target)


def by_oras(tool: Tools, source: str, target: str) -> None:
    tool("oras")("copy", "--from-plain-http", "--to-plain-http", source, target)


def by_regctl(tool: Tools, source: str, target: str) -> None:
    for one in (source, target):
        tool("regctl")("registry", "set", "--tls", "disabled", one.partition("/")[0])
    tool("regctl")("image", "copy", "--force-recursive", source, target)


@pytest.mark.parametrize("push", [by_skopeo, by_crane, by_oras, by_regctl])
def test_a_push_repairs_what_was_damaged(
    served: RegsyncServer,
    workspace: Workspace,
    tool: Tools,
    distribution: RegistryServer,
    repository: str,
    push: Callable[[Tools, str, str], None],
) -> None:
    single = image("single")
    for server, where in ((distribution, repository), (served, "team/single")):
        server.push(where, single, "v1")
    damage(served.store, single.blobs[1])
    assert workspace.call("store", "fsck", served.store).code == 1
    push(tool, f"{distribution.host}/{repository}:v1", f"{served.host}/team/single:v1")
    assert workspace.call("store", "fsck", served.store).code == 0


def damage(store: Path, data: bytes) -> None:
    name = sha256(data)[7:]
    file = store / "blobs" / "sha256" / name[:2] / name
    file.write_bytes(noise("rot", len(data)))


def test_a_store_that_is_served_is_not_rebuilt(served: RegsyncServer, workspace: Workspace) -> None:
    ran = workspace.call("store", "rebuild", served.store)
    assert (ran.code, "has it open" in ran.err) == (75, True)
    assert read_digest(served.url, "team/web", "v1") == MULTI.digest
