"""Blobs that were found damaged or missing: their bytes moved aside, their names remembered.

A mark stands for a blob only as long as that is not back, so whoever pushes it again has repaired it.
"""

import contextlib
import itertools
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from regsync.content.durable import make_directory, storage_errors, sync_directory
from regsync.oci.digest import Digest, InvalidDigestError

_DAMAGED, _MISSING = "damaged", "missing"


class Quarantine:
    """A directory of files `sha256-<hex>.damaged`, with the wrong bytes, and `….missing`. Blocking."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: tuple[int, frozenset[Digest]] = (0, frozenset())  # marks, and when there were no others

    def take(self, digest: Digest, path: Path) -> Path | None:
        """Move the file of a blob here; None when it is gone. Raises StorageError."""
        with storage_errors(path), self._seen_by_all():
            kept = next(one for one in self._names(digest) if not one.exists())
            try:
                os.rename(path, kept)
            except FileNotFoundError:
                return None
            sync_directory(self._root)
            sync_directory(path.parent)
        return kept

    def give_back(self, kept: Path, path: Path) -> None:
        """Undo `take`, unless the blob came back by other ways. Raises StorageError."""
        with storage_errors(path):
            with contextlib.suppress(FileExistsError):
                os.link(kept, path)
                sync_directory(path.parent)
            kept.unlink()

    def mark_missing(self, digest: Digest) -> None:
        """Remember that there are no bytes. Raises StorageError."""
        with storage_errors(self._root), self._seen_by_all():
            self._path(digest, _MISSING).touch()

    def marked(self) -> frozenset[Digest]:
        """Every blob that has a mark, be it back by now or not. Costs one stat. Raises StorageError."""
        with storage_errors(self._root):
            try:
                moment = os.stat(self._root).st_mtime_ns
                if moment != self._known[0]:
                    found = (_digest(name) for name in os.listdir(self._root))
                    self._known = (moment, frozenset(one for one in found if one is not None))
            except FileNotFoundError:
                return frozenset()
        return self._known[1]

    def forget(self, digests: Collection[Digest]) -> None:
        """Drop the marks of blobs, and their wrong bytes. Raises StorageError."""
        with storage_errors(self._root), contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self._root):
                if _digest(name) in digests:
                    os.unlink(self._root / name)

    @contextlib.contextmanager
    def _seen_by_all(self) -> Iterator[None]:
        """The directory's time is another one afterwards, also where two changes fall into one tick."""
        make_directory(self._root)
        before = os.stat(self._root).st_mtime_ns
        yield
        after = os.stat(self._root)
        if after.st_mtime_ns <= before:
            os.utime(self._root, ns=(after.st_atime_ns, before + 1))

    def _names(self, digest: Digest) -> "itertools.chain[Path]":
        more = (self._path(digest, f"{number}.{_DAMAGED}") for number in itertools.count(2))
        return itertools.chain([self._path(digest, _DAMAGED)], more)

    def _path(self, digest: Digest, end: str) -> Path:
        return self._root / f"{digest.algorithm}-{digest.encoded}.{end}"


def _digest(name: str) -> Digest | None:
    stem, dot, end = name.partition(".")
    if not dot or end.rpartition(".")[2] not in (_DAMAGED, _MISSING):
        return None
    try:
        return Digest.parse(stem.replace("-", ":", 1))
    except InvalidDigestError:
        return None
