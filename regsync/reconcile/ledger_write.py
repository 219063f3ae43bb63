"""A batch of facts written into the ledger's tables, by executemany, within the caller's transaction."""

import sqlite3
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from regsync.oci.reference import Tag
from regsync.reconcile.ledger import Spot
from regsync.reconcile.ledger_gathered import Gathered
from regsync.reconcile.ledger_rows import microseconds, pack_digest, pack_signers, pack_time, plain

# A sight that tells nothing new is not written, or every run would write every row. The last sight
# serves pruning after 400 days only, so it may lag.
_LAG: Final = microseconds(timedelta(days=30))
_SIGHTING: Final = f"""
    INSERT INTO sighting (spot, digest, first_seen, last_seen, compared) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (spot, digest) DO UPDATE SET
        first_seen = min(first_seen, excluded.first_seen),
        last_seen = max(last_seen, excluded.last_seen),
        compared = coalesce(excluded.compared, compared)
    WHERE excluded.first_seen < first_seen
        OR excluded.last_seen > last_seen + {_LAG}
        OR (excluded.compared IS NOT NULL AND excluded.compared IS NOT compared)"""  # noqa: S608  # a number

HERE: Final = "spot = (SELECT id FROM spot WHERE place = ? AND repository = ?)"

Ids = Mapping[Spot, int]
Rows = Iterator[tuple[Any, ...]]


def place_of(spot: Spot) -> tuple[str, str]:
    """The columns of table `spot`."""
    return plain(spot.place), plain(spot.repository)


def write(connection: sqlite3.Connection, batch: Gathered) -> None:
    """Write every fact of `batch`."""
    ids = {spot: _id_of(connection, spot) for spot in set(batch.spots())}
    many = connection.executemany
    many(_SIGHTING, _sightings(batch, ids))
    many("DELETE FROM tag WHERE spot = ? AND tag = ?", _no_longer(batch.tags, ids))
    many(
        "INSERT OR REPLACE INTO tag (spot, tag, digest, written, origin) VALUES (?, ?, ?, ?, ?)",
        _tags(batch, ids),
    )
    many("DELETE FROM absence WHERE spot = ? AND tag = ?", _no_longer(batch.absences, ids))
    many(
        "INSERT OR REPLACE INTO absence (spot, tag, since, last, runs) VALUES (?, ?, ?, ?, ?)",
        _absences(batch, ids),
    )
    many("DELETE FROM deletion WHERE run = ? AND spot = ? AND tag = ?", _undone(batch, ids))
    many(
        "INSERT OR REPLACE INTO deletion (run, spot, tag, digest, begun, done, origin)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        _deletions(batch, ids),
    )
    many(
        "INSERT OR REPLACE INTO graph (digest, platforms, manifests, made) VALUES (?, ?, ?, ?)",
        (key + value for key, value in batch.graphs.items()),
    )
    many(
        "INSERT OR REPLACE INTO verdict (key, until, signers) VALUES (?, ?, ?)",
        (
            (raw, pack_time(one.until), plain(pack_signers(one.signers)))
            for raw, one in batch.verdicts.items()
        ),
    )
    many("DELETE FROM blob WHERE spot = ?", ((ids[spot],) for spot in batch.forgotten))
    many("INSERT OR REPLACE INTO blob (spot, digest, size, seen) VALUES (?, ?, ?, ?)", _blobs(batch, ids))
    many("DELETE FROM upload WHERE spot = ? AND digest = ?", _dropped(batch, ids))
    many(
        "INSERT OR REPLACE INTO upload (spot, digest, location, offset, opened) VALUES (?, ?, ?, ?, ?)",
        _uploads(batch, ids),
    )
    many(
        "INSERT OR REPLACE INTO run (id, command, started, ended, summary) VALUES (?, ?, ?, ?, ?)",
        batch.runs.values(),
    )


def _id_of(connection: sqlite3.Connection, spot: Spot) -> int:
    place = place_of(spot)
    connection.execute("INSERT OR IGNORE INTO spot (place, repository) VALUES (?, ?)", place)
    found = connection.execute("SELECT id FROM spot WHERE place = ? AND repository = ?", place)
    return int(found.fetchone()[0])


def _sightings(batch: Gathered, ids: Ids) -> Rows:
    for spot, rows in batch.sightings.items():
        for raw, seen in rows.items():
            yield ids[spot], raw, *seen


def _tags(batch: Gathered, ids: Ids) -> Rows:
    for spot, rows in batch.tags.items():
        for tag, one in rows.items():
            if one is not None:
                origin = ids[one.origin] if one.origin is not None else None
                yield ids[spot], tag, one.digest, one.written, origin


def _no_longer(rows: Mapping[Spot, Mapping[Tag, object]], ids: Ids) -> Rows:
    return ((ids[spot], tag) for spot, tags in rows.items() for tag, one in tags.items() if one is None)


def _absences(batch: Gathered, ids: Ids) -> Rows:
    for spot, rows in batch.absences.items():
        for tag, one in rows.items():
            if one is not None:
                yield ids[spot], tag, pack_time(one.since), pack_time(one.last), one.runs


def _undone(batch: Gathered, ids: Ids) -> Rows:
    return ((plain(run), ids[spot], tag) for (run, spot, tag), one in batch.deletions.items() if one is None)


def _deletions(batch: Gathered, ids: Ids) -> Rows:
    for (run, spot, tag), one in batch.deletions.items():
        if one is not None:
            done = pack_time(one.done) if one.done is not None else None
            origin = ids[one.origin] if one.origin is not None else None
            yield plain(run), ids[spot], tag, pack_digest(one.digest), pack_time(one.begun), done, origin


def _blobs(batch: Gathered, ids: Ids) -> Rows:
    for spot, rows in batch.blobs.items():
        for raw, value in rows.items():
            yield ids[spot], raw, *value


def _dropped(batch: Gathered, ids: Ids) -> Rows:
    return ((ids[spot], raw) for (spot, raw), upload in batch.uploads.items() if upload is None)


def _uploads(batch: Gathered, ids: Ids) -> Rows:
    for (spot, raw), upload in batch.uploads.items():
        if upload is not None:
            yield ids[spot], raw, plain(upload.location), upload.offset, pack_time(upload.opened)
