"""Answers that were not asked for, and what is said of them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsync.errors import TemporaryError
from regsync.remote.answers import Complaint
from regsync.remote.errors import (
    AnswerError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    RegistryFailedError,
    RejectedError,
    TooLargeError,
    UnauthorizedError,
    UnexpectedAnswerError,
    shown,
    shown_url,
)
from regsync.remote.request import Headers, Kind, Request, Scope
from regsync.remote.request import Response as Reply
from tests.remote.sessions import PULL, Naps, get_blob, get_manifest, ping, session_at
from tests.support.clock import FrozenClock
from tests.support.fake_registry import FakeRegistry, error, headers, html, respond
from tests.support.images import image

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, UnauthorizedError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (405, RejectedError),
        (413, RejectedError),
        (416, RejectedError),
        (429, RateLimitedError),
        (500, RegistryFailedError),
        (502, RegistryFailedError),
        (522, RegistryFailedError),
        (507, RegistryFailedError),
        (204, UnexpectedAnswerError),
        (304, UnexpectedAnswerError),
    ],
)
async def test_each_status_is_its_own_error(
    fake_registry: FakeRegistry, status: int, kind: type[AnswerError]
) -> None:
    fake_registry.on("GET", "/v2/", respond(status))
    async with session_at(fake_registry) as session:
        with pytest.raises(kind) as raised:
            await session.send(ping())
    assert raised.value.status == status
    assert isinstance(raised.value, TemporaryError) == (status == 429 or status >= 500)
    assert f"{fake_registry.host}: GET {fake_registry.url}/v2/: {status}" in str(raised.value)


async def test_the_registrys_own_codes_and_words_are_kept(fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET", ".*", error(404, "MANIFEST_UNKNOWN", "no such manifest"))
    async with session_at(fake_registry) as session:
        with pytest.raises(NotFoundError, match="MANIFEST_UNKNOWN no such manifest") as raised:
            await session.send(get_manifest())
    assert raised.value.codes == ("MANIFEST_UNKNOWN",)


async def test_a_429_by_code_alone_is_a_rate_limit(fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET", ".*", error(403, "TOOMANYREQUESTS"))
    async with session_at(fake_registry) as session:
        with pytest.raises(RateLimitedError):
            await session.send(get_manifest())


async def test_an_html_page_is_named_and_not_shown(fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET", ".*", html(404))
    async with session_at(fake_registry) as session:
        with pytest.raises(NotFoundError, match="an HTML page") as raised:
            await session.send(get_manifest())
    assert "doctype" not in str(raised.value)


async def test_html_where_json_belongs_is_unexpected(fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET", ".*", html(200))
    async with session_at(fake_registry) as session:
        response = await session.send(ping())
    with pytest.raises(UnexpectedAnswerError, match="text/html"):
        response.json()


async def test_a_huge_error_body_is_read_in_part(fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET", ".*", respond(404, b"x" * 10_000_000, "text/plain"))
    async with session_at(fake_registry) as session:
        with pytest.raises(NotFoundError) as raised:
            await session.send(get_manifest())
    assert len(str(raised.value)) < 600


async def test_an_answer_longer_than_the_limit_is_not_read(fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET", ".*", respond(200, b"x" * 2000))
    async with session_at(fake_registry) as session:
        assert len((await session.send(get_manifest(limit=2000))).body) == 2000
        with pytest.raises(TooLargeError, match="1999 bytes"):
            await session.send(get_manifest(limit=1999))


async def test_an_answer_to_head_has_no_body_to_read(fake_registry: FakeRegistry) -> None:
    content = fake_registry.add("team/app", image("app"), "v1")
    request = Request(Kind.MANIFEST_HEAD, "HEAD", "/v2/team/app/manifests/v1", PULL)
    async with session_at(fake_registry) as session:
        response = await session.send(request)
    assert response.headers["Content-Length"] == str(content.size)
    assert response.body == b""


async def test_warnings_are_told_once(fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET", "/v2/", headers(warning='299 - "this \\"registry\\" moves", 299 - "soon"'))
    async with session_at(fake_registry) as session:
        await session.send(ping())
        await session.send(ping())
        told = session.warnings
    assert told == ('this \\"registry\\" moves', "soon")


async def test_requests_are_counted_by_kind(fake_registry: FakeRegistry) -> None:
    async with session_at(fake_registry) as session:
        await session.send(ping())
        await session.send(get_manifest(), expect={404})
        await session.send(get_manifest(), expect={404})
        assert session.counters == {Kind.PING: 1, Kind.MANIFEST_GET: 2}


async def test_no_query_user_or_header_reaches_a_message(
    fake_registry: FakeRegistry, clock: FrozenClock
) -> None:
    fake_registry.on("GET", ".*", error(403, "DENIED"))
    url = f"{fake_registry.url}/v2/team/app/blobs/x?X-Amz-Signature=secret"
    request = Request(Kind.BLOB_GET, "GET", url, PULL, {"X-Token": "secret"})
    async with session_at(fake_registry, clock, naps=Naps(clock), user=("ci", "secret")) as session:
        with pytest.raises(ForbiddenError) as raised:
            await session.send(request)
    assert "secret" not in str(raised.value)
    assert "secret" not in repr(raised.value)


async def test_streaming_raises_the_same_errors(fake_registry: FakeRegistry) -> None:
    async with session_at(fake_registry) as session:
        with pytest.raises(NotFoundError):
            async with session.stream(get_blob("sha256:" + "0" * 64)):
                pytest.fail("entered")


@given(st.binary(max_size=300), st.sampled_from([None, "application/json", "text/html", "text/plain"]))
def test_no_error_body_breaks_its_reader(body: bytes, content_type: str | None) -> None:
    complaint = Complaint.read(body, content_type)
    assert len(complaint.text) <= 300
    assert complaint.text.isprintable()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["errors", "code", "message", "detail", "error"]), inner, max_size=4
            )
        ),
        max_leaves=20,
    )
)
def test_no_json_error_breaks_its_reader(document: object) -> None:
    Complaint.read(json.dumps(document).encode(), "application/json")


def test_words_from_outside_are_one_printable_line() -> None:
    assert shown("a\x1b[31m\nb\u202e\tc") == "a [31m b c"
    assert len(shown("x" * 5000)) == 300
    assert shown_url("https://user:secret@host:5000/v2/?token=secret#x") == "https://host:5000/v2/"


def test_headers_ignore_case_and_keep_repetitions() -> None:
    found = Headers([("Link", "a"), ("link", "b"), ("X-One", "1")])
    assert (found["LINK"], found.all("Link"), found.get("x-one"), found.get("absent")) == (
        "a",
        ["a", "b"],
        "1",
        None,
    )
    assert sorted(found) == ["link", "x-one"]


@pytest.mark.parametrize(
    ("scope", "text"),
    [
        (Scope.pull("a/b"), "repository:a/b:pull"),
        (Scope.push("a/b"), "repository:a/b:pull,push"),
        (Scope("a", frozenset({"delete", "push", "pull"})), "repository:a:pull,push,delete"),
        (Scope.catalog(), "registry:catalog:*"),
        (Scope.none(), ""),
    ],
)
def test_scopes_are_written_as_token_servers_take_them(scope: Scope, text: str) -> None:
    assert str(scope) == text


def test_a_reply_that_is_not_json_says_what_it_is() -> None:
    with pytest.raises(UnexpectedAnswerError, match="no content type"):
        Reply(200, Headers(), b"{", "http://h/x").json()
