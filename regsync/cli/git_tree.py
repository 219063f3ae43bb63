"""A git revision's files, read through the git program into a directory; no checkout or index is touched.

Blobs are taken as they are: no filter, no attribute and no hook of the repository has a say. Large files
are passed over, since nothing that a spec names is large.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from regsync.errors import RegsyncError, UsageError
from regsync.spec.lock import LOCK_FILE, MAX_LOCK_SIZE

MAX_FILES = 100_000
MAX_FILE = 4 * 1024 * 1024  # bytes; lock files may be larger
MAX_TOTAL = 512 * 1024 * 1024  # bytes
MAX_LISTING = 64 * 1024 * 1024  # bytes
TIMEOUT = 120  # seconds that git may take for one answer
_LINK, _FILES = "120000", ("100644", "100755")
_QUIET = {
    **{"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1"},
    **{"GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C"},
}


class NoBaseError(UsageError):
    """There is no such revision, or nothing to take it from."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(f"--base: {message}")
        self._hint = hint

    @property
    def hint(self) -> str | None:
        """What to do next."""
        return self._hint


class UnreadableBaseError(RegsyncError):
    """Git cannot give a revision's files, or they are more than is read."""

    usual_hint = "a clone that has all of the revision is needed: without --filter and deep enough"

    def __init__(self, commit: str, cause: str) -> None:
        super().__init__(f"--base: the files of {commit[:12]} cannot be read: {cause}")


@dataclass(frozen=True, slots=True)
class _Entry:
    mode: str
    blob: str
    size: int
    path: PurePosixPath


def commit_of(top: Path, revision: str) -> str:
    """The full name of the commit that a revision is; raises NoBaseError."""
    hint = "fetch it first; a shallow clone has few (`fetch-depth: 0`, `GIT_DEPTH: 0`)"
    if not revision or revision.startswith("-") or not revision.isprintable():
        raise NoBaseError(f"{revision[:80]!r} is no revision")
    name = f"{revision}^{{commit}}"
    ended = _git(top, ["rev-parse", "--verify", "--quiet", "--end-of-options", name])
    if ended.returncode != 0:
        said = ended.stderr.decode("utf-8", "replace").strip()
        cause = f": {said[:300]}" if said else ""
        raise NoBaseError(f"git knows no revision {revision[:80]!r} in {top}{cause}", hint)
    return ended.stdout.decode("ascii", "replace").strip()


def extract(top: Path, commit: str, into: Path) -> None:
    """Write the files of a commit below `into`; raises UnreadableBaseError."""
    entries = [one for one in _entries(top, commit) if one.size <= _limit(one.path)]
    if len(entries) > MAX_FILES:
        raise UnreadableBaseError(commit, f"more than {MAX_FILES} files")
    if sum(one.size for one in entries) > MAX_TOTAL:
        raise UnreadableBaseError(commit, f"more than {MAX_TOTAL // 1024 // 1024} MiB")
    # Links last: nothing is written through one.
    ordered = sorted(entries, key=lambda one: one.mode == _LINK)
    for entry, data in zip(ordered, _blobs(top, commit, ordered), strict=True):
        path = into / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry.mode == _LINK:
            _link(path, data, into)
        else:
            path.write_bytes(data)


def _limit(path: PurePosixPath) -> int:
    return MAX_LOCK_SIZE if path.name == LOCK_FILE else MAX_FILE


def _entries(top: Path, commit: str) -> Iterator[_Entry]:
    ended = _git(top, ["ls-tree", "-r", "-z", "-l", "--full-tree", commit])
    if ended.returncode != 0 or len(ended.stdout) > MAX_LISTING:
        raise UnreadableBaseError(commit, ended.stderr.decode("utf-8", "replace").strip()[:300] or "too many")
    for line in ended.stdout.split(b"\0"):
        head, _, name = line.partition(b"\t")
        fields = head.split()
        if len(fields) != 4 or fields[0].decode() not in (_LINK, *_FILES):
            continue  # a submodule, for one: its files are not of this tree
        path = PurePosixPath(os.fsdecode(name))
        if not path.is_absolute() and ".." not in path.parts and ".git" not in path.parts:
            yield _Entry(fields[0].decode(), fields[2].decode(), int(fields[3]), path)


def _blobs(top: Path, commit: str, entries: Sequence[_Entry]) -> Iterator[bytes]:
    """The content of each, in their order, by one process."""
    import tempfile

    with tempfile.TemporaryFile() as asked:
        asked.write(b"".join(one.blob.encode() + b"\n" for one in entries))
        asked.seek(0)
        process = subprocess.Popen(  # noqa: S603 - git, with names of objects
            [*_command(top), "cat-file", "--batch"],
            stdin=asked,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **_QUIET},
        )
        try:
            assert process.stdout is not None  # noqa: S101 - it was asked for
            for entry in entries:
                yield _blob(process.stdout, entry, commit)
        finally:
            process.kill()
            process.communicate()


def _blob(answers: IO[bytes], entry: _Entry, commit: str) -> bytes:
    head = answers.readline(200).split()
    if len(head) != 3 or head[1] != b"blob" or int(head[2]) != entry.size:
        raise UnreadableBaseError(commit, f"{entry.path} is not in this clone")
    data = answers.read(entry.size + 1)
    if len(data) != entry.size + 1:
        raise UnreadableBaseError(commit, f"git gave only a part of {entry.path}")
    return data[:-1]


def _link(path: Path, target: bytes, into: Path) -> None:
    """Make a link that stays within the tree; another leads nowhere, as in any other checkout."""
    name = os.fsdecode(target)
    lands = Path(os.path.normpath(path.parent / name))
    if not os.path.isabs(name) and lands.is_relative_to(into):
        path.symlink_to(name)


def _git(top: Path, arguments: Sequence[str]) -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(  # noqa: S603 - git, with a revision behind --end-of-options
            [*_command(top), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=TIMEOUT,
            env={**os.environ, **_QUIET},
        )
    except FileNotFoundError as cause:
        raise NoBaseError("the program git is not there", "install git") from cause
    except subprocess.TimeoutExpired as cause:
        raise NoBaseError(f"git did not answer within {TIMEOUT} s") from cause


def _command(top: Path) -> list[str]:
    return ["git", "-C", str(top), "-c", "core.fsmonitor=false"]
