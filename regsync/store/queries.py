"""What is asked of the catalogue. Each function takes a connection on which a SELECT stands alone."""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import parse_manifest
from regsync.oci.media_type import OCTET_STREAM
from regsync.oci.reference import RepositoryName, Tag
from regsync.store.schema import blobs, manifest_references, manifests, repositories, repository_blobs, tags

PAGE = 1000  # tags read at once
FEW = 16  # of what may be many and of which some are enough

_in_repository = repositories.c.name == bindparam("repository")
_shown = (manifests.c.media_type, manifests.c.digest, manifests.c.size)
_same_manifest = (manifests.c.repository_id == tags.c.repository_id) & (manifests.c.digest == tags.c.digest)
_by_tag = repositories.join(tags, tags.c.repository_id == repositories.c.id).join(manifests, _same_manifest)
_by_digest = repositories.join(manifests, manifests.c.repository_id == repositories.c.id)

_TAGGED = select(*_shown).select_from(_by_tag).where(_in_repository, tags.c.name == bindparam("tag"))
_NAMED = (
    select(*_shown).select_from(_by_digest).where(_in_repository, manifests.c.digest == bindparam("digest"))
)
_TAGGED_RAW, _NAMED_RAW = _TAGGED.add_columns(manifests.c.raw), _NAMED.add_columns(manifests.c.raw)
_LINKED = (
    select(blobs.c.size)
    .select_from(
        repositories.join(repository_blobs, repository_blobs.c.repository_id == repositories.c.id).join(
            blobs, blobs.c.digest == repository_blobs.c.digest
        )
    )
    .where(_in_repository, repository_blobs.c.digest == bindparam("digest"))
)
_HELD = select(
    blobs.c.size,
    select(repository_blobs.c.digest)
    .select_from(repositories.join(repository_blobs, repository_blobs.c.repository_id == repositories.c.id))
    .where(
        _in_repository,
        repository_blobs.c.digest == blobs.c.digest,
        repository_blobs.c.unused_since.is_(None),
    )
    .exists()
    .label("linked"),
).where(blobs.c.digest == bindparam("digest"))
_with_references = _by_digest.join(
    manifest_references,
    (manifest_references.c.repository_id == manifests.c.repository_id)
    & (manifest_references.c.manifest == manifests.c.digest),
)
_NAMING = (
    select(manifests.c.media_type, manifests.c.raw)
    .select_from(_with_references)
    .where(
        _in_repository,
        manifest_references.c.digest == bindparam("named"),
        manifest_references.c.kind == "blob",
    )
    .limit(1)
)
_REPOSITORY = select(repositories.c.id).where(_in_repository)
_TAGS = (
    select(tags.c.name, *_shown)
    .select_from(_by_tag)
    .where(_in_repository, tags.c.name > bindparam("after"))
    .order_by(tags.c.name)
    .limit(bindparam("limit"))
)
_REFERRERS = (
    select(*_shown, manifests.c.artifact_type, manifests.c.annotations)
    .select_from(_by_digest)
    .where(_in_repository, manifests.c.subject == bindparam("subject"))
    .order_by(manifests.c.digest)
)


_NEEDED_BY = (
    select(manifest_references.c.digest)
    .select_from(
        repositories.join(manifest_references, manifest_references.c.repository_id == repositories.c.id)
    )
    .where(
        _in_repository,
        repositories.c.on_demand.is_(False),
        manifest_references.c.manifest == bindparam("manifest"),
        manifest_references.c.kind == "blob",
    )
)
_USERS = (
    select(manifest_references.c.manifest)
    .select_from(
        repositories.join(manifest_references, manifest_references.c.repository_id == repositories.c.id)
    )
    .where(
        _in_repository,
        manifest_references.c.kind == bindparam("kind"),
        manifest_references.c.digest.in_(bindparam("digests", expanding=True)),
    )
)
_TAGS_AT = (
    select(tags.c.name)
    .select_from(repositories.join(tags, tags.c.repository_id == repositories.c.id))
    .where(_in_repository, tags.c.digest == bindparam("digest"))
    .order_by(tags.c.pushed_at.desc(), tags.c.name)
    .limit(FEW)
)
_LISTING = (
    select(manifests.c.digest)
    .select_from(_with_references)
    .where(
        _in_repository,
        manifest_references.c.digest == bindparam("listed"),
        manifest_references.c.kind == "manifest",
    )
    .order_by(manifests.c.pushed_at.desc(), manifests.c.digest)
    .limit(FEW)
)


@dataclass(frozen=True, slots=True)
class StoreStats:
    """How much a store holds."""

    repositories: int
    tags: int
    manifests: int  # per repository
    blobs: int  # distinct
    bytes: int  # distinct blobs and manifests, as stored
    logical_bytes: int  # as if every repository had its own copy


def descriptor(connection: Connection, repository: str, name: Tag | Digest) -> Descriptor | None:
    """What a tag or digest names."""
    row = _row(connection, repository, name, _NAMED if isinstance(name, Digest) else _TAGGED)
    return _descriptor(row) if row is not None else None


def manifest(connection: Connection, repository: str, name: Tag | Digest) -> tuple[Descriptor, bytes] | None:
    """What a tag or digest names, with its bytes."""
    row = _row(connection, repository, name, _NAMED_RAW if isinstance(name, Digest) else _TAGGED_RAW)
    return (_descriptor(row), row.raw) if row is not None else None


def _row(connection: Connection, repository: str, name: Tag | Digest, query: Any) -> Any:
    key = {"digest": str(name)} if isinstance(name, Digest) else {"tag": str(name)}
    return connection.execute(query, {"repository": repository, **key}).first()


def linked_size(connection: Connection, repository: str, digest: Digest) -> int | None:
    """The size of a blob of this repository."""
    return connection.execute(_LINKED, {"repository": repository, "digest": str(digest)}).scalar()


def linked_blob(connection: Connection, repository: str, digest: Digest) -> Descriptor | None:
    """A blob of this repository."""
    size = linked_size(connection, repository, digest)
    return Descriptor(OCTET_STREAM, digest, size) if size is not None else None


@dataclass(frozen=True, slots=True)
class HeldBlob:
    """A blob of the store, and whether the repository asked for has it, unmarked by garbage collection."""

    size: int  # bytes
    linked: bool


def held_blob(connection: Connection, repository: str, digest: Digest) -> HeldBlob | None:
    """What the store has of a blob."""
    row = connection.execute(_HELD, {"repository": repository, "digest": str(digest)}).first()
    return HeldBlob(row.size, bool(row.linked)) if row is not None else None


def named_blob(connection: Connection, repository: str, digest: Digest) -> Descriptor | None:
    """A blob as a manifest of the repository names it."""
    row = connection.execute(_NAMING, {"repository": repository, "named": str(digest)}).first()
    if row is None:
        return None
    found = (one for one in parse_manifest(row.raw, row.media_type).blobs if one.digest == digest)
    return next(found, None)


def tags_at(connection: Connection, repository: str, digest: Digest) -> Sequence[Tag]:
    """The last few tags that were pointed to a manifest."""
    asked = {"repository": repository, "digest": str(digest)}
    return [Tag(name) for name in connection.execute(_TAGS_AT, asked).scalars()]


def listing(connection: Connection, repository: str, digest: Digest) -> Sequence[Digest]:
    """The last few indexes of the repository that list a manifest, whether it is there or not."""
    asked = {"repository": repository, "listed": str(digest)}
    return [Digest.parse(found) for found in connection.execute(_LISTING, asked).scalars()]


def has_repository(connection: Connection, repository: str) -> bool:
    """Whether there is such a repository."""
    return connection.execute(_REPOSITORY, {"repository": repository}).first() is not None


def tag_page(
    connection: Connection, repository: str, after: str, limit: int
) -> Sequence[tuple[Tag, Descriptor]]:
    """At most `limit` tags that come after `after`, in the order of their bytes."""
    asked = {"repository": repository, "after": after, "limit": limit}
    rows = connection.execute(_TAGS, asked).all()
    return [(Tag(row.name), _descriptor(row)) for row in rows]


def referrers(connection: Connection, repository: str, subject: Digest) -> Sequence[Descriptor]:
    """The manifests whose subject it is, in the order of their digests."""
    rows = connection.execute(_REFERRERS, {"repository": repository, "subject": str(subject)}).all()
    return [
        Descriptor(
            row.media_type,
            Digest.parse(row.digest),
            row.size,
            artifact_type=row.artifact_type,
            annotations=json.loads(row.annotations or "{}"),
        )
        for row in rows
    ]


def needed_by(connection: Connection, repository: str, manifest: Digest) -> Sequence[Digest]:
    """The blobs of a manifest; none where blobs may come with the next pull."""
    asked = {"repository": repository, "manifest": str(manifest)}
    return [Digest.parse(digest) for digest in connection.execute(_NEEDED_BY, asked).scalars()]


def leading_to(connection: Connection, repository: str, lost: Iterable[Digest]) -> frozenset[str]:
    """The manifests of the repository that refer to one of these blobs, and the indexes above them."""
    level = found = _users(connection, repository, "blob", {str(digest) for digest in lost})
    while level:
        level = _users(connection, repository, "manifest", level) - found
        found = found | level
    return found


def _users(connection: Connection, repository: str, kind: str, digests: Collection[str]) -> frozenset[str]:
    wanted, found = sorted(digests), set[str]()
    for start in range(0, len(wanted), PAGE):
        asked = {"repository": repository, "kind": kind, "digests": wanted[start : start + PAGE]}
        found.update(connection.execute(_USERS, asked).scalars())
    return frozenset(found)


def repository_names(connection: Connection) -> Sequence[RepositoryName]:
    """Every repository, in the order of their bytes."""
    rows = connection.execute(select(repositories.c.name).order_by(repositories.c.name))
    return [RepositoryName(row.name) for row in rows]


def repository_page(connection: Connection, after: str, limit: int) -> Sequence[RepositoryName]:
    """At most `limit` repositories that come after `after`, in the order of their bytes."""
    query = select(repositories.c.name).where(repositories.c.name > after)
    rows = connection.execute(query.order_by(repositories.c.name).limit(limit))
    return [RepositoryName(row.name) for row in rows]


def repositories_with(connection: Connection, digest: Digest) -> Sequence[RepositoryName]:
    """The repositories that have a blob, in the order of their bytes."""
    linked = repositories.join(repository_blobs, repository_blobs.c.repository_id == repositories.c.id)
    query = select(repositories.c.name).select_from(linked).where(repository_blobs.c.digest == str(digest))
    return [RepositoryName(row.name) for row in connection.execute(query.order_by(repositories.c.name))]


def stats(connection: Connection) -> StoreStats:
    """Count everything."""

    def number(query: Any) -> int:
        return int(connection.execute(query).scalar() or 0)

    links = repository_blobs.join(blobs, blobs.c.digest == repository_blobs.c.digest)
    distinct = select(manifests.c.digest, func.max(manifests.c.size).label("size")).group_by(
        manifests.c.digest
    )
    return StoreStats(
        number(select(func.count()).select_from(repositories)),
        number(select(func.count()).select_from(tags)),
        number(select(func.count()).select_from(manifests)),
        number(select(func.count()).select_from(blobs)),
        number(select(func.sum(blobs.c.size))) + number(select(func.sum(distinct.subquery().c.size))),
        number(select(func.sum(blobs.c.size)).select_from(links))
        + number(select(func.sum(manifests.c.size))),
    )


def _descriptor(row: Any) -> Descriptor:
    return Descriptor(row.media_type, Digest.parse(row.digest), row.size)
