"""Every change of the catalogue. Each checks first and writes then, and says in the journal what it did."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, bindparam, delete, select, update

from regsync.content.errors import ContentNotFoundError, SizeMismatchError
from regsync.content.references import Children, ContentInUseError, MissingReferencesError, required
from regsync.content.referrers import as_referrer
from regsync.errors import RefusedError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, InvalidManifestError, Manifest
from regsync.oci.reference import Tag
from regsync.store.catalogue import Transaction
from regsync.store.schema import (
    blobs,
    manifest_references,
    manifests,
    repositories,
    repository_blobs,
    tags,
)

_AT_ONCE = 1000  # keys in one IN (…)


_MANIFEST = select(manifests.c.size).where(
    manifests.c.repository_id == bindparam("key"), manifests.c.digest == bindparam("digest")
)
_BLOB_SIZES = (
    select(blobs.c.digest, blobs.c.size)
    .select_from(repository_blobs.join(blobs, blobs.c.digest == repository_blobs.c.digest))
    .where(
        repository_blobs.c.repository_id == bindparam("key"),
        repository_blobs.c.digest.in_(bindparam("digests", expanding=True)),
    )
)
_MANIFEST_KINDS = select(manifests.c.digest, manifests.c.size, manifests.c.media_type).where(
    manifests.c.repository_id == bindparam("key"),
    manifests.c.digest.in_(bindparam("digests", expanding=True)),
)
_ON_DEMAND = select(repositories.c.on_demand).where(repositories.c.id == bindparam("key"))
_TAGGED = select(tags.c.digest).where(
    tags.c.repository_id == bindparam("key"), tags.c.name == bindparam("tag")
)
_TAGS_OF = select(tags.c.name).where(
    tags.c.repository_id == bindparam("key"), tags.c.digest == bindparam("digest")
)
_UNMARK = (
    update(manifests)
    .where(
        manifests.c.repository_id == bindparam("key"),
        manifests.c.digest == bindparam("marked"),
        manifests.c.unused_since.is_not(None),
    )
    .values(unused_since=None)
)
_USER = (
    select(manifest_references.c.manifest)
    .where(
        manifest_references.c.repository_id == bindparam("key"),
        manifest_references.c.digest == bindparam("digest"),
        manifest_references.c.kind == bindparam("kind"),
    )
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Repository:
    """The repository that a change is made in, and how errors call it."""

    name: str
    where: str


def link_blob(transaction: Transaction, repository: Repository, desc: Descriptor) -> None:
    """Make a blob, whose bytes are stored and were seen to be what `desc` names, part of the repository."""
    digest = str(desc.digest)
    transaction.insert_missing(blobs, [{"digest": digest, "size": desc.size}])
    key = transaction.created_repository(repository.name)
    row = {"repository_id": key, "digest": digest, "unused_since": None}
    transaction.upsert(repository_blobs, row, "unused_since")
    transaction.record("blob", repository=repository.name, digest=digest, size=desc.size)


@dataclass(frozen=True, slots=True)
class NewManifest:
    """A manifest to put, with its tags; a tag that is `fixed` is not moved."""

    parsed: Manifest | Index
    children: Children
    tags: tuple[Tag, ...]
    fixed: Callable[[Tag], bool] | None

    @property
    def desc(self) -> Descriptor:
        """What names it."""
        return self.parsed.descriptor

    @property
    def raw(self) -> bytes:
        """Its bytes."""
        return self.parsed.raw


class TagFixedError(RefusedError):
    """A tag points to another manifest, and may not be moved."""

    def __init__(self, tag: Tag, digest: str, *, where: str) -> None:
        super().__init__(f"{where}:{tag} is {digest} and may be neither moved nor deleted")


def put_manifest(transaction: Transaction, repository: Repository, new: NewManifest) -> None:
    """Put a manifest and, in the same step, its tags.

    Raises MissingReferencesError with all that is missing, SizeMismatchError or InvalidManifestError
    where a descriptor lies, or TagFixedError.
    """
    digest = str(new.desc.digest)
    key = transaction.repository(repository.name)
    if key is not None and new.fixed is not None:
        _refuse_to_move(transaction, key, repository, new)
    if new.children is Children.ON_DEMAND:
        mark_on_demand(transaction, repository)
    if key is None or _manifest_size(transaction, key, digest) is None:
        _check_references(transaction, key, repository, new)
        insert_manifest(transaction, repository, new)
    else:
        if _is_on_demand(transaction, key):  # that it is there says nothing of what it leads to
            _check_references(transaction, key, repository, new)
        _unmark(transaction, key, digest)
    for tag in new.tags:
        point_tag(transaction, repository, new.desc.digest, tag)


def mark_on_demand(transaction: Transaction, repository: Repository) -> None:
    """Note that what manifests of the repository refer to need not be there; for good."""
    key = transaction.created_repository(repository.name)
    if not _is_on_demand(transaction, key):
        marked = update(repositories).where(repositories.c.id == key).values(on_demand=True)
        transaction.connection.execute(marked)
        transaction.record("on-demand", repository=repository.name)


def _is_on_demand(transaction: Transaction, key: int) -> bool:
    return bool(transaction.connection.execute(_ON_DEMAND, {"key": key}).scalar())


def _refuse_to_move(transaction: Transaction, key: int, repository: Repository, new: NewManifest) -> None:
    fixed = [tag for tag in new.tags if new.fixed is not None and new.fixed(tag)]
    if fixed:
        transaction.flush()
    for tag in fixed:
        held = transaction.connection.execute(_TAGGED, {"key": key, "tag": str(tag)}).scalar()
        if held is not None and held != str(new.desc.digest):
            raise TagFixedError(tag, held, where=repository.where)


def _manifest_size(transaction: Transaction, key: int, digest: str) -> int | None:
    return transaction.connection.execute(_MANIFEST, {"key": key, "digest": digest}).scalar()


def _unmark(transaction: Transaction, key: int, digest: str) -> None:
    """Somebody wants a manifest that garbage collection may have seen unused."""
    transaction.connection.execute(_UNMARK, {"key": key, "marked": digest})


def _check_references(
    transaction: Transaction, key: int | None, repository: Repository, new: NewManifest
) -> None:
    wanted = required(new.parsed, new.children)
    found: dict[str, Any] = {}
    if key is not None:
        of_manifests = [one.digest for one in wanted if one.is_manifest]
        of_blobs = [one.digest for one in wanted if not one.is_manifest]
        found |= _found(transaction, _MANIFEST_KINDS, key, of_manifests)
        found |= _found(transaction, _BLOB_SIZES, key, of_blobs)
    missing = [one.digest for one in wanted if str(one.digest) not in found]
    if missing:
        raise MissingReferencesError(new.desc.digest, missing, where=repository.where)
    for one in wanted:
        held = found[str(one.digest)]
        if held.size != one.size:
            raise SizeMismatchError(one, held.size, where=repository.where)
        if one.is_manifest and held.media_type != one.media_type:
            said = f"it says that {one.digest} is {one.media_type}, and that is {held.media_type}"
            raise InvalidManifestError(said, digest=new.desc.digest)


def _found(
    transaction: Transaction, query: Select[Any], key: int, wanted: Sequence[Digest]
) -> dict[str, Any]:
    """The rows of those that are there, by digest."""
    found: dict[str, Any] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        digests = [str(digest) for digest in wanted[start : start + _AT_ONCE]]
        rows = transaction.connection.execute(query, {"key": key, "digests": digests})
        found.update((row.digest, row) for row in rows)
    return found


def insert_manifest(transaction: Transaction, repository: Repository, new: NewManifest) -> None:
    """Put a manifest whose references were checked, or were when it was first put; not its tags."""
    key = transaction.created_repository(repository.name)
    parsed, digest = new.parsed, str(new.desc.digest)
    shown = as_referrer(parsed, new.desc) if parsed.subject is not None else None
    row = {
        "repository_id": key,
        "digest": digest,
        "media_type": new.desc.media_type,
        "size": new.desc.size,
        "subject": str(parsed.subject.digest) if parsed.subject is not None else None,
        "artifact_type": shown.artifact_type if shown is not None else None,
        "annotations": json.dumps(dict(shown.annotations)) if shown is not None else None,
        "pushed_at": transaction.now,
        "raw": new.raw,
    }
    transaction.insert_missing(manifests, [row])
    references = [(one, "blob") for one in parsed.blobs] + [(one, "manifest") for one in parsed.manifests]
    rows = [
        {"repository_id": key, "manifest": digest, "digest": str(one.digest), "kind": kind}
        for one, kind in references
    ]
    transaction.insert_missing(manifest_references, rows)
    transaction.record(
        "manifest",
        repository=repository.name,
        digest=digest,
        mediaType=new.desc.media_type,
        raw=new.raw.decode(),
    )


def put_tag(transaction: Transaction, repository: Repository, desc: Descriptor, tag: Tag) -> None:
    """Point a tag to a manifest; raises ContentNotFoundError, SizeMismatchError."""
    transaction.flush()
    key = transaction.repository(repository.name)
    size = _manifest_size(transaction, key, str(desc.digest)) if key is not None else None
    if key is None or size is None:
        raise ContentNotFoundError(desc.digest, where=repository.where)
    if size != desc.size:
        raise SizeMismatchError(desc, size, where=repository.where)
    _unmark(transaction, key, str(desc.digest))
    point_tag(transaction, repository, desc.digest, tag)


def point_tag(transaction: Transaction, repository: Repository, digest: Digest, tag: Tag) -> None:
    """Point a tag to a manifest that was seen to be there."""
    key = transaction.created_repository(repository.name)
    row = {"repository_id": key, "name": str(tag), "digest": str(digest), "pushed_at": transaction.now}
    transaction.upsert(tags, row, "digest", "pushed_at")
    transaction.record("tag", repository=repository.name, tag=str(tag), digest=str(digest))


def untag(transaction: Transaction, repository: Repository, tag: Tag) -> None:
    """Delete one tag; raises ContentNotFoundError."""
    transaction.flush()
    key = transaction.repository(repository.name)
    gone = delete(tags).where(tags.c.repository_id == key, tags.c.name == str(tag))
    if key is None or not transaction.connection.execute(gone).rowcount:
        raise ContentNotFoundError(tag, where=repository.where)
    transaction.record("untag", repository=repository.name, tag=str(tag))


def delete_manifest(
    transaction: Transaction,
    repository: Repository,
    digest: Digest,
    fixed: Callable[[Tag], bool] | None = None,
) -> None:
    """Delete a manifest with its tags; raises ContentNotFoundError, ContentInUseError, TagFixedError."""
    transaction.flush()
    key = transaction.repository(repository.name)
    if key is None or _manifest_size(transaction, key, str(digest)) is None:
        raise ContentNotFoundError(digest, where=repository.where)
    _refuse_if_used(transaction, key, repository, digest, "manifest")
    if fixed is not None:
        for held in transaction.connection.execute(_TAGS_OF, {"key": key, "digest": str(digest)}).scalars():
            if fixed(Tag(held)):
                raise TagFixedError(Tag(held), str(digest), where=repository.where)
    drop_manifest(transaction, repository, digest)


def drop_manifest(transaction: Transaction, repository: Repository, digest: Digest) -> None:
    """Delete a manifest that was seen to be of no use; raises ContentNotFoundError."""
    transaction.flush()
    key = transaction.repository(repository.name)
    gone = delete(manifests).where(manifests.c.repository_id == key, manifests.c.digest == str(digest))
    if not transaction.connection.execute(gone).rowcount:  # its tags and references go with it
        raise ContentNotFoundError(digest, where=repository.where)
    transaction.record("delete", repository=repository.name, digest=str(digest))


def unlink_blob(transaction: Transaction, repository: Repository, digest: Digest) -> None:
    """Take a blob out of the repository; raises ContentNotFoundError, or ContentInUseError."""
    transaction.flush()
    key = transaction.repository(repository.name)
    if key is not None:
        _refuse_if_used(transaction, key, repository, digest, "blob")
    drop_blob(transaction, repository, digest)


def drop_blob(transaction: Transaction, repository: Repository, digest: Digest) -> None:
    """Take out a blob that was seen to be of no use; raises ContentNotFoundError."""
    transaction.flush()
    key = transaction.repository(repository.name)
    gone = delete(repository_blobs).where(
        repository_blobs.c.repository_id == key, repository_blobs.c.digest == str(digest)
    )
    if not transaction.connection.execute(gone).rowcount:
        raise ContentNotFoundError(digest, where=repository.where)
    transaction.record("unlink", repository=repository.name, digest=str(digest))


def _refuse_if_used(
    transaction: Transaction, key: int, repository: Repository, digest: Digest, kind: str
) -> None:
    asked = {"key": key, "digest": str(digest), "kind": kind}
    user = transaction.connection.execute(_USER, asked).scalar()
    if user is not None:
        raise ContentInUseError(digest, Digest.parse(user), where=repository.where)
