"""Paths to endpoints: every legal name of a repository works, whatever words are in it."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.server.routes import MAX_PATH, REMEMBERED, Endpoint, Route, route

PART = st.sampled_from(["a", "blobs", "uploads", "manifests", "tags", "list", "referrers", "v2", "x-y", "n0"])
NAMES = st.lists(PART, min_size=1, max_size=5).map("/".join)
DIGEST = "sha256:" + "a" * 64
SESSION = "0" * 32


@given(NAMES)
def test_words_of_the_api_may_be_parts_of_a_name(name: str) -> None:
    assert route(f"/v2/{name}/tags/list") == Route(Endpoint.TAGS, name)
    assert route(f"/v2/{name}/manifests/v1") == Route(Endpoint.MANIFEST, name, "v1")
    assert route(f"/v2/{name}/blobs/{DIGEST}") == Route(Endpoint.BLOB, name, DIGEST)
    assert route(f"/v2/{name}/referrers/{DIGEST}") == Route(Endpoint.REFERRERS, name, DIGEST)
    assert route(f"/v2/{name}/_regsync/state") == Route(Endpoint.STATE, name)
    assert route(f"/v2/{name}/blobs/uploads/") == Route(Endpoint.UPLOADS, name)
    assert route(f"/v2/{name}/blobs/uploads/{SESSION}") == Route(Endpoint.UPLOAD, name, SESSION)


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_the_base_is_found_with_and_without_its_slash(path: str) -> None:
    assert route(path) == Route(Endpoint.BASE)


def test_all_repositories_have_one_state() -> None:
    assert route("/v2/_regsync/state") == Route(Endpoint.STATE)


@pytest.mark.parametrize(
    "path",
    ["", "/", "/v1/", "/v3", "/v2x", "v2/", "/v2/a", "/v2/a/b", "/v2/manifests/x", "/v2/tags/list", "//v2/"],
)
def test_what_is_no_part_of_the_api_is_none_of_it(path: str) -> None:
    assert route(path) is None


@given(st.text(alphabet="abc/%.~\\\x00 :@", max_size=60))
def test_no_path_is_too_strange_to_route(path: str) -> None:
    route(f"/v2/{path}")


def test_a_digest_may_be_percent_encoded_and_a_name_is_taken_as_sent() -> None:
    encoded = DIGEST.replace(":", "%3A")
    assert route(f"/v2/a/blobs/{encoded}") == Route(Endpoint.BLOB, "a", DIGEST)
    assert route("/v2/..%2f..%2fetc/manifests/v1") == Route(Endpoint.MANIFEST, "..%2f..%2fetc", "v1")


def test_the_longest_name_and_reference_are_found_however_they_are_written() -> None:
    name, tag = "a" * 255, "t" * 128
    assert route(f"/v2/{name}/manifests/{'%74' * 128}") == Route(Endpoint.MANIFEST, name, tag)
    digest = "sha512:" + "a" * 128
    assert route(f"/v2/{name}/referrers/{digest}") == Route(Endpoint.REFERRERS, name, digest)


def test_absurd_paths_are_no_part_of_the_api_and_none_is_remembered() -> None:
    tracemalloc.start()
    try:
        for number in range(1000):
            assert route(f"/v2/{number}{'a' * 60_000}/manifests/v1") is None
        for number in range(REMEMBERED):
            route(f"/v2/{number:0>{MAX_PATH - 20}}/manifests/v1")
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 12 * 1024 * 1024
