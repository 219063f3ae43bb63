"""docs/operations.md: what it tells people to do on bad days works on bad days."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.told_commands import Told, run_all, told
from tests.integration.workspace import Ran, Workspace
from tests.support.images import image
from tests.support.registry_state import read_digest, read_tags
from tests.support.servers import RegistryServer
from tests.support.signing_keys import new_key, public_pem

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
TAGS = ["1.26.2", "1.27.1", "1.27.2", "stable"]
EXAMPLE = PAGE.parents[1] / "examples" / "signing"
HERE = "library/nginx"
THERE = "hub/library/nginx"


class Site:
    """A source, a target, and a spec between them."""

    def __init__(self, workspace: Workspace, hub: RegistryServer, prod: RegistryServer) -> None:
        self.workspace, self.hub, self.prod = workspace, hub, prod
        for tag in TAGS:
            hub.push(HERE, image(f"nginx {tag}"), tag)
        self.declare(prod.url)

    def declare(self, target: str) -> None:
        self.workspace.clear().registry("hub", self.hub.url).registry("prod", target)
        self.select(["1.*", "stable"])

    def select(self, tags: list[str]) -> None:
        """Write the mirror anew."""
        for path in self.workspace.path.glob("*-mirror.yaml"):
            path.unlink()
        prune = {"grace": "0s", "maxDeletePercent": 100}
        self.workspace.mirror(
            "base-images",
            "hub/{repository}",
            "prod/hub/{repository}",
            repositories=[HERE],
            tags=tags,
            prune=prune,
        )

    def follow(self, section: str, *, part: slice = slice(None)) -> list[Ran]:
        """Do what the page tells."""
        return run_all(self.workspace, told(PAGE, section)[part])

    @property
    def there(self) -> list[str]:
        return read_tags(self.prod.url, THERE)


@pytest.fixture
def site(workspace: Workspace, distribution_factory: Callable[[], RegistryServer]) -> Site:
    """Where a first run is still to come. `regsync.yaml` is what commands read without a path."""
    found = Site(workspace, distribution_factory(), distribution_factory())
    merge(workspace)
    return found


def merge(workspace: Workspace) -> None:
    """Commands without paths read `regsync.yaml`: make it of all documents."""
    texts = [path.read_text() for path in sorted(workspace.path.glob("0*.yaml"))]
    (workspace.path / "regsync.yaml").write_text("\n---\n".join(texts))


def test_the_first_run(site: Site) -> None:
    site.follow("First run")
    assert site.there == TAGS


def test_an_upgrade_begins_with_a_copy_of_the_ledger(site: Site) -> None:
    site.workspace.call("sync").exited(0)
    site.follow("Upgrading")
    assert (site.workspace.path / "backup" / "ledger.db").stat().st_size


def test_a_lost_ledger_deletes_nothing_and_learns_again(site: Site) -> None:
    site.workspace.call("sync").exited(0)
    site.follow("Upgrading")  # makes the backup
    shutil.rmtree(site.workspace.ledger.parent)
    ran = site.follow("The ledger is lost", part=slice(0, 4))
    assert "deletions are unknown" in ran[0].out + ran[0].err
    assert site.there == TAGS
    site.select(["1.27.*", "stable"])
    merge(site.workspace)
    site.workspace.call("sync").exited(0)
    assert site.there == TAGS[1:]  # what was adopted is ours once more


def test_a_backup_of_the_ledger_is_good(site: Site) -> None:
    site.workspace.call("sync").exited(0)
    site.follow("Upgrading")
    shutil.rmtree(site.workspace.ledger.parent)
    site.workspace.ledger.parent.mkdir()
    site.follow("The ledger is lost", part=slice(4, None))
    site.select(["1.27.*", "stable"])
    merge(site.workspace)
    site.workspace.call("sync").exited(0)
    assert site.there == TAGS[1:]


def test_a_damaged_ledger(site: Site) -> None:
    site.workspace.call("sync").exited(0)
    site.workspace.ledger.write_bytes(b"SQLite format 3\0" + b"nothing of that kind" * 500)
    refused = site.workspace.call("sync")
    assert refused.code in (1, 65)
    assert "ledger.db" in refused.err
    site.follow("A ledger cannot be read")
    assert site.there == TAGS


def test_a_wiped_target(site: Site) -> None:
    site.workspace.call("sync").exited(0)
    site.prod.wipe()
    site.follow("A target was wiped")
    assert site.there == TAGS


def test_an_emptied_source(site: Site) -> None:
    site.workspace.call("sync").exited(0)
    site.hub.wipe()
    site.follow("A source was emptied")
    assert site.there == TAGS


def test_a_bad_image(site: Site) -> None:
    site.workspace.call("sync").exited(0)
    good, bad = read_digest(site.hub.url, HERE, "stable"), image("bad")
    site.hub.push(HERE, bad, "stable")
    site.workspace.call("sync").exited(0)
    site.follow("A bad image came through", part=slice(0, 2))
    assert read_digest(site.prod.url, THERE, "stable") == good
    site.workspace.call("sync").exited(0)
    assert read_digest(site.prod.url, THERE, "stable") == good
    better = image("better")
    site.hub.push(HERE, better, "stable")
    site.follow("A bad image came through", part=slice(2, None))
    assert read_digest(site.prod.url, THERE, "stable") == better.digest


def test_too_much_was_deleted(site: Site) -> None:
    site.workspace.call("sync").exited(0)
    site.select(["stable"])
    merge(site.workspace)
    site.workspace.call("sync").exited(0)
    assert site.there == ["stable"]
    run = json.loads(site.workspace.call("history", "-o", "json").exited(0).out)["runs"][0]["id"]
    commands = told(PAGE, "Too much was deleted")
    run_all(site.workspace, [Told(one.command.replace("RUN", run), one.code) for one in commands])
    assert site.there == TAGS


def test_a_registry_that_moved_along_with_its_content(
    site: Site, distribution_factory: Callable[[], RegistryServer]
) -> None:
    site.workspace.call("sync").exited(0)
    moved = distribution_factory()
    for tag in TAGS:
        moved.push(THERE, image(f"nginx {tag}"), tag)
    site.prod.stop()
    site.declare(moved.url)
    merge(site.workspace)
    ran = site.follow("A registry moved")
    assert "Nothing to do" in ran[0].out
    site.select(["stable"])
    merge(site.workspace)
    site.workspace.call("sync").exited(0)
    assert read_tags(moved.url, THERE) == ["stable"]


def test_a_rotated_key(workspace: Workspace) -> None:
    shutil.copytree(EXAMPLE, workspace.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".regsync"))
    spec = workspace.path / "regsync.yaml"
    (workspace.path / "new.pub").write_bytes(public_pem(new_key()))
    documents = spec.read_text().replace(
        "repositories: [acme/signed, acme/scanned]", "repositories: [acme/signed]"
    )
    authority = "    ops-key: {key: {file: cosign.pub, tlog: ignore}}"
    assert authority in documents
    before, _, after = documents.partition("  require:\n")
    mirror = after[after.index("---") :]
    new = "    new-key: {key: {file: new.pub, tlog: ignore}}\n"
    old = "    old-key: {key: {file: cosign.pub, tlog: ignore}}\n"
    declared = before[: before.index(authority)]
    text = re.search(r"```yaml\n(require:.*?)```", PAGE.read_text(), re.DOTALL)
    assert text is not None
    require = "".join(f"  {line}\n" for line in text[1].splitlines())
    spec.write_text(declared + new + old + require + mirror)
    workspace.call("sync").exited(0)
    run_all(workspace, told(PAGE, "A signing key was rotated")[:2])
    only_new = "  require: {signature: {authority: new-key}}\n"
    spec.write_text(declared + new + only_new + mirror)
    run_all(workspace, told(PAGE, "A signing key was rotated")[2:])
