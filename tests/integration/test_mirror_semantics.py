"""What people write in mirrors, on real registries."""

from tests.integration.evidence import attach, referrers_of
from tests.integration.workspace import BRIEF, Workspace
from tests.support.images import cosign_signature, cosign_tag, image, index, referrer
from tests.support.registry_state import read_digest, read_repository, read_tags
from tests.support.servers import RegistryServer


def test_the_newest_of_each_minor_under_another_name(
    workspace: Workspace, distribution: RegistryServer, repository: str
) -> None:
    for tag in ("v1.0.0", "v1.0.1", "v1.1.0", "v1.1.3", "v2.0.0-rc.1", "v0.9.0", "latest", "v1.1.3-debug"):
        distribution.push(repository, image(tag), tag)
    workspace.registry("hub", distribution.url)
    workspace.mirror(
        "app",
        f"hub/{repository}",
        f"hub/{repository}-copy",
        tags=[{"semver": ">=1 <3", "newest": 1, "per": "minor"}],
        rename="mirror-{major}.{minor}",
    )
    workspace.run("sync").exited(0)
    state = read_repository(distribution.url, f"{repository}-copy")
    assert state.tags == {"mirror-1.0": image("v1.0.1").digest, "mirror-1.1": image("v1.1.3").digest}


def test_a_tag_that_moved_is_moved_and_one_that_went_stays(
    workspace: Workspace, distribution: RegistryServer, repository: str
) -> None:
    copy = f"{repository}-copy"
    distribution.push(repository, image("one"), "latest", "v1")
    workspace.registry("hub", distribution.url)
    workspace.mirror("app", f"hub/{repository}", f"hub/{copy}", tags=["**"])
    workspace.run("sync").exited(0)
    moved = distribution.push(repository, image("two"), "latest")
    with distribution.client() as http:
        http.delete(f"{distribution.url}/v2/{repository}/manifests/v1").raise_for_status()
    ran = workspace.run("sync").exited(0)
    assert ran.summary == {"update": 1}
    assert read_digest(distribution.url, copy, "latest") == moved.digest
    assert read_digest(distribution.url, copy, "v1") == image("one").digest


def test_images_named_by_tag_by_digest_and_by_both_from_a_file(
    workspace: Workspace, distribution: RegistryServer, repository: str
) -> None:
    first, second, third = image("first"), index(image("second")), image("third")
    old = image("old")
    for content, tag in ((first, "v1"), (second, "v2"), (third, "v3"), (old, "v4")):
        distribution.push(repository, content, tag)
        attach(distribution, repository, content, referrer(content))
        distribution.push(repository, cosign_signature(content), cosign_tag(content))
    distribution.push(repository, image("v4 moved on"), "v4")
    host = f"{distribution.host}/{repository}"
    (workspace.path / "images.txt").write_text(
        f"# a release\n{host}:v1\n{host}:v2@{second.digest}\n\n"
        f"{host}@{third.digest}\n{host}@{old.digest}   # two digests of one repository\n"
    )
    copy = f"copy/{repository}"
    workspace.registry("hub", distribution.url)
    workspace.document(
        "Mirror",
        "release",
        {"images": {"file": "images.txt"}, "targets": ["hub/copy/{repository}"]},
    )
    ran = workspace.run("sync").exited(0)
    assert ran.summary == {"create": 4}
    state = read_repository(distribution.url, copy, also=[third.digest, old.digest])
    assert state.complete
    named = {tag: digest for tag, digest in state.tags.items() if not tag.startswith("sha256-")}
    assert named == {"v1": first.digest, "v2": second.digest}
    for content in (first, second, third, old):
        assert len(referrers_of(distribution, copy, content)) == 1
        assert state.tags[cosign_tag(content)] == cosign_signature(content).digest
    assert workspace.run("plan").exited(0).summary == {"unchanged": 4}


def test_a_pinned_digest_that_the_source_does_not_have_is_a_failure_of_its_own(
    workspace: Workspace, distribution: RegistryServer, repository: str
) -> None:
    there = distribution.push(repository, image("there"), "v1")
    absent = image("absent")
    workspace.registry("hub", distribution.url)
    workspace.mirror(
        "app", f"hub/{repository}", f"hub/{repository}-copy", digests=[there.digest, absent.digest]
    )
    ran = workspace.run("sync").exited(1)
    assert ran.summary == {"create": 1, "failed": 1}
    copy = read_repository(distribution.url, f"{repository}-copy", also=[there.digest])
    assert copy.complete
    assert copy.tags == {}


def test_several_sources_fill_in_for_each_other_and_only_the_first_moves_tags(
    workspace: Workspace,
    distribution: RegistryServer,
    debian_registry: RegistryServer,
    repository: str,
) -> None:
    copy = f"{repository}-copy"
    distribution.push(repository, image("first's"), "both")
    debian_registry.push(repository, image("second's"), "both", "only-second")
    distribution.push(copy, image("before"), "only-second", "both")
    workspace.registry("first", distribution.url).registry("second", debian_registry.url)
    workspace.mirror("app", [f"first/{repository}", f"second/{repository}"], f"first/{copy}", tags=["**"])
    workspace.run("sync").exited(0)
    assert read_digest(distribution.url, copy, "both") == image("first's").digest
    assert read_digest(distribution.url, copy, "only-second") == image("before").digest
    assert read_tags(distribution.url, copy) == ["both", "only-second"]


def test_the_second_source_serves_while_the_first_is_down(
    workspace: Workspace, distribution: RegistryServer, repository: str
) -> None:
    content = distribution.push(repository, image("app"), "v1")
    workspace.registry("down", "http://127.0.0.1:9", limits=BRIEF).registry("up", distribution.url)
    workspace.mirror("app", [f"down/{repository}", f"up/{repository}"], f"up/{repository}-copy", tags=["v1"])
    ran = workspace.run("sync")
    assert read_digest(distribution.url, f"{repository}-copy", "v1") == content.digest
    assert ran.code in (0, 75), str(ran)


def test_mirrors_in_a_chain_go_all_the_way_in_one_run(
    workspace: Workspace, distribution: RegistryServer, debian_registry: RegistryServer, repository: str
) -> None:
    content = distribution.push(repository, index(image("app")), "v1")
    attach(distribution, repository, content, referrer(content))
    workspace.registry("dev", distribution.url).registry("prod", debian_registry.url)
    # Declared the wrong way round: what feeds what decides the order.
    workspace.mirror("b-to-prod", f"dev/{repository}-staging", f"prod/{repository}", tags=["v*"])
    workspace.mirror("a-to-staging", f"dev/{repository}", f"dev/{repository}-staging", tags=["v*"])
    planned = workspace.run("plan").exited(2)
    assert planned.summary == {"create": 2}
    ran = workspace.run("sync").exited(0)
    assert ran.summary == {"create": 2}
    assert read_digest(debian_registry.url, repository, "v1") == content.digest
    assert len(referrers_of(debian_registry, repository, content)) == 1
    assert workspace.run("plan").exited(0).summary == {"unchanged": 2}


def test_immutable_tags_cost_no_request_each_and_are_never_overwritten(
    workspace: Workspace, distribution: RegistryServer, debian_registry: RegistryServer, repository: str
) -> None:
    for number in range(12):
        distribution.push(repository, image(str(number)), f"v{number}")
    workspace.registry("hub", distribution.url).registry("edge", debian_registry.url)
    workspace.mirror(
        "app",
        f"hub/{repository}",
        f"edge/{repository}",
        tags=["v*"],
        immutable=["v*"],
        referrers="none",
    )
    workspace.run("sync").exited(0)
    distribution.push(repository, image("moved"), "v3")
    ran = workspace.run("sync").exited(0)
    assert ran.summary == {"unchanged": 12}
    assert set(ran.requests("hub")) | set(ran.requests("edge")) == {"list"}
    assert read_digest(debian_registry.url, repository, "v3") == image("3").digest


def test_fewer_tags_than_the_mirror_needs_is_an_error_that_leaves_everything(
    workspace: Workspace, distribution: RegistryServer, repository: str
) -> None:
    copy = f"{repository}-copy"
    distribution.push(repository, image("one"), "v1")
    workspace.registry("hub", distribution.url)
    workspace.mirror("app", f"hub/{repository}", f"hub/{copy}", tags=["v*"], atLeast=2)
    ran = workspace.run("sync").exited(1)
    assert "2" in ran.actions[0]["problem"]["message"]
    assert read_tags(distribution.url, copy) == []
