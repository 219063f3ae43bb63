"""The files of an OCI image layout, which somebody else may have written to do us harm.

Source: image-spec 1.1, "OCI Image Layout Specification". Blocking: called in worker threads.
"""

import errno
import os
import stat
from pathlib import Path

from regsync.content.durable import make_directory, storage_errors, sync, write_durably
from regsync.content.errors import (
    ContentError,
    ContentNotFoundError,
    ContentTooLargeError,
    DigestMismatchError,
    SizeMismatchError,
)
from regsync.oci.descriptor import Descriptor
from regsync.oci.digest import Digest
from regsync.oci.manifest import MAX_MANIFEST_SIZE
from regsync.oci.strict_json import InvalidJSONError, loads

INDEX_FILE = "index.json"
MARKER_FILE = "oci-layout"
BLOBS = "blobs"
PARTS = "ingest"  # as oras names it: files that are not whole yet
LOCK_FILE = ".index.lock"
RESERVED = frozenset({INDEX_FILE, MARKER_FILE, BLOBS, PARTS, LOCK_FILE})

MIB = 1024 * 1024
MAX_INDEX_SIZE = 32 * MIB  # bytes; about 100,000 tags
MAX_MARKER_SIZE = 4096  # bytes
MARKER = b'{"imageLayoutVersion":"1.0.0"}'
_LINK_REFUSED = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
)


class InvalidLayoutError(ContentError):
    """The directory is no OCI layout that can be read safely."""

    def __init__(self, cause: str, *, where: str) -> None:
        super().__init__(f"{where}: not a usable OCI layout: {cause}")


def check_marker(raw: bytes, *, where: str) -> None:
    """Raise InvalidLayoutError unless oci-layout names a version that is known."""
    try:
        document = loads(raw)
    except InvalidJSONError as cause:
        raise InvalidLayoutError(f"{MARKER_FILE}: {cause}", where=where) from cause
    version = document.get("imageLayoutVersion") if isinstance(document, dict) else None
    if not isinstance(version, str) or not version.startswith("1."):
        raise InvalidLayoutError(f"imageLayoutVersion is {version!r:.40}, expected 1.0.0", where=where)


class LayoutFiles:
    """Reads and writes single files of the layout at `root`; `where` names it in errors."""

    def __init__(self, root: Path, where: str) -> None:
        self.root, self.where = root, where
        self._checked = False

    @property
    def parts(self) -> Path:
        """Where files are written before they get their name."""
        return self.root / PARTS

    def path(self, digest: Digest) -> Path:
        """Where the content of `digest` belongs. A Digest is hex: it cannot leave the directory."""
        return self.root / BLOBS / digest.algorithm / digest.encoded

    def create(self) -> None:
        """Make an empty layout unless there is one; raises InvalidLayoutError or StorageError."""
        if self.is_there():
            return
        with storage_errors(self.root):
            make_directory(self.root / BLOBS / "sha256")
            empty = (
                b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
            )
            if not (self.root / INDEX_FILE).exists():
                write_durably(self.root / INDEX_FILE, empty, parts=self.parts)
            write_durably(self.root / MARKER_FILE, MARKER, parts=self.parts)

    def is_there(self) -> bool:
        """Whether there is a layout of a version we know; raises InvalidLayoutError for another."""
        if self._checked:
            return True
        raw = self._read(self.root / MARKER_FILE, MAX_MARKER_SIZE)
        if raw is None:
            return False
        check_marker(raw, where=self.where)
        self._checked = True
        return True

    def read_index(self) -> bytes | None:
        """The bytes of index.json, None where there is no layout."""
        if not self.is_there():
            return None
        raw = self._read(self.root / INDEX_FILE, MAX_INDEX_SIZE)
        if raw is None:
            raise InvalidLayoutError(f"it has no {INDEX_FILE}", where=self.where)
        return raw

    def size(self, digest: Digest) -> int | None:
        """The length of the file that `digest` names, None where there is none."""
        try:
            fd = self._open(self.path(digest))
        except FileNotFoundError:
            return None
        try:
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def open(self, desc: Descriptor) -> int:
        """Open content for reading; raises ContentNotFoundError or SizeMismatchError."""
        try:
            fd = self._open(self.path(desc.digest))
        except FileNotFoundError:
            raise ContentNotFoundError(desc.digest, where=self.where) from None
        size = os.fstat(fd).st_size
        if size != desc.size:
            os.close(fd)
            raise SizeMismatchError(desc, size, where=self.where)
        return fd

    def read_manifest(self, digest: Digest) -> bytes:
        """A manifest's bytes, hashed.

        Raises ContentNotFoundError, ContentTooLargeError or DigestMismatchError.
        """
        raw = self._read(self.path(digest), MAX_MANIFEST_SIZE)
        if raw is None:
            raise ContentNotFoundError(digest, where=self.where)
        actual = Digest.of(raw, digest.algorithm)
        if actual != digest:
            raise DigestMismatchError(digest, actual, where=self.where)
        return raw

    def verify(self, desc: Descriptor) -> None:
        """Read all of a blob; raises ContentNotFoundError, SizeMismatchError or DigestMismatchError."""
        hasher = desc.digest.hasher()
        fd = self.open(desc)
        try:
            with storage_errors(self.path(desc.digest)):
                while chunk := os.read(fd, MIB):
                    hasher.update(chunk)
        finally:
            os.close(fd)
        actual = Digest.from_hasher(hasher, desc.digest.algorithm)
        if actual != desc.digest:
            raise DigestMismatchError(desc.digest, actual, where=self.where)

    def link(self, desc: Descriptor, source: "LayoutFiles") -> bool:
        """Take a verified blob of another layout by hard link; False where the file system makes none."""
        source.verify(desc)
        self.create()
        target = self.path(desc.digest)
        with storage_errors(target):
            fd = source.open(desc)
            try:
                sync(fd)
                make_directory(target.parent)
                os.link(source.path(desc.digest), target, follow_symlinks=False)
            except FileExistsError:
                return self.size(desc.digest) == desc.size
            except OSError as cause:
                if cause.errno in _LINK_REFUSED:
                    return False
                raise
            finally:
                os.close(fd)
        return True

    def write(self, name: str, raw: bytes) -> None:
        """Replace a file of the layout, `name` relative to its root; raises StorageError."""
        write_durably(self.root / name, raw, parts=self.parts)

    def write_blob(self, digest: Digest, raw: bytes) -> None:
        """Put verified bytes under their digest; raises StorageError."""
        self.create()
        write_durably(self.path(digest), raw, parts=self.parts)

    def remove(self, digest: Digest) -> None:
        """Remove the file that `digest` names, if it is there."""
        with storage_errors(self.path(digest)):
            self.path(digest).unlink(missing_ok=True)

    def _read(self, path: Path, limit: int) -> bytes | None:
        try:
            fd = self._open(path)
        except FileNotFoundError:
            return None
        with storage_errors(path), os.fdopen(fd, "rb") as file:
            raw = file.read(limit + 1)
        if len(raw) > limit:
            raise ContentTooLargeError(path.name, limit, where=self.where)
        return raw

    def _open(self, path: Path) -> int:
        """Open a regular file inside the root; FileNotFoundError passes through."""
        resolved = os.path.realpath(path)
        if not resolved.startswith(os.path.realpath(self.root) + os.sep):
            raise InvalidLayoutError(
                f"{path.relative_to(self.root)} is a symbolic link out of it; copy it with `cp -rL` first",
                where=self.where,
            )
        try:
            fd = os.open(resolved, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(path) from None
        except OSError:
            with storage_errors(path):
                raise
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise InvalidLayoutError(f"{path.relative_to(self.root)} is not a regular file", where=self.where)
        return fd
