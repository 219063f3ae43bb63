"""Where redirects lead, and what does not go along."""

from collections.abc import Callable
from contextlib import nullcontext

import pytest

from regsync.remote.errors import UnauthorizedError, UnexpectedAnswerError, UnsafeRedirectError
from regsync.remote.origins import Origin, check_credentials, check_reachable, check_realm, followed
from regsync.remote.request import Kind, Request, Scope
from tests.remote.sessions import PULL, PUSH, begin_upload, get_blob, get_manifest, session_at
from tests.support.fake_registry import FakeRegistry, basic_auth, bearer_auth, challenge, redirect
from tests.support.images import image, sha256
from tests.support.token_server import TokenServer

pytestmark = pytest.mark.anyio

DATA = b"a layer"


@pytest.fixture
def elsewhere(fake_registry_factory: Callable[[], FakeRegistry]) -> FakeRegistry:
    made = fake_registry_factory()
    made.add("team/app", image("app"), "v1")
    made.repositories["team/app"].blobs[sha256(DATA)] = DATA
    return made


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_blob_is_fetched_where_the_registry_sends_us_without_credentials(
    fake_registry: FakeRegistry, elsewhere: FakeRegistry, status: int
) -> None:
    fake_registry.auth = basic_auth("ci", "secret")
    fake_registry.on("GET", ".*/blobs/.*", redirect(elsewhere.url, status))
    async with session_at(fake_registry, user=("ci", "secret")) as session:
        await session.send(get_manifest(), expect={404})  # from here on it is known what to send
        async with session.stream(get_blob(sha256(DATA))) as answer:
            assert b"".join([chunk async for chunk in answer.chunks]) == DATA
            assert answer.url.startswith(elsewhere.url)
    assert fake_registry.requests[-1].headers["authorization"].startswith("Basic ")
    assert "authorization" not in elsewhere.requests[0].headers


async def test_a_redirect_within_the_registry_keeps_credentials(fake_registry: FakeRegistry) -> None:
    fake_registry.add("team/other", image("app"), "v1")
    fake_registry.auth = basic_auth("ci", "secret")
    fake_registry.on("GET", ".*/team/app/.*", redirect("/v2/team/other/manifests/v1"))
    async with session_at(fake_registry, user=("ci", "secret")) as session:
        await session.send(get_manifest())
    assert "authorization" in fake_registry.requests[-1].headers


async def test_another_port_is_another_host(fake_registry: FakeRegistry, elsewhere: FakeRegistry) -> None:
    fake_registry.auth = basic_auth("ci", "secret")
    request = Request(Kind.BLOB_GET, "GET", f"{elsewhere.url}/v2/team/app/manifests/v1", PULL)
    async with session_at(fake_registry, user=("ci", "secret")) as session:
        await session.send(get_manifest(), expect={404})
        await session.send(request)  # an absolute URL, as a layer's or an upload's
    assert "authorization" not in elsewhere.requests[0].headers


async def test_a_registry_that_a_redirect_leads_to_may_want_a_token_of_its_own(
    fake_registry: FakeRegistry, elsewhere: FakeRegistry, token_server: TokenServer
) -> None:
    token_server.anonymous_pull = True
    elsewhere.auth = bearer_auth(token_server)
    fake_registry.on("GET", ".*/manifests/.*", redirect(elsewhere.url))
    async with session_at(fake_registry, user=("ci", "secret")) as session:
        await session.send(get_manifest())
        await session.send(get_manifest())
    assert [request.user for request in token_server.requests] == [None]  # anonymous, and asked for once
    assert [request.status for request in elsewhere.requests] == [401, 200, 200]


async def test_a_registry_that_a_redirect_leads_to_gets_no_password(
    fake_registry: FakeRegistry, elsewhere: FakeRegistry
) -> None:
    elsewhere.auth = basic_auth("ci", "secret")
    fake_registry.on("GET", ".*/manifests/.*", redirect(elsewhere.url))
    async with session_at(fake_registry, user=("ci", "secret")) as session:
        with pytest.raises(UnauthorizedError):
            await session.send(get_manifest())
    assert not elsewhere.leaked("Basic")


async def test_redirects_in_a_circle_and_without_end_are_errors(fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET", ".*/circle", redirect("/v2/team/app/manifests/circle"))
    for step in range(10):
        fake_registry.on("GET", f".*/{step}", redirect(f"/v2/team/app/manifests/{step + 1}"))
    async with session_at(fake_registry) as session:
        with pytest.raises(UnsafeRedirectError, match="circle"):
            await session.send(get_manifest("circle"))
        fake_registry.forget()
        with pytest.raises(UnsafeRedirectError, match="5 times"):
            await session.send(get_manifest("0"))
    assert fake_registry.count() == 6


async def test_a_write_is_not_redirected(fake_registry: FakeRegistry, elsewhere: FakeRegistry) -> None:
    fake_registry.on("POST", ".*", redirect(elsewhere.url))
    async with session_at(fake_registry) as session:
        with pytest.raises(UnexpectedAnswerError, match="307"):
            await session.send(begin_upload())
    assert elsewhere.requests == []


@pytest.mark.parametrize(
    ("location", "cause"),
    [
        ("ftp://files.example.com/x", "not an http"),
        ("//user:secret@evil.example/x", "user in it"),
        ("http://[::1", "redirected"),
        ("https://host:99999/", "redirected"),
        ("https://ho st/", "blanks"),
        ("javascript:alert(1)", "not an http"),
    ],
)
async def test_a_location_that_is_no_url_is_an_error(
    fake_registry: FakeRegistry, location: str, cause: str
) -> None:
    fake_registry.on("GET", ".*", redirect(location))
    async with session_at(fake_registry) as session:
        with pytest.raises(UnsafeRedirectError, match=cause) as raised:
            await session.send(get_manifest())
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "target",
    [
        "http://registry.example.com/x",  # a downgrade
        "https://127.0.0.1/x",
        "https://127.1/x",
        "https://2130706433/x",
        "https://0x7f.0.0.1/x",
        "https://localhost/x",
        "https://LOCALHOST./x",
        "https://db.internal/x",
        "https://[::1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://[fe80::1]/x",
        "https://10.1.2.3:8443/x",
        "https://192.168.0.1/x",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/x",
        "https://0.0.0.0/x",
        "https://metadata/x",
    ],
)
def test_a_public_registry_sends_nobody_to_plain_http_or_a_private_address(target: str) -> None:
    with pytest.raises(UnsafeRedirectError):
        followed("https://registry.example.com/v2/a/blobs/x", target, where="registry.example.com")


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://registry.example.com/v2/", "https://bucket.s3.amazonaws.com/x?y"),
        ("http://registry.example.com/v2/", "https://registry.example.com/v2/"),
        ("http://127.0.0.1:5000/v2/", "http://10.0.0.1/x"),
        ("https://registry.corp.local/v2/", "https://minio.corp.local/x"),
        ("https://10.0.0.1/v2/", "https://192.168.0.1/x"),
    ],
)
def test_what_may_be_followed(url: str, target: str) -> None:
    assert followed(url, target, where="here") == target


def test_an_absolute_url_is_held_to_the_same_rules() -> None:
    with pytest.raises(UnsafeRedirectError, match="private address"):
        check_reachable(Origin.of("https://ghcr.io"), Origin.of("https://[::1]/"), where="ghcr.io")


@pytest.mark.parametrize(
    ("registry", "realm", "allowed"),
    [
        ("https://registry-1.docker.io", "https://auth.docker.io/token", True),
        ("https://registry.gitlab.com", "https://gitlab.com/jwt/auth", True),
        ("https://ghcr.io", "https://ghcr.io/token", True),
        ("https://registry.corp.example", "https://sso.corp.example/auth", True),
        ("https://a.registry.example.com", "https://registry.example.com/token", True),
        ("https://lscr.io", "https://ghcr.io/token", True),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token", True),
        ("http://registry:5000", "http://auth:5001/token", True),
        ("https://registry.example.com", "https://evil.example.org/token", False),
        ("https://registry.example.co.uk", "https://evil.co.uk/token", False),
        ("https://good.azurecr.io", "https://evil.azurecr.io/token", False),
        ("https://1.dkr.ecr.eu-west-1.amazonaws.com", "https://evil.s3.amazonaws.com/t", False),
        ("https://good.a.run.app", "https://evil.a.run.app/token", False),
        ("https://1.dkr.ecr.us-east-1.amazonaws.com", "https://evil.elb.us-east-1.amazonaws.com/t", False),
        ("https://good.us-east-1.amazonaws.com", "https://evil.us-east-1.amazonaws.com/token", False),
        ("https://sso.notrun.app", "https://registry.notrun.app/token", True),
        ("https://example.io", "https://evil.io/token", False),
    ],
)
def test_credentials_go_only_to_realms_of_the_registrys_own(
    registry: str, realm: str, *, allowed: bool
) -> None:
    check_realm(Origin.of(registry), realm, (), where="here")
    refused = nullcontext() if allowed else pytest.raises(UnsafeRedirectError, match="no credentials")
    with refused:
        check_credentials(Origin.of(registry), realm, (), where="here")


@pytest.mark.parametrize(
    ("realm", "allowed"),
    [
        ("https://sso.example.org/realms/x/token", True),
        ("https://SSO.example.org:443/token", True),
        ("https://sso.example.org:8443/token", False),
        ("https://keycloak.internal:8443/token", True),
        ("https://keycloak.internal/token", False),
        ("https://other.example.org/token", False),
        ("https://sso.example.org.evil.example/token", False),
        ("http://sso.example.org/token", False),
    ],
)
def test_credentials_go_to_the_realms_that_the_spec_names_and_to_their_ports_alone(
    realm: str, *, allowed: bool
) -> None:
    registry = Origin.of("https://registry.example.com")
    named = ("sso.example.org", "keycloak.internal:8443")
    with nullcontext() if allowed else pytest.raises(UnsafeRedirectError):
        check_realm(registry, realm, named, where="here")
        check_credentials(registry, realm, named, where="here")


@pytest.mark.parametrize(
    "realm",
    [
        "http://registry.example.com/token",
        "https://127.0.0.1/token",
        "https://169.254.169.254/",
        "",
        "token",
        "/a",
    ],
)
def test_a_realm_that_nobody_may_be_sent_to(realm: str) -> None:
    with pytest.raises(UnsafeRedirectError, match="realm"):
        check_realm(Origin.of("https://registry.example.com"), realm, (), where="registry.example.com")


async def test_a_realm_of_another_domain_gets_no_credentials(fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET", ".*", challenge('Bearer realm="https://tokens.example.org/token",service="x"'))
    async with session_at(fake_registry, user=("ci", "secret")) as session:
        with pytest.raises(UnsafeRedirectError, match=r"tokens\.example\.org") as raised:
            await session.send(Request(Kind.PING, "GET", "/v2/", Scope.none()))
    assert 'auth: {realms: ["tokens.example.org"]}' in str(raised.value.hint)


async def test_a_location_of_an_upload_at_another_origin_gets_no_credentials(
    fake_registry: FakeRegistry, elsewhere: FakeRegistry
) -> None:
    fake_registry.auth = basic_auth("ci", "secret")
    request = Request(Kind.UPLOAD, "PUT", f"{elsewhere.url}/upload", PUSH, content=b"x")
    async with session_at(fake_registry, user=("ci", "secret")) as session:
        await session.send(get_manifest(), expect={404})
        await session.send(request, expect={404})
    assert "authorization" not in elsewhere.requests[0].headers
