"""`prune` carries out retention on real registries, our own server and a store, in a process of its own."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.workspace import Ran, Workspace
from tests.support.fake_http import Answer, Request
from tests.support.fake_registry import Behaviour, FakeRegistry, Proceed, error
from tests.support.images import (
    OCI_INDEX,
    OCI_MANIFEST,
    Content,
    cosign_signature,
    cosign_tag,
    fallback_index,
    fallback_tag,
    image,
    index,
    push,
    referrer,
)
from tests.support.kubernetes_api import KubernetesApi, pod
from tests.support.processes import wait_until
from tests.support.registry_state import read_repository
from tests.support.regsync_server import RegsyncServer
from tests.support.servers import RegistryServer

KINDS = ("distribution", "debian_registry", "regsync_server")
NEWEST = {"glob": "v*", "newest": 2}


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Any:
    """Registries that delete tags, that do not, and our own."""
    return request.getfixturevalue(request.param)


def policy(workspace: Workspace, url: str, repository: str, **spec: Any) -> Workspace:
    workspace.registry("edge", url)
    limits = {"maxDeletes": 100, "maxDeletePercent": 100}
    keep = {"repositories": [f"edge/{repository}"], "keep": [NEWEST], "limits": limits}
    return workspace.document("RetentionPolicy", "old", {**keep, **spec})


def pruned(workspace: Workspace, *arguments: str) -> Ran:
    return workspace.run("prune", *arguments, "-o", "json")


def tags(server: Any, repository: str) -> set[str]:
    return set(read_repository(server.url, repository).tags)


def fill(server: Any, repository: str) -> list[Content]:
    """v1 to v4, the first two signed and of one image, with a sibling tag each."""
    images = [image("one"), image("one"), image("three"), index(image("four"), image("child"))]
    for number, content in enumerate(images, 1):
        push(server.url, repository, content, f"v{number}")
    push(server.url, repository, images[2], "stable")
    signature = cosign_signature(images[0])
    push(server.url, repository, signature, cosign_tag(images[0]))
    return images


def test_old_tags_go_and_their_siblings_stay(server: Any, workspace: Workspace, repository: str) -> None:
    images = fill(server, repository)
    policy(workspace, server.url, repository)
    planned = pruned(workspace, "--dry-run", "--explain").exited(2)
    going = {f"edge/{repository}:{tag}" for tag in ("v1", "v2", cosign_tag(images[0]))}
    assert _named(planned) == going
    assert "not among the newest 2" in planned.out
    done = pruned(workspace).exited(0)
    assert done.outcomes() == dict.fromkeys(going, "done")
    assert tags(server, repository) == {"v3", "v4", "stable"}
    assert pruned(workspace).exited(0).actions == []


def _named(ran: Ran) -> set[str]:
    return {f"{one['target']}:{one['tag'] or one['digest']}" for one in ran.actions}


def test_an_undo_brings_them_back(server: Any, workspace: Workspace, repository: str) -> None:
    fill(server, repository)
    before = read_repository(server.url, repository).tags
    policy(workspace, server.url, repository)
    done = pruned(workspace).exited(0)
    pruned(workspace, "--undo", done.report["run"]["id"]).exited(0)
    assert read_repository(server.url, repository).tags == before


def test_untagged_manifests_go_with_what_is_beside_them(
    server: Any, workspace: Workspace, repository: str
) -> None:
    old, kept = image("old"), image("kept")
    both = index(old, kept)
    push(server.url, repository, both, "v1")
    push(server.url, repository, index(kept, image("other")), "v2")
    push(server.url, repository, image("new"), "v3")
    sbom = referrer(old)
    push(server.url, repository, sbom)
    push(server.url, repository, fallback_index(sbom), fallback_tag(old))  # as clients do without the API
    policy(workspace, server.url, repository, untagged={"keepFor": "0s"})
    pruned(workspace).exited(0)
    left = read_repository(server.url, repository)
    assert set(left.tags) == {"v2", "v3"}
    accept = {"accept": f"{OCI_MANIFEST}, {OCI_INDEX}"}
    with server.client() as http:
        found = {
            name: http.head(
                f"{server.url}/v2/{repository}/manifests/{one.digest}", headers=accept
            ).status_code
            for name, one in (("index", both), ("old", old), ("kept", kept), ("sbom", sbom))
        }
    assert found == {"index": 404, "old": 404, "kept": 200, "sbom": 404}
    assert pruned(workspace).exited(0).actions == []


def test_where_deletion_is_off_nothing_changes_and_it_is_told(
    distribution_factory: Callable[..., RegistryServer], workspace: Workspace, repository: str
) -> None:
    server = distribution_factory(delete=False)
    fill(server, repository)
    before = read_repository(server.url, repository).tags
    policy(workspace, server.url, repository)
    ran = pruned(workspace).exited(1)
    assert {one["outcome"] for one in ran.actions} == {"blocked"}
    assert "storage.delete.enabled" in ran.out
    assert read_repository(server.url, repository).tags == before


def test_a_store_is_pruned_in_process(workspace: Workspace, regsync_server: RegsyncServer) -> None:
    for number in range(1, 5):
        push(regsync_server.url, "team/app", image(f"{number}"), f"v{number}")
    workspace.registry("hub", regsync_server.url).registry("edge", store="./data")
    workspace.mirror("m", "hub/team/app", "edge/team/app", tags=["v*"]).run("sync").exited(0)
    workspace.clear().registry("edge", store="./data")
    workspace.document(
        "RetentionPolicy",
        "old",
        {"repositories": ["edge/**"], "keep": [NEWEST], "limits": {"maxDeletes": 9, "maxDeletePercent": 100}},
    )
    done = pruned(workspace).exited(0)
    assert set(done.outcomes()) == {"edge/team/app:v1", "edge/team/app:v2"}
    assert pruned(workspace).exited(0).actions == []


def test_pulls_of_our_own_server_keep_what_is_used(
    workspace: Workspace, regsync_server: RegsyncServer
) -> None:
    for number in range(1, 5):
        push(regsync_server.url, "team/app", image(f"{number}"), f"v{number}")
    limits = {"maxDeletes": 9, "maxDeletePercent": 100}
    workspace.registry("edge", regsync_server.url, provider="regsync")
    workspace.document(
        "RetentionPolicy",
        "old",
        {"repositories": ["edge/**"], "keep": [NEWEST, {"pulledWithin": "1d"}], "limits": limits},
    )
    # Nobody pulled anything: as far as is known.
    assert pruned(workspace, "--dry-run").exited(0).actions == []
    planned = pruned(workspace, "--dry-run", "--explain")
    assert "when it was last pulled is not known" in planned.out
    pull(regsync_server, "team/app", "v1")
    workspace.clear().registry("edge", regsync_server.url, provider="regsync")
    keep = [NEWEST, {"pulledWithin": "0s"}]
    workspace.document(
        "RetentionPolicy", "old", {"repositories": ["edge/**"], "keep": keep, "limits": limits}
    )
    planned = pruned(workspace, "--dry-run", "--explain").exited(2)
    assert _named(planned) == {"edge/team/app:v1"}  # of v2 it is still not known
    assert "last pulled 0 days ago" in planned.out


def pull(server: RegsyncServer, repository: str, tag: str) -> None:
    """Pull a tag, and wait until the server has noted it, which it does once a second."""
    with server.client() as http:
        http.get(f"{server.url}/v2/{repository}/manifests/{tag}").raise_for_status()

        def is_noted() -> bool:
            state = http.get(f"{server.url}/v2/{repository}/_regsync/state").json()
            return "pulledAt" in state["tags"][tag]

        wait_until(is_noted, what="the pull is noted")


def test_what_a_cluster_runs_stays_and_a_cluster_that_is_down_keeps_all(
    server: Any, workspace: Workspace, repository: str, tmp_path: Path
) -> None:
    fill(server, repository)
    with KubernetesApi(tmp_path) as cluster:
        cluster.add(pod("web", "a", image=f"{server.host}/{repository}:v1"))
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(cluster.kubeconfig("prod"))
        workspace.environment["KUBECONFIG"] = str(kubeconfig)
        policy(workspace, server.url, repository, inUse=["kubernetes:prod"])
        assert set(_named(pruned(workspace, "--dry-run"))) == {f"edge/{repository}:v2"}
        cluster.token = "unknown"
        ran = pruned(workspace).exited(1)
        assert "kubernetes:prod" in ran.out
    assert {"v1", "v2", "v3", "v4"} <= tags(server, repository)


def test_past_the_limits_nothing_goes(server: Any, workspace: Workspace, repository: str) -> None:
    fill(server, repository)
    policy(workspace, server.url, repository, limits={"maxDeletes": 1})
    before = tags(server, repository)
    ran = pruned(workspace).exited(3)
    assert {one["outcome"] for one in ran.actions} == {"blocked"}
    assert tags(server, repository) == before


def test_only_prune_and_run_carry_retention_out(server: Any, workspace: Workspace, repository: str) -> None:
    fill(server, repository)
    policy(workspace, server.url, repository)
    before = tags(server, repository)
    workspace.mirror("m", f"edge/{repository}", f"edge/{repository}-copy", tags=["stable"])
    workspace.run("sync").exited(0)
    assert tags(server, repository) == before


def test_a_listing_that_ends_in_the_middle_deletes_nothing(
    fake_registry: FakeRegistry, workspace: Workspace
) -> None:
    fake_registry.page_size = 2
    for number in range(1, 6):
        fake_registry.add("team/app", image(f"{number}"), f"v{number}")
    fake_registry.on("GET", r".*/tags/list", error(500, "UNKNOWN"))
    policy(workspace, fake_registry.url, "team/app")
    workspace.clear().registry("edge", fake_registry.url, limits={"maxWait": "1s"})
    workspace.document("RetentionPolicy", "old", {"repositories": ["edge/team/app"], "keep": [NEWEST]})
    pruned(workspace).exited(75)
    assert fake_registry.count("DELETE") == 0


@pytest.mark.parametrize("tag_delete", [True, False], ids=["deletes tags", "deletes manifests only"])
def test_killed_at_any_request_the_next_run_finishes_and_takes_nothing_else(
    fake_registry: FakeRegistry, workspaces: Callable[[str], Workspace], tag_delete: bool
) -> None:
    fake_registry.tag_delete = tag_delete
    moment = 0
    while True:
        moment += 1
        fake_registry.behave()
        fake_registry.repositories.clear()
        old = fake_registry.add("team/app", image("old"), "v1", "stable")
        gone = fake_registry.add("team/app", image("gone"), "v2")
        fake_registry.add("team/app", cosign_signature(gone), cosign_tag(gone))
        fake_registry.add("team/app", image("new"), "v3", "v4")
        workspace = policy(
            workspaces(f"at-{moment}"), fake_registry.url, "team/app", untagged={"keepFor": "0s"}
        )
        process = workspace.start("prune")
        fake_registry.on("PUT|POST|DELETE", ".*", kill_at(process, moment))
        was_killed = process.wait(60) == -signal.SIGKILL
        fake_registry.behave()
        pruned(workspace).exited(0)
        pruned(workspace).exited(0)
        assert fake_registry.tags("team/app").keys() == {"stable", "v3", "v4"}, moment
        assert fake_registry.tags("team/app")["stable"] == old.digest
        left = {
            digest
            for digest, (_, raw) in fake_registry.repositories["team/app"].manifests.items()
            if b"throw-away" not in raw
        }
        assert left == {old.digest, image("new").digest}, moment
        if not was_killed:
            assert moment > 4
            return


def kill_at(process: subprocess.Popen[str], moment: int) -> Behaviour:
    """Kill -9 in the middle of the request of that number: it is carried out, and nobody hears of it."""
    seen = 0

    def behave(request: Request, proceed: Proceed) -> Answer:
        nonlocal seen
        seen += 1
        answer = proceed()
        if seen == moment:
            process.kill()
        return answer

    return behave
