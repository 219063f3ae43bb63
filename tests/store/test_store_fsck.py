"""`fsck`: what is damaged is found, moved out of the way and healed; what is sound is left alone."""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from regsync.clock import SystemClock
from regsync.content.errors import ContentNotFoundError
from regsync.content.memory import MemoryRepository
from regsync.content.protocol import Source
from regsync.content.verified import verified_manifest
from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.reconcile.copy_image import copy_image
from regsync.store import manifest_check
from regsync.store.builtin import BuiltinStore
from regsync.store.fsck import Check, Checked
from regsync.store.gc_report import Rules, Run
from regsync.store.inventory import Orphan
from regsync.store.repository import LostContentError
from tests.contract.places import blob, described, put, read, stream
from tests.support.clock import FrozenClock
from tests.support.images import image, index, noise

pytestmark = pytest.mark.anyio

APP = RepositoryName("team/app")
IMAGE = image("rots", layer_size=50_000)
CONFIG, LAYER, OTHER = IMAGE.blobs


def file_of(path: Path, data: bytes) -> Path:
    digest = blob(data).digest
    return path / "blobs" / "sha256" / digest.encoded[:2] / digest.encoded


def flip(file: Path) -> bytes:
    """One bit of the file."""
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 1
    file.write_bytes(whole)
    return bytes(whole)


async def checked(store: BuiltinStore) -> Checked:
    return await Check(store, SystemClock()).run()


async def test_a_sound_store_is_called_sound_and_every_byte_of_it_is_read(tmp_path: Path) -> None:
    async with BuiltinStore.open(tmp_path) as store:
        await put(store.repository(APP), index(IMAGE, image("b", arch="arm64")), "v1")
        found = await checked(store)
        stats = await store.stats()
    assert (found.is_sound, found.is_finished, found.orphans) == (True, True, [])
    assert (found.progress.manifests, found.progress.blobs) == (3, stats.blobs)
    assert not (tmp_path / "quarantine").exists()


async def test_a_flipped_bit_is_found_moved_aside_and_not_given_out(tmp_path: Path) -> None:
    async with BuiltinStore.open(tmp_path) as store:
        repository = store.repository(APP)
        await put(repository, IMAGE, "v1")
        wrong = flip(file_of(tmp_path, LAYER))
        found = await checked(store)
        assert [one.digest for one in found.lost] == [blob(LAYER).digest]
        assert not found.is_sound
        assert [one.read_bytes() for one in (tmp_path / "quarantine").iterdir()] == [wrong]
        with pytest.raises(ContentNotFoundError):
            await read(repository, blob(LAYER))
        assert not await repository.exists(blob(LAYER))
        assert await repository.blob(blob(LAYER).digest) is None  # what a server asks
        again = await checked(store)
        assert [one.digest for one in again.lost] == [blob(LAYER).digest]  # until it is repaired


async def test_a_push_of_what_was_damaged_is_asked_for_its_bytes_and_repairs(tmp_path: Path) -> None:
    async with BuiltinStore.open(tmp_path) as store:
        repository = store.repository(APP)
        await put(repository, IMAGE, "v1")
        flip(file_of(tmp_path, LAYER))
        await checked(store)
        await repository.push(blob(LAYER), stream(LAYER))
        assert await read(repository, blob(LAYER)) == LAYER
        assert (await checked(store)).is_sound


@pytest.mark.parametrize("how", ["damaged", "missing"])
async def test_a_copy_of_the_image_repairs_it(tmp_path: Path, how: str) -> None:
    source, multi = MemoryRepository(), index(IMAGE, image("b", arch="arm64"))
    await put(source, multi, "v1")
    async with BuiltinStore.open(tmp_path) as store:
        repository = store.repository(APP)
        await copy_image(source, Tag("v1"), repository, Tag("v1"))
        await put(repository, image("whole"), "whole")
        file = file_of(tmp_path, LAYER)
        flip(file) if how == "damaged" else file.unlink()
        await checked(store)
        async with repository.tags() as tags:
            assert [tag async for tag, _ in tags] == ["whole"]  # what a sync compares
        assert not await repository.exists(described(multi))
        report = await copy_image(source, Tag("v1"), repository, Tag("v1"))
        assert report.copied == len(LAYER) + multi.size + IMAGE.size
        async with repository.tags() as tags:
            assert [tag async for tag, _ in tags] == ["v1", "whole"]
        assert (await checked(store)).is_sound


async def test_marks_are_listed_again_only_when_there_are_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, listed = os.listdir, []

    def listdir(path: Path) -> list[str]:
        listed.append(path)
        return real(path)

    async with BuiltinStore.open(tmp_path) as store:
        repository = store.repository(APP)
        await put(repository, IMAGE, "v1")
        await put(repository, image("whole"), "whole")
        monkeypatch.setattr(os, "listdir", listdir)
        for count, data in enumerate((LAYER, OTHER), 1):  # perhaps in one tick of the file system's clock
            flip(file_of(tmp_path, data))
            await store.set_aside(blob(data).digest)
            for _ in range(3):
                await repository.resolve(Tag("whole"))
                with pytest.raises(LostContentError, match=blob(data).digest.encoded):
                    await repository.resolve(Tag("v1"))
            assert len(listed) == count


async def test_marks_of_blobs_that_nobody_has_end_with_garbage_collection(
    tmp_path: Path, clock: FrozenClock
) -> None:
    async with BuiltinStore.open(tmp_path, clock=clock) as store:
        repository = store.repository(APP)
        desc = await put(repository, IMAGE, "v1")
        await put(repository, image("kept"), "kept")
        for data in (LAYER, image("kept").blobs[-1]):
            flip(file_of(tmp_path, data))
        file_of(tmp_path, OTHER).unlink()
        await checked(store)
        assert len(store.blobs.marked()) == 3
        await repository.delete(desc)
        for _ in range(3):
            await store.collect_garbage(Rules(grace=0, untagged=0, uploads=0), Run.FOR_REAL)
            clock.advance(timedelta(days=8))
        assert store.blobs.marked() == {blob(image("kept").blobs[-1]).digest}


async def test_missing_bytes_and_a_wrong_size_are_told_apart(tmp_path: Path) -> None:
    async with BuiltinStore.open(tmp_path) as store:
        await put(store.repository(APP), IMAGE, "v1")
        file_of(tmp_path, LAYER).unlink()
        file_of(tmp_path, OTHER).write_bytes(OTHER[:10])
        found = await checked(store)
    causes = {one.digest: one.cause for one in found.lost}
    assert causes == {
        blob(LAYER).digest: "its bytes are missing",
        blob(OTHER).digest: "the file has 10 bytes",
    }


async def test_what_no_repository_has_is_set_aside_and_nobody_misses_it(tmp_path: Path) -> None:
    async with BuiltinStore.open(tmp_path) as store:
        repository = store.repository(APP)
        await repository.push(blob(LAYER), stream(LAYER))
        await repository.delete(blob(LAYER))
        flip(file_of(tmp_path, LAYER))
        found = await checked(store)
        assert found.is_sound
        assert [one.digest for one in found.unlinked] == [blob(LAYER).digest]
        await repository.push(blob(LAYER), stream(LAYER))
        assert await read(repository, blob(LAYER)) == LAYER


async def test_files_in_no_record_are_only_told(tmp_path: Path) -> None:
    async with BuiltinStore.open(tmp_path) as store:
        await put(store.repository(APP), IMAGE, "v1")
        stray, odd = file_of(tmp_path, b"nobody's"), file_of(tmp_path, LAYER).with_name("notes.txt")
        stray.write_bytes(b"nobody's")
        odd.write_bytes(b"?")
        found = await checked(store)
    assert {one.path for one in found.orphans} == {stray, odd}
    assert found.is_sound
    assert stray.exists()


async def test_bytes_whose_record_comes_a_moment_later_are_no_file_in_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with BuiltinStore.open(tmp_path) as store:
        await put(store.repository(APP), IMAGE, "v1")
        late, kept = (Orphan(Path(name), 1) for name in ("late", "kept"))
        looks = iter([[[(late, None), (kept, None)]], [[(kept, None)]]])
        monkeypatch.setattr(store.blobs, "files", lambda: next(looks))
        assert (await checked(store)).orphans == [kept]


async def test_rows_that_contradict_each_other_are_found(tmp_path: Path) -> None:
    async with BuiltinStore.open(tmp_path) as store:
        await put(store.repository(APP), IMAGE, "v1")
    connection = sqlite3.connect(tmp_path / "catalogue.db")
    connection.execute("DELETE FROM repository_blobs WHERE digest = ?", (str(blob(LAYER).digest),))
    connection.execute("DELETE FROM manifest_references WHERE digest = ?", (str(blob(OTHER).digest),))
    connection.execute("UPDATE tags SET digest = 'sha256:0'")
    connection.commit()
    connection.close()
    async with BuiltinStore.open(tmp_path) as store:
        found = await checked(store)
    told = "\n".join(found.contradictions)
    assert not found.is_sound
    assert f"does not have its blob {blob(LAYER).digest}" in told
    assert "other references" in told
    assert "tags" in told


async def test_a_manifest_that_is_deleted_while_it_is_checked_is_no_contradiction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = verified_manifest

    def deleted_meanwhile(*arguments: Any, **more: Any) -> object:
        with closing(sqlite3.connect(tmp_path / "catalogue.db")) as connection, connection:
            for table in ("tags", "manifest_references", "manifests", "repository_blobs"):
                connection.execute(f"DELETE FROM {table}")
        return real(*arguments, **more)

    async with BuiltinStore.open(tmp_path) as store:
        await put(store.repository(APP), IMAGE, "v1")
        monkeypatch.setattr(manifest_check, "verified_manifest", deleted_meanwhile)
        found = await checked(store)
    assert (found.contradictions, found.progress.manifests) == ([], 1)


async def test_a_manifest_that_rotted_is_told_with_the_way_out(tmp_path: Path) -> None:
    async with BuiltinStore.open(tmp_path) as store:
        await put(store.repository(APP), IMAGE, "v1")
    connection = sqlite3.connect(tmp_path / "catalogue.db")
    connection.execute("UPDATE manifests SET raw = CAST(replace(raw, 'schema', 'Schema') AS BLOB)")
    connection.commit()
    connection.close()
    async with BuiltinStore.open(tmp_path) as store:
        found = await checked(store)
    assert "rebuild" in found.contradictions[0]


async def test_what_is_lost_is_taken_from_a_source_that_has_it_right(tmp_path: Path) -> None:
    liar, right = MemoryRepository("liar"), MemoryRepository("right")
    await put(right, IMAGE)
    liar._blobs[blob(LAYER).digest] = noise("wrong", len(LAYER))

    def sources(name: RepositoryName) -> Sequence[Source]:
        assert name == APP
        return [MemoryRepository("empty"), liar, right]

    async with BuiltinStore.open(tmp_path) as store:
        repository = store.repository(APP)
        await put(repository, IMAGE, "v1")
        flip(file_of(tmp_path, LAYER))
        found = await Check(store, SystemClock(), sources=sources).run()
        assert [(one.digest, one.source) for one in found.healed] == [(blob(LAYER).digest, "right")]
        assert found.is_sound
        assert await read(repository, blob(LAYER)) == LAYER


async def test_it_reads_no_faster_than_it_may(tmp_path: Path) -> None:
    data = noise("big", 3 * 1024 * 1024)
    async with BuiltinStore.open(tmp_path) as store:
        await store.repository(APP).push(blob(data), stream(data))
        check = Check(store, FrozenClock(), rate=1024 * 1024)
        with anyio.move_on_after(0.2):  # the clock stands still, so the first MiB has to wait a second
            await check.run()
    assert check.found.progress.bytes <= 1024 * 1024


async def test_an_interrupted_check_says_where_to_go_on(tmp_path: Path) -> None:
    async with BuiltinStore.open(tmp_path) as store:
        await put(store.repository(APP), IMAGE, "v1")
        digests = sorted(blob(data).digest for data in IMAGE.blobs)
        stop = anyio.Event()
        stop.set()
        early = await Check(store, SystemClock(), stop=stop).run()
        assert (early.is_finished, early.last) == (False, None)
        rest = await Check(store, SystemClock(), after=digests[0]).run()
    assert (rest.is_finished, rest.last, rest.progress.blobs) == (True, Digest.parse(str(digests[-1])), 2)
