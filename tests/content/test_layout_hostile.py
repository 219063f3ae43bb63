"""Layouts that somebody wrote to do harm, or that a disk has damaged."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from regsync.content import layout_files
from regsync.content.errors import (
    ContentNotFoundError,
    ContentTooLargeError,
    DigestMismatchError,
    SizeMismatchError,
)
from regsync.content.layout import LayoutRepository
from regsync.content.layout_files import InvalidLayoutError
from regsync.content.layout_index import AmbiguousTagError
from regsync.content.verified import verified
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from tests.contract.places import blob, described, put, stream
from tests.support.images import image, index, referrer

pytestmark = pytest.mark.anyio

ONE = image("one")
LAYER = ONE.blobs[1]
V1 = Tag("v1")


@pytest.fixture
async def layout(tmp_path: Path) -> LayoutRepository:
    layout = LayoutRepository(tmp_path / "layout")
    await put(layout, ONE, "v1")
    return layout


def file_of(layout: LayoutRepository, digest: Digest) -> Path:
    return layout.path / "blobs" / digest.algorithm / digest.encoded


async def read_verified(layout: LayoutRepository) -> None:
    async with layout.fetch(blob(LAYER)) as chunks:
        async for _ in verified(chunks, blob(LAYER), where=layout.name):
            pass


def rewrite_index(layout: LayoutRepository, change: Any) -> None:
    path = layout.path / "index.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


async def test_a_damaged_blob_is_noticed_by_its_hash(layout: LayoutRepository) -> None:
    path = file_of(layout, blob(LAYER).digest)
    damaged = bytearray(path.read_bytes())
    damaged[100] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(DigestMismatchError) as caught:
        await read_verified(layout)
    assert str(blob(LAYER).digest) in str(caught.value)
    assert str(layout.path) in str(caught.value)


async def test_a_damaged_manifest_is_never_given_out(layout: LayoutRepository) -> None:
    path = file_of(layout, described(ONE).digest)
    path.write_bytes(path.read_bytes().replace(b"schemaVersion", b"schemaversion"))
    with pytest.raises(DigestMismatchError):
        await layout.manifest(V1)


async def test_a_file_that_was_cut_short_counts_as_absent_and_is_replaced(layout: LayoutRepository) -> None:
    path = file_of(layout, blob(LAYER).digest)
    path.write_bytes(LAYER[:100])
    assert not await layout.exists(blob(LAYER))
    with pytest.raises(SizeMismatchError):
        async with layout.fetch(blob(LAYER)):
            pass
    await layout.push(blob(LAYER), stream(LAYER))
    assert path.read_bytes() == LAYER


@pytest.mark.parametrize("what", ["blob", "manifest", "algorithm", "blobs", "index.json", "oci-layout"])
async def test_a_symbolic_link_out_of_the_layout_is_not_followed(
    layout: LayoutRepository, tmp_path: Path, what: str
) -> None:
    path = {
        "blob": file_of(layout, blob(LAYER).digest),
        "manifest": file_of(layout, described(ONE).digest),
        "algorithm": layout.path / "blobs" / "sha256",
    }.get(what, layout.path / what)
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    fresh = LayoutRepository(layout.path)
    read = read_verified(fresh) if what == "blob" else fresh.manifest(V1)
    with pytest.raises(InvalidLayoutError, match="symbolic link out of it"):
        await read


async def test_a_symbolic_link_within_the_layout_is_followed(layout: LayoutRepository) -> None:
    path = file_of(layout, blob(LAYER).digest)
    path.rename(layout.path / "elsewhere")
    path.symlink_to("../../elsewhere")
    assert await layout.exists(blob(LAYER))


async def test_what_is_no_file_is_not_waited_for(layout: LayoutRepository) -> None:
    path = file_of(layout, blob(LAYER).digest)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InvalidLayoutError, match="not a regular file"):
        async with layout.fetch(blob(LAYER)):
            pass


async def test_a_huge_index_is_not_read(layout: LayoutRepository) -> None:
    with (layout.path / "index.json").open("r+b") as file:
        file.truncate(layout_files.MAX_INDEX_SIZE + 1)
    with pytest.raises(ContentTooLargeError):
        await layout.resolve(V1)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"manifests":{}}', id="manifests is no list"),
        pytest.param(b'{"manifests":[1]}', id="an entry is no object"),
        pytest.param(b'{"manifests":[],"manifests":[]}', id="a key twice"),
        pytest.param(b"[" * 100_000, id="deeply nested"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
    ],
)
async def test_an_index_that_cannot_be_read_is_an_error_and_is_not_overwritten(
    layout: LayoutRepository, raw: bytes
) -> None:
    (layout.path / "index.json").write_bytes(raw)
    with pytest.raises(InvalidLayoutError):
        await layout.resolve(V1)
    with pytest.raises(InvalidLayoutError):
        await put(layout, image("two"), "v2")
    assert (layout.path / "index.json").read_bytes() == raw


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(
            {"mediaType": ONE.media_type, "digest": "sha256:../../../etc/passwd", "size": 1}, id="traversal"
        ),
        pytest.param(
            {"mediaType": ONE.media_type, "digest": "blake3:" + "0" * 64, "size": 1}, id="algorithm"
        ),
        pytest.param({"mediaType": ONE.media_type, "digest": ONE.digest, "size": -1}, id="negative size"),
        pytest.param(
            {"mediaType": ONE.media_type, "digest": ONE.digest, "size": 1e3}, id="size is no integer"
        ),
        pytest.param({"mediaType": "text/plain", "digest": ONE.digest, "size": 1}, id="no manifest"),
        pytest.param({"digest": ONE.digest}, id="hardly anything"),
        pytest.param({"annotations": [1]}, id="annotations is a list"),
        pytest.param({}, id="nothing"),
    ],
)
async def test_an_entry_that_cannot_be_read_is_passed_over_and_kept(
    layout: LayoutRepository, entry: dict[str, object]
) -> None:
    strange = {**entry, "annotations": {"org.opencontainers.image.ref.name": "strange"}} if entry else entry
    rewrite_index(layout, lambda document: document["manifests"].append(strange))
    with pytest.raises(ContentNotFoundError):
        await layout.resolve(Tag("strange"))
    await put(layout, image("two"), "v2")
    assert await layout.resolve(V1) == described(ONE)
    assert strange in json.loads((layout.path / "index.json").read_text())["manifests"]


async def test_an_entry_that_lies_about_its_size_is_not_believed(layout: LayoutRepository) -> None:
    rewrite_index(layout, lambda document: document["manifests"][0].update(size=5))
    with pytest.raises(SizeMismatchError):
        await layout.resolve(V1)
    with pytest.raises(SizeMismatchError):
        await layout.manifest(V1)


async def test_a_tag_of_what_is_not_there_is_not_found(layout: LayoutRepository) -> None:
    file_of(layout, described(ONE).digest).unlink()
    with pytest.raises(ContentNotFoundError):
        await layout.resolve(V1)
    with pytest.raises(ContentNotFoundError):
        await layout.manifest(V1)


async def test_a_tag_that_two_entries_claim_is_ambiguous_until_it_is_put(layout: LayoutRepository) -> None:
    two = await put(layout, image("two"))

    def claim(document: Any) -> None:
        document["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] = (
            "docker.io/library/a:v1"
        )
        document["manifests"][1]["annotations"] = {"org.opencontainers.image.ref.name": "quay.io/acme/b:v1"}

    rewrite_index(layout, claim)
    with pytest.raises(AmbiguousTagError, match=r"docker\.io/library/a:v1.*quay\.io/acme/b:v1"):
        await layout.resolve(V1)
    async with layout.tags() as tags:
        assert [one async for one in tags] == [(V1, None)]
    await layout.tag(two, V1)
    assert await layout.resolve(V1) == two


async def test_a_full_reference_stands_for_its_tag(layout: LayoutRepository) -> None:
    def rename(document: Any) -> None:
        document["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] = (
            "docker.io/library/a:v1"
        )

    rewrite_index(layout, rename)
    assert await layout.resolve(V1) == described(ONE)


@pytest.mark.parametrize(
    "marker", [b"", b"{}", b'{"imageLayoutVersion":"2.0.0"}', b'{"imageLayoutVersion":1}']
)
async def test_a_layout_of_an_unknown_version_is_refused(layout: LayoutRepository, marker: bytes) -> None:
    (layout.path / "oci-layout").write_bytes(marker)
    fresh = LayoutRepository(layout.path)
    with pytest.raises(InvalidLayoutError):
        await fresh.resolve(V1)
    with pytest.raises(InvalidLayoutError):
        await put(fresh, image("two"), "v2")


async def test_manifests_that_cannot_be_read_do_not_hide_the_referrers_of_others(
    layout: LayoutRepository,
) -> None:
    await put(layout, referrer(ONE))
    broken = await put(layout, index(image("a"), image("b")), "broken")
    file_of(layout, broken.digest).write_bytes(b"{")
    file_of(layout, described(image("a")).digest).unlink()
    fresh = LayoutRepository(layout.path)
    assert len(await fresh.referrers(described(ONE).digest)) == 1


async def test_a_fallback_tag_that_holds_no_index_is_no_list_of_referrers(layout: LayoutRepository) -> None:
    """GitLab answers such a tag with the subject itself; a copy of it may lie in a layout."""
    await layout.tag(described(ONE), Tag(ONE.digest.replace(":", "-")))
    assert list(await layout.referrers(described(ONE).digest)) == []
