"""Which journal SQLite may keep on a file system.

WAL lets readers and the writer go on side by side, through memory that all of them map. Two machines on
one network file system do not share that memory and would each see a ledger, and a lease, of their own;
there the older rollback journal with its file locks has to do. Source: sqlite.org/wal.html, "All
processes using a database must be on the same host computer".
"""

import re
from enum import Enum
from pathlib import Path
from typing import Final

_MOUNTS: Final = Path("/proc/self/mountinfo")
_SHARED: Final = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "ocfs2"}
    | {"smb3", "smbfs", "virtiofs"}
)
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")  # proc(5): space, tab, newline and backslash in paths


class Journal(Enum):
    """SQLite's name for it."""

    WAL = "wal"
    ROLLBACK = "delete"


def journal_for(path: Path) -> Journal:
    """The journal for a file at `path`, which need not exist; WAL where the system tells nothing."""
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        return journal_among(mounts, path.resolve())
    except OSError:
        return Journal.WAL


def journal_among(mounts: str, path: Path) -> Journal:
    """The journal for `path`, given the text of /proc/<pid>/mountinfo."""
    deepest, kind = -1, ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        point = Path(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields[4]))
        # A later line on the same point lies over the earlier one.
        if len(point.parts) >= deepest and path.is_relative_to(point):
            deepest, kind = len(point.parts), after.split(" ")[0]
    shared = kind in _SHARED or kind.startswith("fuse.")
    return Journal.ROLLBACK if shared else Journal.WAL
