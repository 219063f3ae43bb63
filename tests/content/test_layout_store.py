"""The OCI layout store beyond the contract: other processes, what stays on disk, mounts, places."""

import contextlib
import json
import multiprocessing
import os
from functools import partial
from pathlib import Path

import anyio
import pytest

from regsync.content.durable import StorageError, StorageFullError
from regsync.content.errors import ContentNotFoundError, DigestMismatchError
from regsync.content.layout import LayoutRepository
from regsync.content.layout_place import LayoutNameError, LayoutPlace, layouts
from regsync.content.memory import MemoryRepository
from regsync.content.references import ContentInUseError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from tests.contract.places import OCTETS, StallsAfter, blob, described, put, read, stream
from tests.support.images import image, index, noise, referrer

pytestmark = pytest.mark.anyio


def entries(layout: LayoutRepository) -> list[tuple[str | None, str]]:
    """Name and digest of each entry of index.json."""
    document = json.loads((layout.path / "index.json").read_text())
    name = "org.opencontainers.image.ref.name"
    return [(one.get("annotations", {}).get(name), one["digest"]) for one in document["manifests"]]


def files(layout: LayoutRepository) -> set[str]:
    """Every file but blobs that are named by a digest."""
    found = (path.relative_to(layout.path) for path in layout.path.rglob("*") if path.is_file())
    return {str(path) for path in found if path.parts[0] != "blobs" or len(path.name) != 64}


async def test_only_roots_are_listed(tmp_path: Path) -> None:
    layout = LayoutRepository(tmp_path)
    multi = index(image("a"), image("b"))
    await put(layout, multi)
    assert entries(layout) == [(None, multi.digest)]
    await put(layout, multi, "v1")
    assert entries(layout) == [("v1", multi.digest)]
    await put(layout, image("a"))  # an index leads to it
    assert entries(layout) == [("v1", multi.digest)]


async def test_what_a_tag_pointed_to_stays_a_root_so_that_no_tool_takes_it_for_garbage(
    tmp_path: Path,
) -> None:
    layout = LayoutRepository(tmp_path)
    await put(layout, image("old"), "v1")
    await put(layout, image("new"), "v1")
    assert entries(layout) == [(None, image("old").digest), ("v1", image("new").digest)]
    await layout.untag(Tag("v1"))
    assert entries(layout) == [(None, image("old").digest), (None, image("new").digest)]


async def test_old_lists_of_referrers_do_not_pile_up(tmp_path: Path) -> None:
    layout = LayoutRepository(tmp_path)
    subject = image("subject")
    await put(layout, subject, "v1")
    before = len(list((tmp_path / "blobs" / "sha256").iterdir()))
    evidence = [referrer(subject, data=str(number).encode()) for number in range(5)]
    for content in evidence:
        await put(layout, content)
    assert len(entries(layout)) == 2
    blobs = {digest for content in evidence for digest in content.all_blobs()}
    after = len(list((tmp_path / "blobs" / "sha256").iterdir()))
    assert after == before + len(evidence) + len(blobs) + 1
    for content in evidence:
        await layout.delete(described(content))
    assert entries(layout) == [("v1", subject.digest)]


async def test_what_an_index_lists_is_not_deleted_under_it(tmp_path: Path) -> None:
    layout = LayoutRepository(tmp_path)
    multi = await put(layout, index(image("a"), image("b")), "v1")
    with pytest.raises(ContentInUseError):
        await layout.delete(described(image("a")))
    await layout.delete(multi)
    await layout.delete(described(image("a")))
    assert not await layout.exists(described(image("a")))


async def test_a_push_that_fails_or_is_cancelled_leaves_no_file(tmp_path: Path) -> None:
    layout = LayoutRepository(tmp_path / "layout")
    await put(layout, image("there"), "v1")
    before = files(layout)
    with pytest.raises(DigestMismatchError):
        await layout.push(Descriptor(OCTETS, Digest.of(b""), 3_000_000), stream(noise("x", 3_000_000)))
    body = StallsAfter(noise("half", 2_000_000))
    async with anyio.create_task_group() as group:
        group.start_soon(layout.push, Descriptor(OCTETS, Digest.of(b""), 3_000_000), body)
        await body.stalled.wait()
        assert files(layout) - before != set()
        group.cancel_scope.cancel()
    assert files(layout) == before


async def test_what_a_dead_process_left_is_removed_and_what_a_living_one_writes_is_not(
    tmp_path: Path,
) -> None:
    ours, theirs = LayoutRepository(tmp_path), LayoutRepository(tmp_path)
    await put(ours, image("there"), "v1")
    abandoned = tmp_path / "ingest" / "part-1-1"
    abandoned.write_bytes(b"half")
    data = noise("whole", 3_000_000)
    body = StallsAfter(data[:2_000_000])
    async with anyio.create_task_group() as group:
        group.start_soon(ours.push, blob(data), body)
        await body.stalled.wait()
        await put(theirs, image("other"), "v2")
        assert not abandoned.exists()
        assert len(list((tmp_path / "ingest").iterdir())) == 1
        group.cancel_scope.cancel()


async def test_many_tags_at_once_are_all_there(tmp_path: Path) -> None:
    layout = LayoutRepository(tmp_path)
    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(put, layout, image(f"image {number}", layers=1), f"v{number}")
    again = LayoutRepository(tmp_path)
    for number in range(50):
        assert await again.resolve(Tag(f"v{number}")) == described(image(f"image {number}", layers=1))


def _push_some(path: str, name: str) -> None:
    async def run() -> None:
        layout = LayoutRepository(path)
        for number in range(15):
            await put(layout, image(f"{name} {number}", layers=1), f"{name}-{number}")

    anyio.run(run)


async def test_two_processes_lose_none_of_each_others_tags(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_push_some, args=(str(tmp_path), name)) for name in ("a", "b")]
    for worker in workers:
        worker.start()
    for worker in workers:
        await anyio.to_thread.run_sync(worker.join, 60)
        assert worker.exitcode == 0
    layout = LayoutRepository(tmp_path)
    for name in ("a", "b"):
        for number in range(15):
            content = image(f"{name} {number}", layers=1)
            assert await layout.manifest(Tag(f"{name}-{number}")) == (described(content), content.data)


async def test_what_another_writes_is_seen_at_once(tmp_path: Path) -> None:
    ours, theirs = LayoutRepository(tmp_path), LayoutRepository(tmp_path)
    await put(ours, image("one"), "v1")
    assert await theirs.resolve(Tag("v1")) == described(image("one"))
    await put(ours, image("two"), "v1")
    assert await theirs.resolve(Tag("v1")) == described(image("two"))


async def test_identical_blobs_of_sibling_layouts_are_one_file(tmp_path: Path) -> None:
    place = LayoutPlace(tmp_path)
    one, two = place.repository(RepositoryName("a/one")), place.repository(RepositoryName("a/two"))
    data = image("shared").blobs[1]
    await put(one, image("shared"), "v1")
    assert two.can_mount_from(one)
    assert not two.can_mount_from(two)
    assert not two.can_mount_from(MemoryRepository())
    assert await two.mount(blob(data), one)
    assert await read(two, blob(data)) == data
    path = Path("blobs", "sha256", blob(data).digest.encoded)
    assert (one.path / path).samefile(two.path / path)
    assert await two.mount(blob(data), one)


async def test_a_damaged_blob_is_not_mounted(tmp_path: Path) -> None:
    place = LayoutPlace(tmp_path)
    one, two = place.repository(RepositoryName("one")), place.repository(RepositoryName("two"))
    await one.push(blob(b"a layer"), stream(b"a layer"))
    (one.path / "blobs" / "sha256" / blob(b"a layer").digest.encoded).write_bytes(b"b layer")
    with pytest.raises(DigestMismatchError):
        await two.mount(blob(b"a layer"), one)
    with pytest.raises(ContentNotFoundError):
        await two.mount(blob(b"missing"), one)
    assert not await two.exists(blob(b"a layer"))


async def test_mounting_across_file_systems_asks_for_the_bytes(small_disk: Path, tmp_path: Path) -> None:
    one, two = LayoutRepository(tmp_path), LayoutRepository(small_disk / "two")
    await one.push(blob(b"a layer"), stream(b"a layer"))
    assert not await two.mount(blob(b"a layer"), one)
    assert not await two.exists(blob(b"a layer"))


async def test_a_full_disk_leaves_tags_as_they_were_and_works_again_when_there_is_room(
    small_disk: Path,
) -> None:
    layout = LayoutRepository(small_disk / "layout")
    await put(layout, image("old"), "v1")
    big = noise("too much", 5_000_000)
    with pytest.raises(StorageFullError) as caught:
        await layout.push(blob(big), stream(big))
    assert str(layout.path) in str(caught.value)
    assert caught.value.hint
    filler = small_disk / "filler"
    _fill(filler)
    with pytest.raises(StorageFullError):
        await put(layout, image("new", layer_size=50_000), "v1")
    assert await layout.resolve(Tag("v1")) == described(image("old"))
    assert not [name for name in files(layout) if "part-" in name]
    filler.unlink()
    await put(layout, image("new", layer_size=50_000), "v1")
    assert await layout.resolve(Tag("v1")) == described(image("new", layer_size=50_000))


def _fill(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while os.write(fd, b"x" * 4096):
            pass
    os.close(fd)


async def test_a_path_that_cannot_be_a_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    layout = LayoutRepository(tmp_path / "file" / "layout")
    with pytest.raises(StorageError, match="file"):
        await layout.push(blob(b"x"), stream(b"x"))


async def test_a_place_lists_its_layouts_and_nothing_else(tmp_path: Path) -> None:
    place = LayoutPlace(tmp_path)
    for name in ("team/app", "team/app/sub", "other", "deep/er/still"):
        await put(place.repository(RepositoryName(name)), image(name), "v1")
    (tmp_path / "empty").mkdir()
    (tmp_path / "Upper" / "case").mkdir(parents=True)
    (tmp_path / "loop").symlink_to(tmp_path)
    assert list(layouts(tmp_path)) == ["deep/er/still", "other", "team/app", "team/app/sub"]
    assert list(place.repositories()) == list(layouts(tmp_path))
    assert list(layouts(tmp_path / "missing")) == []
    assert place.repository(RepositoryName("other")) is place.repository(RepositoryName("other"))


@pytest.mark.parametrize("name", ["a/blobs/sha256", "blobs", "a/index.json", "a/oci-layout", "ingest/x"])
def test_a_repository_cannot_lie_among_the_files_of_a_layout(tmp_path: Path, name: str) -> None:
    with pytest.raises(LayoutNameError, match=name):
        LayoutPlace(tmp_path).repository(RepositoryName.parse(name))


async def test_a_layout_with_many_tags_stays_quick_to_look_up(tmp_path: Path) -> None:
    """An index that did not change is not read again, however often it is asked."""
    layout = LayoutRepository(tmp_path)
    await put(layout, image("one"), "v1")
    await layout.resolve(Tag("v1"))
    parsed = await layout._catalogue.index()
    for look in (partial(layout.resolve, Tag("v1")), partial(layout.manifest, Tag("v1"))):
        await look()
    assert await layout._catalogue.index() is parsed
