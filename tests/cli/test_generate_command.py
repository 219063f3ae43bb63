"""`regsync generate`: a spec and a lock file from what a registry or a store holds now."""

from pathlib import Path

import pytest

from tests.cli.command_line import Regsync
from tests.support.images import image, push
from tests.support.regsync_server import RegsyncServer


@pytest.fixture
def store(regsync: Regsync, quickstart: Path) -> Path:
    """A store with five tags in two repositories."""
    assert regsync("sync", quickstart).code == 0
    return quickstart / ".regsync" / "store"


def test_a_store_becomes_a_mirror_for_each_repository_that_is_locked_and_runs(
    regsync: Regsync, store: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new"

    ran = regsync("generate", store, "--out", out)

    assert (ran.code, ran.out) == (0, "")
    assert regsync("validate", out).code == 0
    spec, lock = (out / "regsync.yaml").read_text(), (out / "regsync.lock").read_text()
    assert "name: acme-web\n" in spec
    assert "tags:\n  - 1.4.0\n  - 1.4.1\n  - latest\n" in spec
    assert lock.count("- image: source/") == 5
    assert regsync("lock", out, "--check").code == 0
    assert regsync("sync", out, "--locked").code == 0
    assert regsync("plan", out, "--locked").code == 0


def test_repositories_of_a_registry_over_http_go_where_target_says(
    regsync: Regsync, regsync_server: RegsyncServer, tmp_path: Path
) -> None:
    for tag in ("1.0", "1.10"):
        push(regsync_server.url, "team/app", image(f"app {tag}"), tag)
    out = tmp_path / "new"
    source = f"{regsync_server.url}/team/app"

    assert regsync("generate", source, "--target", "registry.example.com/hub", "--out", out).code == 0

    spec = (out / "regsync.yaml").read_text()
    assert f"source: {source}\n" in spec
    assert "- registry.example.com/hub/team/app\n" in spec
    assert f"- image: {source}:1.10@{image('app 1.10').digest}\n" in (out / "regsync.lock").read_text()
    assert regsync("lock", out, "--check").code == 0


def test_a_registry_of_a_spec_is_named_and_without_out_both_go_to_stdout(
    regsync: Regsync, quickstart: Path
) -> None:
    ran = regsync("generate", "bundle/hello", "--spec", quickstart, "--target", "local/copies")
    assert ran.code == 0
    assert ran.out.startswith("# regsync.yaml\n# From what is there now by `regsync generate`.\n")
    assert "source: bundle/hello\n" in ran.out
    assert "kind: Registry" not in ran.out
    assert "\n# regsync.lock\n" in ran.out
    assert "- image: bundle/hello:1.0.0@sha256:" in ran.out
    whole = regsync("generate", "bundle", "--spec", quickstart)
    assert "source: bundle/acme/web\n" in whole.out


def test_what_is_there_already_is_not_replaced(regsync: Regsync, quickstart: Path, store: Path) -> None:
    before = (quickstart / "regsync.yaml").read_bytes()
    ran = regsync("generate", store, "--out", quickstart)
    assert (ran.code, "is there already" in ran.err) == (64, True)
    assert (quickstart / "regsync.yaml").read_bytes() == before


@pytest.mark.parametrize(
    "source",
    ["bundel/hello", "http://me:secret@h.test/a", "ftp://h.test/a", "h.test/UPPER", "h.test:99999/a"],
)
def test_a_source_that_is_none_is_misuse_and_no_password_is_repeated(
    regsync: Regsync, quickstart: Path, source: str
) -> None:
    ran = regsync("generate", source, "--spec", quickstart)
    assert ran.code == 64
    assert "secret" not in ran.err


def test_a_repository_that_is_not_there_is_told_and_fails(
    regsync: Regsync, regsync_server: RegsyncServer
) -> None:
    ran = regsync("generate", f"{regsync_server.url}/no/such")
    assert ran.code == 1
    assert "no/such" in ran.err
