"""OCI layouts between regsync and other tools: each reads what the other wrote, and leaves it whole."""

from collections.abc import Callable
from pathlib import Path

import pytest

from regsync.content.layout import LayoutRepository
from regsync.oci.reference import Tag
from tests.contract.places import blob, described, put, read
from tests.support.images import Content, image, index, referrer
from tests.support.servers import RegistryServer
from tests.support.tools import Tool

pytestmark = pytest.mark.anyio

GetTool = Callable[[str], Tool]

ONE = image("one")
MULTI = index(image("m"), image("m", arch="arm64"))
SBOM = referrer(ONE)
OF_MULTI = referrer(MULTI, artifact_type="application/vnd.acme.report")


@pytest.fixture
async def ours(tmp_path: Path) -> LayoutRepository:
    """A layout that regsync wrote."""
    layout = LayoutRepository(tmp_path / "ours")
    await put(layout, ONE, "one")
    await put(layout, MULTI, "multi")
    for content in (SBOM, OF_MULTI, image("untagged")):
        await put(layout, content)
    return layout


async def holds(layout: LayoutRepository, content: Content) -> bool:
    """Whether all of it is there, byte for byte."""
    for node in content.walk():
        if (await layout.manifest(described(node).digest))[1] != node.data:
            return False
        for data in node.blobs:
            if await read(layout, blob(data)) != data:
                return False
    return True


async def test_oras_reads_what_we_wrote(ours: LayoutRepository, tool: GetTool, tmp_path: Path) -> None:
    oras, path = tool("oras"), ours.path
    assert {"one", "multi"} <= set(oras("repo", "tags", "--oci-layout", path).split())
    assert oras("manifest", "fetch", "--oci-layout", f"{path}:multi") == MULTI.data.decode()
    found = oras("discover", "--oci-layout", f"{path}:one")
    assert SBOM.digest in found
    oras("cp", "-r", "--from-oci-layout", f"{path}:multi", "--to-oci-layout", f"{tmp_path}/theirs:multi")
    theirs = LayoutRepository(tmp_path / "theirs")
    assert await holds(theirs, MULTI)
    assert [one.digest for one in await theirs.referrers(described(MULTI).digest)] == [
        described(OF_MULTI).digest
    ]


async def test_skopeo_reads_what_we_wrote(ours: LayoutRepository, tool: GetTool, tmp_path: Path) -> None:
    skopeo = tool("skopeo")
    assert skopeo.run_bytes("inspect", "--raw", f"oci:{ours.path}:one") == ONE.data
    copied = ["--insecure-policy", "copy", "--quiet", "--all", "--preserve-digests"]
    skopeo(*copied, f"oci:{ours.path}:multi", f"oci:{tmp_path}/theirs:multi")
    theirs = LayoutRepository(tmp_path / "theirs")
    assert await theirs.resolve(Tag("multi")) == described(MULTI)
    assert await holds(theirs, MULTI)


async def test_regctl_reads_what_we_wrote(ours: LayoutRepository, tool: GetTool, tmp_path: Path) -> None:
    regctl = tool("regctl")
    assert {"one", "multi"} <= set(regctl("tag", "ls", f"ocidir://{ours.path}").split())
    assert SBOM.digest in regctl("artifact", "list", f"ocidir://{ours.path}:one")
    regctl("image", "copy", "--referrers", f"ocidir://{ours.path}:multi", f"ocidir://{tmp_path}/theirs:multi")
    theirs = LayoutRepository(tmp_path / "theirs")
    assert await holds(theirs, MULTI)
    assert [one.digest for one in await theirs.referrers(described(MULTI).digest)] == [
        described(OF_MULTI).digest
    ]


async def test_crane_pushes_what_we_wrote_and_we_read_what_it_pulls(
    ours: LayoutRepository, tool: GetTool, tmp_path: Path, distribution: RegistryServer, repository: str
) -> None:
    crane = tool("crane")
    only = LayoutRepository(tmp_path / "only")
    await put(only, ONE, "one")
    reference = distribution.reference(repository, "one")
    assert ONE.digest in crane("push", only.path, reference)
    crane("pull", "--format=oci", "--annotate-ref", reference, tmp_path / "theirs")
    theirs = LayoutRepository(tmp_path / "theirs")
    assert await theirs.resolve(Tag("one")) == described(ONE)  # crane writes the whole reference as the name
    assert await holds(theirs, ONE)


async def test_what_other_tools_add_to_our_layout_is_there_and_ours_stays(
    ours: LayoutRepository, tool: GetTool, tmp_path: Path
) -> None:
    source = LayoutRepository(tmp_path / "source")
    added = {name: image(name) for name in ("by-oras", "by-skopeo", "by-regctl")}
    for name, content in added.items():
        await put(source, content, name)
    sbom = tmp_path / "sbom.json"
    sbom.write_text("{}")
    tool("oras")(
        "cp", "--from-oci-layout", f"{source.path}:by-oras", "--to-oci-layout", f"{ours.path}:by-oras"
    )
    tool("skopeo")(
        *("--insecure-policy", "copy", "--quiet", "--preserve-digests"),
        *(f"oci:{source.path}:by-skopeo", f"oci:{ours.path}:by-skopeo"),
    )
    tool("regctl")("image", "copy", f"ocidir://{source.path}:by-regctl", f"ocidir://{ours.path}:by-regctl")
    tool("regctl")(
        *("artifact", "put", "--artifact-type", "application/vnd.acme.regctl", "--file", sbom),
        *("--subject", f"ocidir://{ours.path}:one"),
    )
    tool("oras")(
        *("attach", "--disable-path-validation", "--artifact-type", "application/vnd.acme.oras"),
        *("--oci-layout", f"{ours.path}:one", f"{sbom}:application/json"),
    )
    for name, content in added.items():
        assert await ours.resolve(Tag(name)) == described(content)
        assert await holds(ours, content)
    for content in (ONE, MULTI, SBOM, OF_MULTI, image("untagged")):
        assert await holds(ours, content)
    kinds = [one.artifact_type for one in await ours.referrers(described(ONE).digest)]
    assert sorted(filter(None, kinds)) == [
        "application/spdx+json",
        "application/vnd.acme.oras",
        "application/vnd.acme.regctl",
    ]


async def test_what_we_add_to_another_tools_layout_leaves_it_whole(
    ours: LayoutRepository, tool: GetTool, tmp_path: Path
) -> None:
    path = tmp_path / "theirs"
    tool("regctl")("image", "copy", "--referrers", f"ocidir://{ours.path}:one", f"ocidir://{path}:one")
    theirs = LayoutRepository(path)
    await put(theirs, MULTI, "multi")
    await put(theirs, referrer(ONE, artifact_type="application/vnd.acme.more"))
    regctl, oras = tool("regctl"), tool("oras")
    assert regctl("manifest", "get", "--format", "raw-body", f"ocidir://{path}:one") == ONE.data.decode()
    for found in (
        regctl("artifact", "list", f"ocidir://{path}:one"),
        oras("discover", "--oci-layout", f"{path}:one"),
    ):
        assert "application/spdx+json" in found
        assert "application/vnd.acme.more" in found
