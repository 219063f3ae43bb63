import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from regsync.report.schemas import inspection_schema
from tests.cli.command_line import QUICKSTART, Regsync

WEB = f"oci:{QUICKSTART}/images/acme/web"
HELLO = f"oci:{QUICKSTART}/images/hello"


def inspect(regsync: Regsync, reference: str) -> dict[str, object]:
    ran = regsync("inspect", reference, "-o", "json")
    assert ran.code == 0, ran.err
    document: dict[str, object] = json.loads(ran.out)
    Draft202012Validator(inspection_schema()).validate(document)
    return document


def test_inspect_shows_what_belongs_to_an_image(regsync: Regsync) -> None:
    found = inspect(regsync, f"{WEB}:latest")
    assert found["type"] == "index"
    manifests, referrers = found["manifests"], found["referrers"]
    assert isinstance(manifests, list)
    assert isinstance(referrers, list)
    assert [one["platform"] for one in manifests] == ["linux/amd64", "linux/arm64"]
    assert [one["artifactType"] for one in referrers] == ["application/spdx+json"]
    text = regsync("inspect", f"{WEB}:latest").out
    assert all(word in text for word in ("linux/arm64", "application/spdx+json", str(found["digest"])))


def test_the_size_of_an_index_counts_each_byte_once(regsync: Regsync) -> None:
    found = inspect(regsync, f"{WEB}:latest")
    manifests = found["manifests"]
    assert isinstance(manifests, list)
    assert isinstance(found["size"], int)
    assert max(one["size"] for one in manifests) < found["size"] < sum(one["size"] for one in manifests)


def test_a_single_image_shows_its_platform_labels_and_time(regsync: Regsync) -> None:
    found = inspect(regsync, f"{HELLO}:1.1.0")
    assert (found["type"], found["created"]) == ("image", "2026-01-15T12:00:00Z")
    assert found["labels"] == {"org.opencontainers.image.version": "1.1.0"}
    manifests = found["manifests"]
    assert isinstance(manifests, list)
    assert manifests[0]["platform"] == "linux/amd64"


def test_a_layout_with_several_tags_asks_for_one(regsync: Regsync) -> None:
    ran = regsync("inspect", HELLO)
    assert ran.code == 64
    assert "1.0.0, 1.1.0" in ran.err


def test_what_is_not_there_is_a_failure_that_names_it(regsync: Regsync, tmp_path: Path) -> None:
    ran = regsync("inspect", f"{HELLO}:9")
    assert ran.code == 1
    assert "9 not found" in ran.err
    assert regsync("copy", f"{HELLO}:9", f"oci:{tmp_path}/out").code == 1
    assert not (tmp_path / "out").exists()


def test_a_copy_brings_all_that_belongs_to_the_image(regsync: Regsync, tmp_path: Path) -> None:
    ran = regsync("copy", f"{WEB}:latest", f"store:{tmp_path}/data//acme/web:v1")
    assert ran.code == 0
    assert "1 referrer or digest tag" in ran.out
    there = inspect(regsync, f"store:{tmp_path}/data/acme/web:v1")
    assert regsync("copy", f"store:{tmp_path}/data/acme/web:v1", f"oci:{tmp_path}/out").code == 0
    back = inspect(regsync, f"oci:{tmp_path}/out")
    here = inspect(regsync, f"{WEB}:latest")
    for found in (there, back):
        assert {**found, "reference": ""} == {**here, "reference": ""}


def test_a_target_without_a_tag_gets_that_of_the_source(regsync: Regsync, tmp_path: Path) -> None:
    assert regsync("copy", f"{HELLO}:1.1.0", f"oci:{tmp_path}/out").code == 0
    assert inspect(regsync, f"oci:{tmp_path}/out:1.1.0")["type"] == "image"


def test_what_is_named_by_digest_alone_is_copied_without_a_tag(regsync: Regsync, tmp_path: Path) -> None:
    digest = inspect(regsync, f"{HELLO}:1.1.0")["digest"]
    assert regsync("copy", f"{HELLO}@{digest}", f"oci:{tmp_path}/out").code == 0
    assert inspect(regsync, f"oci:{tmp_path}/out@{digest}")["digest"] == digest
    assert regsync("inspect", f"oci:{tmp_path}/out").code == 64


def test_a_target_that_names_another_digest_is_refused_before_anything_is_written(
    regsync: Regsync, tmp_path: Path
) -> None:
    ran = regsync("copy", f"{HELLO}:1.1.0", f"oci:{tmp_path}/out:1@sha256:{'0' * 64}")
    assert ran.code == 3
    assert not (tmp_path / "out").exists()


def test_copy_reports_as_json(regsync: Regsync, tmp_path: Path) -> None:
    document = json.loads(regsync("copy", f"{HELLO}:1.1.0", f"oci:{tmp_path}/out", "-o", "json").out)
    assert document["kind"] == "CopyReport"
    assert document["bytes"]["copied"] > 0
    assert document["bytes"]["reused"] == 0


@pytest.fixture
def store(regsync: Regsync, tmp_path: Path) -> Path:
    for repository in ("a", "b"):
        assert regsync("copy", f"{HELLO}:1.1.0", f"store:{tmp_path}/data//{repository}").code == 0
    return tmp_path / "data"


def test_store_stats_count_shared_content_once(regsync: Regsync, store: Path) -> None:
    document = json.loads(regsync("store", "stats", store, "-o", "json").out)
    assert (document["repositories"], document["tags"]) == (2, 2)
    assert document["logicalBytes"] == 2 * document["bytes"]
    assert "repositories  2\n" in regsync("store", "stats", store).out


def test_a_store_is_found_by_the_name_of_its_registry(regsync: Regsync, store: Path, tmp_path: Path) -> None:
    spec = tmp_path / "regsync.yaml"
    spec.write_text(
        "{apiVersion: regsync.dev/v1, kind: Registry, metadata: {name: local}, spec: {store: ./data}}\n"
    )
    ran = regsync("store", "stats", "local", "--spec", spec)
    assert ran.code == 0
    assert str(store) in ran.out
    assert "did you mean local?" in regsync("store", "stats", "locale", "--spec", spec).err
