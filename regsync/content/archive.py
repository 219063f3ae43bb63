"""OCI image layouts in a tar archive, as sources to copy from: one repository for each that it names.

An archive that is a plain file is read at any place, as often as need be. One that comes as a stream, or
compressed, goes by once: `archive_stream` reads that.
"""

import os
from collections.abc import AsyncIterator, Container, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import Protocol, Self

from anyio.to_thread import run_sync

from regsync.content.archive_names import place_of
from regsync.content.durable import storage_errors
from regsync.content.errors import ContentNotFoundError, DigestMismatchError, SizeMismatchError
from regsync.content.layout_files import (
    INDEX_FILE,
    MARKER_FILE,
    MAX_INDEX_SIZE,
    MAX_MARKER_SIZE,
    check_marker,
)
from regsync.content.layout_graph import Graph, LayoutScanner
from regsync.content.layout_index import Entry, LayoutIndex
from regsync.content.protocol import Chunks
from regsync.content.tar_reading import InvalidArchiveError, Member, TarReader
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest, InvalidDigestError
from regsync.oci.manifest import MAX_MANIFEST_SIZE, InvalidManifestError, parse_manifest
from regsync.oci.reference import RepositoryName, Tag

MIB = 1024 * 1024
MAX_FOREIGN = 256 * MIB  # bytes of members that are no part of a layout, such as docker's manifest.json


class Content(Protocol):
    """The blobs of an archive, manifests among them."""

    where: str

    def size(self, digest: Digest) -> int | None:
        """The length of a blob, None if the archive has none of that name."""
        ...

    def read_manifest(self, digest: Digest) -> bytes:
        """A manifest's bytes, hashed. Blocking. Raises ContentNotFoundError or DigestMismatchError."""
        ...

    def fetch_from(self, desc: Descriptor, offset: int) -> Chunks:
        """Stream a blob, unhashed; raises ContentNotFoundError or SizeMismatchError on entering."""
        ...


class ArchiveRepository:
    """What an archive has of one repository; read only."""

    def __init__(self, content: Content, index: LayoutIndex, name: str) -> None:
        self.name, self.index = name, index
        self._content = content
        self._scanner = LayoutScanner(content)

    @cached_property
    def graph(self) -> Graph:
        """What leads to what. Blocking at first."""
        return self._scanner.scan(self.index)

    async def resolve(self, name: Tag | Digest) -> Descriptor:
        """What a tag or digest names; raises ContentNotFoundError."""
        return (await self.manifest(name))[0]

    async def manifest(self, name: Tag | Digest) -> tuple[Descriptor, bytes]:
        """A manifest's exact bytes, hashed; raises ContentNotFoundError, DigestMismatchError."""
        known = self.index.tagged(name, where=self.name) if isinstance(name, Tag) else self._entry(name)
        digest = name if isinstance(name, Digest) else known.digest if known is not None else None
        assert digest is not None  # noqa: S101 - `tagged` gives one or raises
        raw = await run_sync(self._content.read_manifest, digest)
        if known is None:
            return Descriptor(self._media_type(raw, digest), digest, len(raw)), raw
        if known.size != len(raw):
            raise SizeMismatchError(known, len(raw), where=self.name)
        return known, raw

    def _entry(self, digest: Digest) -> Descriptor | None:
        entry = self.index.by_digest.get(digest)
        return entry.desc if entry is not None else None

    def _media_type(self, raw: bytes, digest: Digest) -> str:
        try:
            return parse_manifest(raw).descriptor.media_type
        except InvalidManifestError:
            raise ContentNotFoundError(digest, where=self.name) from None

    async def exists(self, desc: Descriptor) -> bool:
        """Whether the archive has a member of this name and size."""
        return self._content.size(desc.digest) == desc.size

    def fetch(self, desc: Descriptor) -> Chunks:
        """Stream a blob, unhashed."""
        return self._content.fetch_from(desc, 0)

    def fetch_from(self, desc: Descriptor, offset: int) -> Chunks:
        """Stream a blob from `offset` on."""
        return self._content.fetch_from(desc, offset)

    @asynccontextmanager
    async def tags(self) -> AsyncIterator[AsyncIterator[tuple[Tag, Descriptor | None]]]:
        """Every tag with its descriptor, sorted."""

        async def each() -> AsyncIterator[tuple[Tag, Descriptor | None]]:
            for tag in sorted(self.index.by_tag):
                yield tag, self.index.tagged(tag, where=self.name)

        yield each()

    async def referrers(
        self, subject: Digest, *, listed: Container[Tag] | None = None
    ) -> Sequence[Descriptor]:
        """What refers to `subject`, sorted by digest."""
        found = (await run_sync(lambda: self.graph)).referrers.get(subject, {})
        return tuple(found[digest] for digest in sorted(found))


def repositories(content: Content, index: LayoutIndex) -> Mapping[RepositoryName | None, ArchiveRepository]:
    """The repositories that the archive names; under None what it names by tag alone, or not at all."""
    entries: dict[RepositoryName | None, list[Entry]] = {}
    for entry in index.entries:
        repository, tag = place_of(entry)
        entries.setdefault(repository, []).append(entry.named(tag))
    return {
        name: ArchiveRepository(
            content,
            LayoutIndex(index.head, tuple(found)),
            f"{content.where}:{name}" if name else content.where,
        )
        for name, found in entries.items()
    }


class ArchiveFile:
    """The members of a plain tar file, read wherever they are."""

    def __init__(self, path: Path, fd: int, members: Mapping[str, Member], where: str) -> None:
        self.where, self._path, self.fd = where, path, fd
        self.members = members

    @classmethod
    def open(cls, path: Path) -> Self:
        """Look through the archive's headers. Blocking. Raises InvalidArchiveError or StorageError."""
        where = str(path)
        with storage_errors(path), path.open("rb") as file:
            members, foreign = {}, 0
            reader = TarReader(file, where, seekable=True)
            while (member := reader.next()) is not None:
                if is_part(member.name):
                    members[member.name] = member
                else:
                    foreign += member.size
                check_foreign(foreign, where)
            fd = os.dup(file.fileno())
        return cls(path, fd, members, where)

    def close(self) -> None:
        """Read no more."""
        os.close(self.fd)

    def index(self) -> LayoutIndex:
        """index.json, of a layout whose version is known. Blocking. Raises InvalidArchiveError."""
        return read_index(
            self._small(MARKER_FILE, MAX_MARKER_SIZE), self._small(INDEX_FILE, MAX_INDEX_SIZE), self.where
        )

    def size(self, digest: Digest) -> int | None:
        """The length of a blob."""
        member = self.members.get(member_name(digest))
        return member.size if member is not None else None

    def read_manifest(self, digest: Digest) -> bytes:
        """A manifest's bytes, hashed."""
        raw = self._small(member_name(digest), MAX_MANIFEST_SIZE)
        if raw is None:
            raise ContentNotFoundError(digest, where=self.where)
        return checked(raw, digest, self.where)

    def _small(self, name: str, limit: int) -> bytes | None:
        member = self.members.get(name)
        if member is None:
            return None
        if member.size > limit:
            raise InvalidArchiveError(
                f"{name} has {member.size} bytes, at most {limit} are read", where=self.where
            )
        return self._read(member, 0, member.size)

    def _read(self, member: Member, offset: int, size: int) -> bytes:
        pieces = []
        end = min(member.size, offset + size)
        with storage_errors(self._path):
            while offset < end:
                chunk = os.pread(self.fd, end - offset, member.offset + offset)
                if not chunk:
                    raise InvalidArchiveError("it ends in the middle of a member", where=self.where)
                pieces.append(chunk)
                offset += len(chunk)
        return b"".join(pieces)

    @asynccontextmanager
    async def fetch_from(self, desc: Descriptor, offset: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream a blob from `offset` on, unhashed."""
        member = self.members.get(member_name(desc.digest))
        if member is None:
            raise ContentNotFoundError(desc.digest, where=self.where)
        if member.size != desc.size:
            raise SizeMismatchError(desc, member.size, where=self.where)

        async def chunks() -> AsyncIterator[bytes]:
            at = offset
            while at < member.size:
                chunk = await run_sync(self._read, member, at, MIB)
                yield chunk
                at += len(chunk)

        yield chunks()


def member_name(digest: Digest) -> str:
    """Where a layout has the content of a digest."""
    return f"blobs/{digest.algorithm}/{digest.encoded}"


def digest_of(name: str) -> Digest | None:
    """The digest that a member is named for."""
    parts = name.split("/")
    if len(parts) != 3 or parts[0] != "blobs":
        return None
    try:
        return Digest.parse(f"{parts[1]}:{parts[2]}")
    except InvalidDigestError:
        return None


def is_part(name: str) -> bool:
    """Whether a member is a part of the layout."""
    return name in (INDEX_FILE, MARKER_FILE) or digest_of(name) is not None


def check_foreign(size: int, where: str) -> None:
    """Raise InvalidArchiveError when there is much that is no part of a layout."""
    if size > MAX_FOREIGN:
        raise InvalidArchiveError(
            f"more than {MAX_FOREIGN} bytes of it are no part of an OCI layout", where=where
        )


def read_index(marker: bytes | None, index: bytes | None, where: str) -> LayoutIndex:
    """index.json of a layout; raises InvalidArchiveError or InvalidLayoutError."""
    if index is None or marker is None:
        cause = f"it has no {INDEX_FILE if index is None else MARKER_FILE}; of docker, save as an OCI archive"
        raise InvalidArchiveError(cause, where=where)
    check_marker(marker, where=where)
    return LayoutIndex.parse(index, where=where)


def checked(raw: bytes, digest: Digest, where: str) -> bytes:
    """`raw`, if it is what the digest names; raises DigestMismatchError."""
    actual = Digest.of(raw, digest.algorithm)
    if actual != digest:
        raise DigestMismatchError(digest, actual, where=where)
    return raw
