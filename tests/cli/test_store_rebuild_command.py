"""`regsync store rebuild` as a person runs it."""

import json
from pathlib import Path

from tests.cli.command_line import QUICKSTART, Regsync

HELLO = f"oci:{QUICKSTART}/images/hello:1.1.0"


def test_a_store_whose_catalogue_is_gone_says_so_and_is_restored(regsync: Regsync, tmp_path: Path) -> None:
    path = tmp_path / "store"
    assert regsync("copy", HELLO, f"store:{path}//hello:1").code == 0
    (path / "catalogue.db").unlink()
    refused = regsync("inspect", f"store:{path}/hello:1")
    assert (refused.code, "rebuild" in refused.err) == (1, True)
    ran = regsync("store", "rebuild", str(path))
    assert ran.code == 0, ran.err
    assert "1 repository, 1 tag, 1 manifest, 3 blobs" in ran.out
    assert regsync("inspect", f"store:{path}/hello:1").code == 0


def test_lost_bytes_are_a_failure_that_names_them(regsync: Regsync, tmp_path: Path) -> None:
    path = tmp_path / "store"
    regsync("copy", HELLO, f"store:{path}//hello:1")
    gone = next(one for one in (path / "blobs").rglob("*") if one.is_file())
    gone.unlink()
    ran = regsync("store", "rebuild", str(path), "-o", "json")
    document = json.loads(ran.out)
    assert (ran.code, document["sound"]) == (1, False)
    assert [one["digest"] for one in document["lost"]] == [f"sha256:{gone.name}"]
    assert (path / document["replaced"] / "catalogue.db").is_file()
    assert f"lost: sha256:{gone.name}" in regsync("store", "rebuild", str(path)).out
