"""An archive that goes by once: what stdin gives, or a compressed file.

It has to begin with index.json and the manifests, as an export writes it: then it is known what each blob
is for when it comes, and none has to be kept.
"""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from anyio.to_thread import run_sync

from regsync.content.archive import (
    check_foreign,
    checked,
    digest_of,
    is_part,
    read_index,
)
from regsync.content.errors import ContentError, ContentNotFoundError
from regsync.content.layout_files import INDEX_FILE, MARKER_FILE, MAX_INDEX_SIZE, MAX_MARKER_SIZE
from regsync.content.layout_index import LayoutIndex
from regsync.content.tar_reading import Bytes, InvalidArchiveError, Member, TarReader
from regsync.errors import RegsyncError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import MAX_MANIFEST_SIZE, InvalidManifestError, parse_manifest

MIB = 1024 * 1024
MAX_WINDOW = 128 * MIB  # bytes that zstd may look back: `--long=27`
MAX_MANIFESTS = 128 * MIB  # bytes of all manifests, which are kept
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


class UnorderedArchiveError(ContentError):
    """What a blob is for would be known only after it went by."""

    usual_hint = "import it from a plain file: `zstd -d`, or save the stream as a .tar first"

    def __init__(self, *, where: str) -> None:
        super().__init__(
            f"{where}: as a stream, an archive has to begin with {MARKER_FILE}, {INDEX_FILE} and manifests"
        )


class Decompressed:
    """A stream of zstd, decompressed."""

    def __init__(self, stream: io.BufferedReader, where: str) -> None:
        import zstandard  # only who has zstd needs it

        self._failed, self._where = zstandard.ZstdError, where
        decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
        self._reader = decompressor.stream_reader(stream, read_across_frames=True)

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; raises InvalidArchiveError."""
        try:
            return self._reader.read(size)
        except self._failed as cause:
            raise InvalidArchiveError(f"zstd: {cause}", where=self._where) from cause


@dataclass(frozen=True, slots=True)
class Arrived:
    """A blob that is going by."""

    digest: Digest
    size: int  # bytes


class ArchiveStream:
    """Implements Content: manifests at any time, a blob while it goes by."""

    def __init__(self, stream: Bytes, where: str) -> None:
        self.where = where
        self._reader = TarReader(stream, where, seekable=False)
        self._manifests: dict[Digest, bytes] = {}
        self._needed: set[Digest] = set()
        self._foreign = 0
        self._next: Member | None = None  # the first blob, once `begin` met it
        self._current: Digest | None = None
        self.failures: dict[Digest, RegsyncError] = {}  # why a blob that went by did not arrive

    def begin(self) -> LayoutIndex:
        """Read index and manifests. Blocking.

        Raises UnorderedArchiveError, InvalidArchiveError, InvalidLayoutError, DigestMismatchError.
        """
        files: dict[str, bytes] = {}
        index: LayoutIndex | None = None
        while (member := self._part()) is not None:
            if member.name == MARKER_FILE:
                files[member.name] = self._reader.read_all(member, MAX_MARKER_SIZE)
            elif member.name == INDEX_FILE:
                files[member.name] = self._reader.read_all(member, MAX_INDEX_SIZE)
            elif index is None:
                raise UnorderedArchiveError(where=self.where)
            elif not self._take_manifest(member):
                self._next = member
                break
            if index is None and len(files) == 2:
                index = self._read_index(files)
        return index if index is not None else self._read_index(files)

    def _read_index(self, files: dict[str, bytes]) -> LayoutIndex:
        index = read_index(files.get(MARKER_FILE), files.get(INDEX_FILE), self.where)
        self._needed = set(index.by_digest)
        return index

    def _take_manifest(self, member: Member) -> bool:
        digest = digest_of(member.name)
        if digest not in self._needed or digest is None:
            return False
        raw = checked(self._reader.read_all(member, MAX_MANIFEST_SIZE), digest, self.where)
        self._manifests[digest] = raw
        if sum(map(len, self._manifests.values())) > MAX_MANIFESTS:
            raise InvalidArchiveError(f"more than {MAX_MANIFESTS} bytes of manifests", where=self.where)
        self._needed.discard(digest)
        try:
            below = parse_manifest(raw).manifests
        except InvalidManifestError:
            return True  # told when it is copied
        self._needed.update(one.digest for one in below if one.digest not in self._manifests)
        return True

    def _part(self) -> Member | None:
        """The next member that is a part of the layout."""
        while (member := self._reader.next()) is not None and not is_part(member.name):
            self._foreign += member.size
            check_foreign(self._foreign, self.where)
        return member

    async def blobs(self) -> AsyncIterator[Arrived]:
        """Each blob, when it goes by; raises UnorderedArchiveError, InvalidArchiveError."""
        member = self._next
        while member is not None:
            digest = digest_of(member.name)
            if digest is None or digest in self._needed:
                raise UnorderedArchiveError(where=self.where)
            self._current = digest
            yield Arrived(digest, member.size)
            self._current = None
            self.failures.setdefault(digest, ContentNotFoundError(digest, where=f"{self.where} (it went by)"))
            member = await run_sync(self._part)

    def size(self, digest: Digest) -> int | None:
        """The length of a manifest; of blobs nothing is known in advance."""
        raw = self._manifests.get(digest)
        return len(raw) if raw is not None else None

    def read_manifest(self, digest: Digest) -> bytes:
        """A manifest's bytes."""
        raw = self._manifests.get(digest)
        if raw is None:
            raise ContentNotFoundError(digest, where=self.where)
        return raw

    @asynccontextmanager
    async def fetch_from(self, desc: Descriptor, offset: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """Stream the blob that goes by, once; raises what kept another one from arriving."""
        if desc.digest != self._current or offset:
            raise self.failures.get(desc.digest) or ContentNotFoundError(desc.digest, where=self.where)
        self._current = None
        yield self.passing()

    async def passing(self) -> AsyncIterator[bytes]:
        """The bytes of the blob that goes by, unhashed."""
        while chunk := await run_sync(self._reader.read, MIB):
            yield chunk
