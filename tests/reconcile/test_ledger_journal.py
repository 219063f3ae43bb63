"""On a file system that several machines share, the ledger keeps a journal that bears that."""

import sqlite3
from pathlib import Path

import pytest

from regsync.reconcile.ledger_file import LedgerFile
from regsync.reconcile.ledger_journal import Journal, journal_among

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /srv rw,relatime shared:9 - nfs4 filer:/srv rw,vers=4.2
31 30 0:41 / /srv/scratch rw - tmpfs tmpfs rw
32 22 0:42 / /mnt/with\\040space rw - cifs //filer/share rw
33 22 0:43 / /home/me/bucket rw - fuse.s3fs s3fs rw
34 22 8:2 / /data rw - nfs filer:/data rw
35 34 8:3 / /data rw - xfs /dev/sdb1 rw
garbage
"""


@pytest.mark.parametrize(
    ("path", "journal"),
    [
        pytest.param("/opt/.regsync/ledger.db", Journal.WAL, id="a local disk"),
        pytest.param("/srv/team/ledger.db", Journal.ROLLBACK, id="NFS"),
        pytest.param("/srv/scratch/ledger.db", Journal.WAL, id="a local disk inside of NFS"),
        pytest.param("/srvx/ledger.db", Journal.WAL, id="a name that begins like the mount point"),
        pytest.param("/mnt/with space/ledger.db", Journal.ROLLBACK, id="a mount point with a space"),
        pytest.param("/home/me/bucket/ledger.db", Journal.ROLLBACK, id="FUSE"),
        pytest.param("/data/ledger.db", Journal.WAL, id="a local disk mounted over NFS"),
    ],
)
def test_the_file_system_of_the_path_decides(path: str, journal: Journal) -> None:
    assert journal_among(MOUNTS, Path(path)) is journal


@pytest.mark.parametrize("journal", list(Journal))
def test_an_existing_ledger_takes_the_journal_of_where_it_is(tmp_path: Path, journal: Journal) -> None:
    path = tmp_path / "ledger.db"
    for first in Journal:
        LedgerFile.open(path, journal=first).close()
    LedgerFile.open(path, journal=journal).close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == journal.value
    connection.close()
