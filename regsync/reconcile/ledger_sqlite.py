"""The ledger in a SQLite file.

Writes are gathered in memory and reach the disk in one transaction, in a worker thread. Every read
lays what is gathered over what the disk says. A disk that cannot be read is an empty one: the run
asks registries instead, and the next flush says so.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from anyio import Lock, to_thread

from regsync.clock import Clock
from regsync.oci.digest import Digest
from regsync.oci.platform import Platform
from regsync.reconcile.lease import LeaseRow
from regsync.reconcile.ledger import LedgerError, OpenUpload, PassedVerdict, Sighting, Spot
from regsync.reconcile.ledger_file import Durability, LedgerFile, Row
from regsync.reconcile.ledger_gathered import Gathered, Run
from regsync.reconcile.ledger_lease import read_lease, swap_lease
from regsync.reconcile.ledger_owned import OwnedRows
from regsync.reconcile.ledger_rows import (
    Sightings,
    checked,
    pack_digest,
    pack_platforms,
    pack_time,
    passed_verdict,
    unpack_digest,
    unpack_digests,
    unpack_time,
)
from regsync.reconcile.ledger_schema import prune
from regsync.reconcile.ledger_tasks import RunRow, TaskState, find_runs, read_runs, read_tasks, write_tasks
from regsync.reconcile.ledger_write import HERE, place_of, write

T = TypeVar("T")

MAX_LOCATION_LENGTH: Final = 16 * 1024  # characters; a registry that answers with more is not resumed
MAX_OFFSET: Final = 2**63 - 1  # bytes, what SQLite can hold


class SqliteLedger(OwnedRows):
    """A `Ledger` and a `LeaseTable` in one file. Close it, or use it as a context manager."""

    def __init__(self, file: LedgerFile, clock: Clock) -> None:
        self._file, self._clock = file, clock
        self._gathered = Gathered()
        self._settling = Gathered()  # on its way to the disk, or held back by a disk that refused
        self._unread: LedgerError | None = None  # why a read failed, until a flush has told
        self._flushing = Lock()

    @property
    def name(self) -> str:
        """The file, for messages."""
        return str(self._file.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write what a cut-short run left gathered, if the disk takes it, and close the file."""
        self._settling.absorb(self._gathered)
        self._gathered = Gathered()
        if self._settling:
            with suppress(LedgerError):  # whoever must know has called `flush`
                self._settle(Durability.KILL)
        self._settling = Gathered()
        self._file.close()

    def sightings(self, spot: Spot) -> Mapping[Digest, Sighting]:
        """Every digest that was seen at `spot`."""
        sql = f"SELECT digest, first_seen, compared FROM sighting WHERE {HERE}"  # noqa: S608  # constant
        found = self._read(sql, place_of(spot), Sightings.of, Sightings)
        for layer in self._layers:
            for raw, seen in layer.sightings.get(spot, {}).items():
                found.absorb(raw, seen.first, seen.compared)
        return found

    def saw(self, spot: Spot, digest: Digest, when: datetime) -> None:
        """Remember the first sight of `digest`."""
        self._gathered.saw(spot, digest, when)

    def compared(self, spot: Spot, digest: Digest, when: datetime) -> None:
        """Remember that the evidence of `digest` was compared."""
        self._gathered.compared(spot, digest, when)

    def known_graph(self, digest: Digest, platforms: tuple[Platform, ...]) -> tuple[Digest, ...] | None:
        """The manifests of an index reduced to `platforms` (none: whole), the root first."""
        key = (pack_digest(digest), pack_platforms(platforms))
        for layer in reversed(self._layers):
            if key in layer.graphs:
                return unpack_digests(layer.graphs[key][0])
        sql = "SELECT manifests FROM graph WHERE digest = ? AND platforms = ?"
        return self._read(sql, key, _first(unpack_digests), _nothing)

    def remember_graph(
        self, digest: Digest, platforms: tuple[Platform, ...], manifests: tuple[Digest, ...]
    ) -> None:
        """Remember the manifests of an index, the root first."""
        self._gathered.graph(digest, pack_platforms(platforms), manifests, self._clock.now())

    def passed_verdict(self, key: Digest, now: datetime) -> PassedVerdict | None:
        """What is remembered under `key` and holds at `now`."""
        raw = pack_digest(key)
        for layer in reversed(self._layers):
            if (found := layer.verdicts.get(raw)) is not None:
                return found if found.until > now else None
        sql = "SELECT until, signers FROM verdict WHERE key = ? AND until > ?"
        return self._read(sql, (raw, pack_time(now)), _verdict, _nothing)

    def remember_verdict(self, key: Digest, verdict: PassedVerdict) -> None:
        """Remember a pass."""
        self._gathered.verdict(key, verdict)

    def known_blobs(self, spot: Spot, since: datetime) -> Mapping[Digest, int]:
        """Blobs that were put or seen at `spot` after `since`, with their sizes in bytes."""
        oldest = pack_time(since)
        layers = self._layers
        forgotten = [spot in layer.forgotten for layer in layers]
        found: dict[bytes, int] = {}
        if not any(forgotten):
            sql = f"SELECT digest, size FROM blob WHERE {HERE} AND seen > ?"  # noqa: S608  # constant
            found = self._read(sql, (*place_of(spot), oldest), _sizes, dict)
        for layer, forgot in zip(layers, forgotten, strict=True):
            if forgot:
                found.clear()
            for raw, (size, seen) in layer.blobs.get(spot, {}).items():
                found.pop(raw, None)
                if seen > oldest:
                    found[raw] = size
        return {unpack_digest(raw): size for raw, size in found.items()}

    def knows_blob(self, spot: Spot, digest: Digest, size: int, when: datetime) -> None:
        """Remember that a blob of `size` bytes is at `spot`."""
        self._gathered.knows_blob(spot, digest, size, when)

    def forget_blobs(self, spot: Spot) -> None:
        """Drop what was known of the blobs at `spot`."""
        self._gathered.forget_blobs(spot)

    def open_upload(self, spot: Spot, digest: Digest) -> OpenUpload | None:
        """The session in which a blob was being sent, if one was left open."""
        raw = pack_digest(digest)
        for layer in reversed(self._layers):
            if (spot, raw) in layer.uploads:
                return layer.uploads[(spot, raw)]
        sql = f"SELECT location, offset, opened FROM upload WHERE {HERE} AND digest = ?"  # noqa: S608
        return self._read(sql, (*place_of(spot), raw), _upload, _nothing)

    async def keep_upload(self, spot: Spot, digest: Digest, upload: OpenUpload) -> None:
        """Remember a session, on disk when this returns; raises LedgerError.

        A session that no registry should have offered (a location of kilobytes, an offset that is no
        size) is not worth keeping, and is dropped.
        """
        sane = len(upload.location) <= MAX_LOCATION_LENGTH and 0 <= upload.offset <= MAX_OFFSET
        self._gathered.upload(spot, digest, upload if sane else None)
        await self._flush(Durability.POWER_CUT)

    def drop_upload(self, spot: Spot, digest: Digest) -> None:
        """The session is finished or gone."""
        self._gathered.upload(spot, digest, None)

    def record_run(self, run_id: str, command: str, started: datetime, ended: datetime, summary: str) -> None:
        """Remember a run; `summary` is the JSON of its counts."""
        self._gathered.record_run(Run(run_id, command, pack_time(started), pack_time(ended), summary))

    @property
    def pending(self) -> int:
        """Facts gathered since the last flush was tried."""
        return self._gathered.count

    async def flush(self) -> None:
        """Bring what was gathered to disk; raises LedgerError, after which the run goes on without it."""
        await self._flush(Durability.KILL)

    def read_lease(self) -> LeaseRow | None:
        """The lease as it stands; raises LedgerError. Blocks: call it in a worker thread."""
        return read_lease(self._file)

    def swap_lease(self, old: LeaseRow | None, new: LeaseRow) -> bool:
        """Replace `old` by `new`, unless it changed; raises LedgerError. Blocks, like `read_lease`."""
        return swap_lease(self._file, old, new)

    def read_tasks(self) -> Mapping[str, TaskState]:
        """Scheduled tasks by their names; raises LedgerError. Blocks, like `read_lease`."""
        return read_tasks(self._file)

    def write_tasks(self, tasks: Mapping[str, TaskState]) -> None:
        """Remember how far these tasks have come; raises LedgerError. Blocks, like `read_lease`."""
        write_tasks(self._file, tasks)

    def read_runs(self, limit: int, offset: int = 0) -> Sequence[RunRow]:
        """Runs on disk, the newest first; raises LedgerError. Blocks, like `read_lease`."""
        return read_runs(self._file, limit, offset)

    def find_runs(self, prefix: str) -> Sequence[RunRow]:
        """Runs on disk whose id begins so, at most two; raises LedgerError. Blocks, like `read_lease`."""
        return find_runs(self._file, prefix)

    @property
    def _layers(self) -> tuple[Gathered, Gathered]:
        return self._settling, self._gathered

    def _read(
        self,
        sql: str,
        parameters: tuple[Any, ...],
        collect: Callable[[Iterable[Row]], T],
        nothing: Callable[[], T],
    ) -> T:
        try:
            return self._file.read(sql, parameters, collect)
        except LedgerError as error:
            self._unread = self._unread or error
            return nothing()

    async def _flush(self, durability: Durability) -> None:
        async with self._flushing:  # batches reach the disk in the order in which they were gathered
            self._settling.absorb(self._gathered)
            self._gathered = Gathered()
            if self._settling:
                await to_thread.run_sync(self._settle, durability)
                self._settling = Gathered()
        if self._unread is not None:
            error, self._unread = self._unread, None
            raise error

    def _settle(self, durability: Durability) -> None:
        self._file.write(partial(_settle, batch=self._settling, now=self._clock.now()), durability)


def open_ledger(path: Path, clock: Clock) -> SqliteLedger:
    """Open the ledger at `path`, or make it; its directory is made for the user alone.

    Raises UnusableLedgerError, which names what to do, or NewerLedgerError. Blocks for some milliseconds.
    """
    return SqliteLedger(LedgerFile.open(path), clock)


def _settle(connection: sqlite3.Connection, *, batch: Gathered, now: datetime) -> None:
    write(connection, batch)
    prune(connection, now)


def _nothing() -> None:
    return None


def _first(unpack: Callable[[bytes], T]) -> Callable[[Iterable[Row]], T | None]:
    def collect(rows: Iterable[Row]) -> T | None:
        for (raw,) in rows:
            return unpack(raw)
        return None

    return collect


def _verdict(rows: Iterable[Row]) -> PassedVerdict | None:
    for until, signers in rows:
        return passed_verdict(int(until), str(signers))
    return None


def _sizes(rows: Iterable[Row]) -> dict[bytes, int]:
    return {checked(raw): int(size) for raw, size in rows}


def _upload(rows: Iterable[Row]) -> OpenUpload | None:
    for location, offset, opened in rows:
        return OpenUpload(str(location), int(offset), unpack_time(opened))
    return None
