"""Ranges and conditions, as RFC 9110 has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.server.conditions import Part, UnsatisfiableError, is_unchanged, wanted_part
from regsync.server.message import Request

ETAG = b'"sha256:abc"'


def asking(**headers: str) -> Request:
    async def receive() -> dict[str, object]:
        raise AssertionError

    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"method": "GET", "path": "/", "raw_path": b"/", "headers": raw}, receive, "id")


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-0", Part(0, 0)),
        ("bytes=2000-5000", Part(2000, 2047)),
        ("bytes=2047-", Part(2047, 2047)),
        ("bytes=-48", Part(2000, 2047)),
        ("bytes=-9999", Part(0, 2047)),
    ],
)
def test_one_range_gives_the_bytes_that_are_there(header: str, part: Part) -> None:
    assert wanted_part(asking(range=header), 2048, ETAG) == part


@pytest.mark.parametrize("header", ["bytes=2048-", "bytes=5000-10000", "bytes=500-0", "bytes=-0"])
def test_a_range_without_a_byte_is_refused(header: str) -> None:
    with pytest.raises(UnsatisfiableError):
        wanted_part(asking(range=header), 2048, ETAG)


@pytest.mark.parametrize(
    "header", ["", "bytes=", "bytes=-", "bytes=abc", "items=0-1", "bytes=0-1,4-5", "bytes=٣-"]
)
def test_what_is_no_single_range_gives_all(header: str) -> None:
    assert wanted_part(asking(range=header.encode().decode("latin-1")), 2048, ETAG) is None


def test_a_range_of_another_version_gives_all() -> None:
    assert wanted_part(asking(range="bytes=0-1", if_range='"sha256:abc"'), 9, ETAG) == Part(0, 1)
    assert wanted_part(asking(range="bytes=0-1", if_range='"other"'), 9, ETAG) is None


@given(st.text(max_size=30), st.integers(0, 5000))
def test_a_part_is_always_inside_the_content(text: str, size: int) -> None:
    try:
        part = wanted_part(asking(range="bytes=" + text.encode().decode("latin-1")), size, ETAG)
    except UnsatisfiableError:
        return
    assert part is None or 0 <= part.start <= part.end < size


@pytest.mark.parametrize("header", ['"sha256:abc"', 'W/"sha256:abc"', '"x", "sha256:abc"', "*"])
def test_a_client_that_has_it_is_told_so(header: str) -> None:
    assert is_unchanged(asking(if_none_match=header), ETAG)


def test_a_client_that_has_something_else_is_given_it() -> None:
    assert not is_unchanged(asking(if_none_match='"sha256:abd"'), ETAG)
    assert not is_unchanged(asking(), ETAG)
