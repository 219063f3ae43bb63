"""Where the bytes of blobs are: a directory now, an object store later, behind one small protocol."""

import contextlib
import hashlib
import os
from collections.abc import AsyncIterable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Protocol

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from regsync.content.durable import PartFile, abandoned, make_directory, storage_errors, sweep, sync_directory
from regsync.content.errors import ContentNotFoundError, SizeMismatchError
from regsync.content.file_streams import BlobWriter, read_file
from regsync.content.protocol import Chunks
from regsync.content.verified import verified
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import SHA256, Digest
from regsync.store.incoming import Incoming
from regsync.store.inventory import File, files
from regsync.store.place import QUARANTINE
from regsync.store.quarantine import Quarantine

_THREADS = (
    6  # file operations at once: enough for syncs to overlap, few enough not to fight for the interpreter
)

_REMOVERS = 4  # threads; each waits for the disk most of the time
_FEW = 16  # files for which another thread is not worth it


class BlobStore(Protocol):
    """Content under its digest, whatever repository it is of. What is there is whole."""

    async def write(self, desc: Descriptor, chunks: AsyncIterable[bytes], *, where: str) -> None:
        """Store a blob, durable on return; leaves nothing when it fails or is cancelled.

        Raises DigestMismatchError, SizeMismatchError, InterruptedStreamError, StorageError.
        """
        ...

    def incoming(self, digest: Digest) -> Incoming:
        """A blob to write that others read meanwhile. Its writer checks it before it is kept."""
        ...

    async def size(self, digest: Digest) -> int | None:
        """The length of a blob in bytes, None if it is not there."""
        ...

    def size_now(self, digest: Digest) -> int | None:
        """The length of a blob in bytes, None if it is not there. Blocking; raises StorageError."""
        ...

    def read(self, desc: Descriptor, *, offset: int, where: str) -> Chunks:
        """Stream from `offset` on; raises ContentNotFoundError or SizeMismatchError on entering."""
        ...

    def remove_now(self, digests: Sequence[Digest]) -> None:
        """Remove blobs, those that are there; who is reading one reads on. Blocking; raises StorageError."""
        ...

    def stored(self) -> Iterator[Mapping[Digest, int]]:
        """Everything that is there with its length, a part at a time. Blocking; raises StorageError."""
        ...

    def files(self) -> Iterator[Sequence[File]]:
        """What `stored` gives, and what lies there under any other name. Blocking; raises StorageError."""
        ...

    def abandoned(self) -> int:
        """How many files dead processes were writing. Blocking."""
        ...

    def sweep(self) -> int:
        """Remove them; returns how many. Blocking."""
        ...

    async def set_aside(self, digest: Digest) -> bool:
        """Move wrong bytes out of the way, so that nobody gets them; False if they are right after all."""
        ...

    def marked(self) -> frozenset[Digest]:
        """The blobs that were set aside, or found missing, be they back by now or not. Costs little."""
        ...

    def forget_marks(self, digests: Collection[Digest]) -> None:
        """Drop the marks of blobs that nobody has any longer. Blocking; raises StorageError."""
        ...

    def local_path(self, digest: Digest) -> Path | None:
        """The file that holds exactly the blob, where there is one: for servers that send files."""
        ...


class DirectoryBlobs:
    """Blobs as files below `root`, in 256 directories by the first two digits."""

    def __init__(self, root: Path, *, parts: Path) -> None:
        self._root, self._parts = root, parts
        self._quarantine = Quarantine(root.parent / QUARANTINE)
        self._limiter = CapacityLimiter(_THREADS)
        self._writer = BlobWriter(parts, self._limiter)

    def prepare(self) -> None:
        """Make the directories, and remove what dead processes were writing. Blocking."""
        with storage_errors(self._root):
            make_directory(self._root / SHA256)
            for number in range(256):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(self._root / SHA256 / f"{number:02x}")
            sync_directory(self._root / SHA256)
        self.sweep()

    def local_path(self, digest: Digest) -> Path:
        """The file that holds the blob, if it is there."""
        return self._root / digest.algorithm / digest.encoded[:2] / digest.encoded

    async def write(self, desc: Descriptor, chunks: AsyncIterable[bytes], *, where: str) -> None:
        """Store a blob: written aside and hashed, synced, renamed, its directory synced."""
        checked = verified(chunks, desc, where=where)
        await self._writer.write(desc.digest, checked, self.local_path(desc.digest))

    def incoming(self, digest: Digest) -> Incoming:
        """A blob to write that others read meanwhile. Its writer checks it before it is kept."""
        return Incoming(PartFile(self._parts), self.local_path(digest), self._limiter)

    async def size(self, digest: Digest) -> int | None:
        """The length of a blob in bytes, None if it is not there."""
        return self.size_now(digest)

    def size_now(self, digest: Digest) -> int | None:
        """The length of a blob in bytes, None if it is not there. Blocking."""
        path = self.local_path(digest)
        with storage_errors(path):
            try:
                return os.stat(path).st_size
            except FileNotFoundError:
                return None

    def read(self, desc: Descriptor, *, offset: int, where: str) -> Chunks:
        """Stream from `offset` on; raises ContentNotFoundError or SizeMismatchError on entering."""
        opened = partial(self._open, desc, where)
        return read_file(opened, where=where, offset=offset, limiter=self._limiter)

    def _open(self, desc: Descriptor, where: str) -> int:
        path = self.local_path(desc.digest)
        with storage_errors(path):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                raise ContentNotFoundError(desc.digest, where=where) from None
        size = os.fstat(fd).st_size
        if size != desc.size:
            os.close(fd)
            raise SizeMismatchError(desc, size, where=where)
        return fd

    def remove_now(self, digests: Sequence[Digest]) -> None:
        """Remove blobs, those that are there; who is reading one reads on. Blocking; raises StorageError."""
        names = sorted(f"{one.algorithm}/{one.encoded[:2]}/{one.encoded}" for one in digests)
        share = max(_FEW, -(-len(names) // _REMOVERS))
        shares = [names[start : start + share] for start in range(0, len(names), share)]
        with ThreadPoolExecutor(_REMOVERS) as threads:  # what they wait for is the file system's journal
            for done in [threads.submit(self._remove, one) for one in shares]:
                done.result()

    def _remove(self, names: Sequence[str]) -> None:
        with storage_errors(self._root):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{self._root}/{name}")

    def stored(self) -> Iterator[Mapping[Digest, int]]:
        """Everything that is there with its length, one directory at a time. Blocking."""
        for found in self.files():
            yield {digest: file.size for file, digest in found if digest is not None}

    def files(self) -> Iterator[Sequence[File]]:
        """What `stored` gives, and what lies there under any other name. Blocking."""
        return files(self._root)

    def abandoned(self) -> int:
        """How many files dead processes were writing. Blocking."""
        return sum(1 for _ in abandoned(self._parts))

    def sweep(self) -> int:
        """Remove them; returns how many. Blocking."""
        return sweep(self._parts)

    async def set_aside(self, digest: Digest) -> bool:
        """Move wrong bytes out of the way, or note that there are none.

        They are read once more when nobody can replace them any longer: False if they are right.
        """
        return await run_sync(self._set_aside, digest, limiter=self._limiter)

    def _set_aside(self, digest: Digest) -> bool:
        path = self.local_path(digest)
        kept = self._quarantine.take(digest, path)
        if kept is None:
            self._quarantine.mark_missing(digest)
        elif _is(digest, kept):
            self._quarantine.give_back(kept, path)
            return False
        return True

    def marked(self) -> frozenset[Digest]:
        """The blobs that were set aside, or found missing, be they back by now or not. Costs little."""
        return self._quarantine.marked()

    def forget_marks(self, digests: Collection[Digest]) -> None:
        """Drop the marks of blobs that nobody has any longer. Blocking; raises StorageError."""
        self._quarantine.forget(digests)


def _is(digest: Digest, path: Path) -> bool:
    """Whether the file is what the digest names; not when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, digest.algorithm).hexdigest() == digest.encoded
    except OSError:
        return False
