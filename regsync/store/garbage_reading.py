"""What garbage collection reads, one repository at a time."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, func, or_, select

from regsync.oci.digest import Digest
from regsync.store.garbage import Held, Manifests, is_digest_tag
from regsync.store.schema import (
    blobs,
    manifest_pulls,
    manifest_references,
    manifests,
    repositories,
    repository_blobs,
    tags,
    unlinked_blobs,
    upload_progress,
)

AT_ONCE = 1000  # keys in one IN (…), rows of one page

_key: BindParameter[int] = bindparam("key")
_references = manifest_references.c
_pulled = (manifest_pulls.c.repository_id == manifests.c.repository_id) & (
    manifest_pulls.c.digest == manifests.c.digest
)
_MANIFESTS = (
    select(
        manifests.c.digest,
        manifests.c.size,
        manifests.c.subject,
        manifests.c.unused_since,
        manifest_pulls.c.pulled_at,
    )
    .select_from(manifests.outerjoin(manifest_pulls, _pulled))
    .where(manifests.c.repository_id == _key)
)
_TAGS = select(tags.c.digest, tags.c.name).where(tags.c.repository_id == _key).order_by(tags.c.name)
_CHILDREN = select(_references.manifest, _references.digest).where(
    _references.repository_id == _key, _references.kind == "manifest"
)
used = (
    select(_references.digest)
    .where(
        _references.repository_id == repository_blobs.c.repository_id,
        _references.digest == repository_blobs.c.digest,
        _references.kind == "blob",
    )
    .exists()
)
_LINKS = (
    select(repository_blobs.c.digest, blobs.c.size, repository_blobs.c.unused_since, used.label("used"))
    .select_from(repository_blobs.join(blobs, blobs.c.digest == repository_blobs.c.digest))
    .where(repository_blobs.c.repository_id == _key)
)
_DOUBTFUL = _LINKS.where(or_(repository_blobs.c.unused_since.is_not(None), ~used))
_NAMED = _LINKS.where(repository_blobs.c.digest.in_(bindparam("digests", expanding=True)))
_COUNT = select(func.count()).where(repository_blobs.c.repository_id == _key)
_BLOBS_OF = select(_references.digest).where(
    _references.repository_id == _key,
    _references.kind == "blob",
    _references.manifest.in_(bindparam("digests", expanding=True)),
)
_USERS_OF = select(_references.digest, _references.manifest).where(
    _references.repository_id == _key,
    _references.kind == "blob",
    _references.digest.in_(bindparam("digests", expanding=True)),
)
_USES = (
    select(repository_blobs.c.digest, func.min(_references.manifest).label("manifest"))
    .select_from(
        repository_blobs.join(
            manifest_references,
            (_references.repository_id == repository_blobs.c.repository_id)
            & (_references.digest == repository_blobs.c.digest),
        )
    )
    .where(repository_blobs.c.repository_id == _key, _references.kind == "blob")
    .group_by(repository_blobs.c.digest)
)
linked = select(repository_blobs.c.digest).where(repository_blobs.c.digest == blobs.c.digest).exists()
_UNLINKED = (
    select(blobs.c.digest, blobs.c.size)
    .where(~linked, blobs.c.digest > bindparam("after"))
    .order_by(blobs.c.digest)
    .limit(AT_ONCE)
)
_LINK_COUNTS = (
    select(blobs.c.digest, blobs.c.size, func.count().label("links"))
    .select_from(repository_blobs.join(blobs, blobs.c.digest == repository_blobs.c.digest))
    .where(repository_blobs.c.digest.in_(bindparam("digests", expanding=True)))
    .group_by(blobs.c.digest, blobs.c.size)
)
_KNOWN = select(blobs.c.digest).where(blobs.c.digest.in_(bindparam("digests", expanding=True)))
_SINCE = select(unlinked_blobs.c.digest, unlinked_blobs.c.since).where(
    unlinked_blobs.c.digest.in_(bindparam("digests", expanding=True))
)


@dataclass(frozen=True, slots=True)
class Link:
    """A blob of a repository that garbage collection has to look at."""

    digest: str
    size: int  # bytes
    unused_since: int | None
    is_used: bool


def keys(connection: Connection) -> Sequence[tuple[int, str]]:
    """Every repository with its key, in the order of their bytes."""
    rows = connection.execute(select(repositories.c.id, repositories.c.name).order_by(repositories.c.name))
    return [(row.id, row.name) for row in rows]


def manifests_of(connection: Connection, key: int) -> Manifests:
    """The manifests of a repository and what leads where."""
    held = {row[0]: Held(*row) for row in connection.execute(_MANIFESTS, {"key": key})}
    named: dict[str, str] = {}
    for digest, tag in connection.execute(_TAGS, {"key": key}):
        # Read one after the other: a manifest that came in between is none that could be deleted.
        if digest in held and (digest not in named or is_digest_tag(named[digest])):
            named[digest] = tag
    children: dict[str, list[str]] = {}
    for index, digest in connection.execute(_CHILDREN, {"key": key}):
        children.setdefault(index, []).append(digest)
    return Manifests(held, named, children)


def links_of(connection: Connection, key: int, gone: Collection[str]) -> Sequence[Link]:
    """The blobs of a repository that no manifest needs, were those in `gone` deleted, or that were marked."""
    rows = connection.execute(_DOUBTFUL, {"key": key})
    found = {row[0]: Link(row[0], row[1], row[2], bool(row[3])) for row in rows}
    freed = _only_of(connection, key, gone)
    for row in in_parts(connection, _NAMED, sorted(freed), key=key):
        found[row[0]] = Link(row[0], row[1], row[2], is_used=False)
    return list(found.values())


def _only_of(connection: Connection, key: int, gone: Collection[str]) -> set[str]:
    """The blobs that only manifests in `gone` need."""
    theirs = set(row[0] for row in in_parts(connection, _BLOBS_OF, sorted(gone), key=key))
    others = in_parts(connection, _USERS_OF, sorted(theirs), key=key)
    return theirs - {digest for digest, manifest in others if manifest not in gone}


def link_count(connection: Connection, key: int) -> int:
    """How many blobs a repository has."""
    return int(connection.execute(_COUNT, {"key": key}).scalar() or 0)


def uses(connection: Connection, key: int) -> Mapping[str, str]:
    """Each blob that is needed, with one manifest that needs it."""
    return {row[0]: row[1] for row in connection.execute(_USES, {"key": key})}


def unlinked_page(connection: Connection, after: str) -> Mapping[str, int]:
    """The next blobs behind `after` that no repository has, with their sizes."""
    return {row.digest: row.size for row in connection.execute(_UNLINKED, {"after": after})}


def freed_by(connection: Connection, taken: Mapping[str, int]) -> Mapping[str, int]:
    """The blobs that no repository had, were as many links of each cut as `taken` says; with their sizes."""
    rows = in_parts(connection, _LINK_COUNTS, sorted(taken))
    return {row.digest: row.size for row in rows if row.links <= taken[row.digest]}


def unknown(connection: Connection, digests: Sequence[Digest]) -> Sequence[Digest]:
    """Those of which the catalogue knows nothing."""
    known = {row[0] for row in in_parts(connection, _KNOWN, [str(one) for one in digests])}
    return [one for one in digests if str(one) not in known]


def unlinked_since(connection: Connection, digests: Sequence[str]) -> Mapping[str, int]:
    """When bytes were first seen to be of no repository, where they were."""
    return {row[0]: row[1] for row in in_parts(connection, _SINCE, digests)}


def progress(connection: Connection) -> Mapping[str, tuple[int, int]]:
    """Each upload that was seen, how many bytes it had, and since when it has not come further."""
    rows = connection.execute(select(upload_progress))
    return {row.session: (row.size, row.since) for row in rows}


def in_parts(connection: Connection, query: Any, digests: Sequence[str], **asked: object) -> Iterator[Any]:
    """The rows of a query for any number of digests."""
    for start in range(0, len(digests), AT_ONCE):
        yield from connection.execute(query, {**asked, "digests": digests[start : start + AT_ONCE]})
