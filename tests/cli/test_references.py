from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.cli.references import BadReferenceError, ImageReference, parse
from regsync.spec.model import LayoutPlace, RemotePlace, StorePlace

DIGEST = "sha256:" + "4" * 64
HERE = Path.cwd()
GHCR = RemotePlace("https", "ghcr.io")
HUB = RemotePlace("https", "docker.io")


def no_store(path: Path) -> bool:
    return False


def read(text: str, *stores: str) -> ImageReference:
    return parse(text, lambda path: str(path) in stores)


def shape(reference: ImageReference) -> tuple[object, ...]:
    digest = str(reference.digest) if reference.digest is not None else None
    return reference.place, reference.repository, reference.tag, digest


@pytest.mark.parametrize(
    ("text", "place", "repository", "tag", "digest"),
    [
        pytest.param("ghcr.io/acme/app:1", GHCR, "acme/app", "1", None, id="host and tag"),
        pytest.param(
            f"ghcr.io/acme/app@{DIGEST}",
            GHCR,
            "acme/app",
            None,
            DIGEST,
            id="digest",
        ),
        pytest.param(
            f"ghcr.io/acme/app:1@{DIGEST}",
            GHCR,
            "acme/app",
            "1",
            DIGEST,
            id="both",
        ),
        pytest.param(
            "nginx",
            HUB,
            "library/nginx",
            None,
            None,
            id="short name, Docker Hub",
        ),
        pytest.param(
            "docker://quay.io/a/b:1", RemotePlace("https", "quay.io"), "a/b", "1", None, id="docker://"
        ),
        pytest.param(
            "http://127.0.0.1:5000/a:1", RemotePlace("http", "127.0.0.1:5000"), "a", "1", None, id="http"
        ),
        pytest.param("https://ghcr.io/a/b", GHCR, "a/b", None, None, id="https, spelled out"),
        pytest.param(
            "http://registry/a/b:1",
            RemotePlace("http", "registry:80"),
            "a/b",
            "1",
            None,
            id="a bare host name",
        ),
        pytest.param("oci:img:1", LayoutPlace(HERE / "img"), None, "1", None, id="layout with a tag"),
        pytest.param("oci:img", LayoutPlace(HERE / "img"), None, None, None, id="layout without"),
        pytest.param("oci:/a:b/img", LayoutPlace(Path("/a:b/img")), None, None, None, id="colon in path"),
        pytest.param(f"oci:img@{DIGEST}", LayoutPlace(HERE / "img"), None, None, DIGEST, id="layout, digest"),
        pytest.param("ocidir://img:1", LayoutPlace(HERE / "img"), None, "1", None, id="regctl's word"),
        pytest.param("ocidir:///srv/img", LayoutPlace(Path("/srv/img")), None, None, None, id="absolute"),
        pytest.param(
            "store:data//a/b:1", StorePlace(HERE / "data"), "a/b", "1", None, id="store, its end marked"
        ),
        pytest.param(
            f"store:data//a@{DIGEST}", StorePlace(HERE / "data"), "a", None, DIGEST, id="store and digest"
        ),
    ],
)
def test_every_form_is_read(
    text: str, place: object, repository: str | None, tag: str | None, digest: str | None
) -> None:
    assert shape(read(text)) == (place, repository, tag, digest)


def test_the_longest_leading_part_that_is_a_store_is_the_store() -> None:
    assert shape(read("store:/srv/data/a/b:1", "/srv", "/srv/data")) == (
        StorePlace(Path("/srv/data")),
        "a/b",
        "1",
        None,
    )


def test_a_store_that_is_not_there_yet_has_to_be_marked() -> None:
    with pytest.raises(BadReferenceError, match=r"store:PATH//repository"):
        read("store:/srv/new/a:1")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "http://",
        "http://host",
        "http:///repository",
        "oci:",
        "oci::1",
        "store:",
        "store://a",
        "store:x//UPPER",
        "store:x//a:.",
        f"a/b@{DIGEST[:-1]}",
        "a b",
        "docker-archive:x.tar",
        "a" * 10_000,
    ],
)
def test_what_is_no_reference_says_which_forms_there_are(text: str) -> None:
    with pytest.raises(BadReferenceError) as caught:
        read(text)
    assert "oci:PATH" in caught.value.hint


@pytest.mark.parametrize("scheme", ["https://", "docker://", ""])
@pytest.mark.parametrize("password", ["hunter2", "hun/ter2", "hun/t#er2"])
def test_a_password_in_a_url_is_refused_and_not_repeated(scheme: str, password: str) -> None:
    with pytest.raises(BadReferenceError) as caught:
        read(f"{scheme}me:{password}@ghcr.io/a/b:1")
    assert "hun" not in str(caught.value)


def test_what_is_meant_is_the_digest_then_the_tag_then_latest() -> None:
    assert str(read(f"ghcr.io/a/b:1@{DIGEST}").wanted) == DIGEST
    assert read("ghcr.io/a/b:1").wanted == "1"
    assert read("ghcr.io/a/b").wanted == "latest"


@given(st.text(max_size=60), st.sampled_from(["", "oci:", "store:", "http://", "docker://", "ocidir://"]))
def test_any_text_is_read_or_refused_cleanly(text: str, prefix: str) -> None:
    with suppress(BadReferenceError):
        parse(prefix + text, no_store)
