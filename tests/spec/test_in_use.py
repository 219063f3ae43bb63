"""Lists of references that run somewhere: read whole, or not at all."""

from pathlib import Path

import pytest

from regsync.oci.digest import Digest
from regsync.oci.reference import RepositoryName, Tag
from regsync.spec.in_use import InUseError, names_of, read_list
from regsync.spec.model import Location, Registry, RemotePlace, StorePlace

D1 = "sha256:" + "1" * 64


def written(directory: Path, text: str) -> Path:
    path = directory / "deployed.txt"
    path.write_text(text)
    return path


def test_one_reference_a_line_with_comments(tmp_path: Path) -> None:
    path = written(
        tmp_path, f"# what runs\nghcr.io/acme/web:1.0  # the shop\n\nnginx\napp@{D1}\nlocal/team/app:v1\n"
    )
    web, nginx, app, local = read_list(path)
    assert (web.names, web.tag, web.where) == (
        frozenset({"ghcr.io/acme/web"}),
        Tag("1.0"),
        "file:deployed.txt:2",
    )
    assert (nginx.names, nginx.tag) == (frozenset({"docker.io/library/nginx"}), Tag("latest"))
    assert (app.tag, app.digest) == (None, Digest.parse(D1))
    assert local.names == {"docker.io/local/team/app", "local/team/app"}


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        pytest.param("ghcr.io/acme/web:1.0\nGhcr.io/ACME:1\n", "line 2: invalid repository", id="a bad name"),
        pytest.param("app@sha256:12\n", "line 1: invalid digest", id="a bad digest"),
        pytest.param("app:v1 other:v2\n", "line 1", id="two in a line"),
    ],
)
def test_one_bad_line_makes_the_list_useless_and_is_named(tmp_path: Path, text: str, cause: str) -> None:
    with pytest.raises(InUseError, match=f"deployed.txt: {cause}"):
        read_list(written(tmp_path, text))


def test_a_list_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InUseError, match=r"gone.txt: No such file"):
        read_list(tmp_path / "gone.txt")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(InUseError, match="not UTF-8 at byte 0"):
        read_list(tmp_path / "bytes")
    with pytest.raises(InUseError, match="inUse"):
        read_list(tmp_path)


def test_a_location_is_called_by_its_registry_and_by_its_host() -> None:
    here = Location("hub", RepositoryName("library/nginx"))
    remote, store = RemotePlace("https", "docker.io"), StorePlace(Path("/data"))
    assert names_of(here, Registry("hub", remote)) == {
        "hub/library/nginx",
        "docker.io/library/nginx",
        "docker.io:443/library/nginx",
    }
    assert names_of(here, Registry("hub", store)) == {"hub/library/nginx"}
