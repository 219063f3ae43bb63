"""What lies on the disk, against what the catalogue says lies there. Blocking."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, bindparam, exists, select

from regsync.content.durable import storage_errors
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import HEX_LENGTH, Digest, InvalidDigestError
from regsync.oci.media_type import OCTET_STREAM
from regsync.store.schema import blobs, repository_blobs

PAGE = 1000  # blobs asked for at once

_linked = exists().where(repository_blobs.c.digest == blobs.c.digest)
_BLOBS = (
    select(blobs.c.digest, blobs.c.size, _linked.label("linked"))
    .where(blobs.c.digest > bindparam("after"))
    .order_by(blobs.c.digest)
    .limit(PAGE)
)
_KNOWN = select(blobs.c.digest).where(blobs.c.digest.in_(bindparam("digests", expanding=True)))


@dataclass(frozen=True, slots=True)
class Recorded:
    """A blob that the catalogue has."""

    desc: Descriptor
    linked: bool  # of some repository: its bytes were acknowledged and are wanted


@dataclass(frozen=True, slots=True)
class Lost:
    """A blob of some repository whose bytes are not there, or are not what they should be."""

    digest: Digest
    size: int  # bytes, as the catalogue has it
    cause: str


@dataclass(frozen=True, slots=True)
class Orphan:
    """A file that no record explains."""

    path: Path
    size: int  # bytes


File = tuple[Orphan, Digest | None]  # with the digest it is named for, None when it is named for none


def recorded_page(connection: Connection, after: str) -> Sequence[Recorded]:
    """The next PAGE blobs behind the digest `after`, in the order of their bytes."""
    rows = connection.execute(_BLOBS, {"after": after})
    return [
        Recorded(Descriptor(OCTET_STREAM, Digest.parse(row.digest), row.size), bool(row.linked))
        for row in rows
    ]


def recorded(connection: Connection) -> Iterator[Recorded]:
    """Every blob of the catalogue."""
    after = ""
    while page := recorded_page(connection, after):
        yield from page
        after = str(page[-1].desc.digest)


def known(connection: Connection, digests: Sequence[Digest]) -> frozenset[str]:
    """Those of `digests` that the catalogue has."""
    found: set[str] = set()
    for start in range(0, len(digests), PAGE):
        asked = [str(digest) for digest in digests[start : start + PAGE]]
        found.update(connection.execute(_KNOWN, {"digests": asked}).scalars())
    return frozenset(found)


def looked_for(one: Recorded, size: int | None) -> Lost | None:
    """What is wrong with a blob of which `size` bytes are on the disk, without reading them."""
    if size == one.desc.size:
        return None
    cause = "its bytes are missing" if size is None else f"the file has {size} bytes"
    return Lost(one.desc.digest, one.desc.size, cause)


def files(root: Path) -> Iterator[Sequence[File]]:
    """Every file below the directory of blobs, one directory at a time, with the digest it is named for."""
    for algorithm in sorted(HEX_LENGTH):
        for directory in sorted(_entries(root / algorithm)):
            yield [_named(path, algorithm, directory.name) for path in sorted(_entries(directory))]


def orphans(files: Iterable[Sequence[File]], connection: Connection) -> Iterator[Orphan]:
    """Those of the files that are no blob of the catalogue."""
    for found in files:
        have = known(connection, [digest for _, digest in found if digest is not None])
        yield from (file for file, digest in found if digest is None or str(digest) not in have)


def _named(path: Path, algorithm: str, shard: str) -> File:
    try:
        digest: Digest | None = Digest.parse(f"{algorithm}:{path.name}")
    except InvalidDigestError:
        digest = None
    if digest is not None and not digest.encoded.startswith(shard):
        digest = None
    size = 0
    with storage_errors(path), suppress(FileNotFoundError):  # removed in the meantime
        size = os.lstat(path).st_size
    return Orphan(path, size), digest


def _entries(directory: Path) -> Sequence[Path]:
    with storage_errors(directory):
        return list(directory.iterdir()) if directory.is_dir() else []
