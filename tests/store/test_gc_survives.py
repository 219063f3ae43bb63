"""A collection that is killed, or fails, at any moment has deleted nothing that something leads to."""

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from regsync.clock import SystemClock
from regsync.content.durable import StorageDeviceError, StorageError
from regsync.oci.descriptor import Descriptor
from regsync.oci.reference import RepositoryName, Tag
from regsync.store.blobs import DirectoryBlobs
from regsync.store.builtin import BuiltinStore
from regsync.store.claims import BytesGoneError
from regsync.store.fsck import Check
from regsync.store.gc_report import Rules, Run
from tests.contract.places import blob, described, put, read, stream
from tests.support.images import Content, image, index, noise, referrer

pytestmark = pytest.mark.anyio

KILLS = int(os.environ.get("REGSYNC_KILLS", "6"))  # 200 by hand
NAMES = [RepositoryName(f"team/{number}") for number in range(2)]
SHARED = noise("shared", 3000)
AT_ONCE = Rules(0, 0, 0)


def contents(seed: str) -> list[Content]:
    """An image, an index of two, and a signature; each has the shared layer."""
    images = [
        image(f"{seed} {number}", layers=[SHARED, noise(f"{seed} {number}", 500)]) for number in range(3)
    ]
    return [images[0], index(*images[1:]), referrer(images[0])]


async def litter(path: Path, seed: str) -> None:
    """Things that nothing leads to, beside one of the same kind that a tag leads to."""
    async with BuiltinStore.open(path) as store:
        for name in NAMES:
            repository = store.repository(name)
            for content in contents(f"{seed} {name}"):
                await put(repository, content, "gone")
            await put(repository, contents(f"kept {name}")[1], "kept")
            await repository.untag(Tag("gone"))


async def check(path: Path) -> None:
    """What a tag leads to is whole, and nothing is missing that the catalogue has."""
    async with BuiltinStore.open(path) as store:
        assert (await Check(store, SystemClock()).run()).is_sound
        for name in NAMES:
            repository = store.repository(name)
            multi = contents(f"kept {name}")[1]
            assert await repository.resolve(Tag("kept")) == described(multi)
            for node in multi.walk():
                for data in node.blobs:
                    assert await read(repository, blob(data)) == data


async def left(path: Path) -> tuple[int, int]:
    async with BuiltinStore.open(path) as store:
        stats = await store.stats()
    files = [one for one in (path / "blobs").rglob("*") if one.is_file()]
    assert len(files) == stats.blobs
    return stats.manifests, stats.blobs


async def test_kill_9_during_a_collection_loses_nothing_and_the_next_one_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "store"
    chance = random.Random("kill")
    await litter(path, "first")
    async with BuiltinStore.open(path) as store:
        await store.collect_garbage(AT_ONCE, Run.FOR_REAL)
    clean = await left(path)
    for round_number in range(KILLS):
        await litter(path, f"round {round_number}")
        lines = _killed_after(path, chance.randint(1, 90))
        await check(path)
        async with BuiltinStore.open(path) as store:
            await store.collect_garbage(AT_ONCE, Run.FOR_REAL)
        await check(path)
        assert await left(path) == clean
        assert all(lines) or "done\n" in lines  # it was killed while it collected, or was faster


def _killed_after(path: Path, count: int) -> list[str]:
    command = [sys.executable, "-m", "tests.store.collector", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(count)]
        process.kill()
    return lines


async def test_a_blob_that_cannot_be_removed_ends_the_run_and_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store"
    await litter(path, "first")
    async with BuiltinStore.open(path) as store:

        def fails(*_: object) -> None:
            raise StorageDeviceError(path, "input/output error")

        with monkeypatch.context() as broken:
            broken.setattr(DirectoryBlobs, "remove_now", fails)
            with pytest.raises(StorageError):
                await store.collect_garbage(AT_ONCE, Run.FOR_REAL)
        await store.collect_garbage(AT_ONCE, Run.FOR_REAL)
    await check(path)
    await left(path)


async def test_a_push_whose_bytes_went_before_they_were_linked_is_not_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that stood still for longer than its lease, in the middle of its last step."""
    data = b"too late"
    write = DirectoryBlobs.write

    async def written(self: DirectoryBlobs, desc: Descriptor, *rest: Any, **more: Any) -> None:
        await write(self, desc, *rest, **more)
        self.remove_now([desc.digest])

    async with BuiltinStore.open(tmp_path) as store:
        repository = store.repository(NAMES[0])
        with monkeypatch.context() as slow:
            slow.setattr(DirectoryBlobs, "write", written)
            with pytest.raises(BytesGoneError):
                await repository.push(blob(data), stream(data))
        assert not await repository.exists(blob(data))
        await repository.push(blob(data), stream(data))
        assert await read(repository, blob(data)) == data


async def test_bytes_that_were_removed_in_a_transaction_that_failed_are_stored_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row of the blob is back then, and its bytes are not."""
    data = b"half removed"
    async with BuiltinStore.open(tmp_path) as store:
        repository = store.repository(NAMES[0])
        await repository.push(blob(data), stream(data))
        await repository.delete(blob(data))
        store.blobs.remove_now([blob(data).digest])
        await store.repository(NAMES[1]).push(blob(data), stream(data))
        assert await read(store.repository(NAMES[1]), blob(data)) == data
