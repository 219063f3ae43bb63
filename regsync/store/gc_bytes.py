"""Garbage that is of no repository: bytes, uploads that nobody goes on with, files of dead processes."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from anyio.to_thread import run_sync
from sqlalchemy import Connection

from regsync.oci.digest import Digest
from regsync.store import garbage_changes as changes
from regsync.store import garbage_reading as reading
from regsync.store.blobs import BlobStore
from regsync.store.gc_pass import Pass, batches, moment_text
from regsync.store.gc_report import Fate, Kind
from regsync.store.inventory import known
from regsync.store.leases import LENGTH
from regsync.store.sessions import Sessions

HEAVY = 1024 * 1024 * 1024  # bytes whose files are removed in one transaction: large ones take their time
_NOBODY = "no repository has it"
_PUSHES = "no repository has it, and a push may just be storing it"


async def collect_bytes(one: Pass, blobs: BlobStore, taken: Mapping[str, int]) -> None:
    """Remove what no repository has; in a dry run also of what would lose as many links as `taken` says."""
    unlinked = _Bytes(one, blobs)
    left = 0  # of those that the catalogue knows
    page = await one.look(partial(reading.unlinked_page, after=""))
    while page:
        left += await unlinked.remove(page)
        page = await one.look(partial(reading.unlinked_page, after=max(page)))
    if one.is_dry and taken:
        left += await unlinked.remove(await one.look(partial(reading.freed_by, taken=taken)))
    kept = 0
    stored = blobs.stored()
    while part := await run_sync(_next, stored):
        unknown = await one.look(partial(reading.unknown, digests=list(part)))
        kept += len(part) - len(unknown)
        await unlinked.remove({str(digest): part[digest] for digest in unknown})
    one.report.add(Kind.BLOB, Fate.KEPT, max(0, kept - left))
    if not one.is_dry:
        await one.change(partial(changes.forget_unlinked, still=unlinked.seen))
        marked = list(blobs.marked())
        kept_marks = await one.look(partial(known, digests=marked))
        await run_sync(blobs.forget_marks, {digest for digest in marked if str(digest) not in kept_marks})


def _next(stored: Iterator[Mapping[Digest, int]]) -> Mapping[Digest, int]:
    """About a page of what is stored; empty at its end."""
    found: dict[Digest, int] = {}
    while len(found) < reading.AT_ONCE and (part := next(stored, None)) is not None:
        found.update(part)
    return found


def _light(sizes: Mapping[str, int]) -> Iterator[Sequence[str]]:
    """The digests in parts that are removed in a moment; one that is larger stands alone."""
    for batch in batches(sorted(sizes)):
        part: list[str] = []
        weight = 0
        for digest in batch:
            if part and weight + sizes[digest] > HEAVY:
                yield part
                part, weight = [], 0
            part.append(digest)
            weight += sizes[digest]
        yield part


class _Bytes:
    def __init__(self, one: Pass, blobs: BlobStore) -> None:
        self._pass, self._blobs = one, blobs
        self.seen: set[str] = set()

    async def remove(self, sizes: Mapping[str, int]) -> int:
        """Remove them, or tell which would be removed; returns how many are there yet."""
        one, left = self._pass, 0
        self.seen.update(sizes)
        for part in _light(sizes):
            gone = await (one.look(partial(self._old, digests=part)) if one.is_dry else self._removed(part))
            for digest in part:
                if digest in gone:
                    one.goes(Kind.BLOB, None, digest, sizes[digest], _NOBODY)
                else:
                    one.waits(Kind.BLOB, None, digest, sizes[digest], _PUSHES)
            left += len(part) if one.is_dry else len(part) - len(gone)
        return left

    async def _removed(self, digests: Sequence[str]) -> frozenset[str]:
        remove = partial(changes.remove_bytes, digests=digests, stored=self._blobs)
        return frozenset(await self._pass.change(remove))

    def _old(self, connection: Connection, digests: Sequence[str]) -> frozenset[str]:
        moment = self._pass.moment()
        before = moment.unlinked_before(connection)
        since = reading.unlinked_since(connection, digests)
        return frozenset(digest for digest in digests if since.get(digest, moment.now) <= before)


async def collect_uploads(one: Pass, sessions: Sessions) -> None:
    """Drop uploads that have not come further for long, which is at least as long as a lease lasts."""
    there = await run_sync(sessions.under_way)
    known = await one.look(reading.progress)
    now = one.moment().now
    since = {
        name: known[name][1] if name in known and known[name][0] == size else now
        for name, size in there.items()
    }
    before = now - max(one.rules.uploads, LENGTH)
    stale = {name: size for name, size in there.items() if since[name] <= before}
    if not one.is_dry:
        stale = dict(await run_sync(sessions.drop, stale))
        moved = {name: size for name, size in there.items() if since[name] == now and name not in stale}
        over = [name for name in known if name not in there or name in stale]
        await one.change(partial(changes.note_progress, seen=moved, forgotten=over))
    for name, size in there.items():
        reason = f"has not come further since {moment_text(since[name])}"
        (one.goes if name in stale else one.stays)(Kind.UPLOAD, None, name, size, reason)


async def collect_parts(one: Pass, blobs: BlobStore) -> None:
    """Remove what dead processes were writing."""
    count = await run_sync(blobs.abandoned if one.is_dry else blobs.sweep)
    one.report.add(Kind.PART, Fate.DELETED, count)
