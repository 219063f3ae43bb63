"""Whether the catalogue's manifests are what their digests say, and its other rows what the manifests say."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select, tuple_

from regsync.content.references import Children, required
from regsync.content.verified import verified_manifest
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import Index, Manifest
from regsync.store.database import one_moment
from regsync.store.schema import manifest_references, manifests, repositories, repository_blobs

PAGE = 200  # manifests read at once

_place = tuple_(manifests.c.repository_id, manifests.c.digest)
_MANIFESTS = (
    select(
        manifests.c.repository_id,
        repositories.c.name,
        repositories.c.on_demand,
        manifests.c.digest,
        manifests.c.media_type,
        manifests.c.size,
        manifests.c.subject,
        manifests.c.raw,
    )
    .select_from(manifests.join(repositories, repositories.c.id == manifests.c.repository_id))
    .where(_place > tuple_(bindparam("repository"), bindparam("after")))
    .order_by(manifests.c.repository_id, manifests.c.digest)
    .limit(PAGE)
)
_REFERENCES = select(manifest_references.c.digest, manifest_references.c.kind).where(
    manifest_references.c.repository_id == bindparam("repository"),
    manifest_references.c.manifest == bindparam("digest"),
)
_LINKED = select(repository_blobs.c.digest).where(
    repository_blobs.c.repository_id == bindparam("repository"),
    repository_blobs.c.digest.in_(bindparam("digests", expanding=True)),
)

Place = tuple[int, str]  # of a manifest: its repository's key, and its digest
START: Place = (0, "")


def check_page(connection: Connection, after: Place) -> tuple[Place | None, int, Sequence[str]]:
    """Check the next manifests behind `after`: where to go on, how many there were, and what is wrong."""
    with one_moment(connection):  # else what is pushed or deleted meanwhile contradicts itself
        rows = connection.execute(_MANIFESTS, {"repository": after[0], "after": after[1]}).all()
        wrong = [
            f"{row.name}: manifest {row.digest}: {cause}" for row in rows for cause in _check(connection, row)
        ]
    last = (rows[-1].repository_id, rows[-1].digest) if len(rows) == PAGE else None
    return last, len(rows), wrong


def _check(connection: Connection, row: Any) -> Iterator[str]:
    try:
        desc = Descriptor(row.media_type, Digest.parse(row.digest), row.size)
        parsed = verified_manifest(row.raw, desc, where=row.name)
    except RegsyncError as error:
        yield f"{error}; `regsync store rebuild` restores it from the journal"
        return
    asked = {"repository": row.repository_id, "digest": row.digest}
    noted = {(one.digest, one.kind) for one in connection.execute(_REFERENCES, asked)}
    if noted != _named(parsed):
        yield "the catalogue has other references than it; `regsync store rebuild` corrects that"
    subject = str(parsed.subject.digest) if parsed.subject is not None else None
    if subject != row.subject:
        yield f"the catalogue has the subject {row.subject}, it has {subject}"
    if not row.on_demand:
        yield from _missing(connection, row, parsed)


def _named(parsed: Manifest | Index) -> set[tuple[str, str]]:
    blobs = {(str(one.digest), "blob") for one in parsed.blobs}
    return blobs | {(str(one.digest), "manifest") for one in parsed.manifests}


def _missing(connection: Connection, row: Any, parsed: Manifest | Index) -> Iterator[str]:
    """Blobs that the repository does not have. Manifests of an index may have been left out on purpose."""
    wanted = {str(one.digest) for one in required(parsed, Children.OPTIONAL)}
    asked = {"repository": row.repository_id, "digests": sorted(wanted)}
    held = set(connection.execute(_LINKED, asked).scalars()) if wanted else set()
    yield from (f"the repository does not have its blob {digest}" for digest in sorted(wanted - held))
