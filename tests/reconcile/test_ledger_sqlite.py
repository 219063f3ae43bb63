"""The ledger on disk: what survives, and what it says when it cannot work."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from anyio import create_task_group, wait_all_tasks_blocked
from anyio.lowlevel import checkpoint

from regsync.errors import SpecError, TemporaryError
from regsync.oci.digest import Digest
from regsync.oci.platform import Platform
from regsync.oci.reference import Tag
from regsync.plan.absence import Absence
from regsync.reconcile.ledger import Deletion, LedgerError, OpenUpload, PassedVerdict, Sighting, Spot
from regsync.reconcile.ledger_file import (
    Durability,
    LedgerFile,
    LedgerLockedError,
    NewerLedgerError,
    UnusableLedgerError,
)
from regsync.reconcile.ledger_schema import (
    IDLE_RUNS_AT_MOST,
    MIGRATIONS,
    RUNS_AT_MOST,
    VERSION,
    is_foreign,
    migrate,
    version_of,
)
from regsync.reconcile.ledger_sqlite import MAX_LOCATION_LENGTH, SqliteLedger, open_ledger
from regsync.reconcile.ledger_tasks import TaskState
from tests.support.clock import START, FrozenClock

T = TypeVar("T")

SPOT = Spot("https://registry.example:443", "team/app")
ONE, TWO = Digest.of(b"one"), Digest.of(b"two")
MANY = [Digest.of(b"%d" % number) for number in range(2000)]
LATEST = Tag("latest")
AMD = Platform.parse("linux/amd64")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
UPLOAD = OpenUpload("https://registry.example/upload", 1024, START)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.db"


@pytest.fixture
def ledger(path: Path, clock: FrozenClock) -> Iterator[SqliteLedger]:
    with open_ledger(path, clock) as ledger:
        yield ledger


def rows(path: Path, table: str) -> int:
    """How many rows the disk holds."""
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    finally:
        connection.close()


def fill(path: Path) -> None:
    """Write until the disk is full; the file stays as large as it got."""
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def damage(path: Path) -> None:
    """Overwrite all but the first pages, which hold the schema."""
    content = bytearray(path.read_bytes())
    content[4096 * 12 :] = b"\x55" * (len(content) - 4096 * 12)
    path.write_bytes(content)


# --- opening


def test_the_directory_and_the_file_are_for_the_user_alone(path: Path, clock: FrozenClock) -> None:
    before = os.umask(0)
    try:
        with open_ledger(path, clock) as ledger:
            ledger.saw(SPOT, ONE, START)
            files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert files == {"ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600}


def test_git_does_not_see_the_default_directory(tmp_path: Path, clock: FrozenClock) -> None:
    open_ledger(tmp_path / ".regsync" / "ledger.db", clock).close()
    assert (tmp_path / ".regsync" / ".gitignore").read_text() == "*\n"


def test_a_name_that_means_something_to_sqlite_is_a_file(
    tmp_path: Path, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    open_ledger(Path(":memory:"), clock).close()
    assert (tmp_path / ":memory:").is_file()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"apiVersion: regsync.dev/v1\n" * 100, id="text"),
        pytest.param(b"SQLite format 3\0" + b"\xff" * 4080, id="a torn database"),
    ],
)
def test_a_file_that_is_no_ledger_is_refused_and_left_alone(
    path: Path, clock: FrozenClock, content: bytes
) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(UnusableLedgerError, match=str(path)) as refused:
        open_ledger(path, clock)
    assert refused.value.hint is not None
    assert "move the file away" in refused.value.hint
    assert path.read_bytes() == content


def test_another_programs_database_is_refused_and_left_alone(path: Path, clock: FrozenClock) -> None:
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE invoices (id INTEGER)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(UnusableLedgerError, match="database of another program"):
        open_ledger(path, clock)
    assert path.read_bytes() == before


def test_a_place_that_cannot_be_made_is_named(tmp_path: Path, clock: FrozenClock) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnusableLedgerError, match=r"file/state/ledger\.db: cannot be created") as refused:
        open_ledger(tmp_path / "file" / "state" / "ledger.db", clock)
    assert "--state" in str(refused.value.hint)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user for a moment")
def test_a_directory_of_somebody_else_is_named(
    clock: FrozenClock, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("theirs")
    os.seteuid(65534)
    try:
        with pytest.raises(UnusableLedgerError, match="Permission denied"):
            open_ledger(directory / "ledger.db", clock)
    finally:
        os.seteuid(0)


def test_a_directory_in_the_files_place_is_named(tmp_path: Path, clock: FrozenClock) -> None:
    with pytest.raises(UnusableLedgerError, match="Is a directory"):
        open_ledger(tmp_path, clock)


# --- versions


def test_a_ledger_of_a_later_version_is_refused_as_a_mistake_in_the_spec(
    path: Path, clock: FrozenClock
) -> None:
    open_ledger(path, clock).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    with pytest.raises(NewerLedgerError, match=f"schema {VERSION + 1}") as refused:
        open_ledger(path, clock)
    assert isinstance(refused.value, SpecError)


def test_an_older_ledger_is_migrated_with_what_it_knows(path: Path, clock: FrozenClock) -> None:
    with open_ledger(path, clock) as ledger:
        ledger.saw(SPOT, ONE, START)
    connection = sqlite3.connect(path, isolation_level=None)
    later = (*MIGRATIONS, ("ALTER TABLE sighting ADD COLUMN note TEXT", "CREATE TABLE later (id INTEGER)"))
    migrate(connection, later)
    assert version_of(connection) == len(later)
    assert connection.execute("SELECT digest, note FROM sighting").fetchall() == [
        (bytes.fromhex(ONE.encoded), None)
    ]
    connection.close()


def test_tags_that_were_ours_before_deletions_were_known_are_ours_still(
    path: Path, clock: FrozenClock
) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, MIGRATIONS[:2])
        connection.execute("INSERT INTO spot VALUES (1, ?, ?)", (SPOT.place, SPOT.repository))
        connection.execute("INSERT INTO tag VALUES (1, ?, ?, 0)", (LATEST, bytes.fromhex(ONE.encoded)))
    with open_ledger(path, clock) as ledger:
        assert dict(ledger.ours(SPOT)) == {LATEST: ONE}
        assert dict(ledger.origins(SPOT)) == {}


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(path: Path, clock: FrozenClock) -> None:
    open_ledger(path, clock).close()
    connection = sqlite3.connect(path, isolation_level=None)
    broken = (*MIGRATIONS, ("CREATE TABLE later (id INTEGER)", "CREATE TABLE spot (id INTEGER)"))
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        migrate(connection, broken)
    assert version_of(connection) == VERSION
    assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'later'").fetchall() == []
    connection.close()


def test_processes_that_make_the_ledger_at_once_all_get_it(path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from regsync.clock import SystemClock;"
        "from regsync.reconcile.ledger_sqlite import open_ledger;"
        "sys.stdin.readline(); open_ledger(Path(sys.argv[1]), SystemClock()).close()"
    )
    command = [sys.executable, "-c", script, str(path)]
    racers = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(5)]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write(b"\n")
        racer.stdin.flush()
    assert [racer.communicate(timeout=30)[1] for racer in racers] == [b""] * len(racers)
    assert [racer.returncode for racer in racers] == [0] * len(racers)


class Overtaken(sqlite3.Connection):
    """Another process makes the ledger right after this one has read whose file it is."""

    overtake: Callable[[], object] | None = None

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        cursor = super().execute(sql, *arguments)
        if "application_id" in sql and self.overtake is not None:
            overtake, self.overtake = self.overtake, None
            overtake()
        return cursor


def test_a_ledger_that_another_process_is_just_making_is_no_foreign_database(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as empty:
        empty.execute("PRAGMA journal_mode = WAL")
    with closing(sqlite3.connect(path, isolation_level=None, factory=Overtaken)) as connection:
        connection.overtake = lambda: open_ledger(path, FrozenClock()).close()
        assert not is_foreign(connection)
        assert not is_foreign(connection)


# --- what survives


@pytest.mark.anyio
async def test_what_was_flushed_is_there_for_the_next_run(path: Path, clock: FrozenClock) -> None:
    with open_ledger(path, clock) as ledger:
        ledger.compared(SPOT, ONE, START)
        ledger.wrote(SPOT, LATEST, TWO, START)
        ledger.remember_graph(ONE, (AMD,), (TWO,))
        ledger.record_run("run-1", "sync", START, START + HOUR, "{}")
        await ledger.flush()
    with open_ledger(path, clock) as ledger:
        assert dict(ledger.sightings(SPOT)) == {ONE: Sighting(START, START)}
        assert dict(ledger.ours(SPOT)) == {LATEST: TWO}
        assert ledger.known_graph(ONE, (AMD,)) == (TWO,)
    assert rows(path, "run") == 1


def test_what_a_cut_short_run_had_gathered_is_written_on_closing(path: Path, clock: FrozenClock) -> None:
    with open_ledger(path, clock) as ledger:
        ledger.wrote(SPOT, LATEST, ONE, START)
    with open_ledger(path, clock) as ledger:
        assert dict(ledger.ours(SPOT)) == {LATEST: ONE}


def test_an_upload_that_was_kept_survives_kill_9(path: Path, clock: FrozenClock) -> None:
    script = f"""
import anyio, os, signal
from datetime import UTC, datetime
from pathlib import Path
from regsync.clock import SystemClock
from regsync.oci.digest import Digest
from regsync.reconcile.ledger import OpenUpload, Spot
from regsync.reconcile.ledger_sqlite import open_ledger
ledger = open_ledger(Path({str(path)!r}), SystemClock())
upload = OpenUpload({UPLOAD.location!r}, {UPLOAD.offset}, datetime.now(UTC))
anyio.run(ledger.keep_upload, Spot({SPOT.place!r}, {SPOT.repository!r}), Digest.of(b"one"), upload)
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", script], check=False, timeout=30)
    assert ended.returncode == -signal.SIGKILL
    with open_ledger(path, clock) as ledger:
        found = ledger.open_upload(SPOT, ONE)
    assert found is not None
    assert (found.location, found.offset) == (UPLOAD.location, UPLOAD.offset)


def test_a_deletion_that_was_begun_is_remembered_after_kill_9(path: Path, clock: FrozenClock) -> None:
    script = f"""
import anyio, os, signal
from datetime import UTC, datetime
from pathlib import Path
from regsync.clock import SystemClock
from regsync.oci.digest import Digest
from regsync.oci.reference import Tag
from regsync.reconcile.ledger import Deletion, Spot
from regsync.reconcile.ledger_sqlite import open_ledger
ledger = open_ledger(Path({str(path)!r}), SystemClock())
spot = Spot({SPOT.place!r}, {SPOT.repository!r})
deletion = Deletion("run-1", spot, Tag("latest"), Digest.of(b"one"), datetime.now(UTC))
anyio.run(ledger.begin_deletions, [deletion])
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", script], check=False, timeout=30)
    assert ended.returncode == -signal.SIGKILL
    with open_ledger(path, clock) as ledger:
        assert [(one.tag, one.digest) for one in ledger.open_deletions(SPOT)] == [(LATEST, ONE)]


@pytest.mark.anyio
async def test_deletions_and_absences_go_with_age_and_our_tags_do_not(path: Path, clock: FrozenClock) -> None:
    other = Spot("https://hub.example:443", "team/app")
    with open_ledger(path, clock) as ledger:
        ledger.wrote(SPOT, LATEST, ONE, START, other)
        ledger.absent(SPOT, Tag("old"), Absence.seen(START, None))
        ledger.deleted(Deletion("run-1", SPOT, Tag("older"), TWO, START), START)
    clock.advance(400 * DAY)
    with open_ledger(path, clock) as ledger:
        ledger.saw(SPOT, ONE, clock.now())
        await ledger.flush()
        assert list(ledger.deletions("run-1")) == []
        assert dict(ledger.absences(SPOT)) == {}
        assert dict(ledger.origins(SPOT)) == {LATEST: other}


@pytest.mark.anyio
@pytest.mark.parametrize(
    "upload",
    [
        pytest.param(OpenUpload("u" * (MAX_LOCATION_LENGTH + 1), 0, START), id="an address without end"),
        pytest.param(OpenUpload("u", 2**63, START), id="an offset beyond any size"),
        pytest.param(OpenUpload("u", -1, START), id="an offset before the beginning"),
    ],
)
async def test_a_session_that_no_registry_should_offer_is_dropped(
    ledger: SqliteLedger, upload: OpenUpload
) -> None:
    await ledger.keep_upload(SPOT, ONE, UPLOAD)
    await ledger.keep_upload(SPOT, ONE, upload)
    assert ledger.open_upload(SPOT, ONE) is None


@pytest.mark.anyio
async def test_a_store_whose_path_is_not_unicode_is_a_place_too(ledger: SqliteLedger) -> None:
    spot = Spot(os.fsdecode(b"/srv/\xff/store"), "app")
    ledger.saw(spot, ONE, START)
    await ledger.flush()
    assert ONE in ledger.sightings(spot)


@pytest.mark.anyio
async def test_nothing_new_writes_nothing(ledger: SqliteLedger, path: Path) -> None:
    ledger.saw(SPOT, ONE, START)
    await ledger.flush()
    written = path.with_name("ledger.db-wal").stat().st_size
    ledger.saw(SPOT, ONE, START + HOUR)
    await ledger.flush()
    assert path.with_name("ledger.db-wal").stat().st_size == written


@pytest.mark.anyio
async def test_pending_counts_facts_until_a_flush(ledger: SqliteLedger) -> None:
    ledger.saw(SPOT, ONE, START)
    ledger.wrote(SPOT, LATEST, ONE, START)
    assert ledger.pending == 2
    await ledger.flush()
    assert ledger.pending == 0


@pytest.mark.anyio
async def test_facts_on_their_way_to_the_disk_stay_readable(ledger: SqliteLedger, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    ledger.saw(SPOT, ONE, START)
    async with create_task_group() as group:
        group.start_soon(ledger.flush)
        while ledger.pending:
            await checkpoint()
        ledger.saw(SPOT, TWO, START)
        assert set(ledger.sightings(SPOT)) == {ONE, TWO}
        other.execute("COMMIT")
    other.close()
    assert rows(path, "sighting") == 1
    assert set(ledger.sightings(SPOT)) == {ONE, TWO}


class GatedFile(LedgerFile):
    """Holds every write back until the gate opens."""

    def __init__(self, path: Path, reader: sqlite3.Connection, writer: sqlite3.Connection) -> None:
        super().__init__(path, reader, writer)
        self.gate, self.entered = threading.Event(), 0

    def write(self, work: Callable[[sqlite3.Connection], T], durability: Durability) -> T:
        self.entered += 1
        assert self.gate.wait(timeout=30)
        return super().write(work, durability)


@pytest.mark.anyio
async def test_batches_reach_the_disk_one_after_the_other(path: Path, clock: FrozenClock) -> None:
    file = GatedFile.open(path)
    with SqliteLedger(file, clock) as ledger:
        async with create_task_group() as group:
            ledger.drop_upload(SPOT, ONE)
            group.start_soon(ledger.flush)
            while not file.entered:
                await checkpoint()
            group.start_soon(ledger.keep_upload, SPOT, ONE, UPLOAD)
            await wait_all_tasks_blocked()
            assert file.entered == 1
            file.gate.set()
        assert file.entered == 2
    with open_ledger(path, clock) as ledger:
        assert ledger.open_upload(SPOT, ONE) == UPLOAD


# --- bad days


@pytest.mark.anyio
async def test_a_full_disk_ends_a_flush_and_not_the_memory(path: Path, clock: FrozenClock) -> None:
    file = LedgerFile.open(path)
    pages = file.writer.execute("PRAGMA page_count").fetchone()[0]
    file.writer.execute(f"PRAGMA max_page_count = {pages}")
    with SqliteLedger(file, clock) as ledger:
        for digest in MANY:
            ledger.saw(SPOT, digest, START)
        with pytest.raises(LedgerError, match="disk is full") as refused:
            await ledger.flush()
        assert refused.value.hint == "free space on that file system"
        assert len(ledger.sightings(SPOT)) == len(MANY)
        assert ledger.pending == 0  # or whoever flushes at a number would try at every fact
        file.writer.execute("PRAGMA max_page_count = 100000")
        ledger.saw(SPOT, ONE, START)
        await ledger.flush()
    assert rows(path, "sighting") == len(MANY) + 1


@pytest.mark.anyio
async def test_blobs_that_the_disk_held_back_can_be_forgotten(path: Path, clock: FrozenClock) -> None:
    file = LedgerFile.open(path, patience=0.01)
    other = sqlite3.connect(path, isolation_level=None)
    with SqliteLedger(file, clock) as ledger:
        other.execute("BEGIN IMMEDIATE")
        ledger.knows_blob(SPOT, ONE, 1, START)
        with pytest.raises(LedgerError):
            await ledger.flush()
        ledger.forget_blobs(SPOT)
        ledger.knows_blob(SPOT, TWO, 2, START)
        other.execute("COMMIT")
        await ledger.flush()
        assert ledger.known_blobs(SPOT, START - HOUR) == {TWO: 2}
    other.close()


@pytest.mark.anyio
async def test_a_run_outlives_a_file_system_without_space(small_disk: Path, clock: FrozenClock) -> None:
    path = small_disk / "ledger.db"
    with open_ledger(path, clock) as ledger:
        with pytest.raises(OSError, match="No space"):
            fill(small_disk / "ballast")
        for digest in MANY:
            ledger.saw(SPOT, digest, START)
        with pytest.raises(LedgerError, match=f"{path}: cannot be written"):
            await ledger.flush()
        with pytest.raises(LedgerError):
            await ledger.keep_upload(SPOT, ONE, UPLOAD)
        assert ledger.open_upload(SPOT, ONE) == UPLOAD
        assert len(ledger.sightings(SPOT)) == len(MANY)
    with open_ledger(path, clock) as ledger:
        assert dict(ledger.sightings(SPOT)) == {}


@pytest.mark.anyio
async def test_a_lock_that_another_program_keeps_is_waited_for_only_so_long(
    path: Path, clock: FrozenClock
) -> None:
    with SqliteLedger(LedgerFile.open(path, patience=0.01), clock) as ledger:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        ledger.saw(SPOT, ONE, START)
        with pytest.raises(LedgerLockedError, match="locked") as refused:
            await ledger.flush()
        assert isinstance(refused.value, TemporaryError)
        assert "another program" in str(refused.value.hint)
        other.close()
        await ledger.flush()


@pytest.mark.anyio
async def test_damage_found_on_the_way_reads_as_nothing_known_and_is_told_once(
    path: Path, clock: FrozenClock
) -> None:
    with open_ledger(path, clock) as ledger:
        for digest in MANY:
            ledger.saw(SPOT, digest, START)
    damage(path)
    with open_ledger(path, clock) as ledger:
        assert dict(ledger.sightings(SPOT)) == {}
        ledger.saw(SPOT, ONE, START)
        assert set(ledger.sightings(SPOT)) == {ONE}
        with pytest.raises(LedgerError, match="malformed") as told:
            await ledger.flush()
        assert "move the file away" in str(told.value.hint)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "change",
    [
        pytest.param("UPDATE sighting SET first_seen = 9000000000000000000", id="a time beyond all years"),
        pytest.param("UPDATE sighting SET first_seen = 'noon'", id="a time that is a word"),
        pytest.param("UPDATE sighting SET digest = x'00'", id="a digest of one byte"),
        pytest.param("UPDATE sighting SET digest = 7", id="a digest that is a number"),
    ],
)
async def test_a_row_that_makes_no_sense_is_no_traceback(
    ledger: SqliteLedger, path: Path, change: str
) -> None:
    ledger.saw(SPOT, ONE, START)
    await ledger.flush()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute(change)
    other.close()
    assert dict(ledger.sightings(SPOT)) == {}
    with pytest.raises(LedgerError, match="makes no sense"):
        await ledger.flush()
    await ledger.flush()


@pytest.mark.anyio
async def test_a_ledger_deleted_under_a_run_is_noticed(ledger: SqliteLedger, path: Path) -> None:
    os.unlink(path)
    ledger.saw(SPOT, ONE, START)
    with pytest.raises(LedgerError, match="deleted while it was in use"):
        await ledger.flush()


# --- age


@pytest.mark.anyio
async def test_what_can_be_learned_again_goes_with_age(path: Path, clock: FrozenClock) -> None:
    with open_ledger(path, clock) as ledger:
        ledger.saw(SPOT, ONE, START)
        ledger.saw(SPOT, TWO, START)
        ledger.wrote(SPOT, LATEST, ONE, START)
        ledger.remember_graph(ONE, (AMD,), (TWO,))
        ledger.remember_verdict(ONE, PassedVerdict(START + HOUR, ()))
        ledger.knows_blob(SPOT, ONE, 1, START)
        ledger.knows_blob(SPOT, TWO, 2, START + 800 * DAY)  # by a clock that was wrong
        ledger.record_run("run-1", "sync", START, START, "{}")
        await ledger.keep_upload(SPOT, ONE, UPLOAD)
    clock.advance(399 * DAY)
    with open_ledger(path, clock) as ledger:
        ledger.saw(SPOT, TWO, clock.now())
    clock.advance(DAY)
    with open_ledger(path, clock) as ledger:
        ledger.saw(Spot("https://elsewhere.example:443", "app"), ONE, clock.now())
        await ledger.flush()
        assert dict(ledger.sightings(SPOT)) == {TWO: Sighting(START, None)}
        assert dict(ledger.ours(SPOT)) == {LATEST: ONE}
        assert ledger.known_graph(ONE, (AMD,)) is None
        assert ledger.open_upload(SPOT, ONE) is None
    assert [rows(path, table) for table in ("blob", "run", "verdict", "spot")] == [0, 0, 0, 2]


@pytest.mark.anyio
async def test_the_number_of_runs_is_bounded(ledger: SqliteLedger, clock: FrozenClock, path: Path) -> None:
    for number in range(RUNS_AT_MOST + 5):
        started = START + number * timedelta(seconds=1)
        ledger.record_run(f"run-{number}", "sync", started, START + DAY, '{"report": ""}')
    await ledger.flush()
    assert rows(path, "run") == RUNS_AT_MOST


@pytest.mark.anyio
async def test_runs_that_found_nothing_to_do_do_not_drive_out_those_that_did(
    ledger: SqliteLedger, clock: FrozenClock
) -> None:
    ledger.record_run("busy", "sync", START, START + DAY, '{"report": ""}')
    for number in range(IDLE_RUNS_AT_MOST + 5):
        ledger.record_run(
            f"idle-{number:05}", "sync", START + number * timedelta(seconds=1), START + DAY, "{}"
        )
    await ledger.flush()
    found = [run.id for run in ledger.read_runs(IDLE_RUNS_AT_MOST + 10)]
    assert found == [f"idle-{number:05}" for number in range(IDLE_RUNS_AT_MOST + 4, 4, -1)] + ["busy"]


def test_runs_are_found_by_the_beginning_of_their_id(ledger: SqliteLedger) -> None:
    for number in (10, 11, 20):
        ledger.record_run(f"{number}ab", "sync", START, START, "{}")
    ledger.close()
    with open_ledger(Path(ledger.name), FrozenClock()) as again:
        assert [run.id for run in again.find_runs("20")] == ["20ab"]
        assert len(again.find_runs("1")) == 2
        assert again.find_runs("%") == []


def test_how_far_scheduled_tasks_have_come_is_remembered(ledger: SqliteLedger) -> None:
    assert ledger.read_tasks() == {}
    one = TaskState("@daily (UTC)", START, None, ("failure", "drift"))
    two = TaskState("@hourly (UTC)", START, START - DAY)
    ledger.write_tasks({"mirror:one": one, "mirror:two": two})
    ledger.write_tasks({"mirror:one": replace(one, handled=START + DAY)})
    assert ledger.read_tasks() == {"mirror:one": replace(one, handled=START + DAY), "mirror:two": two}


@pytest.mark.anyio
async def test_pruning_happens_once_an_hour(ledger: SqliteLedger, clock: FrozenClock, path: Path) -> None:
    ledger.knows_blob(SPOT, ONE, 1, START - 13 * HOUR)
    await ledger.flush()
    assert rows(path, "blob") == 0
    ledger.knows_blob(SPOT, ONE, 1, START - 13 * HOUR)
    clock.advance(HOUR / 2)
    await ledger.flush()
    assert rows(path, "blob") == 1
    clock.advance(HOUR / 2)
    ledger.saw(SPOT, ONE, START)
    await ledger.flush()
    assert rows(path, "blob") == 0
