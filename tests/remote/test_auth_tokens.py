"""Tokens: how many are asked for, with what, and what happens when they no longer do."""

import base64
import json
from collections.abc import Callable

import anyio
import pytest

from regsync.errors import TemporaryError
from regsync.remote.authenticator import Grant
from regsync.remote.credentials import Credentials, Given
from regsync.remote.errors import (
    ExpiredTokenError,
    ForbiddenError,
    RegistryFailedError,
    UnauthorizedError,
    UnexpectedAnswerError,
    UnsafeRedirectError,
)
from regsync.remote.request import Headers, Kind, Request, Scope
from tests.remote.sessions import (
    NAME,
    PULL,
    PUSH,
    Naps,
    begin_upload,
    get_blob,
    get_manifest,
    in_pieces,
    ping,
    session_at,
)
from tests.support.clock import FrozenClock
from tests.support.fake_registry import (
    FakeRegistry,
    basic_auth,
    bearer_auth,
    challenge,
    error,
    redirect,
    respond,
)
from tests.support.images import image
from tests.support.servers import RegistryServer
from tests.support.token_server import TokenServer

pytestmark = pytest.mark.anyio

CI = ("ci", "secret")


@pytest.fixture
def registry(fake_registry: FakeRegistry, token_server: TokenServer) -> FakeRegistry:
    fake_registry.add(NAME, image("app"), "v1")
    fake_registry.add("team/other", image("app"), "v1")
    fake_registry.auth = bearer_auth(token_server)
    return fake_registry


async def test_an_open_registry_gets_no_ping_and_no_request_twice(fake_registry: FakeRegistry) -> None:
    fake_registry.add(NAME, image("app"), "v1")
    async with session_at(fake_registry, user=CI) as session:
        await session.send(get_manifest())
        await session.send(begin_upload(), expect={202})
    assert [request.method for request in fake_registry.requests] == ["GET", "POST"]
    assert all("authorization" not in request.headers for request in fake_registry.requests)


async def test_one_request_tells_how_and_all_others_carry_a_token(
    registry: FakeRegistry, token_server: TokenServer
) -> None:
    async with session_at(registry, user=CI) as session, anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(session.send, get_manifest())
    assert sorted(request.status for request in registry.requests) == [200] * 20 + [401]
    assert token_server.count == 1
    assert token_server.requests[0].scopes == (f"repository:{NAME}:pull",)
    assert token_server.requests[0].user == "ci"


async def test_each_repository_and_right_has_its_own_token(
    registry: FakeRegistry, token_server: TokenServer
) -> None:
    async with session_at(registry, user=CI) as session:
        await session.send(get_manifest())
        await session.send(get_manifest(name="team/other"))
        await session.send(begin_upload(), expect={202})
        await session.send(get_manifest())  # the token for pushing serves for pulling too
    scopes = [request.scopes for request in token_server.requests]
    assert scopes == [
        (f"repository:{NAME}:pull",),
        ("repository:team/other:pull",),
        (f"repository:{NAME}:pull,push",),
    ]
    assert registry.count(".*", ".*") == 5  # four, and the first refusal


async def test_anonymous_tokens_are_asked_for_without_credentials(
    registry: FakeRegistry, token_server: TokenServer
) -> None:
    token_server.anonymous_pull = True
    async with session_at(registry) as session:
        await session.send(get_manifest())
    assert [request.user for request in token_server.requests] == [None]


async def test_credentials_go_to_the_realm_and_never_to_the_registry(registry: FakeRegistry) -> None:
    async with session_at(registry, user=CI) as session:
        await session.send(get_manifest())
    basic = base64.b64encode(b"ci:secret").decode()
    assert not registry.leaked(basic)
    assert not registry.leaked("secret")


async def test_wrong_credentials_are_refused_once_and_say_what_to_check(
    registry: FakeRegistry, token_server: TokenServer
) -> None:
    async with session_at(registry, user=("ci", "wrong-one")) as session:
        with pytest.raises(UnauthorizedError, match="/token: 401") as raised:
            await session.send(get_manifest())
    assert "credentials" in str(raised.value.hint)
    assert "wrong-one" not in str(raised.value)
    assert token_server.count == 1


@pytest.mark.parametrize("field_name", ["token", "access_token"])
async def test_both_names_of_a_token_are_read(
    registry: FakeRegistry, token_server: TokenServer, field_name: str
) -> None:
    token_server.field_name = field_name
    async with session_at(registry, user=CI) as session:
        await session.send(get_manifest())


@pytest.mark.parametrize(
    ("life", "used_for"), [(None, 49), (0, 49), (300, 289), (6, 2), ("120", 109), (10**9, 24 * 3600 - 11)]
)
async def test_a_token_is_used_while_it_lasts_by_our_own_clock(
    fake_registry: FakeRegistry, clock: FrozenClock, life: object, used_for: float
) -> None:
    issued = {"token": "opaque", "issued_at": "2999-01-01T00:00:00Z"} | (
        {} if life is None else {"expires_in": life}
    )
    fake_registry.on("GET", "/v2/.*/tags/list", respond(200, {"tags": []}))
    fake_registry.on("GET", "/v2/.*", challenge(f'Bearer realm="{fake_registry.url}/token"'), times=1)
    fake_registry.on("GET", "/token", respond(200, issued))
    request = Request(Kind.LIST, "GET", f"/v2/{NAME}/tags/list", PULL)
    async with session_at(fake_registry, clock, user=CI) as session:
        await session.send(request)
        clock.advance(used_for)
        await session.send(request)
        assert fake_registry.count("GET", "/token") == 1
        clock.advance(3)
        await session.send(request)
        assert fake_registry.count("GET", "/token") == 2


async def test_a_token_that_ends_in_mid_run_is_renewed_once_for_all(
    registry: FakeRegistry, token_server: TokenServer
) -> None:
    async with session_at(registry, user=CI) as session:
        await session.send(get_manifest())
        ended = registry.matching()[-1].headers["authorization"]
        refuse = error(401, "UNAUTHORIZED", www_authenticate=token_server.challenge())
        registry.on(
            "GET",
            ".*/manifests/.*",
            lambda request, proceed: (
                refuse(request, proceed) if request.headers["authorization"] == ended else proceed()
            ),
        )
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(session.send, get_manifest())
    with_ended = [one for one in registry.matching() if one.headers.get("authorization") == ended]
    assert 2 <= len(with_ended) <= 1 + 8  # whoever was late had the new one
    assert registry.count("GET", ".*") == 1 + len(with_ended) + 8
    assert token_server.count == 2


async def test_a_registry_that_refuses_every_token_ends_in_unauthorized(
    registry: FakeRegistry, token_server: TokenServer
) -> None:
    async with session_at(registry, user=CI) as session:
        await session.send(get_manifest())
        registry.on(
            "GET", ".*/manifests/.*", error(401, "UNAUTHORIZED", www_authenticate=token_server.challenge())
        )
        registry.forget()
        with pytest.raises(UnauthorizedError):
            await session.send(get_manifest())
    assert registry.count() == 2
    assert token_server.count == 2


async def test_a_token_without_the_right_to_push_is_said_to_be_one(
    registry: FakeRegistry, token_server: TokenServer
) -> None:
    token_server.grants["ci"] = {"pull"}
    async with session_at(registry, user=CI) as session:
        with pytest.raises(ForbiddenError, match=f"/{NAME}: the token server does not grant push") as raised:
            await session.send(begin_upload(), expect={202})
    assert raised.value.hint == "these credentials lack the right"


async def test_without_credentials_the_hint_says_where_they_were_looked_for(
    registry: FakeRegistry, token_server: TokenServer
) -> None:
    token_server.anonymous_pull = True
    async with session_at(registry) as session:
        with pytest.raises(UnauthorizedError) as raised:
            await session.send(begin_upload(), expect={202})
    assert "auth.json" in str(raised.value.hint)


async def test_basic_without_credentials_says_that_there_are_none(fake_registry: FakeRegistry) -> None:
    fake_registry.auth = basic_auth("ci", "secret")
    async with session_at(fake_registry) as session:
        with pytest.raises(UnauthorizedError) as raised:
            await session.send(get_manifest())
    assert "no credentials for it were found" in str(raised.value.hint)
    assert "config.json" in str(raised.value.hint)


async def test_insufficient_scope_is_answered_with_the_scope_of_the_challenge(
    registry: FakeRegistry, token_server: TokenServer
) -> None:
    wanted = token_server.challenge(f"repository:{NAME}:pull,push,delete").replace(
        "Bearer ", 'Bearer error="insufficient_scope",'
    )
    request = Request(Kind.DELETE, "DELETE", f"/v2/{NAME}/manifests/v1", Scope(NAME, frozenset({"delete"})))
    async with session_at(registry, user=CI) as session:
        await session.send(get_manifest())
        registry.on("DELETE", ".*", error(401, "UNAUTHORIZED", www_authenticate=wanted), times=1)
        await session.send(request, expect={202})
    assert token_server.requests[-1].scopes == (f"repository:{NAME}:pull,push,delete",)
    assert token_server.count == 3


async def test_the_scope_that_is_missing_goes_first_and_alone_decides_at_some_servers(
    registry: FakeRegistry, token_server: TokenServer
) -> None:
    request = Request(
        Kind.MOUNT,
        "POST",
        f"/v2/{NAME}/blobs/uploads/?mount=sha256:{'0' * 64}&from=team/other",
        PUSH,
        extra_scopes=(Scope.pull("team/other"),),
    )
    wanted = token_server.challenge("repository:team/other:pull")
    async with session_at(registry, user=CI) as session:
        await session.send(get_manifest())
        registry.on("POST", ".*", error(401, "UNAUTHORIZED", www_authenticate=wanted), times=1)
        await session.send(request, expect={202})
    asked = [scopes for sent in token_server.requests[1:] for scopes in [sent.scopes]]
    assert asked == [
        (f"repository:{NAME}:pull,push", "repository:team/other:pull"),
        ("repository:team/other:pull", f"repository:{NAME}:pull,push"),
    ]


async def test_a_repository_that_the_registry_knows_under_another_name_is_asked_for_once(
    registry: FakeRegistry, token_server: TokenServer
) -> None:
    registry.auth = None
    known_as = error(
        401, "UNAUTHORIZED", www_authenticate=token_server.challenge("repository:real/name:pull")
    )
    registry.on(
        "GET",
        ".*",
        lambda request, proceed: proceed() if _claims(request, "real/name") else known_as(request, proceed),
    )
    async with session_at(registry, user=CI) as session:
        for _ in range(3):
            await session.send(get_manifest())
    assert token_server.count == 1
    assert [request.status for request in registry.requests] == [401, 200, 200, 200]


async def test_ecr_public_says_400_when_a_token_is_old(
    registry: FakeRegistry, token_server: TokenServer
) -> None:
    message = "Your Authorization Token has expired. Please re-authenticate."
    async with session_at(registry, user=CI) as session:
        await session.send(get_manifest())
        registry.on("GET", ".*/manifests/.*", error(400, "DENIED", message), times=1)
        await session.send(get_manifest())
    assert token_server.count == 2


async def test_any_other_400_is_what_it_says(registry: FakeRegistry, token_server: TokenServer) -> None:
    async with session_at(registry, user=CI) as session:
        await session.send(get_manifest())
        registry.on("GET", ".*/manifests/.*", error(400, "NAME_INVALID"))
        await session.send(get_manifest(), expect={400})
    assert token_server.count == 1


async def test_a_401_without_challenge_is_explained_at_v2(
    registry: FakeRegistry, token_server: TokenServer
) -> None:
    registry.on("GET", ".*/manifests/.*", error(401, "UNAUTHORIZED"), times=1)
    async with session_at(registry, user=CI) as session:
        await session.send(get_manifest())
    assert [request.path for request in registry.requests][1] == "/v2/"
    assert token_server.count == 1


async def test_a_401_that_nobody_explains_is_an_error(fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET", ".*", error(401, "UNAUTHORIZED"))
    async with session_at(fake_registry, user=CI) as session:
        with pytest.raises(UnauthorizedError):
            await session.send(get_manifest())
    assert fake_registry.count() == 2


async def test_a_streamed_upload_first_asks_how_to_authenticate(registry: FakeRegistry) -> None:
    put = Request(
        Kind.UPLOAD, "PUT", f"/v2/{NAME}/blobs/uploads/x", PUSH, content=in_pieces(b"data"), length=4
    )
    async with session_at(registry, user=CI) as session:
        await session.send(put, expect={404})
    assert [(request.method, request.status) for request in registry.requests] == [("GET", 401), ("PUT", 404)]


async def test_a_refused_stream_is_worth_another_try_by_who_has_the_bytes(
    registry: FakeRegistry, token_server: TokenServer
) -> None:
    put = Request(
        Kind.UPLOAD, "PUT", f"/v2/{NAME}/blobs/uploads/x", PUSH, content=in_pieces(b"data"), length=4
    )
    async with session_at(registry, user=CI) as session:
        await session.send(begin_upload(), expect={202})
        registry.on("PUT", ".*", error(401, "UNAUTHORIZED", www_authenticate=token_server.challenge()))
        with pytest.raises(ExpiredTokenError) as raised:
            await session.send(put)
    assert isinstance(raised.value, TemporaryError)
    assert registry.count("PUT", ".*") == 1


async def test_an_identity_token_is_exchanged_by_oauth2(
    registry: FakeRegistry, token_server: TokenServer
) -> None:
    credentials = Credentials(identity_token=token_server.refresh_token("ci"))
    async with session_at(registry, credentials=Given(lambda: credentials)) as session:
        await session.send(get_manifest())
    asked = token_server.requests[0]
    assert (asked.method, asked.grant_type, asked.form["service"]) == (
        "POST",
        "refresh_token",
        "registry.test",
    )
    assert "offline" not in str(asked.form)


async def test_an_identity_token_is_a_password_where_there_is_no_oauth2(
    registry: FakeRegistry, token_server: TokenServer
) -> None:
    token_server.oauth2 = False
    token_server.users["<token>"] = "identity"
    credentials = Credentials(identity_token="identity")
    async with session_at(registry, credentials=Given(lambda: credentials)) as session:
        await session.send(get_manifest())
    assert [request.method for request in token_server.requests] == ["POST", "GET"]


async def test_a_registry_token_is_sent_as_it_is(registry: FakeRegistry, token_server: TokenServer) -> None:
    token = token_server.sign("ci", [{"type": "repository", "name": NAME, "actions": ["pull"]}])
    credentials = Credentials(registry_token=token)
    async with session_at(registry, credentials=Given(lambda: credentials)) as session:
        await session.send(get_manifest())
    assert token_server.count == 0


async def test_a_failing_token_server_is_tried_again(fake_registry: FakeRegistry, clock: FrozenClock) -> None:
    naps = Naps(clock)
    fake_registry.on("GET", "/v2/.*", challenge(f'Bearer realm="{fake_registry.url}/token"'))
    fake_registry.on("GET", "/token", respond(503), times=2)
    fake_registry.on("GET", "/token", respond(503))
    async with session_at(fake_registry, clock, naps=naps, user=CI) as session:
        with pytest.raises(RegistryFailedError, match="/token"):
            await session.send(ping())
    assert fake_registry.count("GET", "/token") == 7


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (respond(200, "<html>", "text/html"), UnexpectedAnswerError),
        (respond(200, "[]"), UnexpectedAnswerError),
        (respond(200, {"expires_in": 60}), UnexpectedAnswerError),
        (respond(200, {"token": ["x"]}), UnexpectedAnswerError),
        (respond(200, {"token": "a\r\nX-Evil: 1"}), UnexpectedAnswerError),
        (respond(200, {"token": ""}), UnexpectedAnswerError),
        (redirect("https://evil.example/token"), UnexpectedAnswerError),
        (error(403, "DENIED"), ForbiddenError),
    ],
)
async def test_an_answer_that_is_no_token_is_an_error(
    fake_registry: FakeRegistry, answer: Callable[..., object], kind: type[Exception]
) -> None:
    fake_registry.on("GET", "/v2/.*", challenge(f'Bearer realm="{fake_registry.url}/token"'))
    fake_registry.on("GET", "/token", answer)  # type: ignore[arg-type]
    async with session_at(fake_registry, user=CI) as session:
        with pytest.raises(kind):
            await session.send(ping())


async def test_a_token_body_is_bounded(fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET", "/v2/.*", challenge(f'Bearer realm="{fake_registry.url}/token"'))
    fake_registry.on("GET", "/token", respond(200, {"token": "x" * 70_000}))
    async with session_at(fake_registry, user=CI) as session:
        with pytest.raises(Exception, match="65536 bytes"):
            await session.send(ping())


async def test_a_relative_realm_is_the_registrys_own(fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET", "/v2/", challenge('Bearer realm="/token",service="s"'), times=1)
    fake_registry.on("GET", "/token", respond(200, {"token": "opaque"}))
    async with session_at(fake_registry, user=CI) as session:
        await session.send(ping())
    assert fake_registry.requests[1].query["service"] == "s"
    assert fake_registry.requests[2].headers["authorization"] == "Bearer opaque"


async def test_basic_is_sent_from_the_second_request_on(fake_registry: FakeRegistry) -> None:
    fake_registry.add(NAME, image("app"), "v1")
    fake_registry.auth = basic_auth(*CI)
    async with session_at(fake_registry, user=CI) as session:
        for _ in range(3):
            await session.send(get_manifest())
    assert [request.status for request in fake_registry.requests] == [401, 200, 200, 200]


async def test_a_password_that_changed_is_read_anew(fake_registry: FakeRegistry) -> None:
    passwords = ["old", "new"]
    fake_registry.add(NAME, image("app"), "v1")
    fake_registry.auth = basic_auth("ci", "old")
    source = Given(lambda: Credentials("ci", passwords[0]))
    async with session_at(fake_registry, credentials=source) as session:
        await session.send(get_manifest())
        fake_registry.auth = basic_auth("ci", "new")
        passwords.pop(0)
        await session.send(get_manifest())
        fake_registry.auth = basic_auth("ci", "newer")
        fake_registry.forget()
        with pytest.raises(UnauthorizedError):
            await session.send(get_manifest())
    assert fake_registry.count() == 1


async def test_negotiate_beside_basic_is_passed_over(fake_registry: FakeRegistry) -> None:
    fake_registry.add(NAME, image("app"), "v1")
    fake_registry.auth = basic_auth(*CI)
    fake_registry.on(
        "GET",
        ".*",
        lambda request, proceed: (
            _with_negotiate(proceed()) if not request.headers.get("authorization") else proceed()
        ),
    )
    async with session_at(fake_registry, user=CI) as session:
        await session.send(get_manifest())


async def test_what_a_token_allows_is_known_before_it_is_needed(
    registry: FakeRegistry, token_server: TokenServer
) -> None:
    async with session_at(registry, user=CI) as session:
        assert await session.authorize(PUSH) is Grant.GRANTED
        await session.send(begin_upload(), expect={202})
        assert token_server.count == 1
        token_server.grants["ci"] = {"pull"}
        with pytest.raises(ForbiddenError, match=r"team/other.*push"):
            await session.authorize(Scope.push("team/other"))


async def test_without_credentials_the_missing_right_says_so(
    registry: FakeRegistry, token_server: TokenServer
) -> None:
    token_server.anonymous_pull = True
    async with session_at(registry) as session:
        assert await session.authorize(PULL) is Grant.GRANTED
        with pytest.raises(UnauthorizedError, match="push") as raised:
            await session.authorize(PUSH)
    assert "docker login" in str(raised.value.hint)


async def test_an_opaque_token_says_nothing_beforehand(fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET", "/v2/", challenge(f'Bearer realm="{fake_registry.url}/token"'))
    fake_registry.on("GET", "/token", respond(200, {"token": "opaque"}))
    async with session_at(fake_registry, user=CI) as session:
        assert await session.authorize(PUSH) is Grant.UNKNOWN


async def test_an_open_or_basic_registry_says_nothing_beforehand(fake_registry: FakeRegistry) -> None:
    async with session_at(fake_registry) as session:
        assert await session.authorize(PUSH) is Grant.UNKNOWN
    fake_registry.auth = basic_auth(*CI)
    async with session_at(fake_registry, user=CI) as session:
        assert await session.authorize(PUSH) is Grant.UNKNOWN
    async with session_at(fake_registry, user=("ci", "wrong")) as session:
        with pytest.raises(UnauthorizedError):
            await session.authorize(PUSH)


async def test_a_realm_over_plain_http_is_refused_by_an_https_registry(fake_registry: FakeRegistry) -> None:
    class Claimed:  # answers as if it were HTTPS: what counts is the URL it is known by
        host, url = "registry.example.com", "https://registry.example.com"

    class Transport:
        async def start(self, *arguments: object, ahead: int) -> object:
            class Answer:
                status = 401
                headers = Headers([("WWW-Authenticate", 'Bearer realm="http://registry.example.com/token"')])

                def chunks(self) -> object:
                    return in_pieces(b"")

                async def close(self) -> None:
                    pass

            return Answer()

        async def close(self) -> None:
            pass

    async with session_at(Claimed(), user=CI, transport=Transport()) as session:
        with pytest.raises(UnsafeRedirectError, match="plain HTTP"):
            await session.send(ping())


async def test_distribution_with_tokens(
    distribution_factory: Callable[..., RegistryServer], token_server: TokenServer
) -> None:
    server = distribution_factory(tokens=token_server)
    async with session_at(server, user=CI) as session:
        await session.send(begin_upload(), expect={202})
        await session.send(get_manifest(), expect={404})
        async with session.stream(get_blob("sha256:" + "0" * 64), expect={404}):
            pass
        assert await session.authorize(PUSH) is Grant.GRANTED
        assert token_server.count == 1
        assert session.counters == {Kind.UPLOAD: 2, Kind.TOKEN: 1, Kind.MANIFEST_GET: 1, Kind.BLOB_GET: 1}


async def test_distribution_with_passwords(distribution_factory: Callable[..., RegistryServer]) -> None:
    server = distribution_factory(htpasswd={"ci": "secret"})
    async with session_at(server, user=CI) as session:
        await session.send(begin_upload(), expect={202})
    async with session_at(server) as session:
        with pytest.raises(UnauthorizedError):
            await session.send(begin_upload(), expect={202})


def _claims(request: object, name: str) -> bool:
    token = request.headers.get("authorization", "").partition(" ")[2]  # type: ignore[attr-defined]
    if not token:
        return False
    body = token.split(".")[1]
    return any(
        entry["name"] == name for entry in json.loads(base64.urlsafe_b64decode(body + "==="))["access"]
    )


def _with_negotiate(answer: object) -> object:
    value = answer.header("www-authenticate")  # type: ignore[attr-defined]
    return answer.with_headers(www_authenticate=f"Negotiate, {value}")  # type: ignore[attr-defined]
