"""`regsync lock` over directories of layouts: what is written, what is checked, with which exit code."""

import json
import shutil
from pathlib import Path

import jsonschema
import pytest

from regsync.report.schemas import SCHEMAS
from tests.cli.command_line import Regsync, Stdin

NOWHERE = "sha256:" + "0" * 64


@pytest.fixture
def lock(quickstart: Path, regsync: Regsync) -> Path:
    """The quick start, locked."""
    assert regsync("lock", quickstart).code == 0
    return quickstart / "regsync.lock"


def move(quickstart: Path) -> tuple[str, str]:
    """Have `hello:1.1.0` move at its source to what 1.0.0 is; the digests before and after."""
    path = quickstart / "images" / "hello" / "index.json"
    index = json.loads(path.read_text())
    tags = {one["annotations"]["org.opencontainers.image.ref.name"]: one for one in index["manifests"]}
    old, new = tags["1.1.0"]["digest"], tags["1.0.0"]["digest"]
    index["manifests"].remove(tags["1.1.0"])
    moved = {**tags["1.0.0"], "annotations": {"org.opencontainers.image.ref.name": "1.1.0"}}
    path.write_text(json.dumps({**index, "manifests": [*index["manifests"], moved]}))
    return old, new


def entry(lock: Path, name: str) -> str:
    lines = lock.read_text().replace('"', "").splitlines()  # what is held stands in quotes
    (found,) = (line for line in lines if f"image: {name}@" in line)
    return found.rpartition("@")[2]


def add(lock: Path, below: str, line: str) -> None:
    text = lock.read_text()
    start = text.index(f"- image: {below}@")
    end = text.index("\n", start) + 1
    lock.write_text(text[:end] + line + "\n" + text[end:])


def test_a_second_lock_changes_no_byte(regsync: Regsync, lock: Path) -> None:
    before = (lock.read_bytes(), lock.stat().st_ino)
    ran = regsync("lock", lock.parent)
    assert (ran.code, ran.out) == (0, "Lock: nothing changed; 5 entries.\n")
    assert (lock.read_bytes(), lock.stat().st_ino) == before
    assert not (lock.parent / ".regsync" / "store").exists()  # that is for a sync to make


def test_check_writes_nothing_and_says_who_moved_from_what_to_what(regsync: Regsync, lock: Path) -> None:
    shutil.rmtree(lock.parent / ".regsync")
    old, new = move(lock.parent)
    before = sorted(lock.parent.rglob("*")), lock.read_bytes()
    ran = regsync("lock", lock.parent, "--check")
    assert ran.code == 2
    assert f"~ bundle/hello:1.1.0  {old[:19]} → {new[:19]}  moved at the source" in ran.out
    assert regsync("lock", lock.parent, "--check", "--exit-zero").code == 0
    assert (sorted(lock.parent.rglob("*")), lock.read_bytes()) == before
    document = json.loads(regsync("lock", lock.parent, "--check", "-o", "json").out)
    jsonschema.validate(document, SCHEMAS["lock"]())
    (change,) = document["changes"]
    assert (change["change"], change["old"], change["new"]) == ("behind", old, new)


def test_plain_moves_none_and_update_moves(regsync: Regsync, lock: Path) -> None:
    old, new = move(lock.parent)
    assert regsync("lock", lock.parent).code == 0
    assert entry(lock, "bundle/hello:1.1.0") == old
    ran = regsync("lock", lock.parent, "--update", "--min-age", "3d")
    assert entry(lock, "bundle/hello:1.1.0") == old
    assert "too young: first seen 20" in ran.out
    assert regsync("lock", lock.parent, "--check", "--min-age", "3d").code == 0
    ran = regsync("lock", lock.parent, "--update")
    assert entry(lock, "bundle/hello:1.1.0") == new
    assert "Lock: 1 moved; 5 entries." in ran.out
    assert regsync("lock", lock.parent, "--check").code == 0


def test_a_locked_run_is_held_to_the_lock_and_a_saved_plan_to_the_lock_that_it_was_made_from(
    regsync: Regsync, lock: Path, tmp_path: Path
) -> None:
    old, _ = move(lock.parent)
    out = tmp_path / "plan.json"
    assert regsync("plan", lock.parent, "--locked", "--out", out).code == 2
    actions = {one["tag"]: one for one in json.loads(out.read_text())["actions"]}
    assert actions["1.1.0"]["digest"] == old
    text = lock.read_text()
    lock.write_text(text.replace(old, NOWHERE))
    assert regsync("apply", out, lock.parent, "--locked").code == 3
    lock.write_text(text)
    assert regsync("apply", out, lock.parent, "--locked").code == 0
    assert regsync("plan", lock.parent, "--locked").code == 0
    assert regsync("plan", lock.parent).code == 2
    assert regsync("sync", lock.parent, "--locked", "--dry-run").code == 0


def test_comments_and_what_people_wrote_of_size_do_not_change_the_spec_digest(
    regsync: Regsync, lock: Path
) -> None:
    def digest() -> str:
        return str(json.loads(regsync("plan", lock.parent, "-o", "json").out)["specDigest"])

    before = digest()
    lock.write_text("# a word\n" + lock.read_text().replace("size: 5040", "size: 1"))
    assert digest() == before
    lock.write_text(lock.read_text().replace(entry(lock, "bundle/hello:1.1.0"), NOWHERE))
    assert digest() != before


def test_a_digest_by_hand_that_exists_nowhere_fails_that_tag_alone(regsync: Regsync, lock: Path) -> None:
    lock.write_text(lock.read_text().replace(entry(lock, "bundle/hello:1.1.0"), NOWHERE))
    ran = regsync("sync", lock.parent, "--locked")
    assert ran.code == 1
    assert "regsync.lock:2" in ran.out
    assert f"bundle/hello:1.1.0@{NOWHERE} is locked, and it is at none of" in ran.out
    assert "4 created" in ran.out


def test_a_lock_file_that_cannot_be_read_is_an_invalid_spec_for_every_command(
    regsync: Regsync, lock: Path
) -> None:
    add(lock, "bundle/hello:1.1.0", "  hodl: true")
    for verb in (["plan"], ["lock"], ["lock", "--check"], ["validate"], ["sync", "--locked"]):
        ran = regsync(*verb, lock.parent)
        assert ran.code == 65, verb
        assert "images.hodl: unknown key" in ran.err
        assert "did you mean 'hold'?" in ran.err


def test_without_a_lock_file_a_locked_run_is_an_invalid_spec(regsync: Regsync, quickstart: Path) -> None:
    for verb in ("plan", "sync"):
        ran = regsync(verb, quickstart, "--locked")
        assert ran.code == 65
        assert "mirror quickstart has no entry in" in ran.err


def test_a_hold_outlives_a_plain_lock_and_every_run_keeps_it(regsync: Regsync, lock: Path) -> None:
    regsync("sync", lock.parent)
    move(lock.parent)
    add(lock, "bundle/hello:1.1.0", "  hold: true")
    ran = regsync("lock", lock.parent, "--check")
    assert ran.code == 0
    assert "held, moved at the source" in ran.out
    assert regsync("plan", lock.parent).code == 0
    assert regsync("lock", lock.parent).code == 0
    assert "hold: true" in lock.read_text()
    assert regsync("lock", lock.parent, "--update").code == 0
    assert "hold: true" not in lock.read_text()
    assert regsync("plan", lock.parent).code == 2


def test_an_immutable_tag_that_moved_at_its_source_is_found_and_not_followed(
    regsync: Regsync, lock: Path
) -> None:
    spec = lock.parent / "regsync.yaml"
    spec.write_text(spec.read_text().replace("  source: bundle", '  immutable: ["1.*"]\n  source: bundle'))
    old, _ = move(lock.parent)
    for more in (["--check"], ["--update"], []):
        ran = regsync("lock", lock.parent, *more)
        assert ran.code == 3, more
        assert "immutable, moved at the source" in ran.out
        assert entry(lock, "bundle/hello:1.1.0") == old


def test_another_lock_file_may_be_named(regsync: Regsync, quickstart: Path, tmp_path: Path) -> None:
    other = tmp_path / "prod.lock"
    assert regsync("lock", quickstart, "--lock", other).code == 0
    assert not (quickstart / "regsync.lock").exists()
    assert regsync("plan", quickstart, "--locked", "--lock", other).code == 2
    assert regsync("plan", quickstart, "--locked").code == 65


def test_each_directory_with_mirrors_has_its_own_file_and_a_file_of_its_own_touches_no_other_entries(
    regsync: Regsync, quickstart: Path
) -> None:
    first = (quickstart / "regsync.yaml").read_text()
    places, mirror = first.rsplit("---\n", 1)
    (quickstart / "regsync.yaml").write_text(places)
    for directory, name in (("a", "one"), ("a", "two"), ("b", "three")):
        (quickstart / directory).mkdir(exist_ok=True)
        text = mirror.replace("quickstart", name).replace(
            "local/{repository}", f"local/{name}/{{repository}}"
        )
        (quickstart / directory / f"{name}.yaml").write_text(text)
    assert regsync("lock", quickstart).code == 0
    a, b = quickstart / "a" / "regsync.lock", quickstart / "b" / "regsync.lock"
    assert (a.read_text().count("- image:"), b.read_text().count("- image:")) == (10, 5)
    before = a.read_bytes()
    assert regsync("lock", quickstart / "regsync.yaml", quickstart / "a" / "one.yaml").code == 0
    assert regsync("lock", quickstart, "--mirror", "three").code == 0
    assert a.read_bytes() == before
    (quickstart / "a" / "two.yaml").unlink()
    assert "5 removed" in regsync("lock", quickstart).out
    assert a.read_text().count("- image:") == 5


@pytest.mark.parametrize(
    "options",
    [
        ["--update", "--check"],
        ["--min-age", "3d"],
        ["--exit-zero"],
        ["--export", "list"],
        ["--target", "local"],
        ["--export", "list", "--target", "local", "--update"],
    ],
)
def test_options_that_do_not_go_together_are_misuse(regsync: Regsync, lock: Path, options: list[str]) -> None:
    assert regsync("lock", lock.parent, *options).code == 64


def test_rollback_holds_the_tag_at_what_the_last_run_moved_it_away_from(regsync: Regsync, lock: Path) -> None:
    regsync("sync", lock.parent)
    old, new = move(lock.parent)
    regsync("lock", lock.parent, "--update")
    add(lock, "bundle/hello:1.0.0", "  # the first one")
    assert regsync("sync", lock.parent, "--locked").code == 0

    ran = regsync("rollback", "quickstart", "1.1.0", lock.parent)

    assert ran.code == 0, ran.err
    assert f"regsync.lock: bundle/hello:1.1.0@{old}, hold: true\n" in ran.out
    assert f"local/hello:1.1.0  now {new}\n" in ran.out
    assert ran.out.endswith(
        "Nothing was copied yet: the next run moves the tag; `regsync lock --update` releases it.\n"
    )
    assert (entry(lock, "bundle/hello:1.1.0"), "# the first one" in lock.read_text()) == (old, True)
    for more in ([], ["--locked"]):
        assert regsync("sync", lock.parent, *more).code == 0
        assert (
            json.loads(
                regsync("inspect", f"store:{lock.parent}/.regsync/store/hello:1.1.0", "-o", "json").out
            )["digest"]
            == old
        )
    assert regsync("lock", lock.parent, "--update").code == 0
    assert regsync("sync", lock.parent).code == 0
    assert (
        f"sha256:{new[7:]}"
        in regsync("inspect", f"store:{lock.parent}/.regsync/store/hello:1.1.0", "-o", "json").out
    )


def test_rollback_says_what_it_cannot_do(regsync: Regsync, lock: Path) -> None:
    assert regsync("rollback", "nginx", "1.1.0", lock.parent).code == 64
    assert regsync("rollback", "quickstart", "acme/web:9.9.9", lock.parent).code == 64
    assert regsync("rollback", "quickstart", "1.1.0", lock.parent, "--to", "sha256:1").code == 64
    ran = regsync("rollback", "quickstart", "1.1.0", lock.parent, "--to", NOWHERE)
    assert (ran.code, f"{NOWHERE} is at none of bundle/hello, local/hello" in ran.err) == (1, True)
    found = json.loads(
        regsync(
            "rollback",
            "quickstart",
            "hello:1.1.0",
            lock.parent,
            "--to",
            entry(lock, "bundle/hello:1.0.0"),
            "-o",
            "json",
        ).out
    )
    assert (found["kind"], found["tag"], found["targets"][0]["digest"]) == ("Rollback", "1.1.0", None)


def test_the_lock_file_of_a_spec_on_stdin_is_in_the_current_directory(
    regsync: Regsync, quickstart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(quickstart)
    spec = (quickstart / "regsync.yaml").read_bytes()
    for arguments, code in ((["lock", "-"], 0), (["plan", "-", "--locked"], 2)):
        monkeypatch.setattr("sys.stdin", Stdin(spec))
        assert regsync(*arguments).code == code
    assert (quickstart / "regsync.lock").read_text().count("- image:") == 5
