import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.oci.digest import Digest, InvalidDigestError
from regsync.oci.reference import InvalidReferenceError, Reference, RepositoryName, Tag, is_host, parse_host

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "host", "repository", "tag", "digest"),
    [
        pytest.param("nginx", "docker.io", "library/nginx", None, None, id="a short name is Docker Hub's"),
        pytest.param("nginx:1.27", "docker.io", "library/nginx", "1.27", None, id="a short name with a tag"),
        pytest.param("acme/web", "docker.io", "acme/web", None, None, id="a user's name at Docker Hub"),
        pytest.param(
            "index.docker.io/nginx:1", "docker.io", "library/nginx", "1", None, id="an old name of the Hub"
        ),
        pytest.param("quay.io/a/b/c:v1", "quay.io", "a/b/c", "v1", None, id="three parts"),
        pytest.param("localhost/a", "localhost", "a", None, None, id="localhost is a host"),
        pytest.param("127.0.0.1:5000/a:b", "127.0.0.1:5000", "a", "b", None, id="a port and a tag"),
        pytest.param("[::1]:5000/a", "[::1]:5000", "a", None, None, id="an IPv6 address"),
        pytest.param("GHCR.io/a/b", "ghcr.io", "a/b", None, None, id="hosts have no case"),
        pytest.param("docker://quay.io/a/b:1", "quay.io", "a/b", "1", None, id="as skopeo writes it"),
        pytest.param(f"quay.io/a/b@{DIGEST}", "quay.io", "a/b", None, DIGEST, id="a digest alone"),
        pytest.param(f"quay.io/a/b:1@{DIGEST}", "quay.io", "a/b", "1", DIGEST, id="a tag and a digest"),
        pytest.param("host.tld:443/a", "host.tld:443", "a", None, None, id="a port without a tag"),
    ],
)
def test_every_form_that_people_type(
    text: str, host: str, repository: str, tag: str | None, digest: str | None
) -> None:
    found = Reference.parse(text)
    assert (found.host, found.repository, found.tag) == (host, repository, tag)
    assert found.digest == (None if digest is None else Digest.parse(digest))


@pytest.mark.parametrize(
    "text",
    [
        "", "/",
        "quay.io/", "quay.io//a", "quay.io/A", "quay.io/a:", "quay.io/a:.b", "quay.io/a:" + "x" * 129,
        "quay.io/a b", "-quay.io/a", "quay.io/a/../b", "quay.io/a_", "quay.io/" + "a" * 256, "a" * 2000,
        "http://quay.io/a", "quay.io:port/a", "quay.io:70000/a", "quay.io/a\n",
    ],
)  # fmt: skip
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises((InvalidReferenceError, InvalidDigestError)):
        Reference.parse(text)


def test_latest_is_only_added_where_nothing_is_named() -> None:
    assert Reference.parse("quay.io/a/b").with_default_tag().tag == "latest"
    assert Reference.parse("quay.io/a/b:1").with_default_tag().tag == "1"
    assert Reference.parse(f"quay.io/a/b@{DIGEST}").with_default_tag().tag is None


_PART = st.from_regex(r"[a-z0-9]{1,6}([._-][a-z0-9]{1,4})?", fullmatch=True)


@given(
    st.sampled_from(["quay.io", "localhost:5000", "docker.io", "[::1]:5000"]),
    st.lists(_PART, min_size=2, max_size=4),
    st.none() | st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}", fullmatch=True),
    st.booleans(),
)
def test_a_reference_prints_what_it_was_read_from(
    host: str, parts: list[str], tag: str | None, with_digest: bool
) -> None:
    text = f"{host}/{'/'.join(parts)}" + (f":{tag}" if tag else "") + (f"@{DIGEST}" if with_digest else "")
    assert str(Reference.parse(text)) == text
    assert Reference.parse(str(Reference.parse(text))) == Reference.parse(text)


@given(st.text(max_size=80))
def test_any_text_is_a_reference_or_an_error(text: str) -> None:
    try:
        found = Reference.parse(text)
    except (InvalidReferenceError, InvalidDigestError):
        return
    assert Reference.parse(str(found)) == found
    assert RepositoryName.parse(found.repository) == found.repository


def test_names_that_docker_hub_goes_by_are_one_host() -> None:
    assert {parse_host(one) for one in ("docker.io", "index.docker.io", "registry-1.docker.io")} == {
        "docker.io"
    }
    assert is_host("a.b")
    assert not is_host("acme")


@pytest.mark.parametrize("text", ["1.27", "_x", "A-b.c", "x" * 128])
def test_tags_are_taken_as_they_are(text: str) -> None:
    assert Tag.parse(text) == text
