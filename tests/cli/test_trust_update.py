"""`regsync trust update` writes what a TUF repository publishes when its signatures hold."""

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from regsync.cli.exit_codes import FAILED, REFUSED, TEMPORARY, USAGE
from tests.cli.command_line import Ran, Regsync
from tests.support.sigstore_pki import SigstorePki
from tests.support.tuf_repository import TufRepository

PKI = SigstorePki()
FIRST = PKI.trusted_root()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def repository() -> Iterator[TufRepository]:
    with TufRepository(FIRST) as started:
        yield started


class Update:
    """The command with its files."""

    def __init__(self, regsync: Regsync, directory: Path, repository: TufRepository) -> None:
        self.out, self._root = directory / "trust" / "example.json", directory / "root.json"
        self.out.parent.mkdir()
        self._root.write_bytes(repository.root)
        self._regsync, self._repository = regsync, repository

    def __call__(self) -> Ran:
        return self._regsync(
            *("trust", "update", "--out", self.out, "--mirror", self._repository.url, "--root", self._root)
        )


@pytest.fixture
def update(regsync: Regsync, tmp_path: Path, repository: TufRepository) -> Update:
    return Update(regsync, tmp_path, repository)


def test_the_root_is_written_as_it_is_published(update: Update) -> None:
    ran = update()
    assert (ran.code, ran.err) == (0, "")
    assert update.out.read_bytes() == FIRST
    first, *added = ran.out.splitlines()
    assert first == f"{update.out}: written"
    assert [line.partition(" (")[0] for line in added] == [
        "  added: transparency log https://rekor.example",
        "  added: certificate authority https://fulcio.example",
        "  added: certificate log https://ctlog.example",
        "  added: timestamp authority https://tsa.example",
    ]
    assert PKI.log.log_id.hex()[:16] in added[0]
    assert os.listdir(update.out.parent) == [update.out.name]


def test_a_root_that_is_there_already_is_left_alone(update: Update) -> None:
    update()
    before = update.out.stat()
    ran = update()
    assert (ran.code, ran.out) == (0, f"{update.out}: unchanged, 4 logs and authorities\n")
    assert update.out.stat() == before


def test_it_says_what_changed(update: Update, repository: TufRepository) -> None:
    update()
    document = PKI.trusted_root_document()
    document["tlogs"][0]["publicKey"]["validFor"]["end"] = "2026-12-01T00:00:00Z"
    document["timestampAuthorities"] = SigstorePki().trusted_root_document()["timestampAuthorities"]
    repository.publish(json.dumps(document).encode())
    ran = update()
    assert json.loads(update.out.read_bytes()) == document
    changes = [line.partition(" https")[0] for line in ran.out.splitlines()[1:]]
    assert changes == [
        "  changed: transparency log",
        "  added: timestamp authority",
        "  removed: timestamp authority",
    ]
    assert "to 2026-12-01" in ran.out


def test_keys_of_the_repository_may_rotate(update: Update, repository: TufRepository) -> None:
    update()
    repository.rotate_root()
    assert update().code == 0


def test_a_root_by_others_is_refused(update: Update, repository: TufRepository) -> None:
    with TufRepository(FIRST) as stranger:
        repository.rotate_root(by=stranger.signers)
    refuse(update, "root was signed by 0/1 keys")


def refuse(update: Update, reason: str) -> None:
    ran = update()
    assert (ran.code, ran.out) == (FAILED, "")
    assert reason in ran.err
    assert "nothing was changed" in ran.err
    assert not update.out.exists()


def test_targets_by_others_are_refused(update: Update, repository: TufRepository) -> None:
    with TufRepository(b"{}") as stranger:
        repository.files |= {path: data for path, data in stranger.files.items() if "root.json" not in path}
    refuse(update, "timestamp was signed by 0/1 keys")


def test_a_target_that_was_altered_is_refused(update: Update, repository: TufRepository) -> None:
    (path,) = (path for path in repository.files if path.startswith("/targets/"))
    repository.files[path] = FIRST[:-1] + b" "
    refuse(update, "hash")


def test_a_repository_that_goes_backwards_is_refused(update: Update, repository: TufRepository) -> None:
    old = dict(repository.files)
    repository.publish(FIRST + b" ")
    update()
    repository.files = old
    ran = update()
    assert ran.code == FAILED
    assert "BadVersionNumberError" in ran.err
    assert update.out.read_bytes() == FIRST + b" "


def test_a_repository_that_has_expired_is_refused(regsync: Regsync, tmp_path: Path) -> None:
    with TufRepository(FIRST, lifetime=-timedelta(days=1)) as expired:
        refuse(Update(regsync, tmp_path, expired), "expired")


@pytest.mark.parametrize(
    ("published", "reason"),
    [
        pytest.param(b"{}", "invalid trusted root", id="something else"),
        pytest.param(
            b" " * (1024 * 1024 + 1),
            "not believed: trusted_root.json has 1048577 bytes",
            id="more than is read",
        ),
    ],
)
def test_what_is_no_trusted_root_is_refused(
    published: bytes, reason: str, update: Update, repository: TufRepository
) -> None:
    repository.publish(published)
    ran = update()
    assert ran.code == FAILED
    assert reason in ran.err
    assert not update.out.exists()


def test_a_repository_without_one_is_refused(update: Update, repository: TufRepository) -> None:
    repository.publish(FIRST, name="something.json")
    refuse(update, "it has no target trusted_root.json")


def test_a_repository_that_does_not_answer_may_later(update: Update, repository: TufRepository) -> None:
    del repository.files["/timestamp.json"]
    ran = update()
    assert ran.code == TEMPORARY
    assert "cannot be read: HTTP error occurred with status 404" in ran.err


def test_an_answer_that_breaks_off_is_temporary(update: Update, repository: TufRepository) -> None:
    repository.cut = set(repository.files)
    ran = update()
    assert ran.code == TEMPORARY
    assert "cannot be read: " in ran.err


def test_nobody_listening_is_temporary(regsync: Regsync, tmp_path: Path) -> None:
    with TufRepository(FIRST) as repository:
        update = Update(regsync, tmp_path, repository)
    ran = update()
    assert ran.code == TEMPORARY
    assert "cannot be read: " in ran.err


def test_a_repository_of_which_no_root_is_known_needs_one(regsync: Regsync, tmp_path: Path) -> None:
    ran = regsync("trust", "update", "--out", tmp_path / "x.json", "--mirror", "https://tuf.example")
    assert ran.code == USAGE
    assert "give one with --root FILE" in ran.err


def test_a_root_of_something_else_is_refused(update: Update, tmp_path: Path) -> None:
    (tmp_path / "root.json").write_bytes(b"{}")
    refuse(update, "not believed")


def test_another_file_is_not_overwritten(update: Update) -> None:
    update.out.write_text("kind: Mirror\n")
    ran = update()
    assert ran.code == REFUSED
    assert "holds no trusted root, so it is not overwritten" in ran.err
    assert update.out.read_text() == "kind: Mirror\n"


def test_a_directory_for_data_that_cannot_be_written_is_named(
    update: Update, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    ran = update()
    assert ran.code == FAILED
    assert str(tmp_path / "file") in ran.err
    assert "XDG_DATA_HOME" in ran.err
