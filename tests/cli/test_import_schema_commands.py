import json
import os
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from regsync.cli.import_spec import FORMATS
from regsync.spec.imports import FORMATS as KNOWN
from tests.cli.command_line import Regsync, Stdin

REGCLIENT = """\
version: 1
creds:
  - registry: registry.example.com
sync:
  - source: docker.io/library/busybox
    target: registry.example.com/mirror/busybox
    type: repository
    tags: {allow: ["1.*"]}
    schedule: "15 01 * * *"
"""


def test_the_help_knows_every_format(regsync: Regsync) -> None:
    assert tuple(KNOWN) == FORMATS
    text = regsync("import", "--help").out
    assert all(f"  {name}" in text for name in KNOWN)


def test_an_imported_file_is_a_spec_that_validates(regsync: Regsync, tmp_path: Path) -> None:
    file = tmp_path / "regsync.yml"
    file.write_text(REGCLIENT)
    ran = regsync("import", "regclient", file)
    assert ran.code == 0, ran.err
    spec = tmp_path / "spec.yaml"
    spec.write_text(ran.out)
    assert regsync("validate", spec).code == 0


def test_what_is_not_carried_over_is_told(regsync: Regsync, tmp_path: Path) -> None:
    file = tmp_path / "regsync.yml"
    file.write_text(REGCLIENT)
    assert "schedule" in regsync("import", "regclient", file).err


def test_stdin_is_read_for_a_dash(regsync: Regsync, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Stdin(b"nginx:1.27\n"))
    ran = regsync("import", "list", "-", "--target", "registry.example.com/{repository}")
    assert ran.code == 0
    assert "nginx:1.27" in ran.out


def test_a_file_that_is_not_there_is_a_misuse(regsync: Regsync, tmp_path: Path) -> None:
    ran = regsync("import", "list", tmp_path / "gone")
    assert ran.code == 64
    assert str(tmp_path / "gone") in ran.err


def test_a_file_too_long_is_not_read_to_its_end(regsync: Regsync, tmp_path: Path) -> None:
    long = tmp_path / "long"
    with long.open("wb") as stream:
        stream.truncate(100 * 1024 * 1024)
    ran = regsync("import", "list", long)
    assert ran.code == 64
    assert "the most that is read" in ran.err


def test_a_pipe_or_device_is_not_waited_for_and_a_dash_named_instead(
    regsync: Regsync, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        for command in (("import", "list", path), ("apply", path)):
            ran = regsync(*command)
            assert ran.code == 64
            assert f"{path}: a pipe, a socket or a device; only regular files are read" in ran.err
            assert "`-` stands for stdin" in ran.err


def test_the_schema_is_a_schema_that_takes_the_quick_start(regsync: Regsync, quickstart: Path) -> None:
    ran = regsync("schema")
    assert ran.code == 0
    Draft202012Validator.check_schema(json.loads(ran.out))
