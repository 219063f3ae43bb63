"""`plan --base REV`: what a change of the spec causes, read from git as a pipeline has it."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jsonschema import Draft202012Validator

from regsync.report.schemas import plan_schema
from tests.cli.command_line import Ran, Regsync

GIT = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b",
}
POLICY = """---
apiVersion: regsync.dev/v1
kind: VerificationPolicy
metadata: {name: prod}
spec:
  targets: ["local/**"]
  authorities: {ops: {key: {file: keys/ops.pub, tlog: ignore}}}
  require: {signature: {authority: ops}}
"""


def public_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def git(directory: Path, *arguments: str) -> str:
    environment = {**os.environ, **GIT, "GIT_CONFIG_GLOBAL": os.devnull}
    ended = subprocess.run(
        ["git", "-C", str(directory), *arguments], check=True, capture_output=True, text=True, env=environment
    )
    return ended.stdout.strip()


def commit(directory: Path) -> str:
    (directory / ".gitignore").write_text(".regsync\n")
    git(directory, "add", "-A")
    git(directory, "commit", "-q", "-m", "specs")
    return git(directory, "rev-parse", "HEAD")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def tree(quickstart: Path) -> Path:
    """The quick start in a git tree of its own, committed."""
    git(quickstart, "init", "-q")
    commit(quickstart)
    return quickstart


@pytest.fixture
def spec(tree: Path) -> Path:
    return tree / "regsync.yaml"


def document(ran: Ran) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ran.out)
    Draft202012Validator(plan_schema()).validate(found)
    return found


def tags(ran: Ran) -> list[str]:
    return [f"{one['target']}:{one['tag']}" for one in document(ran)["actions"]]


def test_an_unchanged_spec_causes_nothing_whatever_is_pending(regsync: Regsync, tree: Path) -> None:
    ran = regsync("plan", tree, "--base", "HEAD", "-o", "json")
    assert ran.code == 0, ran.err
    found = document(ran)
    assert found["actions"] == []
    assert found["base"]["anyway"] == 5
    assert found["base"]["commit"] == git(tree, "rev-parse", "HEAD")
    assert "5 actions pending without the change too" in regsync("plan", tree, "--base", "HEAD").out


def test_only_what_the_change_adds_is_planned_and_can_be_applied(
    regsync: Regsync, tree: Path, spec: Path, tmp_path: Path
) -> None:
    edit(spec, '["1.4.*", latest]', "[latest]")
    commit(tree)
    edit(spec, "tags: [latest]", "tags: [latest, 1.4.0]")
    out = tmp_path / "plan.json"
    ran = regsync("plan", tree, "--base", "HEAD", "-o", "json", "--out", out)
    assert ran.code == 2
    assert tags(ran) == ["local/acme/web:1.4.0"]
    assert regsync("apply", out, tree).code == 0
    assert regsync("plan", tree, "--base", "HEAD").code == 0


def test_what_is_left_out_is_said_to_stay(regsync: Regsync, tree: Path, spec: Path) -> None:
    edit(spec, "    - hello\n", "")
    ran = regsync("plan", tree, "--base", "HEAD")
    assert ran.code == 0
    assert "2 tags at local/hello no longer kept: 1.0.0, 1.1.0; nothing is deleted there" in ran.out
    for form in ("markdown", "html", "junit"):
        assert "no longer kept" in regsync("plan", tree, "--base", "HEAD", "-o", form).out


def test_renaming_a_registry_or_a_mirror_causes_nothing(regsync: Regsync, tree: Path, spec: Path) -> None:
    edit(spec, "metadata: {name: local}", "metadata: {name: here}")
    edit(spec, '"local/{repository}"', '"here/{repository}"')
    edit(spec, "name: quickstart", "name: other")
    ran = regsync("plan", tree, "--base", "HEAD", "-o", "json")
    assert ran.code == 0, ran.out
    assert document(ran)["base"]["left"] == []


def test_where_a_policy_is_not_enforced_any_more_it_is_said(regsync: Regsync, tree: Path, spec: Path) -> None:
    (tree / "keys").mkdir()
    (tree / "keys" / "ops.pub").write_bytes(public_key())
    guarded = spec.read_text()
    spec.write_text(guarded + POLICY)
    commit(tree)
    (tree / "keys" / "ops.pub").unlink()  # the base's files come from the base
    spec.write_text(guarded)
    ran = regsync("plan", tree, "--base", "HEAD", "-o", "json")
    assert ran.code == 2, ran.err
    base = document(ran)["base"]
    assert {(one["target"], *one["policies"]) for one in base["unguarded"]} == {
        ("local/acme/web", "prod"),
        ("local/hello", "prod"),
    }
    assert len(tags(ran)) == 5  # refused before, to be copied now
    log = json.loads(regsync("plan", tree, "--base", "HEAD", "-o", "sarif").out)
    assert {one["ruleId"] for one in log["runs"][0]["results"]} == {"unguarded"}


def test_a_lock_file_that_moves_is_a_change(regsync: Regsync, tree: Path, spec: Path) -> None:
    assert regsync("lock", tree).code == 0
    commit(tree)
    lock = tree / "regsync.lock"
    found = [line for line in lock.read_text().splitlines() if "acme/web:1.4." in line]
    first, second = (line.rpartition("@")[2] for line in found[:2])
    edit(lock, f"acme/web:1.4.1@{second}", f"acme/web:1.4.1@{first}")
    ran = regsync("plan", tree, "--locked", "--base", "HEAD", "-o", "json")
    assert ran.code == 2, ran.err
    assert tags(ran) == ["local/acme/web:1.4.1"]


def test_where_there_was_no_spec_everything_is_new(regsync: Regsync, tree: Path, spec: Path) -> None:
    git(tree, "mv", "regsync.yaml", "new.yaml")
    ran = regsync("plan", tree / "new.yaml", "--base", "HEAD", "-o", "json")
    assert len(tags(ran)) == 5
    assert document(ran)["base"]["specDigest"] is None


def test_a_mirror_that_is_new_can_be_named(regsync: Regsync, tree: Path, spec: Path) -> None:
    mirror = spec.read_text().rsplit("---", 1)[1]
    other = mirror.replace("name: quickstart", "name: other").replace("local/{repo", "local/other/{repo")
    spec.write_text(spec.read_text() + "---" + other)
    ran = regsync("plan", tree, "--base", "HEAD", "--mirror", "other", "-o", "json")
    assert len(tags(ran)) == 5
    assert document(ran)["base"]["left"] == []


def test_neither_checkout_nor_index_is_touched(regsync: Regsync, tree: Path, spec: Path) -> None:
    edit(spec, "newest: 2", "newest: 1")
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*") if "objects" not in path.parts}
    regsync("plan", tree, "--base", "HEAD")
    after = {path: path.stat().st_mtime_ns for path in tree.rglob("*") if "objects" not in path.parts}
    assert after == before


@pytest.mark.parametrize("revision", ["nope", "-h", "--output=x", "HEAD:regsync.yaml", "", "a\nb"])
def test_a_revision_that_is_none_is_said_to_be_none(
    regsync: Regsync, tree: Path, revision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    ran = regsync("plan", f"--base={revision}")
    assert ran.code == 64
    assert "revision" in ran.err
    assert not (tree / "x").exists()


def test_outside_of_a_git_tree_there_is_no_base(regsync: Regsync, quickstart: Path) -> None:
    ran = regsync("plan", quickstart, "--base", "HEAD")
    assert ran.code == 64
    assert "is in no git tree" in ran.err


def test_an_invalid_spec_at_the_base_is_shown_with_its_revision(
    regsync: Regsync, tree: Path, spec: Path
) -> None:
    good = spec.read_text()
    edit(spec, "  targets:", "  tragets:")
    commit(tree)
    spec.write_text(good)
    ran = regsync("plan", tree, "--base", "HEAD")
    assert ran.code == 65
    assert "HEAD:regsync.yaml:" in ran.err
    assert "tragets" in ran.err
    assert "regsync-base-" not in ran.err
    spec.write_text(good + POLICY)
    (tree / "keys").mkdir()
    (tree / "keys" / "ops.pub").write_text("no key")
    commit(tree)
    spec.write_text(good)
    ran = regsync("plan", tree, "--base", "HEAD")
    assert ran.code == 65
    assert "HEAD:regsync.yaml:" in ran.err
    assert "regsync-base-" not in ran.err


def test_links_of_the_base_lead_nowhere_outside_of_it(
    regsync: Regsync, tree: Path, spec: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text("kind: Mirror\nsecret: hunter2\n")
    link = tree / "link.yaml"
    link.symlink_to(secret)
    up = tree / "up.yaml"
    up.symlink_to("../../secret.yaml")
    commit(tree)
    link.unlink()
    up.unlink()
    ran = regsync("plan", tree, "--base", "HEAD")
    assert ran.code == 0, ran.err
    assert "hunter2" not in ran.out + ran.err


def test_what_was_recorded_is_enough_for_both_specs(
    regsync: Regsync, tree: Path, spec: Path, tmp_path: Path
) -> None:
    seen = tmp_path / "seen.json"
    assert regsync("plan", tree, "--record", seen).code == 2
    for path in (tree / "images").rglob("index.json"):
        path.unlink()
    edit(spec, "    - hello\n", "")
    ran = regsync("plan", tree, "--base", "HEAD", "--observation", seen)
    assert ran.code == 0, ran.out
    assert "no longer kept: 1.0.0, 1.1.0" in ran.out
    assert "planning from what was observed" in ran.err


def test_an_observation_is_read_or_written_not_both(regsync: Regsync, tree: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen.json"
    assert regsync("plan", tree, "--record", seen, "--observation", seen).code == 64
    seen.write_text("{}")
    ran = regsync("plan", tree, "--observation", seen)
    assert ran.code == 1
    assert "seen.json" in ran.err
