"""Files that are whole or absent: in which order the system is asked, and what an error says."""

import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from regsync.content import durable
from regsync.content.durable import (
    PartFile,
    StorageError,
    WholeFile,
    storage_errors,
    sweep,
    write_all_durably,
    write_durably,
)
from regsync.errors import TemporaryError


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is synced and renamed, by name."""
    seen: list[str] = []

    def name(fd: int) -> str:
        return Path(os.readlink(f"/proc/self/fd/{fd}")).name

    def fsync(fd: int, real: Any = os.fsync) -> None:
        seen.append(f"sync {name(fd)}")
        real(fd)

    def rename(old: str, new: Path, real: Any = os.rename) -> None:
        real(old, new)
        seen.append(f"rename {Path(old).name} {Path(new).name}")

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    return seen


def test_the_file_is_synced_before_it_has_its_name_and_the_directory_after(
    tmp_path: Path, calls: list[str]
) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "files").mkdir()
    write_durably(tmp_path / "files" / "final", b"whole", parts=tmp_path / "parts")
    (synced, renamed, directory) = calls
    assert synced.startswith("sync part-")
    assert renamed == f"rename {synced.removeprefix('sync ')} final"
    assert directory == "sync files"
    assert (tmp_path / "files" / "final").read_bytes() == b"whole"


def test_new_directories_are_synced_into_their_parents(tmp_path: Path, calls: list[str]) -> None:
    write_durably(tmp_path / "a" / "b" / "final", b"whole", parts=tmp_path / "parts")
    synced = [call for call in calls if call.startswith("sync") and "part-" not in call]
    assert synced == [f"sync {tmp_path.name}", f"sync {tmp_path.name}", "sync a", "sync b"]


def test_a_failure_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    final = tmp_path / "final"
    write_durably(final, b"old", parts=tmp_path)

    def fails(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(durable, "sync", fails)
    with pytest.raises(durable.StorageDeviceError, match="final: Input/output error"):
        write_durably(final, b"new", parts=tmp_path)
    assert final.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["final"]


def test_short_writes_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:3]))
    write_durably(tmp_path / "final", b"a longer text", parts=tmp_path)
    assert (tmp_path / "final").read_bytes() == b"a longer text"


def test_a_part_without_a_write_leaves_no_trace(tmp_path: Path) -> None:
    part = PartFile(tmp_path)
    part.discard()
    assert os.listdir(tmp_path) == []


def test_parts_of_the_dead_are_swept_and_those_of_the_living_are_not(tmp_path: Path) -> None:
    living = PartFile(tmp_path)
    living.write([b"half"])
    (tmp_path / "part-1-0").write_bytes(b"dead")
    (tmp_path / "other").write_bytes(b"not ours")
    assert sweep(tmp_path) == 1
    living.keep(tmp_path / "final")
    assert sorted(os.listdir(tmp_path)) == ["final", "other"]
    assert sweep(tmp_path / "missing") == 0


def test_a_part_that_was_swept_before_it_was_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, times = fcntl.flock, []

    def sweeps_first(fd: int, operation: int) -> None:
        if not times:
            os.unlink(os.readlink(f"/proc/self/fd/{fd}"))
        times.append(operation)
        real(fd, operation)

    monkeypatch.setattr(fcntl, "flock", sweeps_first)
    write_durably(tmp_path / "final", b"whole", parts=tmp_path)
    assert (tmp_path / "final").read_bytes() == b"whole"
    assert len(times) == 2


@pytest.mark.parametrize(
    ("number", "is_temporary"),
    [
        (errno.ENOSPC, False),
        (errno.EDQUOT, False),
        (errno.EMFILE, True),
        (errno.EROFS, False),
        (errno.EIO, False),
    ],
)
def test_an_error_names_the_path_the_cause_and_what_to_do(number: int, is_temporary: bool) -> None:
    with pytest.raises(StorageError) as caught, storage_errors("/data/store"):
        raise OSError(number, os.strerror(number))
    assert str(caught.value) == f"/data/store: {os.strerror(number)}"
    assert caught.value.hint
    assert isinstance(caught.value, TemporaryError) is is_temporary


def test_several_files_are_named_after_their_sync_and_each_directory_is_synced_once(
    tmp_path: Path, calls: list[str]
) -> None:
    for name in ("parts", "a", "b"):
        (tmp_path / name).mkdir()
    files = [WholeFile(tmp_path / folder / str(number), [b"x"]) for folder in "ab" for number in range(3)]
    assert write_all_durably(files, parts=tmp_path / "parts") == [None] * 6
    assert [call.split()[0] for call in calls] == ["sync", "rename"] * 6 + ["sync", "sync"]
    for synced, renamed in zip(calls[0:12:2], calls[1:12:2], strict=True):
        assert renamed.split()[1] == synced.split()[1]
    assert calls[12:] == ["sync a", "sync b"]
    assert all(file.final.read_bytes() == b"x" for file in files)


def test_one_file_that_fails_does_not_fail_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write

    def full(fd: int, data: bytes) -> int:
        if bytes(data) == b"too much":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data)

    monkeypatch.setattr(os, "write", full)
    files = [WholeFile(tmp_path / data.decode(), [data]) for data in (b"a", b"too much", b"b")]
    first, second, third = write_all_durably(files, parts=tmp_path)
    assert (first, third) == (None, None)
    assert isinstance(second, durable.StorageFullError)
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_files_whose_directory_could_not_be_synced_are_not_said_to_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: Path, real: Any = durable.sync_directory) -> None:
        if path.name == "bad":
            raise OSError(errno.EIO, "Input/output error")
        real(path)

    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(durable, "sync_directory", fails)
    files = [WholeFile(tmp_path / folder / name, [b"x"]) for name in "ab" for folder in ("good", "bad")]
    outcomes = write_all_durably(files, parts=tmp_path)
    assert [type(one) for one in outcomes] == [type(None), durable.StorageDeviceError] * 2
