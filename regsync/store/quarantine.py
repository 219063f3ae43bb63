"""Blobs that were found damaged or missing: their bytes moved aside, their names remembered.

A mark stands for a blob only as long as that is not back, so whoever pushes it again has repaired it.
"""

import contextlib
import itertools
import os
from pathlib import Path

from regsync.content.durable import make_directory, storage_errors, sync_directory
from regsync.oci.digest import Digest, InvalidDigestError

_DAMAGED, _MISSING = "damaged", "missing"


class Quarantine:
    """A directory of files `sha256-<hex>.damaged`, with the wrong bytes, and `….missing`. Blocking."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def take(self, digest: Digest, path: Path) -> Path | None:
        """Move the file of a blob here; None when it is gone. Raises StorageError."""
        with storage_errors(path):
            make_directory(self._root)
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
        with storage_errors(self._root):
            make_directory(self._root)
            self._path(digest, _MISSING).touch()

    def marked(self) -> frozenset[Digest]:
        """Every blob that has a mark, be it back by now or not. Raises StorageError."""
        with storage_errors(self._root):
            try:
                names = os.listdir(self._root)
            except FileNotFoundError:
                return frozenset()
        return frozenset(digest for name in names if (digest := _digest(name)) is not None)

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
