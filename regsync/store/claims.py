"""Telling someone that content is there, so that garbage collection does not take it from under them.

Collection marks what nothing leads to, and deletes later what still bears its mark. Whoever tells a
client that content is there saw it without a mark, or takes the mark away in a transaction before it
tells. And a link to a blob is made only in a transaction that finds the bytes there: collection removes
bytes only in a transaction that finds no link.
"""

from collections.abc import Callable

from sqlalchemy import Connection, bindparam, delete, select, union_all, update

from regsync.errors import TemporaryError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.store.catalogue import Transaction
from regsync.store.changes import Repository, link_blob
from regsync.store.schema import blobs, manifests, repositories, repository_blobs, unlinked_blobs

SizeNow = Callable[[Digest], int | None]

_SIZE = select(blobs.c.size).where(blobs.c.digest == bindparam("digest"))
_MARKS = union_all(
    *(
        select(table.c.unused_since)
        .select_from(table.join(repositories, repositories.c.id == table.c.repository_id))
        .where(
            repositories.c.name == bindparam("repository"),
            table.c.digest == bindparam("digest"),
        )
        for table in (manifests, repository_blobs)
    )
)


class BytesGoneError(TemporaryError):
    """Bytes that were just stored are not there: whoever stored them had been standing still for long."""

    def __init__(self, digest: Digest, *, where: str) -> None:
        super().__init__(f"{where}: the bytes of {digest} were removed before they could be kept; push again")


def link_stored_blob(
    transaction: Transaction, repository: Repository, desc: Descriptor, size_now: SizeNow
) -> None:
    """Make a blob, whose bytes were just stored, part of the repository; raises BytesGoneError."""
    if size_now(desc.digest) != desc.size:
        raise BytesGoneError(desc.digest, where=repository.where)
    link_blob(transaction, repository, desc)


def link_known_blob(
    transaction: Transaction, repository: Repository, desc: Descriptor, size_now: SizeNow
) -> bool:
    """Make a blob that the store has part of the repository; False when it has it no more.

    Bytes that no row explains count for nothing: whoever wrote them did not finish. They are left for
    long enough to be written over and kept.
    """
    digest = str(desc.digest)
    known = transaction.connection.execute(_SIZE, {"digest": digest}).scalar()
    if known != desc.size or size_now(desc.digest) != desc.size:
        transaction.connection.execute(delete(unlinked_blobs).where(unlinked_blobs.c.digest == digest))
        return False
    link_blob(transaction, repository, desc)
    return True


def is_marked(connection: Connection, repository: str, digest: Digest) -> bool | None:
    """Whether a blob or manifest of the repository was seen unused; None if it is not there."""
    asked = {"repository": repository, "digest": str(digest)}
    marks = connection.execute(_MARKS, asked).scalars().all()
    return any(mark is not None for mark in marks) if marks else None


def claim(transaction: Transaction, repository: Repository, digest: Digest) -> bool:
    """Take away the mark of a blob or manifest of the repository; False when it is not there any more."""
    transaction.flush()
    key = transaction.repository(repository.name)
    found = 0
    for table in (manifests, repository_blobs):
        named = update(table).where(table.c.repository_id == key, table.c.digest == str(digest))
        found += transaction.connection.execute(named.values(unused_since=None)).rowcount
    return found > 0
