"""`regsync store fsck` as a person runs it."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.cli.command_line import QUICKSTART, Regsync

HELLO = f"oci:{QUICKSTART}/images/hello"
SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "store-check.schema.json"
SPEC = """
apiVersion: regsync.dev/v1
kind: Registry
metadata: {{name: images}}
spec: {{layout: {images}}}
---
apiVersion: regsync.dev/v1
kind: Registry
metadata: {{name: local}}
spec: {{store: ./store}}
---
apiVersion: regsync.dev/v1
kind: Mirror
metadata: {{name: hello}}
spec: {{source: images/hello, targets: [local/hello], tags: ["*"]}}
"""


@pytest.fixture
def store(regsync: Regsync, tmp_path: Path) -> Path:
    """A store that a mirror has filled."""
    (tmp_path / "regsync.yaml").write_text(SPEC.format(images=f"{QUICKSTART}/images"))
    ran = regsync("sync", str(tmp_path))
    assert ran.code == 0, ran.err
    return tmp_path / "store"


def damage(store: Path) -> str:
    """Flip a bit in the largest blob; its digest."""
    files = [one for one in (store / "blobs").rglob("*") if one.is_file()]
    file = max(files, key=lambda one: (one.stat().st_size, one.name))
    whole = bytearray(file.read_bytes())
    whole[-1] ^= 1
    file.write_bytes(whole)
    return f"sha256:{file.name}"


def test_a_sound_store_is_0(regsync: Regsync, store: Path) -> None:
    ran = regsync("store", "fsck", str(store))
    assert ran.code == 0
    assert "Sound" in ran.out


def test_the_report_is_what_its_schema_says_and_damage_is_1(regsync: Regsync, store: Path) -> None:
    digest = damage(store)
    ran = regsync("store", "fsck", str(store), "-o", "json", "--rate", "1GiB")
    document = json.loads(ran.out)
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(document)
    assert (ran.code, document["sound"], document["finished"]) == (1, False, True)
    assert [one["digest"] for one in document["lost"]] == [digest]


def test_the_next_sync_repairs_what_was_found_damaged(regsync: Regsync, store: Path) -> None:
    damage(store)
    assert regsync("store", "fsck", str(store)).code == 1
    ran = regsync("sync", str(store.parent))
    assert ran.code == 0, ran.err
    assert regsync("store", "fsck", str(store)).code == 0
    again = regsync("plan", str(store.parent))
    assert again.code == 0, again.out


@pytest.mark.parametrize("source", [HELLO, f"oci:{QUICKSTART}/images/{{repository}}"])
def test_it_heals_from_where_it_is_told(regsync: Regsync, store: Path, source: str) -> None:
    digest = damage(store)
    ran = regsync("store", "fsck", str(store), "--heal-from", source)
    assert ran.code == 0, ran.err
    assert f"healed: {digest}" in ran.out
    assert regsync("store", "fsck", str(store)).code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--rate", "fast"), id="a rate without a number"),
        pytest.param(("--rate", "0"), id="no rate at all"),
        pytest.param(("--after", "sha256:1"), id="no digest"),
        pytest.param(("--heal-from", f"{HELLO}:1.1.0"), id="a tag to heal from"),
    ],
)
def test_what_it_cannot_use_is_misuse(regsync: Regsync, store: Path, arguments: tuple[str, str]) -> None:
    assert regsync("store", "fsck", str(store), *arguments).code == 64
