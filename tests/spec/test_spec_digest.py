from pathlib import Path

import pytest

from regsync.oci.digest import Digest
from regsync.spec.load import load
from tests.spec.spec_files import HUB, STORE, WEB, Specs, document, join, mirror

BASE = join(HUB, STORE, WEB)


def digest(specs: Specs, *documents: str) -> Digest:
    return specs.load(*documents).digest


@pytest.mark.parametrize(
    "same",
    [
        pytest.param("# why\n" + BASE, id="a comment"),
        pytest.param(join(WEB, STORE, HUB), id="another order"),
        pytest.param(BASE.replace("name: web", "name: 'web'"), id="quotes"),
        pytest.param(
            BASE.replace(
                "url: docker.io", "url: docker.io\n  auth: {username: {env: A}, password: {env: B}}"
            ),
            id="credentials",
        ),
        pytest.param(join(BASE, document("Settings", None, "state: elsewhere.db")), id="where state lies"),
        pytest.param(
            join(BASE, document("Settings", None, "notifications: [{url: {env: A}}]")), id="who is told"
        ),
        pytest.param(BASE.replace("url: docker.io", "url: https://index.docker.io/"), id="another spelling"),
    ],
)
def test_what_changes_nothing_changes_no_digest(specs: Specs, same: str) -> None:
    assert digest(specs, BASE) == digest(specs, same)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(BASE.replace("[latest]", "[stable]"), id="a tag"),
        pytest.param(BASE.replace("local/nginx", "local/web"), id="a target"),
        pytest.param(BASE.replace("store: ./data", "store: ./other"), id="a place"),
        pytest.param(
            BASE.replace("url: docker.io", "url: docker.io\n  auth: {realms: [sso.example.org]}"),
            id="who gets the credentials",
        ),
        pytest.param(
            join(BASE, document("MirrorDefaults", None, "platforms: [linux/amd64]")), id="a default"
        ),
        pytest.param(join(BASE, document("MirrorDefaults", None, "prune: {}")), id="deletion"),
        pytest.param(join(BASE, document("MirrorDefaults", None, "history: {}")), id="former images"),
        pytest.param(join(BASE, document("MirrorDefaults", None, "schedule: '@daily'")), id="a schedule"),
        pytest.param(
            join(BASE, document("RetentionPolicy", "a", "repositories: [local/x]\nkeep: [a]")), id="retention"
        ),
    ],
)
def test_what_changes_something_changes_the_digest(specs: Specs, other: str) -> None:
    assert digest(specs, BASE) != digest(specs, other)


def test_defaults_written_out_are_the_same(specs: Specs) -> None:
    short = join(
        HUB,
        STORE,
        mirror("source: hub/a/b\ntargets: [local/x]\ntags: [a]"),
        document("MirrorDefaults", None, "atLeast: 2"),
    )
    long = join(HUB, STORE, mirror("source: hub/a/b\ntargets: [local/x]\ntags: [a]\natLeast: 2"))
    assert digest(specs, short) == digest(specs, long)


def test_a_list_counts_by_what_is_in_it(specs: Specs) -> None:
    spec = join(HUB, STORE, mirror("images: {file: list.txt}\ntargets: ['local/{repository}']"))
    specs.write("list.txt", "quay.io/a/b:1\n")
    before = digest(specs, spec)
    specs.write("list.txt", "# why\nquay.io/a/b:1\n")
    assert digest(specs, spec) == before
    specs.write("list.txt", "quay.io/a/b:2\n")
    assert digest(specs, spec) != before


def test_two_checkouts_have_one_digest(tmp_path: Path) -> None:
    layout = document("Registry", "bundle", "layout: ../bundle")
    found = set()
    for name in ("one", "deep/two"):
        checkout = Specs(tmp_path / name)
        path = checkout.write("specs/a.yaml", BASE, layout)
        (checkout.directory / ".git").mkdir()
        found.add(load([path]).digest)
    assert len(found) == 1


def test_the_digest_stays_what_it_was(specs: Specs) -> None:
    # Saved plans name it. A change of this value makes every saved plan stale: say so in the changelog.
    assert (
        str(digest(specs, BASE)) == "sha256:6fa7a347f53b92827bedcf40285f2742fdb916ec14111aca6f147b64c9b0a8a8"
    )
