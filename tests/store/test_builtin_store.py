"""The built-in store beyond the contract: opening, deduplication, listings, what may be deleted."""

import os
import sqlite3
import tracemalloc
from pathlib import Path

import anyio
import pytest

from regsync.content.durable import StorageError
from regsync.content.errors import ContentNotFoundError, DigestMismatchError, SizeMismatchError
from regsync.content.references import Children, ContentInUseError, MissingReferencesError
from regsync.oci.descriptor import Descriptor
from regsync.oci.reference import RepositoryName, Tag
from regsync.store.builtin import MAX_NAMES, BuiltinStore
from regsync.store.errors import (
    NetworkFileSystemError,
    StoreBusyError,
    StoreDamagedError,
    StoreTooNewError,
)
from regsync.store.file_system import refuse_network
from regsync.store.place import is_store
from tests.contract.places import OCTETS, blob, described, put, read, stream
from tests.support.clock import FrozenClock
from tests.support.images import Content, as_json, image, index, noise

pytestmark = pytest.mark.anyio

APP, OTHER = RepositoryName("team/app"), RepositoryName("team/other")
V1 = Tag("v1")


async def never() -> "anyio.abc.ByteReceiveStream":  # type: ignore[name-defined]
    raise AssertionError("the bytes were asked for")
    yield b""


async def test_a_store_keeps_what_it_holds_when_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "not" / "yet" / "there"
    assert not is_store(path)
    async with BuiltinStore.open(path) as store:
        desc = await put(store.repository(APP), image("kept"), "v1")
    assert is_store(path)
    async with BuiltinStore.open(path) as store:
        assert await store.repository(APP).resolve(V1) == desc
        assert await store.repositories() == [APP]


async def test_an_empty_store_has_nothing(tmp_path: Path) -> None:
    async with BuiltinStore.open(tmp_path) as store:
        stats = await store.stats()
        assert (stats.repositories, stats.tags, stats.manifests, stats.blobs) == (0, 0, 0, 0)
        assert (stats.bytes, stats.logical_bytes) == (0, 0)
        with pytest.raises(ContentNotFoundError):
            async with store.repository(APP).tags():
                pass


async def test_asking_for_names_without_end_takes_no_memory_without_end(tmp_path: Path) -> None:
    async with BuiltinStore.open(tmp_path) as store:
        desc = await put(store.repository(APP), image("kept"), "v1")
        tracemalloc.start()
        try:
            for number in range(3 * MAX_NAMES):
                store.repository(RepositoryName(f"{number:0>250}"))
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert held < 2000 * MAX_NAMES
        assert await store.repository(APP).resolve(V1) == desc


async def test_stats_count_what_is_shared_once_and_as_often_as_it_is_used(tmp_path: Path) -> None:
    content = image("shared")
    async with BuiltinStore.open(tmp_path) as store:
        for name in (APP, OTHER):
            await put(store.repository(name), content, "v1", "v2")
        stats = await store.stats()
        assert (stats.repositories, stats.tags, stats.manifests, stats.blobs) == (2, 4, 2, 3)
        assert stats.bytes == content.total_size()
        assert stats.logical_bytes == 2 * content.total_size()


async def test_a_blob_of_another_repository_is_taken_without_its_bytes(tmp_path: Path) -> None:
    async with BuiltinStore.open(tmp_path) as store:
        await store.repository(APP).push(blob(b"x"), stream(b"x"))
        await store.repository(OTHER).push(blob(b"x"), never())
        assert await read(store.repository(OTHER), blob(b"x")) == b"x"
        lie = Descriptor(OCTETS, blob(b"x").digest, 2)
        with pytest.raises(SizeMismatchError):
            await store.repository(OTHER).push(lie, stream(b"xy"))
        with pytest.raises(SizeMismatchError):
            await store.repository(RepositoryName("third")).mount(lie, store.repository(APP))


async def test_a_blob_whose_file_is_gone_is_asked_for_again(tmp_path: Path) -> None:
    async with BuiltinStore.open(tmp_path) as store:
        await store.repository(APP).push(blob(b"x"), stream(b"x"))
        digest = blob(b"x").digest
        path = tmp_path / "blobs" / "sha256" / digest.encoded[:2] / digest.encoded
        path.unlink()
        assert not await store.repository(APP).exists(blob(b"x"))
        with pytest.raises(ContentNotFoundError):
            await read(store.repository(APP), blob(b"x"))
        assert not await store.repository(OTHER).mount(blob(b"x"), store.repository(APP))
        await store.repository(OTHER).push(blob(b"x"), stream(b"x"))
        assert await read(store.repository(APP), blob(b"x")) == b"x"


async def test_a_manifest_that_rotted_in_the_catalogue_is_not_given_out(tmp_path: Path) -> None:
    async with BuiltinStore.open(tmp_path) as store:
        await put(store.repository(APP), image("rots"), "v1")
        with sqlite3.connect(tmp_path / "catalogue.db") as connection:
            connection.execute("UPDATE manifests SET raw = CAST(replace(raw, 'schema', 'Schema') AS BLOB)")
        connection.close()
        with pytest.raises(DigestMismatchError):
            await store.repository(APP).manifest(V1)


async def test_a_layer_whose_size_is_a_lie_is_refused(tmp_path: Path) -> None:
    document = image("liar").document
    document["layers"][0]["size"] += 1
    liar = Content(image().media_type, as_json(document), image("liar").blobs)
    async with BuiltinStore.open(tmp_path) as store:
        with pytest.raises(SizeMismatchError) as caught:
            await put(store.repository(APP), liar, "v1")
        assert document["layers"][0]["digest"] in str(caught.value)
        with pytest.raises(ContentNotFoundError):
            await store.repository(APP).resolve(V1)


async def test_what_another_repository_has_does_not_make_a_manifest_complete(tmp_path: Path) -> None:
    content = image("theirs")
    async with BuiltinStore.open(tmp_path) as store:
        await put(store.repository(APP), content, "v1")
        with pytest.raises(MissingReferencesError) as caught:
            await store.repository(OTHER).push_manifest(described(content), content.data, tag=V1)
        assert len(caught.value.missing) == len(content.blobs)


async def test_an_original_index_with_some_of_its_children_is_taken_where_that_is_wanted(
    tmp_path: Path,
) -> None:
    whole = index(image("a"), image("b"))
    async with BuiltinStore.open(tmp_path) as store:
        await put(store.repository(APP), image("a"))
        with pytest.raises(MissingReferencesError):
            await store.repository(APP).push_manifest(described(whole), whole.data, tag=V1)
        lenient = store.repository(APP, children=Children.OPTIONAL)
        await lenient.push_manifest(described(whole), whole.data, tag=V1)
        assert await store.repository(APP).resolve(V1) == described(whole)


async def test_what_something_leads_to_is_not_deleted(tmp_path: Path) -> None:
    content = image("a")
    async with BuiltinStore.open(tmp_path) as store:
        repository = store.repository(APP)
        multi = await put(repository, index(content, image("b")), "v1")
        layer = blob(content.blobs[1])
        with pytest.raises(ContentInUseError) as caught:
            await repository.delete(described(content))
        assert caught.value.by == multi.digest
        with pytest.raises(ContentInUseError):
            await repository.delete(layer)
        await repository.delete(multi)
        await repository.delete(described(content))
        await repository.delete(layer)
        assert not await repository.exists(layer)
        with pytest.raises(ContentNotFoundError):
            await repository.delete(layer)


async def test_thousands_of_tags_are_listed_in_the_order_of_their_bytes(tmp_path: Path) -> None:
    names = sorted(f"{letter}{number}" for letter in "aZ_" for number in range(800))
    async with BuiltinStore.open(tmp_path) as store:
        repository = store.repository(APP)
        desc = await put(repository, image("one"))
        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(repository.tag, desc, Tag(name))
        async with repository.tags() as tags:
            assert [one async for one in tags] == [(Tag(name), desc) for name in names]


async def test_a_tag_remembers_when_it_was_last_put(tmp_path: Path, clock: FrozenClock) -> None:
    async with BuiltinStore.open(tmp_path, clock=clock) as store:
        await put(store.repository(APP), image("one"), "v1")
    with sqlite3.connect(tmp_path / "catalogue.db") as connection:
        found = connection.execute("SELECT pushed_at FROM tags").fetchone()
    connection.close()
    assert found == (int(clock.now().timestamp() * 1_000_000),)


async def test_a_store_of_a_later_regsync_is_refused(tmp_path: Path) -> None:
    async with BuiltinStore.open(tmp_path):
        pass
    with sqlite3.connect(tmp_path / "catalogue.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreTooNewError, match="revision 9999") as caught:
        async with BuiltinStore.open(tmp_path):
            pass
    assert str(tmp_path) in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("damage", [b"no database at all, but long enough" * 50, b"\0" * 4096])
async def test_what_is_no_database_is_said_to_be_damaged_and_left_alone(
    tmp_path: Path, damage: bytes
) -> None:
    (tmp_path / "catalogue.db").write_bytes(damage)
    with pytest.raises(StoreDamagedError) as caught:
        async with BuiltinStore.open(tmp_path):
            pass
    assert "rebuild" in (caught.value.hint or "")
    assert (tmp_path / "catalogue.db").read_bytes() == damage


async def test_a_path_that_cannot_be_a_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="file"):
        async with BuiltinStore.open(tmp_path / "file"):
            pass


async def test_a_writer_that_holds_on_for_long_is_reported_as_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regsync.store.database.BUSY_TIMEOUT", 50)
    async with BuiltinStore.open(tmp_path) as store:
        other = sqlite3.connect(tmp_path / "catalogue.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusyError):
            await store.repository(APP).push(blob(b"x"), stream(b"x"))
        other.execute("ROLLBACK")
        other.close()
        await store.repository(APP).push(blob(b"x"), stream(b"x"))


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /mnt/share rw - nfs4 server:/export rw
31 22 0:41 / /mnt/my\\040files rw - fuse.sshfs host: rw
32 22 0:42 / /mnt/share/local rw - xfs /dev/vdb rw
33 22 0:43 / /srv rw - ext4 /dev/vdc rw
34 22 0:44 / /srv rw - cifs //server/share rw
broken line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data", None),
        ("/mnt/share", "nfs4"),
        ("/mnt/share/deep/er", "nfs4"),
        ("/mnt/shared", None),
        ("/mnt/my files/store", "fuse.sshfs"),
        ("/mnt/share/local/store", None),
        ("/srv/store", "cifs"),
    ],
)
def test_a_network_file_system_is_refused(tmp_path: Path, path: str, kind: str | None) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    if kind is None:
        refuse_network(Path(path), str(mounts))
        return
    with pytest.raises(NetworkFileSystemError) as caught:
        refuse_network(Path(path), str(mounts))
    assert caught.value.kind == kind
    assert path in str(caught.value)


def test_where_nothing_is_known_of_mounts_nothing_is_refused(tmp_path: Path) -> None:
    refuse_network(tmp_path, str(tmp_path / "missing"))


async def test_reading_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    async with BuiltinStore.open(tmp_path) as store:
        desc = await put(store.repository(APP), image("one"), "v1")
        other = sqlite3.connect(tmp_path / "catalogue.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with anyio.fail_after(5):
            assert await store.repository(APP).resolve(V1) == desc
        other.execute("ROLLBACK")
        other.close()


async def test_a_reader_holds_no_file_open_after_a_small_blob(tmp_path: Path) -> None:
    async with BuiltinStore.open(tmp_path) as store:
        repository = store.repository(APP)
        for data in (b"small", noise("large", 3_000_000)):
            await repository.push(blob(data), stream(data))
            before = len(os.listdir("/proc/self/fd"))
            assert await read(repository, blob(data)) == data
            assert len(os.listdir("/proc/self/fd")) == before
