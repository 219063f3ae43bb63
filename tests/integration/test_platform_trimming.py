"""Trimmed indexes: valid for everybody's client, and recognised as in sync by the next run."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.evidence import attach, referrers_of
from tests.integration.workspace import Workspace
from tests.support.images import Content, buildkit_index, cosign_signature, cosign_tag, image, index, referrer
from tests.support.registry_state import read_repository
from tests.support.servers import RegistryServer
from tests.support.tools import Tool


def many_platforms() -> Content:
    return index(
        image("app", arch="amd64"),
        image("app", arch="arm64", variant="v8"),
        image("app", arch="arm", variant="v7"),
        image("app", arch="amd64", os="windows"),
    )


@pytest.mark.parametrize("target_kind", ["distribution", "debian_registry"])
def test_a_trimmed_index_is_valid_and_in_sync_the_next_time(
    request: pytest.FixtureRequest,
    workspace: Workspace,
    distribution: RegistryServer,
    repository: str,
    tool: Callable[[str], Tool],
    tmp_path: Path,
    target_kind: str,
) -> None:
    target: RegistryServer = request.getfixturevalue(target_kind)
    app = distribution.push(repository, many_platforms(), "v1")
    attach(distribution, repository, app, referrer(app, data=b"of the whole"))
    attach(distribution, repository, app.children[0], referrer(app.children[0], data=b"of amd64"))
    distribution.push(repository, cosign_signature(app.children[1]), cosign_tag(app.children[1]))
    copy = f"{repository}-copy"
    workspace.registry("source", distribution.url).registry("target", target.url)
    workspace.mirror(
        "app",
        f"source/{repository}",
        f"target/{copy}",
        tags=["v1"],
        platforms=["linux/amd64", "linux/arm64"],
    )
    workspace.run("sync").exited(0)
    state = read_repository(target.url, copy)
    assert state.complete
    kept = json.loads(state.manifests[state.tags["v1"]])["manifests"]
    assert [one["platform"]["architecture"] for one in kept] == ["amd64", "arm64"]
    assert referrers_of(target, copy, app) == set()  # the signed index is not what is there
    assert len(referrers_of(target, copy, app.children[0])) == 1
    assert cosign_tag(app.children[1]) in state.tags
    mark = distribution.log_size()
    again = workspace.run("sync").exited(0)
    assert again.summary == {"unchanged": 1}
    if target is not distribution:
        reads = [one for one in distribution.accesses(mark) if one.method == "GET" and "/blobs/" in one.path]
        assert reads == []
    reference = target.reference(copy, "v1")
    tool("crane")("pull", "--insecure", "--format", "oci", reference, tmp_path / "by-crane")
    source = f"docker://{reference}"
    tool("skopeo")("copy", "--all", "--src-tls-verify=false", source, f"oci:{tmp_path / 'by-skopeo'}:v1")
    host = ("--host", f"reg={target.host},tls=disabled")
    tool("regctl")(*host, "image", "copy", reference, f"ocidir://{tmp_path / 'by-regctl'}:v1")


def test_attestations_of_buildkit_follow_their_platform(
    workspace: Workspace, distribution: RegistryServer, repository: str
) -> None:
    app = distribution.push(repository, buildkit_index("app", ["amd64", "arm64", "s390x"]), "v1")
    copy = f"{repository}-copy"
    workspace.registry("source", distribution.url)
    workspace.mirror("app", f"source/{repository}", f"source/{copy}", tags=["v1"], platforms=["linux/arm64"])
    workspace.run("sync").exited(0)
    state = read_repository(distribution.url, copy)
    assert state.complete
    kept = json.loads(state.manifests[state.tags["v1"]])["manifests"]
    assert [one["digest"] for one in kept] == [app.children[2].digest, app.children[3].digest]
    assert kept[1]["annotations"]["vnd.docker.reference.digest"] == app.children[2].digest
    assert workspace.run("plan").exited(0).summary == {"unchanged": 1}


def test_an_original_index_is_kept_where_the_registry_takes_it_and_blocked_where_not(
    workspace: Workspace, distribution: RegistryServer, repository: str
) -> None:
    app = distribution.push(repository, many_platforms(), "v1")
    workspace.registry("source", distribution.url)
    workspace.registry("store", store="./data").registry("strict", distribution.url)
    platforms = {"include": ["linux/amd64"], "index": "original"}
    workspace.mirror("kept", f"source/{repository}", f"store/{repository}", tags=["v1"], platforms=platforms)
    ran = workspace.run("sync").exited(0)
    assert [one["digest"] for one in ran.actions] == [app.digest]
    workspace.mirror(
        "not-taken", f"source/{repository}", f"strict/{repository}-copy", tags=["v1"], platforms=platforms
    )
    ran = workspace.run("sync").exited(1)
    assert ran.summary == {"unchanged": 1, "blocked": 1}


def test_a_platform_that_an_image_lacks_is_told(
    workspace: Workspace, distribution: RegistryServer, repository: str
) -> None:
    distribution.push(repository, index(image("a", arch="arm64")), "v1")
    distribution.push(repository, index(image("b", arch="amd64")), "v2")
    workspace.registry("source", distribution.url)
    workspace.mirror(
        "app", f"source/{repository}", f"source/{repository}-copy", tags=["v*"], platforms=["linux/amd64"]
    )
    ran = workspace.run("sync").exited(1)
    assert ran.summary == {"create": 1, "failed": 1}
    problem = next(one for one in ran.actions if one["outcome"] == "failed")
    assert "linux/amd64" in json.dumps(problem)
    assert "linux/arm64" in json.dumps(problem)
