"""`regsync store gc` as a person runs it."""

import json
from pathlib import Path

import jsonschema
import pytest

from regsync.report.schemas import SCHEMAS
from tests.cli.command_line import QUICKSTART, Regsync

HELLO = f"oci:{QUICKSTART}/images/hello"
AT_ONCE = ("--untagged", "0s", "--grace", "0s")


@pytest.fixture
def littered(regsync: Regsync, tmp_path: Path) -> Path:
    """A store of two versions, the older of which has lost its tag to the newer."""
    path = tmp_path / "store"
    for version in ("1.0.0", "1.1.0"):
        assert regsync("copy", f"{HELLO}:{version}", f"store:{path}//hello:latest").code == 0
    return path


def test_what_lost_its_tag_is_marked_first_and_goes_at_once_where_that_is_wanted(
    regsync: Regsync, littered: Path
) -> None:
    first = regsync("store", "gc", littered)
    assert first.code == 0
    assert "manifests                               0         1         1" in first.out
    assert "0 B freed" in first.out
    second = regsync("store", "gc", littered, *AT_ONCE)
    assert "manifests                               1         0         1" in second.out
    assert regsync("inspect", f"store:{littered}/hello:latest").code == 0
    assert regsync("store", "fsck", littered).code == 0
    assert json.loads(regsync("store", "stats", littered, "-o", "json").out)["manifests"] == 1


def test_a_dry_run_says_what_would_go_and_why_and_leaves_it(regsync: Regsync, littered: Path) -> None:
    ran = regsync("store", "gc", littered, *AT_ONCE, "--dry-run", "--explain", "-o", "json")
    document = json.loads(ran.out)
    jsonschema.validate(document, SCHEMAS["garbage"]())
    assert document["dryRun"]
    assert document["summary"]["manifests"] == {"deleted": 1, "kept": 1, "waiting": 0}
    fates = {one["name"]: one for one in document["decisions"] if one["kind"] == "manifest"}
    assert sorted((one["fate"], one["reason"][:10]) for one in fates.values()) == [
        ("deleted", "nothing le"),
        ("kept", "tag latest"),
    ]
    for name in fates:
        assert regsync("inspect", f"store:{littered}/hello@{name}").code == 0
    text = regsync("store", "gc", littered, *AT_ONCE, "--dry-run", "--explain").out
    assert "dry run: nothing was changed" in text
    assert all(name in text for name in fates)


def test_what_is_no_duration_is_a_misuse(regsync: Regsync, littered: Path) -> None:
    assert regsync("store", "gc", littered, "--grace", "soon").code == 64
