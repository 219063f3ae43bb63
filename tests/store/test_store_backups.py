"""A backup made as docs/server.md says, while the store is written to, restores to a sound store."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from regsync.clock import SystemClock
from regsync.store.builtin import BuiltinStore
from regsync.store.fsck import Check
from regsync.store.rebuild import rebuild


@pytest.mark.anyio
async def test_a_copy_of_the_journal_and_then_of_the_blobs_is_enough(tmp_path: Path) -> None:
    path, backup = tmp_path / "store", tmp_path / "backup"
    command = [sys.executable, "-m", "tests.store.pusher", str(path), "team", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: ASYNC220
        assert process.stdout is not None
        before = [process.stdout.readline().split() for _ in range(40)]
        shutil.copytree(path / "journal", backup / "journal")
        shutil.copytree(path / "blobs", backup / "blobs")
        process.kill()
        process.stdout.read()
    done = rebuild(backup, SystemClock())
    assert done.is_sound
    async with BuiltinStore.open(backup) as store:
        assert (await Check(store, SystemClock()).run()).is_sound
        names = {str(name) for name in await store.repositories()}
    assert {repository for repository, _, _ in before} <= names
