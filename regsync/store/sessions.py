"""Uploads of blobs that come in several requests, to whichever process of the host.

A session is a file, and the file is the truth about how far it has come: bytes that were taken count
also when the request that brought them broke off. What was hashed in this process is remembered, so
that a blob is read again only when another process, or another algorithm, finishes it.
"""

import fcntl
import hashlib
import os
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from regsync.clock import Clock
from regsync.content.durable import (
    StorageDeviceError,
    StorageFullError,
    make_directory,
    storage_errors,
    sync,
    sync_directory,
)
from regsync.content.errors import DigestMismatchError
from regsync.errors import RegsyncError, TemporaryError
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import SHA256, Digest, Hasher
from regsync.oci.media_type import OCTET_STREAM
from regsync.oci.reference import RepositoryName
from regsync.store.appending import Appending, Gathering
from regsync.store.blobs import DirectoryBlobs
from regsync.store.leases import Leases

MIB = 1024 * 1024
HOP_SIZE = MIB  # bytes read per hop to a worker thread
MAX_REMEMBERED = 1000  # sessions whose hash is kept in memory
_ID_LENGTH = 32  # of a Clock's secret
_THREADS = 8
Taken = Callable[[Descriptor], Awaitable[bool]]
Linked = Callable[[Descriptor], Awaitable[None]]


class UploadUnknownError(RegsyncError):
    """No such upload in that repository: never begun, finished, cancelled, or too old."""

    def __init__(self, session: str) -> None:
        super().__init__(f"upload {session[:64]} is not known; begin a new one")


class UploadBusyError(TemporaryError):
    """Another request writes to the same upload."""

    def __init__(self, session: str) -> None:
        super().__init__(f"upload {session} is being written by another request")


class OutOfOrderError(RegsyncError):
    """A chunk does not begin where the upload ends."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"the upload has {offset} bytes; go on from there")
        self.offset = offset


class Sessions(Protocol):
    """Uploads under way, behind which an object store may stand."""

    async def start(self, repository: RepositoryName) -> str:
        """Begin an upload; returns its name, which nobody can guess."""
        ...

    async def size(self, repository: RepositoryName, session: str) -> int:
        """How many bytes it has; raises UploadUnknownError."""
        ...

    async def append(
        self, repository: RepositoryName, session: str, chunks: AsyncIterable[bytes], *, at: int | None
    ) -> int:
        """Take more bytes; returns how many there are. What came is kept also when `chunks` raises.

        `at` is where the sender says they belong. Raises UploadUnknownError, UploadBusyError,
        OutOfOrderError, or StorageFullError, after which the upload is gone.
        """
        ...

    async def finish(
        self, repository: RepositoryName, session: str, digest: Digest, ending: "Ending"
    ) -> Descriptor:
        """Make the bytes a blob, durably; ends the upload.

        Raises DigestMismatchError and UploadUnknownError, and the upload is over; or a TemporaryError, and
        the upload has the bytes again that it had before the request.
        """
        ...

    async def cancel(self, repository: RepositoryName, session: str) -> None:
        """Drop it; raises UploadUnknownError."""
        ...

    def under_way(self) -> Mapping[str, int]:
        """The uploads of all repositories by their names, with how many bytes each has. Blocking."""
        ...

    def drop(self, stale: Mapping[str, int]) -> Mapping[str, int]:
        """Drop those of these uploads that still have that many bytes; returns which. Blocking."""
        ...


@dataclass(frozen=True, slots=True)
class Ending:
    """How an upload becomes a blob of the repository."""

    taken: Taken  # has the blob if the store has it: then the upload's own bytes are not needed
    linked: Linked  # called when they have their name
    had: int | None = None  # bytes before the request that ends it; None: all


@dataclass(slots=True)
class _Hashed:
    hasher: Hasher
    offset: int  # bytes


class DirectorySessions:
    """Uploads as files, in one directory for each repository that has any."""

    def __init__(self, root: Path, blobs: DirectoryBlobs, leases: Leases, clock: Clock) -> None:
        self._root, self._blobs, self._leases, self._clock = root, blobs, leases, clock
        self._limiter = CapacityLimiter(_THREADS)
        self._gathering = Gathering()
        self._hashed: dict[str, _Hashed] = {}

    async def start(self, repository: RepositoryName) -> str:
        """Begin an upload. Costs one file, not synced: a power loss may take what was not acknowledged."""
        await self._leases.hold(repository)
        session = self._clock.new_secret()
        directory = self._directory(repository)
        with storage_errors(directory):
            path = directory / session
            try:
                fd = _create(path)
            except FileNotFoundError:
                make_directory(directory)
                fd = _create(path)
        os.close(fd)
        return session

    async def size(self, repository: RepositoryName, session: str) -> int:
        """How many bytes it has; raises UploadUnknownError."""
        path = self._path(repository, session)
        with storage_errors(path):
            try:
                return os.stat(path).st_size
            except FileNotFoundError:
                raise UploadUnknownError(session) from None

    async def append(
        self, repository: RepositoryName, session: str, chunks: AsyncIterable[bytes], *, at: int | None
    ) -> int:
        """Take more bytes; returns how many there are."""
        path = self._path(repository, session)
        await self._leases.hold(repository)
        with self._locked(path, session) as fd:
            offset = os.fstat(fd).st_size
            if at is not None and at != offset:
                raise OutOfOrderError(offset)
            writer = Appending(fd, offset, self._continued(session, offset), self._limiter)
            try:
                await writer.take(self._leases.held_while(repository, chunks), self._gathering)
            except StorageFullError:
                self._forget(path)
                raise
            finally:
                self._remember(session, writer)
            return writer.offset

    async def finish(
        self, repository: RepositoryName, session: str, digest: Digest, ending: Ending
    ) -> Descriptor:
        """Give the bytes their name: hashed, synced, renamed, its directory synced."""
        path = self._path(repository, session)
        with self._locked(path, session) as fd:
            size = os.fstat(fd).st_size
            try:
                await self._leases.hold(repository)
                actual = await self._digest(session, fd, size, digest.algorithm)
                if actual != digest:
                    raise DigestMismatchError(digest, actual, where=repository)
                desc = Descriptor(OCTET_STREAM, digest, size)
                if not await ending.taken(desc):
                    await run_sync(_keep, fd, path, self._blobs.local_path(digest), limiter=self._limiter)
                    await ending.linked(desc)
            except (StorageFullError, StorageDeviceError):
                self._forget(path)  # a second sync would not say that the first one has lost bytes
                raise
            except TemporaryError:
                had = size if ending.had is None else min(ending.had, size)
                await run_sync(_give_back, fd, path, had, limiter=self._limiter)
                raise
            except DigestMismatchError:
                self._forget(path)
                raise
            self._forget(path)
            return desc

    async def cancel(self, repository: RepositoryName, session: str) -> None:
        """Drop it; raises UploadUnknownError."""
        path = self._path(repository, session)
        with self._locked(path, session):
            self._forget(path)

    def under_way(self) -> Mapping[str, int]:
        """The uploads of all repositories by their names, with how many bytes each has. Blocking."""
        found: dict[str, int] = {}
        for path in self._files():
            with storage_errors(path), suppress(FileNotFoundError):  # finished meanwhile
                found[path.name] = os.stat(path).st_size
        return found

    def drop(self, stale: Mapping[str, int]) -> Mapping[str, int]:
        """Drop those of these uploads that still have that many bytes; returns which. Blocking."""
        dropped: dict[str, int] = {}
        for path in [one for one in self._files() if one.name in stale]:
            with suppress(UploadUnknownError, UploadBusyError), self._locked(path, path.name) as fd:
                if os.fstat(fd).st_size == stale[path.name]:
                    self._forget(path)
                    dropped[path.name] = stale[path.name]
        return dropped

    def _files(self) -> Iterator[Path]:
        with storage_errors(self._root):
            yield from self._root.glob("*/*")

    def _directory(self, repository: RepositoryName) -> Path:
        # A repository's name may be as long as a path, and hold what is a separator.
        return self._root / hashlib.sha256(repository.encode()).hexdigest()[:32]

    def _path(self, repository: RepositoryName, session: str) -> Path:
        if len(session) != _ID_LENGTH or not set(session) <= set("0123456789abcdef"):
            raise UploadUnknownError(session)
        return self._directory(repository) / session

    @contextmanager
    def _locked(self, path: Path, session: str) -> Iterator[int]:
        """The session's file, which no other request of any process writes meanwhile."""
        with storage_errors(self._root):
            try:
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                raise UploadUnknownError(session) from None
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UploadBusyError(session) from None
            # Between opening and locking it may have been cancelled, or finished: then it is a blob now,
            # and no byte may come to it.
            if not _is_still(path, fd):
                raise UploadUnknownError(session)
            yield fd
        finally:
            os.close(fd)

    def _continued(self, session: str, offset: int) -> Hasher | None:
        """What this process has hashed of all that is there; None when another one has written."""
        known = self._hashed.pop(session, None)
        if known is not None and known.offset == offset:
            return known.hasher
        return hashlib.sha256() if offset == 0 else None

    def _remember(self, session: str, writer: Appending) -> None:
        if writer.hasher is not None:
            while len(self._hashed) >= MAX_REMEMBERED:
                del self._hashed[next(iter(self._hashed))]
            self._hashed[session] = _Hashed(writer.hasher, writer.offset)

    async def _digest(self, session: str, fd: int, size: int, algorithm: str) -> Digest:
        if algorithm == SHA256 and (hasher := self._continued(session, size)) is not None:
            return Digest.from_hasher(hasher, algorithm)
        return await run_sync(_hash_file, fd, algorithm, limiter=self._limiter)

    def _forget(self, path: Path) -> None:
        self._hashed.pop(path.name, None)
        with storage_errors(path):
            path.unlink(missing_ok=True)


def _create(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def _is_still(path: Path, fd: int) -> bool:
    with storage_errors(path), suppress(FileNotFoundError):
        return os.path.samestat(os.stat(path), os.fstat(fd))
    return False


def _hash_file(fd: int, algorithm: str) -> Digest:
    hasher = hashlib.new(algorithm)
    offset = 0
    with storage_errors("uploads"):
        while chunk := os.pread(fd, HOP_SIZE, offset):
            hasher.update(chunk)
            offset += len(chunk)
    return Digest.from_hasher(hasher, algorithm)


def _keep(fd: int, path: Path, final: Path) -> None:
    with storage_errors(final):
        sync(fd)
        try:
            os.rename(path, final)
        except FileNotFoundError:
            make_directory(final.parent)
            os.rename(path, final)
        sync_directory(final.parent)


def _give_back(fd: int, path: Path, size: int) -> None:
    """Make an upload of `size` bytes of what could not become a blob.

    Bytes that have a blob's name are copied: whoever found them there by now must not see them change.
    """
    with storage_errors(path):
        if _is_still(path, fd):
            os.ftruncate(fd, size)
            return
        copy = _create(path)
        try:
            with os.fdopen(copy, "wb", buffering=0, closefd=False) as file:
                for offset in range(0, size, HOP_SIZE):
                    rest = memoryview(os.pread(fd, min(HOP_SIZE, size - offset), offset))
                    while rest:
                        rest = rest[file.write(rest) :]
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(copy)
