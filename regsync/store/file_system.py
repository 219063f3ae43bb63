"""Whether a directory lies on a file system that SQLite's locks and shared memory can be trusted on.

Source: sqlite.org, "Write-Ahead Logging" (all processes must be on the same host) and "How To Corrupt
An SQLite Database File".
"""

import os
import re
from pathlib import Path

from regsync.store.errors import NetworkFileSystemError

_MOUNTS = "/proc/self/mountinfo"
_NETWORK = frozenset(
    {
        *(
            "9p",
            "acfs",
            "afs",
            "autofs",
            "beegfs",
            "ceph",
            "cifs",
            "coda",
            "davfs",
            "gfs2",
            "glusterfs",
            "gpfs",
        ),
        *("lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "smb", "smb2", "smb3", "smbfs", "virtiofs"),
    }
)
_OCTAL = re.compile(r"\\([0-7]{3})")


def refuse_network(path: Path, mounts: str = _MOUNTS) -> None:
    """Raise NetworkFileSystemError if `path`, or where it will be created, is on one.

    `mounts` is a file in the form of Linux' /proc/self/mountinfo; without it nothing is known, and
    nothing refused.
    """
    try:
        table = Path(mounts).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    mount_point, kind = _mount_of(os.path.realpath(path), table)
    if kind in _NETWORK or kind.startswith("fuse"):
        raise NetworkFileSystemError(str(path), kind, mount_point)


def _mount_of(path: str, table: str) -> tuple[str, str]:
    """The mount point of `path` and its type; of several on one point the last covers the others."""
    best = ("", "")
    for line in table.splitlines():
        left, dash, right = line.partition(" - ")
        fields = left.split(" ")
        if not dash or len(fields) < 5:
            continue
        point = _OCTAL.sub(lambda found: chr(int(found[1], 8)), fields[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[0]):
            best = (point, right.split(" ")[0])
    return best
