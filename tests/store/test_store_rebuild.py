"""`rebuild`: the catalogue comes back as it was, from journal and blobs, and nothing is destroyed."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import rule
from sqlalchemy import Connection

from regsync.clock import SystemClock
from regsync.content.durable import StorageFullError
from regsync.oci.reference import RepositoryName, Tag
from regsync.store import catalogue
from regsync.store.builtin import BuiltinStore
from regsync.store.errors import (
    CatalogueLostError,
    CatalogueOlderError,
    JournalTooNewError,
    NothingToRebuildError,
    StoreInUseError,
    StoreRebuildingError,
)
from regsync.store.gc_report import Rules, Run
from regsync.store.journal import FileJournal, Position
from regsync.store.place import is_store
from regsync.store.presence import alone
from regsync.store.rebuild import Rebuilt, rebuild
from tests.contract.places import blob, described, put, stream
from tests.store.test_store_model import StoreMachine
from tests.support.clock import FrozenClock
from tests.support.images import image, index, referrer

APP = RepositoryName("team/app")
JOURNAL = Path("journal/000001.jsonl")
UNTOLD = {  # what is noted for a while, and no part of the history
    *("alembic_version", "journal_position", "leases", "unlinked_blobs", "upload_progress"),
    *("manifest_pulls", "tag_pulls"),
}


def rebuilt(path: Path) -> Rebuilt:
    return rebuild(path, SystemClock())


def rows_of(file: Path) -> dict[str, list[Any]]:
    """Every row of every table, repositories under their names, in an order that says nothing."""
    connection = sqlite3.connect(file)
    try:
        tables = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if name not in UNTOLD
        ]
        names = dict(connection.execute("SELECT id, name FROM repositories"))
        found = {}
        for table in tables:
            cursor = connection.execute(f"SELECT * FROM {table}")
            columns = [column[0] for column in cursor.description]
            found[table] = sorted(
                repr(
                    [
                        (key, names[value] if key == "repository_id" else value)
                        for key, value in row
                        if key != "unused_since"
                    ]
                )
                for row in ([*zip(columns, values, strict=True)] for values in cursor)
            )
        found["repositories"] = sorted(
            repr(row[1:]) for row in connection.execute("SELECT * FROM repositories")
        )
        return found
    finally:
        connection.close()


async def fill(path: Path) -> None:
    async with BuiltinStore.open(path) as store:
        repository = store.repository(APP)
        multi = index(image("a"), image("b", arch="arm64"))
        await put(repository, multi, "v1", "latest")
        await put(repository, referrer(multi))
        await put(store.repository(RepositoryName("other")), image("a"), "v1")
        gone = await put(repository, image("gone"), "gone")
        await repository.delete(gone)
        await repository.untag(Tag("latest"))
        await repository.delete(blob(image("gone").blobs[1]))


@pytest.mark.anyio
async def test_the_catalogue_comes_back_as_it_was(tmp_path: Path) -> None:
    await fill(tmp_path)
    before = rows_of(tmp_path / "catalogue.db")
    done = rebuilt(tmp_path)
    assert rows_of(tmp_path / "catalogue.db") == before
    assert done.is_sound
    assert done.orphans == ()
    assert done.replaced is not None
    assert rows_of(done.replaced / "catalogue.db") == before  # the old one is kept
    async with BuiltinStore.open(tmp_path) as store:
        await put(store.repository(APP), image("later"), "later")
    assert rebuilt(tmp_path).stats.tags == 3


@pytest.mark.anyio
async def test_a_lost_catalogue_is_not_begun_anew_and_comes_back(tmp_path: Path) -> None:
    await fill(tmp_path)
    before = rows_of(tmp_path / "catalogue.db")
    (tmp_path / "catalogue.db").unlink()
    assert is_store(tmp_path)
    with pytest.raises(CatalogueLostError) as caught:
        async with BuiltinStore.open(tmp_path):
            pass
    assert "rebuild" in (caught.value.hint or "")
    assert rebuilt(tmp_path).replaced is None
    assert rows_of(tmp_path / "catalogue.db") == before


@pytest.mark.anyio
async def test_a_damaged_catalogue_comes_back(tmp_path: Path) -> None:
    await fill(tmp_path)
    before = rows_of(tmp_path / "catalogue.db")
    with (tmp_path / "catalogue.db").open("r+b") as file:
        file.seek(2000)
        file.write(b"\xff" * 60_000)
    done = rebuilt(tmp_path)
    assert rows_of(tmp_path / "catalogue.db") == before
    assert done.is_sound


@pytest.mark.anyio
async def test_a_catalogue_from_a_backup_does_not_cut_the_history_off_and_is_brought_up_to_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "store"
    await fill(path)
    shutil.copy(path / "catalogue.db", tmp_path / "backup")
    async with BuiltinStore.open(path) as store:
        for number in range(3):
            await put(store.repository(APP), image(f"new {number}"), f"new-{number}")
    before, journal = rows_of(path / "catalogue.db"), (path / JOURNAL).read_bytes()
    shutil.copy(tmp_path / "backup", path / "catalogue.db")
    with pytest.raises(CatalogueOlderError):
        async with BuiltinStore.open(path):
            pass
    assert (path / JOURNAL).read_bytes() == journal
    assert rebuilt(path).is_sound
    assert rows_of(path / "catalogue.db") == before


@pytest.mark.anyio
async def test_records_that_a_crash_left_uncommitted_do_not_keep_a_store_from_opening(tmp_path: Path) -> None:
    await fill(tmp_path)
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b'{"op":"tag","at":1,"repository":"team/app","tag":"x","digest":"sha256:0"}\n{"op":"ta')
    async with BuiltinStore.open(tmp_path) as store:
        await put(store.repository(APP), image("later"), "later")
    assert b'"tag":"x"' not in (tmp_path / JOURNAL).read_bytes()


@pytest.mark.anyio
async def test_a_page_that_a_power_loss_left_out_does_not_keep_a_store_from_opening(tmp_path: Path) -> None:
    await fill(tmp_path)
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(bytes(4096) + b'"op"}\n' + b'{"op":"untag","at":5,"repository":"a","tag":"x"}\n' * 2)
    async with BuiltinStore.open(tmp_path) as store:
        await put(store.repository(APP), image("later"), "later")
    assert rebuilt(tmp_path).is_sound


async def refused(path: Path) -> None:
    """A tag that cannot be moved from one image to another."""
    async with BuiltinStore.open(path) as store:
        repository = store.repository(APP)
        await put(repository, image("old"), "moves")
        new = await put(repository, image("new"))
        with pytest.raises(StorageFullError):
            await repository.tag(new, Tag("moves"))


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["lost", "kept"])
async def test_a_change_that_was_refused_does_not_become_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    real = catalogue.set_journal_end

    def full(connection: Connection, end: Position) -> None:
        tag = connection.exec_driver_sql("SELECT digest FROM tags WHERE name = 'moves'").scalar()
        if tag == str(described(image("new")).digest):
            raise StorageFullError("store", "database or disk is full")
        real(connection, end)

    monkeypatch.setattr(catalogue, "set_journal_end", full)
    if how == "kept":  # as if the process had been killed before it took the records back
        monkeypatch.setattr(FileJournal, "cut", lambda *_: None)
    await refused(tmp_path)
    before = rows_of(tmp_path / "catalogue.db")
    if how == "lost":
        (tmp_path / "catalogue.db").unlink()
    assert rebuilt(tmp_path).is_sound
    assert rows_of(tmp_path / "catalogue.db") == before


@pytest.mark.anyio
async def test_what_garbage_collection_removed_stays_removed(tmp_path: Path, clock: FrozenClock) -> None:
    async with BuiltinStore.open(tmp_path, clock=clock) as store:
        repository = store.repository(APP)
        for number in range(8):  # of some the digest of a part comes before that of the whole
            multi = index(image(f"{number}"), image("b", arch="arm64"))
            await put(repository, multi, "old")
            await put(repository, referrer(multi))
        await put(repository, image("kept"), "v1")
        await repository.untag(Tag("old"))
        for _ in range(3):
            await store.collect_garbage(Rules(grace=0, untagged=0, uploads=0), Run.FOR_REAL)
            clock.advance(timedelta(days=8))
    before = rows_of(tmp_path / "catalogue.db")
    assert len(before["manifests"]) == 1
    assert len(before["blobs"]) == len(image("kept").blobs)
    done = rebuilt(tmp_path)
    assert rows_of(tmp_path / "catalogue.db") == before
    assert done.is_sound


@pytest.mark.anyio
async def test_lost_and_unexplained_bytes_are_told(tmp_path: Path) -> None:
    await fill(tmp_path)
    files = sorted(one for one in (tmp_path / "blobs").rglob("*") if one.is_file())
    files[0].unlink()
    files[1].write_bytes(b"cut")
    stray = files[2].with_name("f" * 64)
    stray.write_bytes(b"nobody's")
    done = rebuilt(tmp_path)
    assert [one.digest.encoded for one in done.lost] == [files[0].name, files[1].name]
    assert [one.path for one in done.orphans] == [stray]
    assert not done.is_sound
    assert stray.exists()


@pytest.mark.anyio
async def test_a_journal_that_lacks_its_beginning_goes_on_from_a_sound_catalogue(tmp_path: Path) -> None:
    await fill(tmp_path)
    (tmp_path / JOURNAL).unlink()
    async with BuiltinStore.open(tmp_path) as store:  # says in its journal that history is missing
        await put(store.repository(APP), image("later"), "later")
    before = rows_of(tmp_path / "catalogue.db")
    assert rebuilt(tmp_path).is_sound
    assert rows_of(tmp_path / "catalogue.db") == before
    (tmp_path / "catalogue.db").unlink()
    done = rebuilt(tmp_path)
    assert (done.whole, done.is_sound) == (False, False)
    assert done.stats.tags == 1  # all that can be known


@pytest.mark.anyio
async def test_a_rotten_record_is_told_with_its_place_and_the_rest_comes_back(tmp_path: Path) -> None:
    await fill(tmp_path)
    journal = tmp_path / JOURNAL
    lines = journal.read_bytes().splitlines(keepends=True)
    spoilt = next(number for number, line in enumerate(lines) if b'"op":"manifest"' in line)
    lines[spoilt] = lines[spoilt].replace(b"schemaVersion", b"schemaVersiom")
    lines[0] = b"\xff" + lines[0][1:]
    journal.write_bytes(b"".join(lines))
    done = rebuilt(tmp_path)
    assert not done.is_sound
    assert "000001.jsonl, byte 0" in done.unusable
    assert done.stats.tags >= 1


@pytest.mark.anyio
async def test_a_record_of_a_later_version_is_not_passed_over(tmp_path: Path) -> None:
    await fill(tmp_path)
    (tmp_path / "catalogue.db").unlink()
    with (tmp_path / JOURNAL).open("a") as file:
        file.write('{"op":"teleport","at":1,"repository":"team/app"}\n')
    with pytest.raises(JournalTooNewError):
        rebuilt(tmp_path)
    assert [one for one in (tmp_path / "replaced").glob("*")] == []


def test_there_is_nothing_to_rebuild_in_any_other_directory(tmp_path: Path) -> None:
    with pytest.raises(NothingToRebuildError):
        rebuilt(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.anyio
async def test_it_waits_for_nobody_and_nobody_opens_meanwhile(tmp_path: Path) -> None:
    async with BuiltinStore.open(tmp_path) as store:
        await store.repository(APP).push(blob(b"x"), stream(b"x"))
        with pytest.raises(StoreInUseError):
            rebuilt(tmp_path)
    with alone(tmp_path), pytest.raises(StoreRebuildingError):
        async with BuiltinStore.open(tmp_path):
            pass
    assert rebuilt(tmp_path).is_sound


def test_a_process_that_was_killed_has_nothing_open_any_more(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.store.pusher", str(tmp_path), "team", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        with pytest.raises(StoreInUseError):
            rebuilt(tmp_path)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    before = rows_of(tmp_path / "catalogue.db")
    done = rebuilt(tmp_path)
    after = rows_of(tmp_path / "catalogue.db")
    assert done.is_sound
    for table, rows in before.items():  # and perhaps what was written and not acknowledged yet
        assert table in ("tags", "leases") or set(rows) <= set(after[table])


@pytest.mark.anyio
@pytest.mark.parametrize("step", range(8))
@pytest.mark.parametrize("history", ["whole", "gap"])
async def test_a_rebuild_that_dies_half_way_can_be_run_again(tmp_path: Path, step: int, history: str) -> None:
    await fill(tmp_path)
    if history == "gap":
        os.truncate(tmp_path / JOURNAL, 0)
        async with BuiltinStore.open(tmp_path) as store:
            await put(store.repository(APP), image("later"), "later")
    before = rows_of(tmp_path / "catalogue.db")
    died = subprocess.run(  # noqa: ASYNC221
        [sys.executable, "-c", DIES, str(tmp_path), str(step)], check=False
    )
    assert died.returncode in (0, 9)
    done = rebuilt(tmp_path)
    assert done.is_sound
    assert rows_of(tmp_path / "catalogue.db") == before
    assert done.replaced is not None
    assert rows_of(done.replaced / "catalogue.db") == before
    assert not (tmp_path / "rebuilding").exists()


DIES = """
import os, sys
from pathlib import Path
from regsync.clock import SystemClock
from regsync.store.rebuild import rebuild
left = int(sys.argv[2])
def dying(name):
    real = getattr(os, name)
    def call(*arguments, **more):
        global left
        if sys._getframe(1).f_code.co_filename.endswith("rebuild.py"):
            if left == 0:
                os._exit(9)
            left -= 1
        return real(*arguments, **more)
    return call
os.rename = dying("rename")
import regsync.store.rebuild as module
real = module.sync_directory
def sync_directory(path):
    global left
    if left == 0:
        os._exit(9)
    left -= 1
    real(path)
module.sync_directory = sync_directory
rebuild(Path(sys.argv[1]), SystemClock())
"""


class RebuildMachine(StoreMachine):
    """After whatever was done in whatever order, a rebuild gives the rows that were there."""

    @rule(how=st.sampled_from(["whole", "lost", "damaged"]))
    def rebuild(self, how: str) -> None:
        self.portal.call(self.stack.aclose)
        path = Path(self.directory.name)
        file = path / "catalogue.db"
        before = rows_of(file)
        if how == "lost":
            file.unlink()
        elif how == "damaged":
            file.write_bytes(os.urandom(5000))
        if how == "whole" or any((path / "journal").glob("*")):
            rebuilt(path)
            assert rows_of(file) == before
        else:
            file.unlink(missing_ok=True)  # nothing was ever stored
        self.store = self.portal.call(self._open)


TestRebuild = RebuildMachine.TestCase
TestRebuild.settings = settings(
    max_examples=8,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
