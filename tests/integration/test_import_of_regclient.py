"""`regsync import regclient` gives a spec that brings about the same as regclient's own program does."""

import json
from collections.abc import Callable

from tests.integration.evidence import attach, is_fallback
from tests.integration.workspace import Workspace
from tests.support.images import cosign_signature, cosign_tag, image, index, referrer
from tests.support.registry_state import read_registry, read_repository
from tests.support.servers import RegistryServer
from tests.support.tools import Tool

FILE = """
version: 1
creds:
  - {{registry: {source}, tls: disabled}}
  - {{registry: {target}, tls: disabled}}
defaults:
  parallel: 2
  digestTags: true
  referrers: true
sync:
  - source: {source}/{repository}/app
    target: {target}/{prefix}/app
    type: repository
    tags:
      allow: ["v1\\\\..*", "latest"]
      deny: [".*-debug"]
  - source: {source}/{repository}/semver
    target: {target}/{prefix}/semver
    type: repository
    tags:
      semverRange: [">=1.2.0"]
  - source: {source}/{repository}/one:v7
    target: {target}/{prefix}/renamed:stable
    type: image
  - source: {source}/{repository}/many:v1
    target: {target}/{prefix}/amd64:v1
    type: image
    platform: linux/amd64
"""


def test_the_imported_spec_does_what_the_file_does(
    workspace: Workspace,
    distribution: RegistryServer,
    debian_registry: RegistryServer,
    repository: str,
    tool: Callable[[str], Tool],
) -> None:
    seed(distribution, repository)
    for prefix in ("theirs", "ours"):
        text = FILE.format(
            source=distribution.host,
            target=debian_registry.host,
            repository=repository,
            prefix=f"{prefix}/{repository}",
        )
        (workspace.path / f"{prefix}.regclient").write_text(text)
    tool("regclient-regsync")("once", "-c", workspace.path / "theirs.regclient")
    made = workspace.call("import", "regclient", workspace.path / "ours.regclient").exited(0)
    (workspace.path / "regsync.yaml").write_text(made.out)
    workspace.run("validate").exited(0)
    workspace.run("sync").exited(0)
    assert "an index of one platform here" in made.err + made.out
    names = ["app", "semver", "renamed"]
    states = {
        prefix: read_registry(debian_registry.url, [f"{prefix}/{repository}/{name}" for name in names])
        for prefix in ("theirs", "ours")
    }
    for name in names:
        theirs, ours = (states[prefix][f"{prefix}/{repository}/{name}"] for prefix in ("theirs", "ours"))
        assert ours.complete
        assert named(ours.tags) == named(theirs.tags), name
        fallbacks = {
            digest for state in (ours, theirs) for tag, digest in state.tags.items() if is_fallback(tag)
        }
        assert set(ours.manifests) - fallbacks == set(theirs.manifests) - fallbacks, name
        assert set(ours.blobs) == set(theirs.blobs), name
    # As the import says, regclient takes the manifest of one platform out of its index, and we do not.
    theirs, ours = (
        read_repository(debian_registry.url, f"{prefix}/{repository}/amd64") for prefix in ("theirs", "ours")
    )
    assert ours.complete
    kept = json.loads(ours.manifests[ours.tags["v1"]])["manifests"]
    assert [one["digest"] for one in kept] == [theirs.tags["v1"]]


def test_over_registries_that_regclient_kept_in_step_the_plan_is_empty(
    workspace: Workspace,
    distribution: RegistryServer,
    debian_registry: RegistryServer,
    repository: str,
    tool: Callable[[str], Tool],
) -> None:
    seed(distribution, repository)
    text = FILE.format(
        source=distribution.host, target=debian_registry.host, repository=repository, prefix=repository
    )
    whole, _, _ = text.partition(f"  - source: {distribution.host}/{repository}/many")
    (workspace.path / "theirs.regclient").write_text(whole)
    tool("regclient-regsync")("once", "-c", workspace.path / "theirs.regclient")
    made = workspace.call("import", "regclient", workspace.path / "theirs.regclient").exited(0)
    (workspace.path / "regsync.yaml").write_text(made.out)
    ran = workspace.run("plan").exited(0)
    assert ran.summary == {"unchanged": 7}


def seed(server: RegistryServer, repository: str) -> None:
    for tag in ("v1.0", "v1.1", "v1.1-debug", "v2.0", "latest"):
        content = server.push(f"{repository}/app", index(image(f"app {tag}")), tag)
        attach(server, f"{repository}/app", content, referrer(content))
        server.push(f"{repository}/app", cosign_signature(content), cosign_tag(content))
    for tag in ("v1.0.0", "v1.2.0", "v1.10.3", "v2.0.0", "not-a-version"):
        server.push(f"{repository}/semver", image(tag), tag)
    server.push(f"{repository}/one", image("one"), "v7")
    many = index(image("many", arch="amd64"), image("many", arch="arm64"))
    server.push(f"{repository}/many", many, "v1")


def named(tags: dict[str, str]) -> dict[str, str]:
    return {tag: digest for tag, digest in tags.items() if not is_fallback(tag)}
