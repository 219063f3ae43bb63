"""The tags and roots of one OCI layout: read when they changed, written by one process at a time."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from anyio.to_thread import run_sync

from regsync.content.durable import storage_errors, sweep
from regsync.content.errors import ContentNotFoundError
from regsync.content.group_commit import GroupCommit
from regsync.content.layout_files import INDEX_FILE, LOCK_FILE, LayoutFiles
from regsync.content.layout_graph import Graph, LayoutScanner
from regsync.content.layout_index import LayoutIndex
from regsync.errors import RegsyncError, TemporaryError
from regsync.oci.digest import Digest

_LOCK_TRIES, _LOCK_PAUSE = 1500, 0.02  # seconds: 30 s in all

_Stamp = tuple[int, int, int, int]


class LayoutBusyError(TemporaryError):
    """Another process has held the layout's lock for long."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{where}: another process has been writing index.json for 30 s")


@dataclass(slots=True)
class Draft:
    """index.json while it is being changed, and the files to remove once it is written."""

    index: LayoutIndex
    garbage: list[Digest] = field(default_factory=list)


Change = Callable[[Draft], None]


class LayoutCatalogue:
    """Reads index.json, and changes it for all who ask at the same time in one write."""

    def __init__(self, files: LayoutFiles) -> None:
        self._files = files
        self.scanner = LayoutScanner(files)
        self._raw: bytes | None = None
        self._index: LayoutIndex | None = None
        self._stamp: _Stamp | None = None
        self._swept = False
        self._group = GroupCommit[Change, None](self._commit)

    async def index(self) -> LayoutIndex:
        """index.json as it is now; raises ContentNotFoundError where there is no layout."""
        if self._index is not None and self._stamp is not None and self._stamp == self._stat():
            return self._index
        return await run_sync(self.load)

    async def graph(self) -> Graph:
        """What leads to what, as of now."""
        return await run_sync(lambda: self.scanner.scan(self.load()))

    async def change(self, change: Change) -> None:
        """Apply `change` to a draft of index.json and write it; raises what `change` raises, or StorageError.

        `change` runs in a worker thread. When it raises, it must have left the draft as it was.
        """
        await self._group.submit(change)

    def load(self) -> LayoutIndex:
        """Read index.json, and parse it if its bytes are not those of the last time. Blocking."""
        stamp = self._stat()
        raw = self._files.read_index()
        if raw is None:
            raise ContentNotFoundError("OCI layout", where=self._files.where)
        if self._index is None or raw != self._raw:
            self._index = LayoutIndex.parse(raw, where=self._files.where)
            self._raw = raw
        self._stamp = stamp
        return self._index

    def _stat(self) -> _Stamp | None:
        try:
            found = os.stat(self._files.root / INDEX_FILE)
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def _commit(self, changes: Sequence[Change]) -> Sequence[Exception | None]:
        self._files.create()
        self._sweep()
        with self._locked():
            before = self.load()
            draft = Draft(before)
            outcomes = [_outcome(change, draft) for change in changes]
            if draft.index is not before:
                raw = draft.index.encode()
                self._files.write(INDEX_FILE, raw)
                self._raw, self._index, self._stamp = raw, draft.index, self._stat()
            for digest in draft.garbage:
                self._files.remove(digest)
                self.scanner.forget(digest)
        return outcomes

    def _sweep(self) -> None:
        if not self._swept:
            sweep(self._files.parts)
            self._swept = True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        path = self._files.root / LOCK_FILE
        with storage_errors(path):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            for attempt in range(_LOCK_TRIES + 1):
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if attempt == _LOCK_TRIES:
                        raise LayoutBusyError(self._files.where) from None
                    time.sleep(_LOCK_PAUSE)
            yield
        finally:
            os.close(fd)


def _outcome(change: Change, draft: Draft) -> Exception | None:
    try:
        change(draft)
    except RegsyncError as error:
        return error
    return None
