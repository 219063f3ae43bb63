"""What was acknowledged survives whatever happens to the process or the disk; what was not is invisible."""

import contextlib
import errno
import os
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from regsync.content import durable
from regsync.content.durable import (
    FilesExhaustedError,
    StorageDeniedError,
    StorageDeviceError,
    StorageFullError,
)
from regsync.content.errors import DigestMismatchError
from regsync.content.verified import verified
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import parse_manifest
from regsync.oci.reference import RepositoryName, Tag
from regsync.store import journal
from regsync.store.builtin import BuiltinStore
from regsync.store.database import SQLiteDatabase, database_errors
from regsync.store.repository import BuiltinRepository
from tests.contract.places import OCTETS, StallsAfter, blob, described, put, stream
from tests.store.pusher import content_of, place_of
from tests.support.images import image, noise

pytestmark = pytest.mark.anyio

KILLS = int(os.environ.get("REGSYNC_KILLS", "6"))  # 200 by hand
APP = RepositoryName("team/app")


def leftovers(path: Path) -> list[str]:
    return [one.name for one in path.rglob("part-*")]


async def test_that_no_file_can_be_opened_is_said_of_the_catalogue_too(tmp_path: Path) -> None:
    database = SQLiteDatabase(tmp_path / "catalogue.db", name=str(tmp_path))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    try:
        with pytest.raises(FilesExhaustedError, match="open files"), database_errors(database.name):
            database.reading()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with database_errors(database.name):
        database.reading().close()
    database.close()
    nowhere = SQLiteDatabase(tmp_path / "nowhere" / "catalogue.db", name=str(tmp_path))
    with pytest.raises(StorageDeniedError), database_errors(nowhere.name):
        nowhere.reading()


async def check_everything(store: BuiltinStore) -> None:
    """Every tag leads to a manifest, every manifest to blobs, all of it what its digest says."""
    for name in await store.repositories():
        repository = store.repository(name)
        async with repository.tags() as tags:
            found = {tag: desc async for tag, desc in tags}
        for tag, desc in found.items():
            assert await repository.resolve(tag) == desc
            _, raw = await repository.manifest(tag)
            for one in parse_manifest(raw).blobs:
                assert await repository.exists(one)
                async with repository.fetch(one) as chunks:
                    async for _ in verified(chunks, one, where=repository.name):
                        pass


async def test_kill_9_at_any_moment_loses_nothing_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "store"
    chance = random.Random("kill")
    acknowledged: dict[tuple[str, str], int] = {}
    for round_number in range(KILLS):
        first = round_number * 1002
        seen = _push_until_killed(path, first, chance.randint(1, 40))
        for repository, tag, number in seen:
            acknowledged[repository, tag] = number
        async with BuiltinStore.open(path) as store:
            assert leftovers(path) == []
            await check_everything(store)
            for (repository, tag), number in acknowledged.items():
                desc = await store.repository(RepositoryName(repository)).resolve(Tag(tag))
                # The tag may have moved once more before the process died, unacknowledged.
                later = range(max(first, number + 1), first + 300)
                allowed = [number, *(one for one in later if _is_at(one, repository, tag))]
                found = next((one for one in allowed if described(content_of(one)) == desc), None)
                assert found is not None
                acknowledged[repository, tag] = found  # what was seen once stays, too


def _is_at(number: int, repository: str, tag: str) -> bool:
    where, name = place_of(number)
    return repository.endswith(f"/{where}") and tag == name


def _push_until_killed(path: Path, first: int, lines: int) -> list[tuple[str, str, int]]:
    command = [sys.executable, "-m", "tests.store.pusher", str(path), "team", str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        seen = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        seen += process.stdout.read().splitlines(keepends=True)
    whole = [line.split() for line in seen if line.endswith("\n")]
    assert len(whole) >= lines
    return [(repository, tag, int(number)) for repository, tag, number in whole]


def _started(*command: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def test_two_processes_on_one_store_lose_no_tag(tmp_path: Path) -> None:
    path = tmp_path / "store"
    command = [sys.executable, "-m", "tests.store.pusher", str(path)]
    both = [_started(*command, name, "0") for name in ("left", "right")]
    latest: dict[tuple[str, str], int] = {}
    for process in both:
        assert process.stdout is not None
        for _ in range(60):
            repository, tag, number = process.stdout.readline().split()
            latest[repository, tag] = int(number)
    async with BuiltinStore.open(path) as store:  # a third one, while they write
        await put(store.repository(APP), image("third"), "v1")
    for process in both:
        process.kill()
        process.communicate()
    async with BuiltinStore.open(path) as store:
        await check_everything(store)
        assert await store.repository(APP).resolve(Tag("v1")) == described(image("third"))
        for repository, tag in latest:
            await store.repository(RepositoryName(repository)).resolve(Tag(tag))


def test_files_are_synced_before_they_have_their_names_and_the_log_before_the_answer(tmp_path: Path) -> None:
    """The order in which the kernel is asked, seen from outside, during one push."""
    strace = next(
        (one for one in ("/usr/bin/strace", "/usr/local/bin/strace") if os.access(one, os.X_OK)), None
    )
    if strace is None:
        pytest.skip("strace is not installed")
    script = (
        "import anyio, sys\n"
        "from tests.store.test_store_survives import push_once\n"
        "anyio.run(push_once, sys.argv[1])\n"
    )
    log = tmp_path / "trace"
    watched = "trace=fsync,fdatasync,rename,renameat,renameat2,write"
    command = [strace, "-f", "-y", "-s", "12", "-e", watched, "-o", str(log), sys.executable, "-c", script]
    done = subprocess.run([*command, str(tmp_path / "store")], capture_output=True, text=True, check=False)
    if "ptrace" in done.stderr.lower() or "operation not permitted" in done.stderr.lower():
        pytest.skip("tracing is not allowed here")
    assert done.returncode == 0, done.stderr
    lines = [line.split(None, 1)[1] for line in log.read_text().splitlines()]
    begin = next(
        number for number, line in enumerate(lines) if "BEGIN" in line and line.startswith("write(1")
    )
    lines = lines[begin:]
    answer = next(
        number for number, line in enumerate(lines) if "DONE" in line and line.startswith("write(1")
    )
    renames = [number for number, line in enumerate(lines) if line.startswith("rename") and "/blobs/" in line]
    assert len(renames) == 3  # config and two layers
    for number in renames:
        part = lines[number].split('"')[1]
        assert any("sync(" in line and part in line for line in lines[:number])
        directory = os.path.dirname(lines[number].split('"')[3])
        assert any("sync(" in line and f"{directory}>" in line for line in lines[number:answer])
    synced = [
        number for number, line in enumerate(lines[:answer]) if "sync(" in line and "catalogue.db-wal" in line
    ]
    written = [number for number, line in enumerate(lines[:answer]) if "sync(" in line and ".jsonl" in line]
    assert synced
    assert written
    assert max(synced) > max(written)  # the journal is durable before what it describes is committed


async def push_once(path: str) -> None:
    """Run by the test above, under strace."""
    async with BuiltinStore.open(path) as store:
        os.write(1, b"BEGIN\n")
        await put(store.repository(APP), image("traced"), "v1")
        os.write(1, b"DONE\n")


async def test_a_full_disk_keeps_the_old_tag_and_takes_pushes_again_when_there_is_room(
    small_disk: Path,
) -> None:
    path = small_disk / "store"
    async with BuiltinStore.open(path) as store:
        repository = store.repository(APP)
        last = [await put(repository, image("old"), "v1")]
        big = noise("too much", 6_000_000)
        with pytest.raises(StorageFullError) as caught:
            await repository.push(blob(big), stream(big))
        assert str(path) in str(caught.value)
        assert caught.value.hint
        assert leftovers(path) == []
        filler = small_disk / "filler"
        with _filled(filler):
            with pytest.raises(StorageFullError) as full:
                await _move_until_full(repository, last)
            assert str(path) in str(full.value)
            assert full.value.hint
            assert await repository.resolve(Tag("v1")) == last[-1]
            await check_everything(store)
            assert leftovers(path) == []
        new = await put(repository, image("at last"), "v1")
        assert await repository.resolve(Tag("v1")) == new
    async with BuiltinStore.open(path) as store:
        await check_everything(store)


async def _move_until_full(repository: BuiltinRepository, last: list[Descriptor]) -> None:
    """Move the tag; the pages that the log has already are used up at some point."""
    for number in range(200):
        last.append(await put(repository, image(f"new {number}"), "v1"))


@contextlib.contextmanager
def _filled(path: Path) -> Iterator[None]:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while os.write(fd, b"x" * 4096):
            pass
    os.close(fd)
    yield
    path.unlink()


async def test_without_a_file_descriptor_to_spare_a_push_fails_and_the_next_one_works(tmp_path: Path) -> None:
    async with BuiltinStore.open(tmp_path / "store") as store:
        repository = store.repository(APP)
        old = await put(repository, image("old"), "v1")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            with pytest.raises(FilesExhaustedError) as caught:
                await repository.push(blob(b"x"), stream(b"x"))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert "ulimit" in (caught.value.hint or "")
        assert await repository.resolve(Tag("v1")) == old
        await put(repository, image("new"), "v1")
        await check_everything(store)


async def test_a_disk_that_fails_to_sync_acknowledges_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async with BuiltinStore.open(tmp_path / "store") as store:
        repository = store.repository(APP)
        old = await put(repository, image("old"), "v1")
        with monkeypatch.context() as broken:
            broken.setattr(durable, "sync", fails)
            with pytest.raises(StorageDeviceError):
                await repository.push(blob(b"x"), stream(b"x"))
        assert not await repository.exists(blob(b"x"))
        assert leftovers(tmp_path) == []
        await put(repository, image("new"))
        with monkeypatch.context() as broken:
            broken.setattr(journal, "sync", fails)
            with pytest.raises(StorageDeviceError):
                await repository.tag(described(image("new")), Tag("v1"))
        assert await repository.resolve(Tag("v1")) == old
        await repository.tag(described(image("new")), Tag("v1"))
        assert await repository.resolve(Tag("v1")) == described(image("new"))


async def test_a_push_that_is_cancelled_or_wrong_leaves_no_file(tmp_path: Path) -> None:
    async with BuiltinStore.open(tmp_path / "store") as store:
        repository = store.repository(APP)
        wanted = Descriptor(OCTETS, Digest.of(b"other"), 3_000_000)
        with pytest.raises(DigestMismatchError):
            await repository.push(wanted, stream(noise("x", 3_000_000)))
        body = StallsAfter(noise("half", 2_000_000))
        async with anyio.create_task_group() as group:
            group.start_soon(repository.push, wanted, body)
            await body.stalled.wait()
            assert len(leftovers(tmp_path)) == 1
            group.cancel_scope.cancel()
        assert leftovers(tmp_path) == []
        assert [one for one in (tmp_path / "store" / "blobs").rglob("*") if one.is_file()] == []


async def test_opening_removes_what_the_dead_left_and_not_what_the_living_write(tmp_path: Path) -> None:
    path = tmp_path / "store"
    async with BuiltinStore.open(path) as store:
        data = noise("whole", 3_000_000)
        body = StallsAfter(data[:2_000_000])
        (path / "parts").mkdir()
        (path / "parts" / "part-1-1").write_bytes(b"left by a dead process")
        async with anyio.create_task_group() as group:
            group.start_soon(store.repository(APP).push, blob(data), body)
            await body.stalled.wait()
            async with BuiltinStore.open(path):
                assert len(leftovers(path)) == 1
            group.cancel_scope.cancel()


async def test_many_pushes_of_one_blob_leave_one_copy(tmp_path: Path) -> None:
    data = noise("popular", 1_500_000)
    async with BuiltinStore.open(tmp_path / "store") as store:
        async with anyio.create_task_group() as group:
            for number in range(8):
                repository = store.repository(RepositoryName(f"team/{number % 2}"))
                group.start_soon(repository.push, blob(data), stream(data))
        files = [one for one in (tmp_path / "store" / "blobs").rglob("*") if one.is_file()]
        assert [one.read_bytes() == data for one in files] == [True]
        assert leftovers(tmp_path) == []
        stats = await store.stats()
        assert (stats.blobs, stats.bytes, stats.logical_bytes) == (1, len(data), 2 * len(data))
