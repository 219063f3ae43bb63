"""What garbage collection changes. Each step looks again, in its own transaction, at what it deletes.

What was decided was decided a moment ago, on what was there then: a push may have come in between. In
the transaction nobody else writes, so what is found unused there is unused until it is gone.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import BindParameter, Table, bindparam, delete, select, update

from regsync.oci.digest import Digest
from regsync.store.blobs import BlobStore
from regsync.store.catalogue import Transaction
from regsync.store.garbage import Component
from regsync.store.garbage_reading import in_parts, linked, used
from regsync.store.leases import Moment
from regsync.store.schema import (
    blobs,
    manifest_pulls,
    manifest_references,
    manifests,
    repository_blobs,
    tags,
    unlinked_blobs,
    upload_progress,
)

_key: BindParameter[int] = bindparam("key")
_among: BindParameter[str] = bindparam("digests", expanding=True)
_OLD = select(manifests.c.digest).where(
    manifests.c.repository_id == _key,
    manifests.c.digest.in_(_among),
    manifests.c.unused_since <= bindparam("before"),
    ~select(manifest_pulls.c.digest)
    .where(
        manifest_pulls.c.repository_id == manifests.c.repository_id,
        manifest_pulls.c.digest == manifests.c.digest,
        manifest_pulls.c.pulled_at > bindparam("pulled_before"),
    )
    .exists(),
)
_TAGGED = select(tags.c.digest).where(tags.c.repository_id == _key, tags.c.digest.in_(_among))
_PARENTS = select(manifest_references.c.digest, manifest_references.c.manifest).where(
    manifest_references.c.repository_id == _key,
    manifest_references.c.digest.in_(_among),
    manifest_references.c.kind == "manifest",
)
_REFERRERS = select(manifests.c.subject, manifests.c.digest).where(
    manifests.c.repository_id == _key, manifests.c.subject.in_(_among)
)
_HELD = select(blobs.c.digest, linked.label("is_linked")).where(blobs.c.digest.in_(_among))
_subject = manifests.alias("subject")
_SUBJECTS = (
    select(manifests.c.digest, _subject.c.digest)
    .select_from(
        manifests.join(
            _subject,
            (_subject.c.repository_id == manifests.c.repository_id)
            & (_subject.c.digest == manifests.c.subject),
        )
    )
    .where(manifests.c.repository_id == _key, manifests.c.digest.in_(_among))
)


def mark(transaction: Transaction, table: Table, key: int, digests: Collection[str]) -> None:
    """Note since when nothing leads to manifests or blobs of a repository."""
    transaction.flush()
    unmarked = update(table).where(
        table.c.repository_id == key, table.c.digest.in_(digests), table.c.unused_since.is_(None)
    )
    transaction.connection.execute(unmarked.values(unused_since=transaction.now))


def unmark(transaction: Transaction, table: Table, key: int, digests: Collection[str]) -> None:
    """Something leads to them again."""
    transaction.flush()
    marked = update(table).where(table.c.repository_id == key, table.c.digest.in_(digests))
    transaction.connection.execute(marked.values(unused_since=None))


def delete_manifests(
    transaction: Transaction, key: int, repository: str, components: Sequence[Component], grace: int
) -> Collection[str]:
    """Delete those components to which still nothing leads; returns the digests that are gone."""
    transaction.flush()
    connection, moment = transaction.connection, Moment(transaction.now)
    before = moment.unused_before(connection, repository, grace)
    digests = [digest for one in components for digest in (*one.members, *one.later)]

    def rows(query: Any, **asked: object) -> Iterator[Any]:
        return in_parts(connection, query, digests, key=key, **asked)

    old = {row[0] for row in rows(_OLD, before=before, pulled_before=transaction.now - grace)}
    tagged = {row[0] for row in rows(_TAGGED)}
    leading = defaultdict(set)
    for query in (_PARENTS, _REFERRERS, _SUBJECTS):
        for digest, other in rows(query):
            leading[digest].add(other)
    gone = [
        digest for one in components if _still_unused(one, old, tagged, leading) for digest in one.members
    ]
    for part in _parts(gone):
        deleted = delete(manifests).where(manifests.c.repository_id == key, manifests.c.digest.in_(part))
        connection.execute(deleted)
    for digest in gone:
        transaction.record("delete", repository=repository, digest=digest)
    return gone


def _still_unused(
    one: Component, old: Collection[str], tagged: Collection[str], leading: Mapping[str, set[str]]
) -> bool:
    members = {*one.members, *one.later}
    if not members.issubset(old) or not members.isdisjoint(tagged):
        return False
    inside = members | one.beside
    return all(leading.get(digest, set()) <= inside for digest in members)


def unlink_blobs(
    transaction: Transaction, key: int, repository: str, digests: Sequence[str], grace: int
) -> Collection[str]:
    """Take blobs that still no manifest needs out of a repository; returns those that are out."""
    transaction.flush()
    before = Moment(transaction.now).unused_before(transaction.connection, repository, grace)
    gone = (
        delete(repository_blobs)
        .where(
            repository_blobs.c.repository_id == key,
            repository_blobs.c.digest.in_(digests),
            repository_blobs.c.unused_since <= before,
            ~used,
        )
        .returning(repository_blobs.c.digest)
    )
    found = sorted(transaction.connection.execute(gone).scalars())
    for digest in found:
        transaction.record("unlink", repository=repository, digest=digest)
    return found


def remove_bytes(transaction: Transaction, digests: Sequence[str], stored: BlobStore) -> Collection[str]:
    """Remove the bytes of blobs that still no repository has; returns those that are gone.

    The bytes go before the transaction ends, so that nobody links them in between. Should it fail then,
    a row without bytes is left, which links nothing and is looked at again.
    """
    transaction.flush()
    connection = transaction.connection
    held = {row.digest: row.is_linked for row in in_parts(connection, _HELD, digests)}
    # What another run has removed meanwhile is not noted: the note would be old when it is pushed again.
    there = [one for one in digests if one in held or stored.size_now(Digest.parse(one)) is not None]
    free = [digest for digest in there if not held.get(digest, False)]
    before = Moment(transaction.now).unlinked_before(connection)
    gone = free if before == transaction.now else _long_unlinked(transaction, digests, free, before)
    for table in (blobs, unlinked_blobs):
        connection.execute(delete(table).where(table.c.digest.in_(gone)))
    stored.remove_now([Digest.parse(digest) for digest in gone])
    return gone


def _long_unlinked(
    transaction: Transaction, digests: Sequence[str], free: Sequence[str], before: int
) -> Sequence[str]:
    """Note which bytes are of no repository, and which are again; returns those that are not for long."""
    connection = transaction.connection
    linked_again = sorted(set(digests) - set(free))
    connection.execute(delete(unlinked_blobs).where(unlinked_blobs.c.digest.in_(linked_again)))
    rows = [{"digest": digest, "since": transaction.now} for digest in free]
    transaction.insert_missing(unlinked_blobs, rows)
    transaction.flush()
    old = select(unlinked_blobs.c.digest).where(
        unlinked_blobs.c.digest.in_(free), unlinked_blobs.c.since <= before
    )
    return sorted(connection.execute(old).scalars())


def forget_unlinked(transaction: Transaction, still: Collection[str]) -> None:
    """Forget the notes of bytes that were linked again: if they ever are not, they count anew."""
    transaction.flush()
    noted = transaction.connection.execute(select(unlinked_blobs.c.digest)).scalars()
    over = sorted(digest for digest in noted if digest not in still)
    for part in _parts(over):
        transaction.connection.execute(delete(unlinked_blobs).where(unlinked_blobs.c.digest.in_(part)))


def note_progress(transaction: Transaction, seen: Mapping[str, int], forgotten: Sequence[str]) -> None:
    """Note how far uploads have come, by their names, and forget those that are over."""
    for session, size in seen.items():
        row = {"session": session, "size": size, "since": transaction.now}
        transaction.upsert(upload_progress, row, "size", "since")
    for part in _parts(forgotten):
        transaction.connection.execute(delete(upload_progress).where(upload_progress.c.session.in_(part)))


def _parts(digests: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(digests), 1000):
        yield digests[start : start + 1000]
