"""Every kind of place to every other; what was written is read by the oracle and by people's own clients."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.evidence import attach, is_fallback, referrers_of
from tests.integration.workspace import Workspace
from tests.support.images import (
    Content,
    artifact,
    cosign_signature,
    cosign_tag,
    image,
    index,
    referrer,
    sha256,
)
from tests.support.registry_state import (
    RepositoryState,
    read_digest,
    read_repository,
    read_tags,
)
from tests.support.servers import RegistryServer
from tests.support.tools import Tool

SPDX = "application/spdx+json"
SIGNATURE = "application/vnd.example.signature"


def app(name: str) -> Content:
    return index(image(name, arch="amd64"), image(name, arch="arm64"))


@pytest.fixture(params=["distribution", "debian_registry"])
def target(request: pytest.FixtureRequest) -> RegistryServer:
    server: RegistryServer = request.getfixturevalue(request.param)
    return server


def seeded(server: RegistryServer, repository: str) -> dict[str, Content]:
    """An index with a nested signature, a Docker image, an artifact; gives content by tag."""
    contents = {
        "v1": app("one"),
        "v2": index(image("two", docker=True), docker=True),
        "chart": artifact("application/vnd.cncf.helm.config.v1+json", {"application/tar": b"chart"}),
    }
    for tag, content in contents.items():
        server.push(repository, content, tag)
    sbom = referrer(contents["v1"], artifact_type=SPDX)
    attach(server, repository, contents["v1"], sbom)
    attach(server, repository, sbom, referrer(sbom, artifact_type=SIGNATURE, data=b"s"))
    amd64 = contents["v1"].children[0]
    attach(server, repository, amd64, referrer(amd64, artifact_type=SPDX, data=b"of amd64"))
    server.push(repository, cosign_signature(contents["v1"]), cosign_tag(contents["v1"]))
    server.push(repository, cosign_signature(sbom, "bmVzdGVk"), cosign_tag(sbom))
    return contents


def test_every_tag_with_all_that_belongs_to_it(
    workspace: Workspace, distribution: RegistryServer, target: RegistryServer, repository: str
) -> None:
    contents = seeded(distribution, repository)
    copy = f"{repository}-copy"
    workspace.registry("source", distribution.url).registry("target", target.url)
    workspace.mirror("app", f"source/{repository}", f"target/{copy}", tags=["**"])
    ran = workspace.run("sync").exited(0)
    assert ran.summary == {"create": 3}
    state = read_repository(target.url, copy)
    assert state.complete
    assert {tag: state.tags[tag] for tag in contents} == {
        tag: content.digest for tag, content in contents.items()
    }
    sbom = referrer(contents["v1"], artifact_type=SPDX)
    assert state.tags[cosign_tag(contents["v1"])] == cosign_signature(contents["v1"]).digest
    assert state.tags[cosign_tag(sbom)] == cosign_signature(sbom, "bmVzdGVk").digest
    assert referrers_of(target, copy, contents["v1"]) == {sbom.digest}
    nested = referrer(sbom, artifact_type=SIGNATURE, data=b"s")
    assert referrers_of(target, copy, sbom) == {nested.digest}
    assert len(referrers_of(target, copy, contents["v1"].children[0])) == 1
    again = workspace.run("sync").exited(0)
    assert again.summary == {"unchanged": 3}


def test_what_was_written_is_read_by_the_clients_people_have(
    workspace: Workspace,
    distribution: RegistryServer,
    target: RegistryServer,
    repository: str,
    tool: Callable[[str], Tool],
    tmp_path: Path,
) -> None:
    contents = seeded(distribution, repository)
    copy = f"{repository}-copy"
    workspace.registry("source", distribution.url).registry("target", target.url)
    workspace.mirror("app", f"source/{repository}", f"target/{copy}", tags=["v1", "v2"])
    workspace.run("sync").exited(0)
    v1, v2 = target.reference(copy, "v1"), target.reference(copy, "v2")
    assert tool("crane")("digest", "--insecure", v1) == contents["v1"].digest
    tool("crane")("pull", "--insecure", "--format", "oci", v1, tmp_path / "by-crane")
    tool("skopeo")(
        "copy", "--all", "--src-tls-verify=false", f"docker://{v2}", f"oci:{tmp_path / 'by-skopeo'}:v2"
    )
    host = ("--host", f"reg={target.host},tls=disabled")
    tool("regctl")(*host, "image", "copy", "--referrers", v1, f"ocidir://{tmp_path / 'by-regctl'}:v1")
    listed = json.loads(tool("oras")("discover", "--plain-http", "--format", "json", v1))
    assert [one["artifactType"] for one in listed["referrers"]] == [SPDX]


def test_into_the_store_and_a_layout_and_back_out_again(
    workspace: Workspace,
    distribution: RegistryServer,
    repository: str,
    tool: Callable[[str], Tool],
    tmp_path: Path,
) -> None:
    contents = seeded(distribution, repository)
    workspace.registry("source", distribution.url)
    workspace.registry("store", store="./data").registry("bundle", layout="./images")
    workspace.registry("back", distribution.url)
    workspace.mirror("in", f"source/{repository}", f"store/{repository}", tags=["**"])
    workspace.mirror("on", f"store/{repository}", f"bundle/{repository}", tags=["**"])
    workspace.mirror("out", f"bundle/{repository}", f"back/{repository}-back", tags=["**"])
    workspace.run("sync").exited(0)
    layout = workspace.path / "images" / repository
    tool("skopeo")("copy", "--all", f"oci:{layout}:v1", f"oci:{tmp_path / 'elsewhere'}:v1")
    before = read_repository(distribution.url, repository)
    after = read_repository(distribution.url, f"{repository}-back")
    assert after.complete
    assert names(after) == names(before)
    # An index at a fallback tag is written anew at each place, with the same referrers.
    assert manifests(after) == manifests(before)
    assert set(after.blobs) == set(before.blobs)
    assert contents["v1"].digest == after.tags["v1"]
    workspace.run("plan").exited(0)


def names(state: RepositoryState) -> dict[str, str]:
    """Tags and digests, without fallback tags, whose index is written anew at each place."""
    return {tag: digest for tag, digest in state.tags.items() if not is_fallback(tag)}


def manifests(state: RepositoryState) -> set[str]:
    """All digests but those of the indexes at fallback tags."""
    return set(state.manifests) - {digest for tag, digest in state.tags.items() if is_fallback(tag)}


def written_by_crane(tool: Callable[[str], Tool], reference: str, tmp_path: Path) -> None:
    layer = tmp_path / "layer.tar"
    layer.write_bytes(b"\0" * 1024)
    tool("crane")("append", "--insecure", "--oci-empty-base", "-f", layer, "-t", reference)


def written_by_skopeo(tool: Callable[[str], Tool], reference: str, tmp_path: Path) -> None:
    quickstart = Path(__file__).parents[2] / "examples" / "quickstart" / "images" / "acme" / "web"
    tool("skopeo")(
        "copy", "--all", "--dest-tls-verify=false", f"oci:{quickstart}:latest", f"docker://{reference}"
    )


def written_by_regctl(tool: Callable[[str], Tool], reference: str, tmp_path: Path) -> None:
    host = ("--host", f"reg={reference.partition('/')[0]},tls=disabled")
    quickstart = Path(__file__).parents[2] / "examples" / "quickstart" / "images" / "acme" / "web"
    tool("regctl")(*host, "image", "copy", "--referrers", f"ocidir://{quickstart}:latest", reference)
    tool("regctl")(
        *host, "artifact", "put", "--artifact-type", SPDX, "--subject", reference, stdin=b"by regctl"
    )


def written_by_oras(tool: Callable[[str], Tool], reference: str, tmp_path: Path) -> None:
    payload = tmp_path / "payload.txt"
    payload.write_text("hello")
    oras = tool("oras")
    options = ("--plain-http", "--disable-path-validation", "--no-tty")
    oras("push", *options, reference, f"{payload}:text/plain")
    oras("attach", *options, "--artifact-type", SPDX, reference, f"{payload}:text/plain")
    attached = json.loads(oras("discover", "--plain-http", "--format", "json", reference))["referrers"][0]
    repository = reference.rpartition(":")[0]
    oras(
        "attach",
        *options,
        "--artifact-type",
        SIGNATURE,
        f"{repository}@{attached['digest']}",
        f"{payload}:text/plain",
    )


@pytest.mark.parametrize("source_kind", ["distribution", "debian_registry"])
@pytest.mark.parametrize(
    "write",
    [written_by_crane, written_by_skopeo, written_by_regctl, written_by_oras],
    ids=lambda one: one.__name__,
)
def test_what_other_clients_wrote_travels_whole(
    request: pytest.FixtureRequest,
    workspace: Workspace,
    distribution: RegistryServer,
    repository: str,
    tool: Callable[[str], Tool],
    tmp_path: Path,
    write: Callable[..., None],
    source_kind: str,
) -> None:
    source: RegistryServer = request.getfixturevalue(source_kind)
    write(tool, source.reference(repository, "v1"), tmp_path)
    copy = f"{repository}-copy"
    workspace.registry("source", source.url).registry("target", distribution.url)
    workspace.mirror("app", f"source/{repository}", f"target/{copy}", tags=["v1"])
    workspace.run("sync").exited(0)
    before, after = read_repository(source.url, repository), read_repository(distribution.url, copy)
    assert after.complete
    assert after.tags["v1"] == before.tags["v1"]
    assert set(names(after)) == set(names(before))
    assert manifests(after) == manifests(before)
    assert set(before.blobs) == set(after.blobs)
    workspace.run("plan").exited(0)


def test_fallback_tags_are_written_where_there_is_no_api_and_merged_with_what_is_there(
    workspace: Workspace, distribution: RegistryServer, debian_registry: RegistryServer, repository: str
) -> None:
    content = distribution.push(repository, app("app"), "v1")
    theirs = referrer(content, artifact_type=SPDX, data=b"theirs")
    attach(distribution, repository, content, theirs)
    workspace.registry("source", distribution.url).registry("target", debian_registry.url)
    workspace.mirror("app", f"source/{repository}", f"target/{repository}", tags=["v1"])
    workspace.run("sync").exited(0)
    ours = artifact("application/vnd.example.ours", subject=content)
    attach(debian_registry, repository, content, theirs, ours)
    late = referrer(content, artifact_type=SPDX, data=b"signed after the push")
    attach(distribution, repository, content, theirs, late)
    ran = workspace.run("sync").exited(0)
    assert ran.summary == {"update": 1}
    found = referrers_of(debian_registry, repository, content)
    assert found == {theirs.digest, ours.digest, late.digest}


def test_a_signature_of_others_at_the_target_survives(
    workspace: Workspace, distribution: RegistryServer, repository: str
) -> None:
    copy = f"{repository}-copy"
    content = distribution.push(repository, app("app"), "v1")
    distribution.push(copy, content, "v1")
    distribution.push(repository, cosign_signature(content, "b3Vycw=="), cosign_tag(content))
    distribution.push(copy, cosign_signature(content, "dGhlaXJz"), cosign_tag(content))
    workspace.registry("source", distribution.url)
    workspace.mirror("app", f"source/{repository}", f"source/{copy}", tags=["v1"])
    ran = workspace.run("sync").exited(0)
    assert ran.summary == {"update": 1}
    state = read_repository(distribution.url, copy)
    merged = json.loads(state.manifests[state.tags[cosign_tag(content)]])
    signatures = {layer["annotations"]["dev.cosignproject.cosign/signature"] for layer in merged["layers"]}
    assert signatures == {"b3Vycw==", "dGhlaXJz"}
    workspace.run("plan").exited(0)


def test_repositories_that_a_glob_finds_in_a_real_catalogue(
    workspace: Workspace,
    distribution_factory: Callable[..., RegistryServer],
    distribution: RegistryServer,
    repository: str,
) -> None:
    source = distribution_factory()
    names = ["team/api", "team/web", "team/old/thing", "other/app"]
    for name in names:
        source.push(name, image(name), "v1")
    workspace.registry("source", source.url).registry("target", distribution.url)
    workspace.mirror(
        "all",
        "source/{repository}",
        "target/" + repository + "/{repository}",
        repositories={"include": ["team/**"], "exclude": ["team/old/**"]},
        tags=["**"],
    )
    workspace.run("sync").exited(0)
    found = {name: read_tags(distribution.url, f"{repository}/{name}") for name in names}
    assert found == {"team/api": ["v1"], "team/web": ["v1"], "team/old/thing": [], "other/app": []}


def test_blobs_shared_by_repositories_cross_the_wire_once(
    workspace: Workspace,
    distribution: RegistryServer,
    distribution_factory: Callable[..., RegistryServer],
    repository: str,
) -> None:
    layers = [b"a layer that all share" * 1000, b"another one" * 1000]
    target = distribution_factory()
    names = [f"{repository}-{number}" for number in range(4)]
    for name in names:
        distribution.push(name, image(name, layers=layers), "v1", "latest")
    mark = distribution.log_size()
    workspace.registry("source", distribution.url).registry("target", target.url)
    for number, name in enumerate(names):
        workspace.mirror(f"app-{number}", f"source/{name}", f"target/{name}", tags=["**"])
    workspace.run("sync").exited(0)
    read = [
        one.path.rpartition("/")[2]
        for one in distribution.accesses(mark)
        if one.method == "GET" and "/blobs/" in one.path
    ]
    assert [read.count(sha256(layer)) for layer in layers] == [1, 1]
    for name in names:
        assert read_repository(target.url, name).complete
        assert read_digest(target.url, name, "latest") == image(name, layers=layers).digest


def test_one_source_is_read_once_for_three_targets(
    workspace: Workspace,
    distribution: RegistryServer,
    debian_registry: RegistryServer,
    distribution_factory: Callable[..., RegistryServer],
    repository: str,
) -> None:
    source = distribution_factory()
    content = source.push(repository, image("app", layers=3, layer_size=400_000), "v1")
    mark = source.log_size()
    workspace.registry("source", source.url).registry("a", distribution.url)
    workspace.registry("b", debian_registry.url).registry("c", store="./data")
    copies = [f"{place}/{repository}" for place in "abc"]
    workspace.mirror("app", f"source/{repository}", *copies, tags=["v1"])
    ran = workspace.run("sync").exited(0)
    assert ran.summary == {"create": 3}
    blobs = [one.path for one in source.accesses(mark) if one.method == "GET" and "/blobs/" in one.path]
    assert sorted(blobs) == sorted(set(blobs))
    assert ran.report["run"]["bytesRead"] == sum(map(len, content.all_blobs().values()))
    for server in (distribution, debian_registry):
        assert read_repository(server.url, repository).complete
