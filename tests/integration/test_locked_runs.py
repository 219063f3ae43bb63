"""Lock files, going back and former images, over real registries."""

import re

from tests.integration.workspace import Workspace
from tests.support.images import cosign_signature, cosign_tag, image, index
from tests.support.registry_state import read_digest, read_tags
from tests.support.servers import RegistryServer


def test_what_the_source_lost_comes_from_another_target_with_its_signature(
    workspace: Workspace, distribution: RegistryServer, debian_registry: RegistryServer, repository: str
) -> None:
    app = distribution.push(repository, index(image("app"), image("app", arch="arm64")), "v1")
    distribution.push(repository, cosign_signature(app), cosign_tag(app))
    workspace.registry("hub", distribution.url).registry("edge", debian_registry.url)
    first, second = f"edge/{repository}", f"hub/{repository}-second"
    workspace.mirror("app", f"hub/{repository}", first, tags=["v*"])
    workspace.run("lock").exited(0)
    workspace.run("sync", "--locked").exited(0)
    with distribution.client() as http:
        url = f"{distribution.url}/v2/{repository}/manifests"
        for digest in (app.digest, cosign_signature(app).digest, *(child.digest for child in app.children)):
            http.delete(f"{url}/{digest}").raise_for_status()
    workspace.clear().registry("hub", distribution.url).registry("edge", debian_registry.url)
    workspace.mirror("app", f"hub/{repository}", first, second, tags=["v*"])

    ran = workspace.run("sync", "--locked").exited(0)

    assert ran.outcomes() == {f"{second}:v1": "done"}
    assert ran.actions[0]["source"] == first
    assert read_digest(distribution.url, f"{repository}-second", "v1") == app.digest
    assert cosign_tag(app) in read_tags(distribution.url, f"{repository}-second")
    assert workspace.run("plan", "--locked").exited(0).actions == []


def test_a_moved_tag_keeps_its_former_image_and_goes_back_to_it(
    workspace: Workspace, distribution: RegistryServer, debian_registry: RegistryServer, repository: str
) -> None:
    old = distribution.push(repository, image("old"), "v1")
    workspace.registry("hub", distribution.url).registry("edge", debian_registry.url)
    targets = [f"edge/{repository}", f"hub/{repository}-copy"]
    workspace.mirror("app", f"hub/{repository}", *targets, tags=["v1"], history={"keep": 3})
    workspace.run("lock").exited(0)
    workspace.run("sync").exited(0)
    new = distribution.push(repository, image("new"), "v1")
    assert workspace.run("lock", "--check").code == 2
    workspace.run("lock", "--update").exited(0)
    workspace.run("sync", "--locked").exited(0)

    former = rf"v1-[0-9]{{8}}-{old.digest[7:19]}"
    for url, name in ((debian_registry.url, repository), (distribution.url, f"{repository}-copy")):
        (kept,) = (tag for tag in read_tags(url, name) if re.fullmatch(former, tag))
        assert read_digest(url, name, kept) == old.digest
        assert read_digest(url, name, "v1") == new.digest
    workspace.run("rollback", "app", "v1").exited(0)
    assert workspace.run("sync").exited(0).summary == {"update": 2}
    assert read_digest(debian_registry.url, repository, "v1") == old.digest
    assert workspace.run("plan").exited(0).actions == []
    assert workspace.run("lock", "--check").code == 0
